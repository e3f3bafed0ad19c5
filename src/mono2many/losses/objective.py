"""The objectives: weights and reductions, once. Godard et al. 2019, sec. 3; Watson et al. 2021, sec. 3.

image pyramid -> per level: target patches, error of the un-warped sources (each computed once)
per head:  sigmoid -> depth -> warp every source -> photometric error -> best source -> mean over pixels
           + smoothness * 1e-3 / 2^scale;  loss = mean over heads
ManyDepth's student: trusted pixels teach by their views, the others by the teacher's depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.depth import depth_from_sigmoid
from mono2many.geometry.warp import warp
from mono2many.losses.consistency import at_size, consistency, trust
from mono2many.losses.photometric import Patches, patches, photometric_error
from mono2many.losses.reprojection import (
    average_over_sources,
    beats_standing_still,
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
    reduction: Literal["all", "kept"] = "all"
    """Mean over all pixels (MonoDepth) or over those that teach (ManyDepth, its teacher too)."""
    smoothness: float = 1e-3
    disparity_floor: float = 0.0
    """Mean sigmoid of a batch below which it is pulled back; 0: never. Not in the papers."""
    predictive_mask: float = 0.2
    """Weight of the pull of the predicted mask towards 1, where one is given."""
    min_depth: float = 0.1
    max_depth: float = 100.0


@dataclass(frozen=True)
class Level:
    """One level of the image pyramid, with everything that does not depend on a prediction."""

    target: Patches
    """With a source axis of size 1."""
    sources: Float[Tensor, "B S 3 h w"]
    intrinsics: Float[Tensor, "B 3 3"]
    source_intrinsics: Float[Tensor, "B S 3 3"]
    still: Float[Tensor, "B h w"]
    """Error of the un-warped sources, combined as the warped ones are; 0 where no source exists."""
    still_known: Bool[Tensor, "B h w"]
    judged: Bool[Tensor, "B h w"] | None = None
    """Pixels of the target that are looked at; None: all."""

    def counts(self, exists: Bool[Tensor, "B S"]) -> Bool[Tensor, "B S h w"]:
        """Which pixels each source may explain."""
        return _counts(exists, self.judged, self.still)


@dataclass(frozen=True)
class Guide:
    """What a student is held to, at the size of its head's level."""

    teacher_depth: Float[Tensor, "B h w"]
    trusted: Bool[Tensor, "B h w"]
    """Pixels that teach by their views; the others by `teacher_depth`."""
    alone: Bool[Tensor, "B h w"] | None = None
    """Pixels that learn as a teacher's do: by any view that beats standing still. None: none."""


@dataclass(frozen=True)
class Head:
    """One disparity map of the network and where it is judged."""

    sigmoid: Float[Tensor, "B h w"]
    level: int
    """The pyramid level at which views are synthesised; the map is resized to it."""
    image: Float[Tensor, "B 3 h w"]
    """The target at the map's own size, for the smoothness."""
    source_from_target: Float[Tensor, "B S 4 4"]
    scale: int = 0
    """Smoothness is weighted by 1 / 2^scale."""
    trust: Float[Tensor, "B S h w"] | None = None
    """The predictive mask (Zhou et al. 2017, sec. 3.3), or None."""
    guide: Guide | None = None


@dataclass(frozen=True)
class Synthesis:
    """What one head made: for the log and the pictures."""

    depth: Float[Tensor, "B h w"]
    views: Float[Tensor, "B S 3 h w"]
    error: Float[Tensor, "B h w"]
    seen: Bool[Tensor, "B h w"]
    """Pixels that some source shows."""
    kept: Bool[Tensor, "B h w"]
    """Those of them that teach: without what standing still explains better or no one trusts."""


def pyramid_level(
    target: Float[Tensor, "B 3 h w"],
    sources: Float[Tensor, "B S 3 h w"],
    exists: Bool[Tensor, "B S"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B S 3 3"],
    terms: MonoTerms,
    tie_noise: Float[Tensor, "B S h w"] | None = None,
    judged: Bool[Tensor, "B h w"] | None = None,
) -> Level:
    """Everything about one pyramid level that no prediction changes. `tie_noise` (sigma 1e-5 in the papers)
    is added to the un-warped error so that a tie is broken at random. Only pixels that are `judged` teach."""
    with torch.no_grad():
        known = patches(target.unsqueeze(1))
        still = photometric_error(sources, known, terms.ssim)
        if tie_noise is not None:
            still = still + tie_noise
        combined, still_known = _combine(terms)(still, _counts(exists, judged, still))
    return Level(known, sources, intrinsics, source_intrinsics, combined, still_known, judged)


def mono_objective(
    heads: Sequence[Head], levels: Mapping[int, Level], exists: Bool[Tensor, "B S"], terms: MonoTerms
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]], Synthesis]:
    """(loss, its parts, what the first head made): the mean over heads of photometric + smoothness."""
    results = [_head_loss(head, levels[head.level], exists, terms) for head in heads]
    parts = {name: torch.stack([r[0][name] for r in results]).mean() for name in results[0][0]}
    parts["still"] = levels[heads[0].level].still.mean()
    parts["seen"] = results[0][1].seen.float().mean()
    parts["kept"] = results[0][1].kept.float().mean()
    loss = torch.stack([torch.stack(list(r[0].values())).sum() for r in results]).mean()
    if terms.disparity_floor > 0:
        parts["floor"] = below_floor(heads[0].sigmoid, terms.disparity_floor)
        loss = loss + parts["floor"]
    return loss, parts, results[0][1]


