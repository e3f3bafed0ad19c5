"""Supervision by exact depth up to scale: of the starter model, and of nothing else.

The residual of log depth without its mean (the scale-invariant error of Eigen et al. 2014, with absolute
values), its gradients at several strides (Li and Snavely 2018), and a hinge that keeps the sky far away.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

STRIDES = (1, 2, 4, 8)


class DepthResidual(NamedTuple):
    """log predicted depth - log depth."""

    residual: Float[Tensor, "B H W"]
    """Without each image's mean; 0 where depth is not known."""
    offset: Float[Tensor, "B"]
    """Each image's mean: log of how much too deep it is on the whole."""


def depth_residual(
    disparity: Float[Tensor, "B H W"], depth: Float[Tensor, "B H W"], known: Bool[Tensor, "B H W"]
) -> DepthResidual:
    """Compares 1 / `disparity` with `depth` (same unit or not) where it is `known`."""
    difference = (-disparity.log() - torch.where(known, depth, 1.0).log()).masked_fill(~known, 0)
    offset = difference.sum((1, 2)) / known.sum((1, 2)).clamp(min=1)
    return DepthResidual((difference - offset[:, None, None]).masked_fill(~known, 0), offset)


def residual_gradient(
    residual: Float[Tensor, "B H W"], known: Bool[Tensor, "B H W"], stride: int
) -> Float[Tensor, ""]:
    """Mean absolute difference of the residual of pixels `stride` apart, along x plus along y, where both
    are known. Edges of objects weigh most in it."""
    r, k = residual[:, ::stride, ::stride], known[:, ::stride, ::stride]
    across, down = (r[:, :, 1:] - r[:, :, :-1]).abs(), (r[:, 1:] - r[:, :-1]).abs()
    pairs_across, pairs_down = k[:, :, 1:] & k[:, :, :-1], k[:, 1:] & k[:, :-1]
    return _mean(across, pairs_across) + _mean(down, pairs_down)


def too_near(
    disparity: Float[Tensor, "B H W"], least_depth: Float[Tensor, "B"], far: Bool[Tensor, "B H W"]
) -> Float[Tensor, ""]:
    """Mean over the pixels that are `far` (sky) of log(least_depth / depth) where that is positive."""
    short = (disparity.log() + least_depth.log()[:, None, None]).clamp(min=0)
    return _mean(short, far)


def supervised_objective(
    disparity: Float[Tensor, "B H W"],
    depth: Float[Tensor, "B H W"],
    reach: Float[Tensor, "B"],
    scale_weight: float = 0.1,
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """(loss, its parts). depth: NaN in the sky. What lies beyond `reach`, in depth's unit, must only be found
    beyond it. scale_weight: of the images' common scale, so that it stays alike from frame to frame."""
    known = depth.isfinite() & (depth < reach[:, None, None])
    found = depth_residual(disparity, depth, known)
    gradients = torch.stack([residual_gradient(found.residual, known, stride) for stride in STRIDES])
    parts = {
        "residual": _mean(found.residual.abs(), known),
        "gradients": 0.5 * gradients.sum(),
        "sky": 0.3 * too_near(disparity, reach, ~known),
        "scale": scale_weight * found.offset.abs().mean(),
    }
    return torch.stack(list(parts.values())).sum(), parts


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return values.masked_fill(~where, 0).sum() / where.sum().clamp(min=1)
