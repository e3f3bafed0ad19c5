"""Does an export compute what the model computes? Both on the same frames."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.export.footage import Footage
from mono2many.predict.predictor import Predictor


class Parity(NamedTuple):
    """Relative differences of depth, |exported - own| / own, over all pixels of all frames."""

    median: float
    p999: float
    """99.9th percentile."""
    abs_rel: float
    """The mean: Abs Rel against the model's own depth, not aligned."""
    worst_median: float
    """The greatest median of a frame."""

    def __str__(self) -> str:
        return (
            f"median {self.median:.1e} (of the worst frame {self.worst_median:.1e}), 99.9th percentile "
            f"{self.p999:.1e}, mean {self.abs_rel:.1e}"
        )


class Limits(NamedTuple):
    """The greatest that pass."""

    median: float
    p999: float
    abs_rel: float = 1.0


LIMITS = {"fp32": Limits(1e-4, 1e-3), "fp16": Limits(5e-3, 5e-2)}


def compare(own: Predictor, exported: Predictor, footage: Sequence[Footage]) -> Parity:
    """Single frames of a MonoDepth; the stream of a ManyDepth."""
    frames = [
        (1 / theirs - 1 / ours).abs().mul(ours).flatten()
        for one in footage
        for ours, theirs in zip(_disparities(own, one), _disparities(exported, one), strict=True)
    ]
    every, worst = torch.cat(frames), max(float(frame.median()) for frame in frames)
    rank = max(1, round(0.999 * len(every)))
    return Parity(float(every.median()), float(every.kthvalue(rank).values), float(every.mean()), worst)


def _disparities(predictor: Predictor, one: Footage) -> Iterator[Float[Tensor, "H W"]]:
    """At the networks' size."""
    if not predictor.matches:
        for frame in one.frames:
            yield predictor.from_inputs(predictor.inputs([frame]))[0]
        return
    stream = predictor.stream(one.intrinsics)
    for frame in one.frames:
        yield stream.at_model_size(frame)[0]