def many_objective(
    student: Sequence[Head],
    teacher: Sequence[Float[Tensor, "B _ _"]],
    lowest_cost_depth: Float[Tensor, "B h w"],
    confidence: Bool[Tensor, "B h w"],
    augmented: Bool[Tensor, "B"],
    levels: Mapping[int, Level],
    exists: Bool[Tensor, "B S"],
    terms: MonoTerms,
    further: bool = False,
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]], Synthesis]:
    """The student's loss, as mono_objective gives it; neither teacher nor motion gets a gradient.

    `teacher`: its sigmoids, one per head; the first, its finest, decides which pixels are trusted. What
    matching says is at the cost volume's size; `augmented` samples had theirs spoiled. further: where
    no volume is, the student learns on alone in place of repeating its teacher (not in the paper). The
    teacher's own loss is mono_objective with reduction "kept".
    """
    compared = confidence & ~augmented[:, None, None]
    trusted = {
        k: trust(lowest_cost_depth, confidence, _depth(teacher[0], levels[k], terms), augmented)
        for k in {head.level for head in student}
    }
    heads = [
        replace(
            head,
            source_from_target=head.source_from_target.detach(),
            guide=Guide(
                _depth(sigmoid, levels[head.level], terms),
                trusted[head.level],
                ~at_size(compared, _size(levels[head.level])) if further else None,
            ),
        )
        for head, sigmoid in zip(student, teacher, strict=True)
    ]
    return mono_objective(heads, levels, exists, replace(terms, automask=False, reduction="kept"))


def synthesise(
    depth: Float[Tensor, "B h w"], source_from_target: Float[Tensor, "B S 4 4"], level: Level
) -> tuple[Float[Tensor, "B S 3 h w"], Bool[Tensor, "B S h w"]]:
    """Every source as the target's camera would see it, and where it is seen; all in one batch."""
    number, count = level.sources.shape[:2]
    repeat = lambda x: x.unsqueeze(1).expand(-1, count, *x.shape[1:]).flatten(0, 1)  # noqa: E731
    views, seen = warp(
        level.sources.flatten(0, 1),
        repeat(depth),
        source_from_target.flatten(0, 1),
        repeat(level.intrinsics),
        level.source_intrinsics.flatten(0, 1),
    )
    return views.unflatten(0, (number, count)), seen.unflatten(0, (number, count))


def mean_over_all(values: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """MonoDepth's reduction: pixels that standing still explains better stay in the mean, as constants."""
    return values.mean()


def mean_over_kept(values: Float[Tensor, "*shape"], kept: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """ManyDepth's reduction (Watson et al. 2021): sum over kept pixels / (their number + 1e-7)."""
    return values.masked_fill(~kept, 0).sum() / (kept.sum() + 1e-7)


def _head_loss(
    head: Head, level: Level, exists: Tensor, terms: MonoTerms
) -> tuple[dict[str, Tensor], Synthesis]:
    depth = _depth(head.sigmoid, level, terms)
    views, seen = synthesise(depth, head.source_from_target, level)
    errors = photometric_error(views, level.target, terms.ssim)
    parts = {}
    if head.trust is not None:
        mask = resize_map(head.trust, _size(level))
        errors = errors * mask
        parts["predictive_mask"] = -terms.predictive_mask * mask.clamp(min=1e-7).log().mean()
    counts = level.counts(exists)
    best, known = _combine(terms)(errors, counts & seen if terms.mask_unseen else counts)
    error, kept = best, known
    if terms.automask:
        kept = beats_standing_still(best, known, level.still, level.still_known)
        error = torch.where(kept, best, level.still)
    if head.guide is not None:
        trusted = head.guide.trusted
        kept = kept & trusted
        if head.guide.alone is not None:
            alone = head.guide.alone
            kept |= alone & beats_standing_still(best, known, level.still, level.still_known)
            trusted = trusted | alone
        parts["consistency"] = consistency(depth, head.guide.teacher_depth, trusted).mean()
    parts["photometric"] = mean_over_kept(error, kept) if terms.reduction == "kept" else mean_over_all(error)
    across, down = edge_aware_smoothness(head.sigmoid, head.image)
    parts["smoothness"] = (across.mean() + down.mean()) * (terms.smoothness / 2**head.scale)
    return parts, Synthesis(depth, views, error, known, kept)


def _depth(sigmoid: Tensor, level: Level, terms: MonoTerms) -> Tensor:
    """At the level's size."""
    return depth_from_sigmoid(resize_map(sigmoid, _size(level)), terms.min_depth, terms.max_depth)


def _counts(exists: Tensor, judged: Tensor | None, map_of_size: Tensor) -> Tensor:
    counts = exists[..., None, None].expand(*exists.shape, *map_of_size.shape[-2:])
    return counts if judged is None else counts & judged.unsqueeze(1)


def _size(level: Level) -> tuple[int, int]:
    return level.still.shape[-2], level.still.shape[-1]


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
