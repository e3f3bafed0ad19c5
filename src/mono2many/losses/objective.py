"""The objectives: weights and reductions, once. Godard et al. 2019, sec. 3; Watson et al. 2021, sec. 3.

image pyramid -> per level: target patches, error of the un-warped sources (each computed once)
per head:  sigmoid -> depth -> warp every source -> photometric error -> best source -> mean over pixels
           + smoothness * 1e-3 / 2^scale;  loss = mean over heads
Heads of one level are worked on in one batch, whose first axis is N.
ManyDepth's student: consistent pixels are supervised by their views, the others by the teacher's depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.depth import depth_from_sigmoid
from mono2many.geometry.warp import warp
from mono2many.losses.consistency import at_size, consistency, consistency_mask
from mono2many.losses.ground import ground_hinge
from mono2many.losses.photometric import Patches, patches, photometric_error
from mono2many.losses.processes import mean_over_processes
from mono2many.losses.reprojection import auto_mask, average_over_sources, minimum_over_sources
from mono2many.losses.smoothness import edge_aware_smoothness

COMBINE = {"minimum": minimum_over_sources, "average": average_over_sources}
EXPLAINABILITY_WEIGHT = 0.2
"""Of the pull of a predicted explainability mask towards 1."""


@dataclass(frozen=True)
class MonoTerms:
    """Which terms the objective has, and their weights."""

    ssim: bool = True
    automask: bool = True
    combine: Literal["minimum", "average"] = "minimum"
    mask_unseen: bool = True
    """Leave out samples behind the camera or outside the source (the reference keeps them)."""
    reduction: Literal["all", "masked"] = "all"
    """Mean over all pixels, those outside the auto-mask as constants (MonoDepth), or over the loss mask
    (ManyDepth, its teacher too)."""
    smoothness: float = 1e-3
    disparity_floor: float = 0.0
    """Mean sigmoid of a batch below which it is pulled back; 0: never. Not in the papers."""
    ground: float = 0.0
    """Weight of the hinge on what lies below the road. Not in the papers."""
    min_depth: float = 0.1
    max_depth: float = 100.0

    @property
    def uses_ground(self) -> bool:
        return self.ground > 0


@dataclass(frozen=True)
class PyramidLevel:
    """One level of the image pyramid, with everything that does not depend on a prediction."""

    target: Patches
    """With a source axis of size 1."""
    sources: Float[Tensor, "B S 3 h w"]
    intrinsics: Float[Tensor, "B 3 3"]
    source_intrinsics: Float[Tensor, "B S 3 3"]
    source_valid: Bool[Tensor, "B S h w"]
    """Pixels that each source may be compared at."""
    identity_error: Float[Tensor, "B h w"]
    """Error of the un-warped sources, combined as the warped ones are; 0 where no source exists."""
    identity_valid: Bool[Tensor, "B h w"]

    @property
    def size(self) -> tuple[int, int]:
        return self.sources.shape[-2], self.sources.shape[-1]


class Matching(NamedTuple):
    """The student's cost volume, at its size."""

    lowest_cost_depth: Float[Tensor, "B h w"]
    """Depth of the hypothesis that matched best."""
    valid: Bool[Tensor, "B h w"]
    """Cells that were compared; none of a sample whose volume is augmented."""


class TeacherSupervision(NamedTuple):
    """The supervision by the teacher of the student's heads of one level, at its size."""

    teacher_depth: Float[Tensor, "N B h w"]
    """Of each head's map."""
    consistent: Bool[Tensor, "B h w"]
    """Pixels supervised by their views; the others are by `teacher_depth`."""
    photometric_mask: Bool[Tensor, "B h w"] | None = None
    """Further pixels supervised by their views, where these pass the auto-mask. None: none."""
    relative: bool = False
    """The deviation from `teacher_depth` counts as a share of it."""


@dataclass(frozen=True)
class Head:
    """One disparity map of the network and the pyramid level of its loss."""

    sigmoid: Float[Tensor, "B h w"]
    level: int
    """The pyramid level at which views are synthesised; the map is resized to it."""
    image: Float[Tensor, "B 3 h w"]
    """The target at the map's own size, for the smoothness."""
    source_from_target: Float[Tensor, "B S 4 4"]
    scale: int = 0
    """Smoothness is weighted by 1 / 2^scale."""
    explainability_mask: Float[Tensor, "B S h w"] | None = None
    """Zhou et al. 2017, sec. 3.3; None: none is predicted."""
    ground: Float[Tensor, "B H W"] | None = None
    """1 / depth of the road at the level's size, 0 where there is none; None: it is not looked for."""


@dataclass(frozen=True)
class Synthesis:
    """What one head made: for the log and the images."""

    depth: Float[Tensor, "B h w"]
    views: Float[Tensor, "B S 3 h w"]
    error: Float[Tensor, "B h w"]
    any_valid: Bool[Tensor, "B h w"]
    """Pixels that some source sees."""
    loss_mask: Bool[Tensor, "B h w"]
    """Those of them that the loss uses, after auto-mask and consistency mask."""


