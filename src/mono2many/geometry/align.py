"""Poses refined on the images: direct alignment of one image to another's depth.

A pose network is accurate to a tenth of a degree, which is a cell of the plane sweep; the length of its
translation tends to the training videos' usual one. Gauss-Newton steps on the difference of the images do
better, since all pixels constrain six numbers. Inverse compositional (Baker and Matthews 2004), with exposure
solved for beside the pose, and robust weights: moving cars count little. What moves as the camera does (a car
that keeps its distance, the ego vehicle) would say that nothing moved, and has more texture than a road: a
pixel that the unmoved image shows better than the moved one counts little, as in the auto-mask of Godard et
al. 2019; beyond the coarsest stride only where the translation shows, since far pixels tell the rotation. The
given depth is wrong from place to place: each small patch's log depth is solved for as well, with the given
one as a prior, and discarded. A pose from the given depth as it is would be as wrong as that depth (rotations
on the street by 3 to 5 times).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import pixel_axes, resize_intrinsics
from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.geometry.precision import full_precision
from mono2many.geometry.warp import warp

COARSE = (8, 4, 2)
"""Strides of the image, one after the other."""
FINE = (*COARSE, 1)
"""Three times the work: where lengths are measured by it."""
STEPS = 6
"""At each stride."""
PATCH = 4
"""Pixels at that stride, across and down, that share an error of depth."""
LOG_DEPTH_SIGMA = 0.4
"""Of log depth around the given one, expected."""
SURE_SIGMA = 0.05
"""The same where the translation's length matters, which only the given depth determines."""
ROBUST = 0.03
"""Grey values from which a difference counts less (of 0 to 1)."""
NOISE = 0.01
"""Grey values: of smaller differences it is unknown whether the moved image shows a pixel better."""
DOUBT = 0.005
"""Grey values by which the translation changes a pixel, from which on it shows."""


def refine_motions(
    source_from_target: Float[Tensor, "B S 4 4"],
    target: Float[Tensor, "B 3 H W"],
    sources: Float[Tensor, "B S 3 H W"],
    disparity: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B S 3 3"] | None = None,
    valid_mask: Bool[Tensor, "B H W"] | None = None,
) -> Float[Tensor, "B S 4 4"]:
    """refine_motion of several sources of each target, whose 1 / depth is known."""
    count = sources.shape[1]
    targets, depth, k = (x.repeat_interleave(count, 0) for x in (target, 1 / disparity, intrinsics))
    theirs = None if source_intrinsics is None else source_intrinsics.flatten(0, 1)
    initial = source_from_target.flatten(0, 1)
    masks = None if valid_mask is None else valid_mask.repeat_interleave(count, 0)
    refined = refine_motion(initial, targets, sources.flatten(0, 1), depth, k, theirs, valid_mask=masks)
    return refined.view_as(source_from_target)


