"""Motion refined on the pictures: direct alignment of one picture to another's depth.

What a motion network says is good to a tenth of a degree, and a tenth of a degree is a cell of the plane
sweep; its steps tend to the training films' usual one. Gauss-Newton steps on the difference of the pictures
do better, since all pixels agree on six numbers. Inverse compositional (Baker and Matthews 2004), with the
exposure solved for beside the motion, and robust weights: cars that drive count little. The depth it is given
is a guess that is off from place to place; each small patch's own depth is solved for as well, held to the
guess, and thrown away. Motion that took the guess for true is wrong by as much as the guess (turns on the
street by 3 to 5 times as much).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import resize_intrinsics
from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.geometry.warp import warp

COARSE = (8, 4, 2)
"""Strides of the picture, one after the other."""
FINE = (*COARSE, 1)
"""Three times the work: where lengths are measured by it."""
STEPS = 6
"""At each stride."""
PATCH = 4
"""Pixels at that stride, across and down, that share an error of depth."""
SPREAD = 0.4
"""Of log depth around the given one, expected."""
SURE = 0.05
"""The same where the motion's length matters, which only the given depth tells."""
ROBUST = 0.03
"""Grey values from which a difference counts less (of 0 to 1)."""


def refine_motions(
    source_from_target: Float[Tensor, "B S 4 4"],
    target: Float[Tensor, "B 3 H W"],
    sources: Float[Tensor, "B S 3 H W"],
    disparity: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B S 3 3"] | None = None,
) -> Float[Tensor, "B S 4 4"]:
    """refine_motion of several sources of each target, whose 1 / depth is known."""
    count = sources.shape[1]
    here, depth, k = (x.repeat_interleave(count, 0) for x in (target, 1 / disparity, intrinsics))
    theirs = None if source_intrinsics is None else source_intrinsics.flatten(0, 1)
    given = source_from_target.flatten(0, 1)
    return refine_motion(given, here, sources.flatten(0, 1), depth, k, theirs).view_as(source_from_target)


