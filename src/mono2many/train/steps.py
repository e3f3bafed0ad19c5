"""One training step: (model, batch, plan) -> (loss, StepOutput). Changes nothing it was given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mono2many.data.rng import gaussian, uniform
from mono2many.geometry.depth import depth_from_sigmoid, disparity_from_sigmoid
from mono2many.geometry.pyramid import image_pyramid, level_intrinsics, shrink_mask
from mono2many.losses.anchor import log_depth_drift
from mono2many.losses.consistency import running_range, volume_augmentation
from mono2many.losses.objective import (
    Head,
    MonoTerms,
    PyramidLevel,
    Synthesis,
    many_objective,
    mean_over_mask,
    mono_objective,
    pyramid_level,
    resize_map,
)
from mono2many.models.cameras import scale_pose_by_focal
from mono2many.models.mono import MonoArchitecture, head_motion
from mono2many.models.pose import Motion
from mono2many.models.student import ManyArchitecture
from mono2many.types import Batch, StepOutput

TIE_NOISE = 1e-5
VOLUME = 101
"""Added to the seed of the draws that spoil cost volumes: no other draw is theirs."""
MATCHING_WEIGHT = 0.2
"""Weight of `Student.matching_residual`."""

StepResult = tuple[Float[Tensor, ""], StepOutput]


@dataclass(frozen=True)
class StepPlan:
    """What a step computes: which disparity map has its loss at which level of the image pyramid."""

    architecture: MonoArchitecture
    terms: MonoTerms
    heads: tuple[tuple[int, int], ...]
    """(map of the decoder, pyramid level), the finest first."""
    pyramid: Literal["mean", "lanczos"] = "mean"
    camera_scaling: Literal["half-pixel", "plain"] = "half-pixel"
    tie_noise: bool = True
    anchor: float = 0.0
    """Weight of the drift from the depth that the training began with."""
    matched: bool = True
    """False: a ManyDepth's student sees empty cost volumes only, and every pixel teaches by its views."""


def mono_step(
    model: nn.Module,
    batch: Batch,
    plan: StepPlan,
    seed: int = 0,
    step: int = 0,
    pictures: bool = False,
    start_disparity: Float[Tensor, "B H W"] | None = None,
) -> StepResult:
    """MonoDepth's loss on one batch; networks in whatever precision surrounds them, the loss in float32.

    (seed, step) decide the tie noise together with each sample's index. `start_disparity`: of the target, by
    the model that the training began with; the finest map is anchored to it. The output's `anchor` is the
    mean drift, not weighted.
    """
    sigmoids, motion, masks = model(*batch.for_networks())
    motion = scale_pose_by_focal(model, motion, batch.intrinsics, batch.target.shape[-1])
    levels, targets = _levels(batch, plan, seed, step)
    heads = _heads(sigmoids, motion, targets, batch, plan, masks)
    loss, parts, made = mono_objective(heads, levels, batch.source_exists, plan.terms)
    if start_disparity is not None:
        a = plan.architecture
        disparity = disparity_from_sigmoid(sigmoids[0].squeeze(1), a.min_depth, a.max_depth)
        drift = log_depth_drift(disparity, start_disparity, batch.valid_mask)
        parts["anchor"] = (
            drift.mean() if batch.valid_mask is None else mean_over_mask(drift, batch.valid_mask)
        )
        loss = loss + plan.anchor * parts["anchor"]
    scalars = {
        **parts,
        **shape_of(sigmoids[0].squeeze(1), plan.architecture),
        **_motion(heads[0], batch),
    }
    return loss, StepOutput(scalars, _pictures(batch, sigmoids[0], made) if pictures else {})


