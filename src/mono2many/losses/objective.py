"""The objectives: weights and reductions, once. Godard et al. 2019, sec. 3; Watson et al. 2021, sec. 3.

image pyramid -> per level: target patches, error of the un-warped sources (each computed once)
per head:  sigmoid -> depth -> warp every source -> photometric error -> best source -> mean over pixels
           + smoothness * 1e-3 / 2^scale;  loss = mean over heads
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
from mono2many.losses.photometric import Patches, patches, photometric_error
from mono2many.losses.reprojection import (
    auto_mask,
    average_over_sources,
    minimum_over_sources,
)
from mono2many.losses.smoothness import edge_aware_smoothness


@dataclass(frozen=True)
class MonoTerms:
    """Which terms the objective has, and their weights."""

    ssim: bool = True
    automask: bool = True
    combine: Literal["minimum", "average"] = "minimum"
    mask_unseen: bool = True
    """Leave out samples behind the camera or outside the source (the reference keeps them)."""
    reduction: Literal["all", "masked"] = "all"
    """Mean over all pixels (MonoDepth) or over the loss mask (ManyDepth, its teacher too)."""
    smoothness: float = 1e-3
    disparity_floor: float = 0.0
    """Mean sigmoid of a batch below which it is pulled back; 0: never. Not in the papers."""
    predictive_mask: float = 0.2
    """Weight of the pull of the predicted mask towards 1, where one is given."""
    min_depth: float = 0.1
    max_depth: float = 100.0


@dataclass(frozen=True)
class PyramidLevel:
    """One level of the image pyramid, with everything that does not depend on a prediction."""

    target: Patches
    """With a source axis of size 1."""
    sources: Float[Tensor, "B S 3 h w"]
    intrinsics: Float[Tensor, "B 3 3"]
    source_intrinsics: Float[Tensor, "B S 3 3"]
    identity_error: Float[Tensor, "B h w"]
    """Error of the un-warped sources, combined as the warped ones are; 0 where no source exists."""
    identity_valid: Bool[Tensor, "B h w"]
    valid_mask: Bool[Tensor, "B h w"] | None = None
    """Pixels of the target that losses use; None: all."""

    def source_valid(self, exists: Bool[Tensor, "B S"]) -> Bool[Tensor, "B S h w"]:
        """Pixels that each source may be compared at."""
        return _source_valid(exists, self.valid_mask, self.identity_error)


class Matching(NamedTuple):
    """The student's cost volume, at its size."""

    lowest_cost_depth: Float[Tensor, "B h w"]
    """Depth of the hypothesis that matched best."""
    valid: Bool[Tensor, "B h w"]
    """Cells that were compared; none of a sample whose volume is augmented."""


@dataclass(frozen=True)
class TeacherSupervision:
    """The student's supervision by its teacher, at the size of its head's level."""

    teacher_depth: Float[Tensor, "B h w"]
    consistent: Bool[Tensor, "B h w"]
    """Pixels supervised by their views; the others are by `teacher_depth`."""
    photometric_mask: Bool[Tensor, "B h w"] | None = None
    """Further pixels supervised by their views, where these pass the auto-mask. None: none."""


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
    supervision: TeacherSupervision | None = None


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
    with torch.no_grad():
        target_patches = patches(target.unsqueeze(1))
        identity_error = photometric_error(sources, target_patches, terms.ssim)
        if tie_noise is not None:
            identity_error = identity_error + tie_noise
        combined, identity_valid = _combine(terms)(
            identity_error, _source_valid(exists, valid_mask, identity_error)
        )
    return PyramidLevel(
        target_patches, sources, intrinsics, source_intrinsics, combined, identity_valid, valid_mask
    )


def mono_objective(
    heads: Sequence[Head], levels: Mapping[int, PyramidLevel], exists: Bool[Tensor, "B S"], terms: MonoTerms
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]], Synthesis]:
    """(loss, its parts, what the first head made): the mean over heads of photometric + smoothness."""
    results = [_head_loss(head, levels[head.level], exists, terms) for head in heads]
    parts = {name: torch.stack([r[0][name] for r in results]).mean() for name in results[0][0]}
    parts["still"] = levels[heads[0].level].identity_error.mean()
    parts["seen"] = results[0][1].any_valid.float().mean()
    parts["kept"] = results[0][1].loss_mask.float().mean()
    loss = torch.stack([torch.stack(list(r[0].values())).sum() for r in results]).mean()
    if terms.disparity_floor > 0:
        parts["floor"] = below_floor(heads[0].sigmoid, terms.disparity_floor)
        loss = loss + parts["floor"]
    return loss, parts, results[0][1]


