"""Motion measured on two pictures, starting from what a pose network guessed.

A pose network tends to its training films' usual step. Where a length matters, the step that really aligns
the pictures is found with the depth held fixed, so that it comes out in the depth's unit.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import resize_intrinsics
from mono2many.geometry.pose import transform_from_pose
from mono2many.geometry.warp import warp

LEVELS = (4, 2, 1)
ROUNDS = 6
"""Of each level."""
NUDGE = (2e-3, 4e-2)
"""Radians, and share of a step, by which motion is changed to see what that does to the picture."""
FARTHEST = 10.0
"""Nudges in one round."""
SHORTEST = 0.01
"""Of a step, as a share of the middle depth: a standing camera has no step to take shares of."""


def refine_motion(
    target: Float[Tensor, "B 3 H W"],
    source: Float[Tensor, "B 3 H W"],
    depth: Float[Tensor, "B H W"],
    source_from_target: Float[Tensor, "B 4 4"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B 3 3"],
) -> Float[Tensor, "B 4 4"]:
    """The motion near `source_from_target` that makes the warped source most like the target.

    Gauss-Newton on colours from coarse to fine (Lucas and Kanade 1981), with the derivative by differences.
    Pixels that fit badly (what moves, what is hidden) count little; a change of brightness between the
    pictures is solved for beside the motion. Where it leads to nothing better, the guess stays.
    """
    step = source_from_target[:, :3, 3].norm(dim=1)
    step = torch.maximum(step, SHORTEST * depth.flatten(1).median(1).values)
    nudge = torch.cat([step.new_full((len(step), 3), NUDGE[0]), NUDGE[1] * step[:, None].expand(-1, 3)], 1)
    moved = source_from_target
    for factor in LEVELS:
        small = _smaller(target, source, depth, intrinsics, source_intrinsics, factor)
        for _ in range(ROUNDS):
            moved = _round(moved, nudge, *small)
    whole = (target, source, depth, intrinsics, source_intrinsics)
    better = _misfit(moved, *whole) < _misfit(source_from_target, *whole)
    return torch.where(better[:, None, None], moved, source_from_target)


def _smaller(
    target: Tensor, source: Tensor, depth: Tensor, intrinsics: Tensor, source_intrinsics: Tensor, factor: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Everything at 1 / factor of its size; depth is averaged as disparity."""
    disparity = F.avg_pool2d(1 / depth, factor)
    less = (disparity.shape[-2], disparity.shape[-1])
    whole = (less[0] * factor, less[1] * factor)  # a rest that fills no cell is left out
    cameras = (resize_intrinsics(k, whole, less) for k in (intrinsics, source_intrinsics))
    return F.avg_pool2d(target, factor), F.avg_pool2d(source, factor), 1 / disparity, *cameras  # type: ignore[return-value]


def _round(
    moved: Float[Tensor, "B 4 4"],
    nudge: Float[Tensor, "B 6"],
    target: Float[Tensor, "B 3 h w"],
    source: Float[Tensor, "B 3 h w"],
    depth: Float[Tensor, "B h w"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B 3 3"],
) -> Float[Tensor, "B 4 4"]:
    """One step of Gauss-Newton."""

    def view(nudges: Tensor) -> tuple[Tensor, Bool[Tensor, "B h w"]]:
        there = transform_from_pose(nudges[:, :3], nudges[:, 3:]) @ moved
        return warp(source, depth, there, intrinsics, source_intrinsics)

    here, seen = view(torch.zeros_like(nudge))
    error = here - target
    columns = []
    for one in torch.eye(6, device=nudge.device).unbind():
        columns.append((view(one * nudge)[0] - view(-one * nudge)[0]) / 2)
    columns += [here, torch.ones_like(here)]  # gain and offset of the exposure
    slopes = torch.stack(columns, 1).flatten(2)
    size = error.abs().mean(1)
    usual = 2 * size.flatten(1).median(1).values.clamp(min=1e-3)[:, None, None]
    weight = (seen / (1 + (size / usual).square()).square()).unsqueeze(1).expand_as(error).flatten(1)
    weighted = slopes * weight.unsqueeze(1)
    normal = weighted @ slopes.transpose(1, 2)
    damping = torch.diag_embed(1e-3 * normal.diagonal(dim1=1, dim2=2) + 1e-9)
    wanted, _ = torch.linalg.solve_ex(normal + damping, -(weighted @ error.flatten(1).unsqueeze(2)))
    change = wanted[:, :6, 0].nan_to_num(0).clamp(-FARTHEST, FARTHEST) * nudge
    return transform_from_pose(change[:, :3], change[:, 3:]) @ moved


def _misfit(
    moved: Tensor,
    target: Tensor,
    source: Tensor,
    depth: Tensor,
    intrinsics: Tensor,
    source_intrinsics: Tensor,
) -> Float[Tensor, "B"]:
    """Mean difference of colours; a pixel outside the source, or of something else, costs 0.1."""
    view, seen = warp(source, depth, moved, intrinsics, source_intrinsics)
    size = (view - target).abs().mean(1).clamp(max=0.1)
    return torch.where(seen, size, 0.1).mean((1, 2))