Objective = tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]], Synthesis]
"""Loss, its parts, and what the first head made."""


def pyramid_level(
    target: Float[Tensor, "B 3 h w"],
    sources: Float[Tensor, "B S 3 h w"],
    exists: Bool[Tensor, "B S"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B S 3 3"],
    terms: MonoTerms,
    tie_noise: Float[Tensor, "B S h w"] | None = None,
    valid_mask: Bool[Tensor, "B h w"] | None = None,
) -> PyramidLevel:
    """Everything about one pyramid level that no prediction changes. `tie_noise` (sigma 1e-5 in the papers)
    is added to the un-warped error so that a tie is broken at random. `valid_mask`: pixels that the loss
    uses."""
    source_valid = exists[..., None, None].expand(*exists.shape, *target.shape[-2:])
    if valid_mask is not None:
        source_valid = source_valid & valid_mask.unsqueeze(1)
    with torch.no_grad():
        target_patches = patches(target.unsqueeze(1))
        error = photometric_error(sources, target_patches, terms.ssim)
        if tie_noise is not None:
            error = error + tie_noise
        combined, identity_valid = COMBINE[terms.combine](error, source_valid)
    return PyramidLevel(
        target_patches, sources, intrinsics, source_intrinsics, source_valid, combined, identity_valid
    )


def mono_objective(heads: Sequence[Head], levels: Mapping[int, PyramidLevel], terms: MonoTerms) -> Objective:
    """The mean over heads of photometric + smoothness."""
    return _objective(_by_level(heads), levels, terms, {})


def many_objective(
    student: Sequence[Head],
    teacher: Sequence[Float[Tensor, "B _ _"]],
    matching: Matching,
    levels: Mapping[int, PyramidLevel],
    terms: MonoTerms,
    by_pixels: bool = False,
) -> Objective:
    """The student's loss, as mono_objective gives it; neither teacher nor poses get a gradient.

    `teacher`: its sigmoids, one per head; the first, its finest, decides which pixels are consistent.
    by_pixels (not in the paper): where no cell was matched, views that pass the auto-mask supervise the
    student in place of its teacher, elsewhere the deviation from the teacher's depth counts as a share of it.
    The teacher's own loss is mono_objective with reduction "masked".
    """
    heads = _by_level([replace(h, source_from_target=h.source_from_target.detach()) for h in student])
    supervision = {}
    for k in heads:
        size = levels[k].size
        pairs = zip(student, teacher, strict=True)
        maps = [resize_map(sigmoid, size) for head, sigmoid in pairs if head.level == k]
        supervision[k] = TeacherSupervision(
            _depth(torch.stack(maps), terms),
            consistency_mask(*matching, _depth(resize_map(teacher[0], size), terms)),
            ~at_size(matching.valid, size) if by_pixels else None,
            by_pixels,
        )
    return _objective(heads, levels, replace(terms, automask=False, reduction="masked"), supervision)


def _by_level(heads: Sequence[Head]) -> dict[int, list[Head]]:
    """In the order in which the levels come."""
    return {k: [head for head in heads if head.level == k] for k in dict.fromkeys(h.level for h in heads)}


def _objective(
    heads: Mapping[int, Sequence[Head]],
    levels: Mapping[int, PyramidLevel],
    terms: MonoTerms,
    supervision: Mapping[int, TeacherSupervision],
) -> Objective:
    results = [_level_loss(some, levels[k], terms, supervision.get(k)) for k, some in heads.items()]
    made, first = results[0][1], next(iter(heads))
    per_head = {name: torch.cat([found[name] for found, _ in results]) for name in results[0][0]}
    loss = torch.stack(list(per_head.values())).sum(0).mean()
    parts = {name: values.mean() for name, values in per_head.items()}
    parts["still"] = levels[first].identity_error.mean()
    parts["seen"] = made.any_valid.float().mean()
    parts["kept"] = made.loss_mask.float().mean()
    if terms.disparity_floor > 0:
        parts["floor"] = below_floor(heads[first][0].sigmoid, terms.disparity_floor)
        loss = loss + parts["floor"]
    return loss, parts, made


def synthesise(
    depth: Float[Tensor, "*N B h w"], source_from_target: Float[Tensor, "*N B S 4 4"], level: PyramidLevel
) -> tuple[Float[Tensor, "*N B S 3 h w"], Bool[Tensor, "*N B S h w"]]:
    """Every source as the target's camera would see it, and where it is seen; all in one batch."""
    shape = source_from_target.shape[:-2]

    def repeat(x: Tensor, axes: int = 2) -> Tensor:
        return x.expand(*shape, *x.shape[-axes:]).flatten(0, len(shape) - 1)

    views, in_view = warp(
        repeat(level.sources, 3),
        repeat(depth.unsqueeze(-3)),
        source_from_target.flatten(0, -3),
        repeat(level.intrinsics.unsqueeze(1)),
        repeat(level.source_intrinsics),
    )
    return views.unflatten(0, shape), in_view.unflatten(0, shape)


def mean_over_mask(
    values: Float[Tensor, "*N B h w"], loss_mask: Bool[Tensor, "*N B h w"]
) -> Float[Tensor, "*N"]:
    """ManyDepth's reduction (Watson et al. 2021): sum over the mask / (its size + 1e-7), in all processes."""
    size = mean_over_processes(loss_mask.sum((-3, -2, -1)).float())
    return values.masked_fill(~loss_mask, 0).sum((-3, -2, -1)) / (size + 1e-7)


def _level_loss(
    heads: Sequence[Head], level: PyramidLevel, terms: MonoTerms, supervision: TeacherSupervision | None
) -> tuple[dict[str, Float[Tensor, "N"]], Synthesis]:
    """Each head's parts of the loss, and what the first head made."""
    parts = {}
    depth = _depth(torch.stack([resize_map(head.sigmoid, level.size) for head in heads]), terms)
    views, in_view = synthesise(depth, torch.stack([head.source_from_target for head in heads]), level)
    errors = photometric_error(views, level.target, terms.ssim)
    masks = [
        resize_map(h.explainability_mask, level.size) for h in heads if h.explainability_mask is not None
    ]
    if masks:
        mask = torch.stack(masks)
        errors = errors * mask
        parts["predictive_mask"] = -EXPLAINABILITY_WEIGHT * _means(mask.clamp(min=1e-7).log())
    source_valid = level.source_valid & in_view if terms.mask_unseen else level.source_valid
    best, any_valid = COMBINE[terms.combine](errors, source_valid.expand_as(in_view))
    passed = auto_mask(best, any_valid, level.identity_error, level.identity_valid)
    loss_mask = passed if terms.automask else any_valid
    # outside the mask a constant, not 0: else a pose whose views leave the image would look perfect
    error = torch.where(loss_mask, best, level.identity_error)
    if supervision is not None:
        teacher_depth, consistent, photometric_mask, relative = supervision
        loss_mask = loss_mask & consistent
        if photometric_mask is not None:
            loss_mask, consistent = loss_mask | photometric_mask & passed, consistent | photometric_mask
        parts["consistency"] = _means(consistency(depth, teacher_depth, consistent, relative))
    masked = terms.reduction == "masked"
    parts["photometric"] = mean_over_mask(error, loss_mask) if masked else _means(error)
    planes = [head.ground for head in heads if head.ground is not None]
    if terms.ground > 0 and planes:
        hinge = ground_hinge(1 / depth, torch.stack(planes)).masked_fill(~level.source_valid.any(1), 0)
        parts["ground"] = _weighted(_means(hinge), heads, terms.ground)
    smoothness = [edge_aware_smoothness(head.sigmoid, head.image) for head in heads]
    means = torch.stack([across.mean() + down.mean() for across, down in smoothness])
    parts["smoothness"] = _weighted(means, heads, terms.smoothness)
    return parts, Synthesis(depth[0], views[0], error[0], any_valid[0], loss_mask[0])


def _means(values: Float[Tensor, "N ..."]) -> Float[Tensor, "N"]:
    return values.flatten(1).mean(1)


def _weighted(values: Float[Tensor, "N"], heads: Sequence[Head], weight: float) -> Float[Tensor, "N"]:
    """Times weight / 2^scale."""
    return torch.stack([value * (weight / 2**head.scale) for value, head in zip(values, heads, strict=True)])


def _depth(sigmoid: Float[Tensor, "*shape"], terms: MonoTerms) -> Float[Tensor, "*shape"]:
    return depth_from_sigmoid(sigmoid, terms.min_depth, terms.max_depth)


def below_floor(sigmoid: Float[Tensor, "B h w"], floor: float) -> Float[Tensor, ""]:
    """0.05 ln(floor / mean sigmoid)^2 where the batch's mean is below `floor`, else 0.

    Before motion is found, a scene infinitely far away explains rotation best, and a saturated sigmoid never
    comes back. Scale is free, so that holding it costs nothing.
    """
    mean = mean_over_processes(sigmoid.mean())
    return 0.05 * (floor / mean.clamp(min=1e-12)).log().clamp(min=0).square()


def resize_map(values: Float[Tensor, "B *C h w"], size: tuple[int, int]) -> Float[Tensor, "B *C H W"]:
    """Bilinear up to a larger size, mean of whole blocks down to a smaller one (half-pixel centres)."""
    height, width = values.shape[-2:]
    if (height, width) == tuple(size):
        return values
    channels = values.unsqueeze(1) if values.dim() == 3 else values
    if height > size[0]:
        resized = F.avg_pool2d(channels, (height // size[0], width // size[1]))
    else:
        resized = F.interpolate(channels, size=size, mode="bilinear", align_corners=False)
    return resized.squeeze(1) if values.dim() == 3 else resized
