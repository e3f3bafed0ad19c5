"""During training, on scenes or frames that training never sees."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor

from mono2many.evaluate.photometric import (
    PhotometricScore,
    Prediction,
    evaluate_photometric,
    predict_batches,
)
from mono2many.metrics.depth import DepthMetrics, mean_metrics
from mono2many.metrics.protocol import PROTOCOLS, score
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.train.shape import DepthShape, depth_shape, shape_figures
from mono2many.types import Batch

PROTOCOL = PROTOCOLS["synthetic-80m"]


@dataclass(frozen=True)
class Validation:
    """Depth metrics where there is depth, and always the photometric error beside the un-warped source."""

    photometric: PhotometricScore
    depth: DepthMetrics | None
    shape: DepthShape

    @property
    def error(self) -> float:
        """What "best" means: Abs Rel where depth is known, else photometric error / un-warped."""
        return self.photometric.ratio if self.depth is None else self.depth.abs_rel

    def to_json(self) -> dict[str, float]:
        p, d = self.photometric, self.depth
        values = {"photometric": p.predicted, "still": p.still, "ratio_to_still": p.ratio}
        values |= {name: value for name, value in self.shape._asdict().items() if math.isfinite(value)}
        return values if d is None else {**values, "abs_rel": d.abs_rel, "rmse": d.rmse, "a1": d.a1}

    def describe(self) -> str:
        p = self.photometric
        verdict = f"; depth or motion not found yet: {p.verdict}" if p.verdict else ""
        holes = f"; holes {self.shape.holes:.1%}" if math.isfinite(self.shape.holes) else ""
        depth = "" if self.depth is None else f"Abs Rel {self.depth.abs_rel:.3f}, a1 {self.depth.a1:.3f}; "
        ratio = f"(ratio {p.ratio:.3f}{verdict}){holes}"
        return f"{depth}photometric {p.predicted:.4f}, un-warped {p.still:.4f} {ratio}"


def validate(
    model: MonoDepth | ManyDepth,
    architecture: MonoArchitecture,
    batches: Iterable[Batch],
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Validation:
    """Score the model in evaluation mode, and leave it in training mode."""
    depths: list[DepthMetrics] = []
    figures: list[Tensor] = []

    def scored() -> Iterator[Prediction]:
        for prediction in predict_batches(model, architecture, batches, precision):
            truth = prediction.batch.depth
            pairs = () if truth is None else zip(1 / prediction.depth.cpu(), truth.cpu(), strict=True)
            scores = [score(disparity, depth, PROTOCOL) for disparity, depth in pairs]
            depths.extend(s.metrics for s in scores if s is not None)
            figures.append(shape_figures(prediction))
            yield prediction

    model.eval()
    try:
        photometric = evaluate_photometric(scored())
    finally:
        model.train()
    return Validation(photometric, mean_metrics(depths) if depths else None, depth_shape(figures))
