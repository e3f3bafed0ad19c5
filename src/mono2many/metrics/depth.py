"""The seven numbers of depth papers (Eigen et al. 2014, sec. 4.3)."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class DepthMetrics:
    """Errors (smaller is better), then shares of pixels that are nearly right (larger is better)."""

    abs_rel: float
    """Mean |truth - predicted| / truth."""
    sq_rel: float
    """Mean (truth - predicted)^2 / truth, in metres. Customary, though its unit makes it no ratio."""
    rmse: float
    """Root of the mean (truth - predicted)^2, in metres."""
    rmse_log: float
    """Root of the mean (ln truth - ln predicted)^2."""
    a1: float
    """Share of pixels where max(truth / predicted, predicted / truth) < 1.25."""
    a2: float
    """The same with 1.25^2."""
    a3: float
    """The same with 1.25^3."""


COLUMNS = ("Abs Rel", "Sq Rel", "RMSE", "RMSE log", "a1", "a2", "a3")
"""The names under which papers print the fields of DepthMetrics, in order."""


def depth_metrics(truth: Float[Tensor, "N"], predicted: Float[Tensor, "N"]) -> DepthMetrics | None:
    """Compare N depths in metres, all positive; None of none. No scaling, no clamping: see protocol.score.

    Eigen et al. 2014, sec. 4.3. Summed in double precision.
    """
    if truth.numel() == 0:
        return None
    truth, predicted = truth.double(), predicted.double()
    difference = truth - predicted
    ratio = torch.maximum(truth / predicted, predicted / truth)
    values = (
        (difference.abs() / truth).mean(),
        (difference.square() / truth).mean(),
        difference.square().mean().sqrt(),
        (truth.log() - predicted.log()).square().mean().sqrt(),
        *((ratio < 1.25**k).double().mean() for k in (1, 2, 3)),
    )
    return DepthMetrics(*torch.stack(values).tolist())


def mean_metrics(metrics: Sequence[DepthMetrics]) -> DepthMetrics:
    """The mean of each number over images, every image counting the same. At least one image."""
    assert metrics, "no image to average over"
    columns = zip(*map(astuple, metrics), strict=True)
    return DepthMetrics(*(sum(column) / len(metrics) for column in columns))