def many_step(
    model: nn.Module,
    batch: Batch,
    plan: StepPlan,
    nearest: Float[Tensor, ""],
    farthest: Float[Tensor, ""],
    frozen: bool = False,
    momentum: float | None = 0.99,
    seed: int = 0,
    step: int = 0,
    pictures: bool = False,
) -> StepResult:
    """ManyDepth's loss on one batch: the student's, and the teacher's unless it is `frozen` (Watson et al.
    2021, sec. 3). The output's `nearest` and `farthest` are the sweep's range after this batch,
    a running average of `momentum`; None: unchanged.

    Of the batch's sources the first `plan.architecture.sources` are the loss's; those that the architecture
    names are matched.
    """
    a = plan.architecture
    assert isinstance(a, ManyArchitecture)
    at = [batch.source_offsets.index(offset) for offset in a.matching]
    static, empty = volume_augmentation(uniform(seed + VOLUME, step, batch.index, 1)[:, 0])
    matching = batch.sources_jittered[:, at]
    sweep_images = torch.where(static[:, None, None, None, None], batch.target[:, None], matching)
    exists = batch.source_exists[:, at] & ~empty[:, None] & plan.matched
    loss_batch = batch.first_sources(a.sources)
    sigmoids, lowest_cost_depth, confidence, matching_residual, motion, refined, taught = model(
        *loss_batch.for_networks(), matching, exists, batch.intrinsics, sweep_images
    )
    levels, targets = _levels(loss_batch, plan, seed, step)
    terms = replace(plan.terms, reduction="kept")
    teacher = _heads(taught, motion, targets, loss_batch, plan)
    heads = _heads(sigmoids, motion, targets, loss_batch, plan)
    predicted, known = heads[0].source_from_target, loss_batch.source_exists
    if refined is not None:  # the stereo partner's, which comes last, is known
        count = refined.shape[1]
        if loss_batch.stereo_from_target is None:  # which would tell the unit
            refined = _in_unit_of(predicted[:, :count], refined, known[:, :count])
        motion_used = torch.cat([refined, predicted[:, count:]], 1)
        heads, teacher = (
            [replace(head, source_from_target=motion_used) for head in side] for side in (heads, teacher)
        )
    if plan.matched:
        loss, parts, made = many_objective(
            heads,
            [head.sigmoid for head in teacher],
            lowest_cost_depth,
            confidence,
            static | empty,
            levels,
            known,
            terms,
            further=a.match_by == "pixels",
        )
        if a.match_by == "pixels":  # single-frame depth learns from what was matched
            parts["pull"] = (
                MATCHING_WEIGHT * matching_residual.masked_fill((static | empty)[:, None, None], 0).mean()
            )
            loss = loss + parts["pull"]
    else:
        heads = [replace(head, source_from_target=head.source_from_target.detach()) for head in heads]
        loss, parts, made = mono_objective(heads, levels, known, terms)
    parts["trusted"] = parts.pop("kept")
    scalars = {**parts, **shape_of(sigmoids[0].squeeze(1), a), **_motion(heads[0], loss_batch)}
    scalars |= {"confident": confidence.float().mean(), "nearest": nearest, "farthest": farthest}
    if not frozen:
        loss_of_teacher, parts, _ = mono_objective(teacher, levels, known, terms)
        loss = loss + loss_of_teacher
        scalars |= {f"teacher_{name}": parts[name] for name in ("photometric", "smoothness")}
        scalars["kept"] = parts["kept"]  # by the auto-mask, as a MonoDepth's
    if momentum is not None:
        depth = depth_from_sigmoid(taught[0].detach().squeeze(1), a.min_depth, a.max_depth)
        scalars["nearest"], scalars["farthest"] = running_range(nearest, farthest, depth, momentum)
    shown = {}
    if pictures:
        shown = _pictures(loss_batch, sigmoids[0], made) | {
            "teacher": taught[0].detach(),
            "lowest_cost": 1 / lowest_cost_depth.unsqueeze(1),
            "confidence": confidence.unsqueeze(1).float(),
        }
    return loss, StepOutput(scalars, shown)


@torch.no_grad()
def _in_unit_of(
    motion: Float[Tensor, "B S 4 4"], refined: Float[Tensor, "B S 4 4"], exists: Bool[Tensor, "B S"]
) -> Float[Tensor, "B S 4 4"]:
    """`refined` with translations as long as the network's, on the (geometric) mean of the batch. Depth
    learns by the motion and motion is refined by the depth: the network, held, keeps their common unit."""
    logs = [(m[..., :3, 3].norm(dim=-1) + 1e-9).log() for m in (motion, refined)]
    longer = (logs[0] - logs[1]).masked_fill(~exists, 0).sum() / exists.sum().clamp(min=1)
    refined = refined.clone()
    refined[..., :3, 3] *= longer.exp()
    return refined


def _levels(
    batch: Batch, plan: StepPlan, seed: int, step: int
) -> tuple[dict[int, PyramidLevel], list[Float[Tensor, "B 3 _ _"]]]:
    """What no prediction changes: the levels that are needed, and the target's pyramid."""
    top = max(max(scale, level) for scale, level in plan.heads) + 1
    targets = image_pyramid(batch.target, top, plan.pyramid)
    needed = sorted({level for _, level in plan.heads})
    sources = image_pyramid(batch.sources, needed[-1] + 1, plan.pyramid)
    return {k: _level(batch, targets[k], sources[k], k, plan, seed, step) for k in needed}, targets