@torch.no_grad()
def refine_motion(
    source_from_target: Float[Tensor, "B 4 4"],
    target: Float[Tensor, "B 3 H W"],
    source: Float[Tensor, "B 3 H W"],
    depth: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B 3 3"] | None = None,
    strides: tuple[int, ...] = COARSE,
    spread: float = SPREAD,
) -> Float[Tensor, "B 4 4"]:
    """The motion near `source_from_target` by which the target's depth, or one near it, shows the source's
    picture best, in depth's unit; without gradient. Where no step helped it is the given one.

    source_intrinsics: None where one camera took both pictures. spread: of log depth's errors, see
    SPREAD and SURE.
    """
    with torch.autocast(target.device.type, enabled=False):
        given = motion = source_from_target.float()
        exposure = given.new_tensor([1.0, 0.0]).repeat(len(given), 1)
        off = given.new_zeros(len(given), 1, 1)
        for stride in strides:
            here, there = (F.avg_pool2d(x.float().mean(1, keepdim=True), stride) for x in (target, source))
            near = 1 / F.avg_pool2d(1 / depth.float().unsqueeze(1), stride).squeeze(1)
            less = (here.shape[-2], here.shape[-1])
            whole = (less[0] * stride, less[1] * stride)  # a rest that fills no cell is left out
            theirs = intrinsics if source_intrinsics is None else source_intrinsics
            cameras = tuple(resize_intrinsics(k.float(), whole, less) for k in (intrinsics, theirs))
            change = _change(here.squeeze(1), near, cameras[0])
            patches = tuple(-(-size // PATCH) for size in less)
            off = F.interpolate(off.unsqueeze(1), patches, mode="bilinear").squeeze(1)
            for _ in range(STEPS):
                motion, exposure, off = _step(
                    motion, exposure, off, change, here, there, near, *cameras, spread=spread
                )
        seen = (here, there, _moved(near, off), *cameras)
        better = _misfit(motion, exposure, *seen) < _misfit(given, exposure, *seen)
        return torch.where(better[:, None, None], motion, given).to(source_from_target)


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


def _step(
    motion: Float[Tensor, "B 4 4"],
    exposure: Float[Tensor, "B 2"],
    off: Float[Tensor, "B y x"],
    change: Float[Tensor, "B 6 N"],
    here: Float[Tensor, "B 1 h w"],
    there: Float[Tensor, "B 1 h w"],
    depth: Float[Tensor, "B h w"],
    *cameras: Tensor,
    spread: float = SPREAD,
) -> tuple[Float[Tensor, "B 4 4"], Float[Tensor, "B 2"], Float[Tensor, "B y x"]]:
    """One of Gauss-Newton: six numbers of motion, gain and offset of the source's grey values, and each
    patch's log depth, which is eliminated (Schur complement)."""
    size = (here.shape[-2], here.shape[-1])
    view, residual, weight = _compared(motion, exposure, here, there, _moved(depth, off), *cameras)
    change = change.clone()
    change[:, :3] *= torch.exp(-_spread(off, size)).flatten(1).unsqueeze(1)
    # a point twice as far moves by half of the shift: as if the camera had moved less
    shift = (motion[:, :3, :3].mT @ motion[:, :3, 3:]).mT
    along = (shift @ change[:, :3]).squeeze(1)
    change = torch.cat([change, view.unsqueeze(1), torch.ones_like(view).unsqueeze(1)], 1)
    weighted = change * weight.unsqueeze(1)
    both = torch.cat([weighted, (weight * along).unsqueeze(1), (weight * residual).unsqueeze(1)], 1)
    both = _patch_sums((both * along.unsqueeze(1)).unflatten(2, size)).flatten(2)
    mixed, own, left = both[:, :-2], both[:, -2:-1], both[:, -1:]
    prior = (ROBUST / spread) ** 2
    left = left - prior * off.flatten(1).unsqueeze(1)
    share = mixed / (own + prior)
    normal = weighted @ change.mT - share @ mixed.mT
    right = weighted @ residual.unsqueeze(2) - share @ left.mT
    # what the pictures do not tell stays as it is
    damping = torch.diag_embed(1e-6 * normal.diagonal(dim1=1, dim2=2) + 1e-9)
    found = torch.linalg.solve_ex(normal + damping, right).result.squeeze(2)
    further = (left - found.unsqueeze(1) @ mixed) / (own + prior)
    off = (off + further.view_as(off)).clamp(-1, 1)
    return motion @ invert(transform_from_pose(found[:, 3:6], found[:, :3])), exposure - found[:, 6:], off


def _patch_sums(values: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C y x"]:
    return F.avg_pool2d(values, PATCH, ceil_mode=True, divisor_override=1)


def _spread(off: Float[Tensor, "B y x"], size: tuple[int, int]) -> Float[Tensor, "B h w"]:
    whole = off.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
    return whole[:, : size[0], : size[1]]


def _moved(depth: Float[Tensor, "B h w"], off: Float[Tensor, "B y x"]) -> Float[Tensor, "B h w"]:
    return depth * _spread(off, (depth.shape[-2], depth.shape[-1])).exp()


def _compared(
    motion: Float[Tensor, "B 4 4"],
    exposure: Float[Tensor, "B 2"],
    here: Float[Tensor, "B 1 h w"],
    there: Float[Tensor, "B 1 h w"],
    depth: Float[Tensor, "B h w"],
    k: Float[Tensor, "B 3 3"],
    source_k: Float[Tensor, "B 3 3"],
) -> tuple[Float[Tensor, "B h*w"], Float[Tensor, "B h*w"], Float[Tensor, "B h*w"]]:
    """The source's view, its difference in grey values when exposed as the target, and the difference's
    weight: 0 where the source does not see the pixel."""
    view, seen = warp(there, depth, motion, k, source_k)
    gain, offset = exposure.unsqueeze(2).unbind(1)
    residual = gain * view.flatten(1) + offset - here.flatten(1)
    return view.flatten(1), residual, seen.flatten(1) / (1 + (residual / ROBUST) ** 2)


def _misfit(motion: Tensor, exposure: Tensor, *pictures: Tensor) -> Float[Tensor, "B"]:
    """Mean robust difference over what is seen; where too little is, or the motion is no number, infinite."""
    _, residual, weight = _compared(motion, exposure, *pictures)
    seen = weight > 0
    mean = (torch.log1p((residual / ROBUST) ** 2) * seen).sum(1) / seen.sum(1)
    good = motion.flatten(1).isfinite().all(1) & mean.isfinite() & (seen.float().mean(1) > 0.1)
    return torch.where(good, mean, torch.inf)
