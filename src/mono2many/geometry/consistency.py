"""Depth of one frame against that of others: what several views agree on is static and rightly placed."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mono2many.geometry.pose import invert, transform
from mono2many.geometry.warp import MIN_Z, backproject, project, sample


def agreeing_depth(
    depth: Float[Tensor, "H W"],
    others: Float[Tensor, "N H W"],
    other_from_target: Float[Tensor, "N 4 4"],
    intrinsics: Float[Tensor, "3 3"],
    tolerance: float,
) -> tuple[Float[Tensor, "H W"], Int64[Tensor, "H W"]]:
    """The mean of a frame's depth and of what the views that agree with it say, and how many these are.

    A point is projected into each other view; that agrees where its own depth there differs by less than
    `tolerance` (of natural logarithms) from the point's, once the median difference of the two views is taken
    away: networks predict each frame in a slightly different scale. Points that move, or whose depth only one
    frame predicts so, find no agreement (geometric filtering and fusion as of Yao et al. 2018, sec. 4.2)."""
    count = len(others)
    k = intrinsics.expand(count, 3, 3)
    points = transform(other_from_target, backproject(depth.expand(count, -1, -1), k))
    pixels, z = project(points, k)
    found, inside = sample(others[:, None], pixels.unflatten(1, depth.shape))
    seen = inside.flatten(1) & (z > MIN_Z)
    found, z = found[:, 0].flatten(1), z.clamp(min=MIN_Z)
    ratio = torch.where(seen, (found / z).log(), torch.nan)
    agrees = (ratio - ratio.nanmedian(1, keepdim=True).values).abs() < tolerance
    back = transform(invert(other_from_target), points * (found / z)[:, None])[:, 2]
    agreeing = agrees.sum(0)
    total = depth.flatten() + torch.where(agrees, back, 0).sum(0)
    return (total / (1 + agreeing)).view_as(depth), agreeing.view_as(depth)
