"""How well a predicted standard deviation describes the errors that are made."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

STEPS = 50
"""Shares of pixels that are left out: 0, 2, ... 98 %."""


def sparsification(error: Float[Tensor, "N"], uncertainty: Float[Tensor, "N"]) -> Float[Tensor, "S"]:
    """Mean error of the pixels that are left, when the most uncertain 0, 2, 4 ... 98 % are left out."""
    ordered = error[uncertainty.argsort()].double()
    left = [max(1, len(ordered) - step * len(ordered) // STEPS) for step in range(STEPS)]
    means = ordered.cumsum(0) / torch.arange(1, len(ordered) + 1, device=ordered.device)
    return means[torch.tensor(left, device=ordered.device) - 1]


def ause(error: Float[Tensor, "N"], uncertainty: Float[Tensor, "N"]) -> float:
    """Area under the sparsification error: mean over the shares of the sparsification curve by `uncertainty`
    less that by the error itself, which no order falls below (Ilg et al. 2018; Poggi et al. 2020, sec. 4.2).
    In the error's unit; 0 is perfect, see `ause_of_random`. At least one pixel."""
    return float((sparsification(error, uncertainty) - sparsification(error, error)).mean())


def ause_of_random(error: Float[Tensor, "N"]) -> float:
    """The area of a random order, whose curve is flat."""
    return float((error.double().mean() - sparsification(error, error)).mean())


def calibration_error(error: Float[Tensor, "N"], std: Float[Tensor, "N"]) -> float:
    """Expected calibration error (Kuleshov et al. 2018, sec. 3): for p = 0.05, 0.1 ... 0.95, how far the
    share of errors within the central interval of probability p of a normal distribution is from p, on the
    mean.
    0: the standard deviations are right; 0.5: far too small or too large."""
    p = torch.arange(1, 20, dtype=torch.float64) / 20
    limits = math.sqrt(2) * torch.erfinv(p)
    ratios = (error / std).abs().double().sort().values
    shares = torch.searchsorted(ratios, limits.to(ratios), right=True) / len(ratios)
    return float((shares.cpu() - p).abs().mean())
