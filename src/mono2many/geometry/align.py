"""Motion refined on the pictures: direct alignment of one picture to another's depth.

What a motion network says is good to a tenth of a degree, and a tenth of a degree is a cell of the plane
sweep. Gauss-Newton steps on the difference of the pictures find five times less, since all pixels agree on
six numbers. Inverse compositional (Baker and Matthews 2004), robust weights: cars that drive count little.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import resize_intrinsics
from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.geometry.warp import warp

STRIDES = (8, 4, 2)
"""Of the picture, coarse to fine."""
STEPS = 4
"""At each stride."""
ROBUST = 0.02
"""Grey values from which a difference counts less (of 0 to 1)."""


def refine_motions(
    source_from_target: Float[Tensor, "B S 4 4"],
    target: Float[Tensor, "B 3 H W"],
    sources: Float[Tensor, "B S 3 H W"],
    disparity: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
) -> Float[Tensor, "B S 4 4"]:
    """refine_motion of several sources of each target, whose 1 / depth is known."""
    count = sources.shape[1]
    here, depth, k = (x.repeat_interleave(count, 0) for x in (target, 1 / disparity, intrinsics))
    given = source_from_target.flatten(0, 1)
    return refine_motion(given, here, sources.flatten(0, 1), depth, k).view_as(source_from_target)


@torch.no_grad()
def refine_motion(
    source_from_target: Float[Tensor, "B 4 4"],
    target: Float[Tensor, "B 3 H W"],
    source: Float[Tensor, "B 3 H W"],
    depth: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
) -> Float[Tensor, "B 4 4"]:
    """The motion near `source_from_target` by which the target's depth shows the source's picture best, in
    depth's unit; without gradient. Where no step helped it is the given one. One camera took both pictures.
    """
    with torch.autocast(target.device.type, enabled=False):
        return _refined(source_from_target.float(), target, source, depth, intrinsics.float()).to(
            source_from_target
        )


def _refined(given: Tensor, target: Tensor, source: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    motion = given
    for stride in STRIDES:
        here, there = (F.avg_pool2d(x.float().mean(1, keepdim=True), stride) for x in (target, source))
        near = 1 / F.avg_pool2d(1 / depth.float().unsqueeze(1), stride).squeeze(1)
        (height, width), size = target.shape[-2:], here.shape[-2:]
        k = resize_intrinsics(intrinsics, (height, width), (size[0], size[1]))
        change = _change(here.squeeze(1), near, k)
        for _ in range(STEPS):
            residual, weight = _residual(motion, here, there, near, k)
            weighted = change * weight.unsqueeze(1)
            normal = weighted @ change.mT
            # a millionth of the mean curvature: what the pictures do not tell stays as it is
            damping = 1e-6 * normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
            normal = normal + damping * torch.eye(6, device=normal.device)
            step = torch.linalg.solve_ex(normal, weighted @ residual.unsqueeze(2)).result.squeeze(2)
            motion = motion @ invert(transform_from_pose(step[:, 3:], step[:, :3]))
    before, after = (_misfit(x, here, there, near, k) for x in (given, motion))
    return torch.where((after < before)[:, None, None], motion, given)


def _change(
    image: Float[Tensor, "B h w"], depth: Float[Tensor, "B h w"], k: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B 6 h*w"]:
    """How each pixel's grey value changes with a small motion of the camera's points: shift, then turn."""
    height, width = image.shape[-2:]
    across = F.pad((image[:, :, 2:] - image[:, :, :-2]) / 2, (1, 1)) * k[:, 0, 0, None, None]
    down = F.pad((image[:, 2:] - image[:, :-2]) / 2, (0, 0, 1, 1)) * k[:, 1, 1, None, None]
    column = torch.arange(width, device=image.device, dtype=image.dtype)
    row = torch.arange(height, device=image.device, dtype=image.dtype)[:, None]
    x = (column - k[:, 0, 2, None, None]) / k[:, 0, 0, None, None]
    y = (row - k[:, 1, 2, None, None]) / k[:, 1, 1, None, None]
    along = across * x + down * y
    turns = [-across * x * y - down * (1 + y * y), across * (1 + x * x) + down * x * y, down * x - across * y]
    return torch.stack([across / depth, down / depth, -along / depth, *turns], 1).flatten(2)


def _residual(
    motion: Float[Tensor, "B 4 4"],
    here: Float[Tensor, "B 1 h w"],
    there: Float[Tensor, "B 1 h w"],
    depth: Float[Tensor, "B h w"],
    k: Float[Tensor, "B 3 3"],
) -> tuple[Float[Tensor, "B h*w"], Float[Tensor, "B h*w"]]:
    """Grey values' difference, and its weight: 0 where the source does not see the pixel."""
    view, seen = warp(there, depth, motion, k, k)
    residual = (view - here).flatten(1)
    return residual, seen.flatten(1) / (1 + (residual / ROBUST) ** 2)


def _misfit(motion: Tensor, *rest: Tensor) -> Float[Tensor, "B"]:
    """Mean robust difference over what is seen; where nothing is, or the motion is no number, infinite."""
    residual, weight = _residual(motion, *rest)
    cost = torch.log1p((residual / ROBUST) ** 2)
    seen = weight > 0
    mean = (cost * seen).sum(1) / seen.sum(1)
    good = motion.flatten(1).isfinite().all(1) & mean.isfinite() & (seen.float().mean(1) > 0.1)
    return torch.where(good, mean, torch.inf)