def _heads(
    sigmoids: Sequence[Float[Tensor, "B 1 _ _"]],
    motion: Motion,
    targets: Sequence[Float[Tensor, "B 3 _ _"]],
    batch: Batch,
    plan: StepPlan,
    masks: Sequence[Float[Tensor, "B N _ _"]] | None = None,
) -> list[Head]:
    """The disparity maps that have a loss, each with its motion."""
    heads = []
    for scale, level in plan.heads:
        sigmoid = sigmoids[scale].squeeze(1)
        if level > scale:  # coarse to fine: the finest map, pooled to its loss's level
            sigmoid = resize_map(sigmoid, _size(targets[level]))
        smooth_at = max(scale, level)
        heads.append(
            Head(
                sigmoid=sigmoid,
                level=level,
                image=targets[smooth_at],
                source_from_target=head_motion(
                    plan.architecture, motion, batch.source_offsets, sigmoid, batch.stereo_from_target
                ),
                scale=smooth_at,
                explainability_mask=None if masks is None else masks[scale],
            )
        )
    return heads


def supervised_step(model: nn.Module, batch: Batch, plan: StepPlan) -> StepResult:
    """The ceiling: |log depth - log exact depth|. The one loss that reads `batch.depth`; a control only."""
    assert batch.depth is not None
    sigmoids, _, _ = model(*batch.for_networks())
    a = plan.architecture
    disparity = disparity_from_sigmoid(sigmoids[0].squeeze(1), a.min_depth, a.max_depth)
    known = batch.depth.isfinite() & (batch.depth < 80)
    error = (disparity.log() + torch.where(known, batch.depth, 1).log()).abs()
    loss = error.masked_fill(~known, 0).sum() / known.sum().clamp(min=1)
    return loss, StepOutput({"log_depth_error": loss.detach(), **shape_of(sigmoids[0].squeeze(1), a)})


def shape_of(sigmoid: Float[Tensor, "B h w"], a: MonoArchitecture) -> dict[str, Float[Tensor, ""]]:
    """What tells a collapse: mean sigmoid (0 all far, 1 all near) and disparity's variation in an image."""
    with torch.no_grad():
        disparity = disparity_from_sigmoid(sigmoid, a.min_depth, a.max_depth).flatten(1)
        variation = (disparity.std(1) / disparity.mean(1)).mean()
        return {"sigmoid": sigmoid.mean(), "disparity_variation": variation}


def _level(
    batch: Batch, target: Tensor, sources: Tensor, level: int, plan: StepPlan, seed: int, step: int
) -> PyramidLevel:
    size, level_size = _size(batch.target), _size(target)
    noise = None
    if plan.tie_noise and plan.terms.automask:
        count = sources.shape[1] * level_size[0] * level_size[1]
        drawn = gaussian(seed + 1 + level, step, batch.index, count)
        noise = TIE_NOISE * drawn.view(sources.shape[0], sources.shape[1], *level_size)
    return pyramid_level(
        target,
        sources,
        batch.source_exists,
        level_intrinsics(batch.intrinsics, size, level_size, plan.camera_scaling),
        level_intrinsics(batch.source_intrinsics, size, level_size, plan.camera_scaling),
        plan.terms,
        noise,
        None if batch.valid_mask is None else shrink_mask(batch.valid_mask, level_size),
    )


def _motion(head: Head, batch: Batch) -> dict[str, Float[Tensor, ""]]:
    """Length of the predicted translation: zero means that no motion was found."""
    predicted = len(batch.for_networks()[2])
    if not predicted:
        return {}
    length = head.source_from_target[:, :predicted, :3, 3].detach().norm(dim=-1)
    exists = batch.source_exists[:, :predicted]
    return {"translation": (length * exists).sum() / exists.sum().clamp(min=1)}


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _pictures(batch: Batch, sigmoid: Tensor, made: Synthesis) -> dict[str, Tensor]:
    show: Sequence[tuple[str, Tensor]] = (
        ("image", batch.target),
        ("disparity", sigmoid),
        ("warped_first", made.views[:, 0]),
        ("warped_last", made.views[:, -1]),
        ("error", made.error.unsqueeze(1)),
        ("mask", made.loss_mask.unsqueeze(1).float()),
    )
    return {name: picture.detach() for name, picture in show}