@torch.no_grad()
def refine_motion(
    source_from_target: Float[Tensor, "B 4 4"],
    target: Float[Tensor, "B 3 H W"],
    source: Float[Tensor, "B 3 H W"],
    depth: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B 3 3"] | None = None,
    strides: tuple[int, ...] = COARSE,
    log_depth_sigma: float = LOG_DEPTH_SIGMA,
    valid_mask: Bool[Tensor, "B H W"] | None = None,
) -> Float[Tensor, "B 4 4"]:
    """The motion near `source_from_target` by which the target's depth, or one near it, shows the source's
    image best, in depth's unit; without gradient. Where no step helped it is the given one.

    source_intrinsics: None where one camera took both images. log_depth_sigma: of log
    depth's errors, see LOG_DEPTH_SIGMA and SURE_SIGMA. valid_mask: pixels of the target that are compared;
    the ego vehicle's would say that nothing moved.
    """
    with full_precision(target):
        initial = source_from_target.float()
        exposure = torch.eye(1, 2, device=initial.device).repeat(len(initial), 1)  # gain 1, offset 0
        found = Estimate(initial, exposure, initial.new_zeros(len(initial), 1, 1))
        used = torch.ones_like(depth, dtype=torch.bool) if valid_mask is None else valid_mask
        # for torch.compile a region that is compiled once at each stride; other runtimes have no such thing
        step = _gauss_newton_step if torch.compiler.is_exporting() else _step_compiled_once
        for stride in strides:
            doubt = 0.0 if stride == strides[0] else DOUBT
            level = _level(target, source, depth, (intrinsics, source_intrinsics), stride, used, doubt)
            patches = [-(-size // PATCH) for size in level.depth.shape[-2:]]
            log_offset = F.interpolate(found.log_offset.unsqueeze(1), patches, mode="bilinear").squeeze(1)
            found = found._replace(log_offset=log_offset)
            for _ in range(STEPS):
                found = step(found, level, log_depth_sigma)
        better = _better(found, found._replace(motion=initial), level)
        return torch.where(better[:, None, None], found.motion, initial).to(source_from_target)


class Estimate(NamedTuple):
    """What the steps solve for."""

    motion: Float[Tensor, "B 4 4"]
    exposure: Float[Tensor, "B 2"]
    """Gain and offset of the source's grey values."""
    log_offset: Float[Tensor, "B y x"]
    """Of each patch's log depth from the given one."""


class Level(NamedTuple):
    """The images at one stride, in grey, and what no step changes."""

    target: Float[Tensor, "B 1 h w"]
    source: Float[Tensor, "B 1 h w"]
    depth: Float[Tensor, "B h w"]
    intrinsics: Float[Tensor, "B 3 3"]
    source_intrinsics: Float[Tensor, "B 3 3"]
    jacobian: Float[Tensor, "B 6 N"]
    used: Bool[Tensor, "B h w"]
    """Where all pixels of the target are to be compared."""
    doubt: float
    """Grey values: a pixel that the translation changes by less counts, whether it seems to move or not."""


def _level(
    target: Tensor,
    source: Tensor,
    depth: Tensor,
    cameras: tuple[Tensor, Tensor | None],
    stride: int,
    used: Bool[Tensor, "B H W"],
    doubt: float,
) -> Level:
    target, source = (F.avg_pool2d(x.float().mean(1, keepdim=True), stride) for x in (target, source))
    depth = 1 / F.avg_pool2d(1 / depth.float().unsqueeze(1), stride).squeeze(1)
    height, width = depth.shape[-2:]
    # a rest that fills no cell is left out
    sizes = (height * stride, width * stride), (height, width)
    own, theirs = (resize_intrinsics((cameras[0] if k is None else k).float(), *sizes) for k in cameras)
    used = F.max_pool2d((~used).float(), stride) == 0
    return Level(target, source, depth, own, theirs, _jacobian(target.squeeze(1), depth, own), used, doubt)


def _jacobian(
    image: Float[Tensor, "B h w"], depth: Float[Tensor, "B h w"], k: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B 6 h*w"]:
    """How each pixel's grey value changes with a small motion of the camera's points: translation, then
    rotation."""
    fx, cx, fy, cy = (k[:, i, j, None, None] for i, j in ((0, 0), (0, 2), (1, 1), (1, 2)))
    across = F.pad((image[:, :, 2:] - image[:, :, :-2]) / 2, (1, 1)) * fx
    down = F.pad((image[:, 2:] - image[:, :-2]) / 2, (0, 0, 1, 1)) * fy
    column, row = pixel_axes((image.shape[-2], image.shape[-1]), image)
    x, y = (column - cx) / fx, (row[:, None] - cy) / fy
    along = across * x + down * y
    rotations = [
        -across * x * y - down * (1 + y * y),
        across * (1 + x * x) + down * x * y,
        down * x - across * y,
    ]
    return torch.stack([across / depth, down / depth, -along / depth, *rotations], 1).flatten(2)


def _gauss_newton_step(at: Estimate, level: Level, log_depth_sigma: float) -> Estimate:
    """Six numbers of motion, gain and offset of the source's grey values, and each patch's log depth, which
    is eliminated (Schur complement)."""
    seen = _residuals(at, level)
    view, residual, weight, along = seen.view, seen.difference, seen.weight, seen.along
    light = torch.stack([view, torch.ones_like(view)], 1)
    jacobian = torch.cat([seen.near, level.jacobian[:, 3:], light], 1)
    weighted = jacobian * weight.unsqueeze(1)
    both = torch.cat([weighted, (weight * along).unsqueeze(1), (weight * residual).unsqueeze(1)], 1)
    both = _patch_sums((both * along.unsqueeze(1)).unflatten(2, level.depth.shape[-2:]))
    mixed, own, left = both[:, :-2], both[:, -2:-1], both[:, -1:]
    prior = (ROBUST / log_depth_sigma) ** 2
    left = left - prior * at.log_offset.flatten(1).unsqueeze(1)
    share = mixed / (own + prior)
    normal = weighted @ jacobian.mT - share @ mixed.mT
    right = weighted @ residual.unsqueeze(2) - share @ left.mT
    # what the images do not determine stays as it is
    damping = torch.diag_embed(1e-6 * normal.diagonal(dim1=1, dim2=2) + 1e-9)
    solve = _eliminate if torch.compiler.is_exporting() else _solve
    found = solve(normal + damping, right).squeeze(2)
    update = (left - found.unsqueeze(1) @ mixed) / (own + prior)
    log_offset = (at.log_offset + update.view_as(at.log_offset)).clamp(-1, 1)
    motion = at.motion @ invert(transform_from_pose(found[:, 3:6], found[:, :3]))
    return Estimate(motion, at.exposure - found[:, 6:], log_offset)


_step_compiled_once = torch.compiler.nested_compile_region(_gauss_newton_step)


def _patch_sums(maps: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C _"]:
    """Not by divisor_override, which the exporter to ONNX leaves out without a word."""
    height, width = maps.shape[-2:]
    whole = F.pad(maps, (0, -width % PATCH, 0, -height % PATCH))
    return (F.avg_pool2d(whole, PATCH) * PATCH**2).flatten(2)


def _solve(a: Float[Tensor, "B N N"], b: Float[Tensor, "B N 1"]) -> Float[Tensor, "B N 1"]:
    return torch.linalg.solve_ex(a, b).result


def _eliminate(a: Float[Tensor, "B N N"], b: Float[Tensor, "B N 1"]) -> Float[Tensor, "B N 1"]:
    """_solve of a positive definite matrix by Gauss-Jordan elimination, in operations that every runtime
    has."""
    rows = torch.cat([a, b], 2)
    identity = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
    for i in range(a.shape[1]):
        pivot = rows[:, i : i + 1] / rows[:, i : i + 1, i : i + 1]
        # from every other row its multiple of the pivot is taken away; the pivot's own becomes 1
        rows = rows - (rows[:, :, i : i + 1] - identity[:, i : i + 1]) * pivot
    return rows[:, :, -1:]


def _per_pixel(log_offset: Float[Tensor, "B y x"], level: Level) -> Float[Tensor, "B h w"]:
    height, width = level.depth.shape[-2:]
    return log_offset.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[:, :height, :width]


class _Residuals(NamedTuple):
    view: Float[Tensor, "B N"]
    """The source's view."""
    difference: Float[Tensor, "B N"]
    """In grey values, when exposed as the target."""
    in_view: Float[Tensor, "B N"]
    """0 where the source does not see the pixel, or it is not to be compared; else 1."""
    shown: Float[Tensor, "B N"]
    """0 to 1, by how far a pixel counts: near 0 where the unmoved source shows it better than the moved one,
    unless the translation changes it by less than Level.doubt."""
    near: Float[Tensor, "B 3 N"]
    """The translation's part of Level's jacobian, at the estimated depth."""
    along: Float[Tensor, "B N"]
    """How the translation changes a pixel's grey value, to first order. A point twice as far moves by half as
    many pixels: as if the camera had moved less."""

    @property
    def weight(self) -> Float[Tensor, "B N"]:
        """In the sum of squared differences."""
        return self.in_view * self.shown / (1 + (self.difference / ROBUST) ** 2)


def _residuals(at: Estimate, level: Level) -> _Residuals:
    """Moved and unmoved images are compared by the mean squared difference over 3 x 3 pixels."""
    further = _per_pixel(at.log_offset, level).exp()
    motion, cameras = at.motion, (level.intrinsics, level.source_intrinsics)
    view, in_view = warp(level.source, level.depth * further, motion, *cameras)
    gain, offset = (x.unsqueeze(2) for x in at.exposure[:, None].unbind(2))
    exposed = torch.stack([view.squeeze(1), level.source.squeeze(1)], 1).flatten(2)
    differences = gain * exposed + offset - level.target.flatten(2)
    near = level.jacobian[:, :3] / further.flatten(1).unsqueeze(1)
    along = (motion[:, :3, :3].mT @ motion[:, :3, 3:]).mT @ near
    changes = torch.cat([differences, along], 1).square().unflatten(2, further.shape[-2:])
    moved, unmoved, shift = F.avg_pool2d(changes, 3, 1, 1).flatten(2).unbind(1)
    ratio = (moved + NOISE**2) / (unmoved + NOISE**2)
    better = 1 / (1 + ratio.square().square())  # nearly a step at 1
    sure = 1 - level.doubt**2 / (shift + level.doubt**2 + 1e-12)
    used = (in_view & level.used).flatten(1).to(view)
    shown = 1 - sure * (1 - better)
    return _Residuals(view.flatten(1), differences[:, 0], used, shown, near, along.squeeze(1))


def _better(found: Estimate, initial: Estimate, level: Level) -> Bool[Tensor, "B"]:
    """Whether `found` has the smaller mean robust difference over pixels that either motion explains. Not
    where it shows too little, or is no number."""
    ours, given = _residuals(found, level), _residuals(initial, level)
    counted = torch.maximum(ours.in_view * ours.shown, given.in_view * given.shown)

    def misfit(of: _Residuals) -> Float[Tensor, "B"]:
        robust, weight = torch.log1p((of.difference / ROBUST) ** 2), counted * of.in_view
        return (robust * weight).sum(1) / weight.sum(1)

    good = found.motion.flatten(1).isfinite().all(1) & (ours.in_view.mean(1) > 0.1)
    return good & (misfit(ours) < misfit(given))