def many_objective(
    student: Sequence[Head],
    teacher: Sequence[Float[Tensor, "B _ _"]],
    matching: Matching,
    levels: Mapping[int, PyramidLevel],
    exists: Bool[Tensor, "B S"],
    terms: MonoTerms,
    views_without_match: bool = False,
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]], Synthesis]:
    """The student's loss, as mono_objective gives it; neither teacher nor poses get a gradient.

    `teacher`: its sigmoids, one per head; the first, its finest, decides which pixels are consistent.
    views_without_match: where no cell was matched, views that pass the auto-mask supervise the student in
    place of its teacher (not in the paper). The teacher's own loss is mono_objective with reduction "masked".
    """
    used = {head.level: levels[head.level] for head in student}
    consistent = {k: consistency_mask(*matching, _depth(teacher[0], used[k], terms)) for k in used}
    unmatched = {k: ~at_size(matching.valid, _size(used[k])) for k in used} if views_without_match else {}
    heads = [
        replace(
            head,
            source_from_target=head.source_from_target.detach(),
            supervision=TeacherSupervision(
                _depth(sigmoid, used[head.level], terms), consistent[head.level], unmatched.get(head.level)
            ),
        )
        for head, sigmoid in zip(student, teacher, strict=True)
    ]
    return mono_objective(heads, levels, exists, replace(terms, automask=False, reduction="masked"))


def synthesise(
    depth: Float[Tensor, "B h w"], source_from_target: Float[Tensor, "B S 4 4"], level: PyramidLevel
) -> tuple[Float[Tensor, "B S 3 h w"], Bool[Tensor, "B S h w"]]:
    """Every source as the target's camera would see it, and where it is seen; all in one batch."""
    number, count = level.sources.shape[:2]

    def repeat(x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, count, *x.shape[1:]).flatten(0, 1)

    views, in_view = warp(
        level.sources.flatten(0, 1),
        repeat(depth),
        source_from_target.flatten(0, 1),
        repeat(level.intrinsics),
        level.source_intrinsics.flatten(0, 1),
    )
    return views.unflatten(0, (number, count)), in_view.unflatten(0, (number, count))


def mean_over_all(values: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """MonoDepth's reduction: pixels outside the auto-mask stay in the mean, as constants."""
    return values.mean()


def mean_over_mask(values: Float[Tensor, "*shape"], loss_mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """ManyDepth's reduction (Watson et al. 2021): sum over the mask / (its size + 1e-7)."""
    return values.masked_fill(~loss_mask, 0).sum() / (loss_mask.sum() + 1e-7)


def _head_loss(
    head: Head, level: PyramidLevel, exists: Tensor, terms: MonoTerms
) -> tuple[dict[str, Tensor], Synthesis]:
    depth = _depth(head.sigmoid, level, terms)
    views, in_view = synthesise(depth, head.source_from_target, level)
    errors = photometric_error(views, level.target, terms.ssim)
    parts = {}
    if head.explainability_mask is not None:
        mask = resize_map(head.explainability_mask, _size(level))
        errors = errors * mask
        parts["predictive_mask"] = -terms.predictive_mask * mask.clamp(min=1e-7).log().mean()
    source_valid = level.source_valid(exists)
    best, any_valid = _combine(terms)(errors, source_valid & in_view if terms.mask_unseen else source_valid)
    loss_mask = any_valid
    if terms.automask:
        loss_mask = auto_mask(best, any_valid, level.identity_error, level.identity_valid)
    # outside the mask a constant, not 0: else a pose whose views leave the image would look perfect
    error = torch.where(loss_mask, best, level.identity_error)
    if head.supervision is not None:
        consistent, photometric_mask = head.supervision.consistent, head.supervision.photometric_mask
        loss_mask = loss_mask & consistent
        if photometric_mask is not None:
            passed = auto_mask(best, any_valid, level.identity_error, level.identity_valid)
            loss_mask, consistent = loss_mask | photometric_mask & passed, consistent | photometric_mask
        parts["consistency"] = consistency(depth, head.supervision.teacher_depth, consistent).mean()
    parts["photometric"] = (
        mean_over_mask(error, loss_mask) if terms.reduction == "masked" else mean_over_all(error)
    )
    across, down = edge_aware_smoothness(head.sigmoid, head.image)
    parts["smoothness"] = (across.mean() + down.mean()) * (terms.smoothness / 2**head.scale)
    return parts, Synthesis(depth, views, error, any_valid, loss_mask)


def _depth(sigmoid: Tensor, level: PyramidLevel, terms: MonoTerms) -> Tensor:
    """At the level's size."""
    return depth_from_sigmoid(resize_map(sigmoid, _size(level)), terms.min_depth, terms.max_depth)


def _source_valid(exists: Tensor, valid_mask: Tensor | None, map_of_size: Tensor) -> Tensor:
    source_valid = exists[..., None, None].expand(*exists.shape, *map_of_size.shape[-2:])
    return source_valid if valid_mask is None else source_valid & valid_mask.unsqueeze(1)


def _size(level: PyramidLevel) -> tuple[int, int]:
    return level.identity_error.shape[-2], level.identity_error.shape[-1]


def below_floor(sigmoid: Float[Tensor, "B h w"], floor: float) -> Float[Tensor, ""]:
    """0.05 ln(floor / mean sigmoid)^2 where the batch's mean is below `floor`, else 0.

    Before motion is found, a scene infinitely far away explains rotation best, and a saturated sigmoid never
    comes back. Scale is free, so that holding it costs nothing.
    """
    return 0.05 * (floor / sigmoid.mean().clamp(min=1e-12)).log().clamp(min=0).square()


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


def _combine(terms: MonoTerms):  # type: ignore[no-untyped-def]
    return minimum_over_sources if terms.combine == "minimum" else average_over_sources
