"""Does an export compute what the model computes? Both on the same frames."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.export.footage import Footage
from mono2many.models.checkpoint import ModelCard
from mono2many.predict.exported import Exported, Parity
from mono2many.predict.predictor import Predictor


class Limits(NamedTuple):
    """The greatest that pass."""

    median: float
    tail: float
    """Of the 99.9th percentile; where poses are refined on the images, of the 99th: there a model's own
    99.9th passes 1e-3 between one and two threads, which round differently: in a few cells another depth
    matches best."""
    mean: float = 1.0


INT8_LIMIT = 0.05
LIMITS = {"fp32": Limits(1e-4, 1e-3), "fp16": Limits(5e-3, 5e-2)}


def compare(own: Predictor, exported: Predictor, footage: Sequence[Footage]) -> Parity:
    """Single frames of a MonoDepth; the stream of a ManyDepth."""
    frames = [
        (1 / theirs - 1 / ours).abs().mul(ours).flatten()
        for one in footage
        for ours, theirs in zip(_disparities(own, one), _disparities(exported, one), strict=True)
    ]
    every, worst = torch.cat(frames), max(float(frame.median()) for frame in frames)
    p99, p999 = (float(every.kthvalue(max(1, round(p * len(every)))).values) for p in (0.99, 0.999))
    return Parity(float(every.median()), p99, p999, float(every.mean()), worst, len(frames))


def inputs_on(
    exported: Exported, card: ModelCard, part: str, footage: Sequence[Footage]
) -> list[Mapping[str, Tensor]]:
    """What `part` is given while these frames are predicted."""
    found = list[Mapping[str, Tensor]]()
    session = exported.session(part)

    def recorded(**inputs: Tensor) -> dict[str, Tensor]:
        found.append({name: value.detach().clone() for name, value in inputs.items()})
        return session(**inputs)

    exported.sessions[part] = recorded
    predictor = Predictor(exported, card)
    for one in footage:
        for _ in _disparities(predictor, one):
            pass
    return found


def _disparities(predictor: Predictor, one: Footage) -> Iterator[Float[Tensor, "H W"]]:
    """At the networks' size."""
    if not predictor.matches:
        for frame in one.frames:
            yield predictor.from_inputs(predictor.inputs([frame]))[0]
        return
    stream = predictor.stream(one.intrinsics)
    for frame in one.frames:
        yield stream.at_model_size(frame)[0]
