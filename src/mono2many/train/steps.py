"""One training step: (model, batch, plan) -> (loss, StepOutput). Changes nothing it was given."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mono2many.data.rng import gaussian, uniform
from mono2many.geometry.depth import depth_from_sigmoid, disparity_from_sigmoid
from mono2many.geometry.ground import fit_ground, ground_disparity
from mono2many.geometry.pyramid import image_pyramid, level_intrinsics, shrink_mask
from mono2many.losses.anchor import log_depth_drift
from mono2many.losses.consistency import running_range, volume_augmentation
from mono2many.losses.objective import (
    Head,
    Matching,
    PyramidLevel,
    Synthesis,
    many_objective,
    mean_over_mask,
    mono_objective,
    pyramid_level,
    resize_map,
)
from mono2many.losses.processes import mean_over_processes
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.cameras import scale_pose_by_focal
from mono2many.models.many import ManyOutput
from mono2many.models.mono import head_motion
from mono2many.models.pose import RelativePose
from mono2many.train.plan import StepPlan
from mono2many.types import Batch, StepOutput, select

TIE_NOISE = 1e-5
VOLUME = 101
"""Added to the seed of the numbers that augment cost volumes: no other random number is theirs."""
MATCHING_WEIGHT = 0.2
"""Weight of `Student.matching_residual`."""

StepResult = tuple[Float[Tensor, ""], StepOutput]
Function = TypeVar("Function", bound=Callable[..., Any])
Images = Sequence[Float[Tensor, "B 3 _ _"]]


class Draw(NamedTuple):
    """What decides a step's random numbers, together with each sample's index."""

    seed: int = 0
    step: int = 0


FIRST = Draw()


def mono_step(
    model: nn.Module,
    batch: Batch,
    plan: StepPlan,
    draw: Draw = FIRST,
    with_images: bool = False,
    start_disparity: Float[Tensor, "B H W"] | None = None,
) -> StepResult:
    """MonoDepth's loss on one batch; networks in whatever precision surrounds them, the loss in float32.

    `draw` decides the tie noise. `start_disparity`: of the target, by the model that the training began with;
    the finest map is anchored to it. The output's `anchor` is the mean drift, not weighted.
    """
    sigmoids, pose, masks = model(*batch.for_networks())
    pose = scale_pose_by_focal(model, pose, batch.intrinsics, batch.target.shape[-1])
    levels, targets = _levels(batch, plan, draw)
    heads = _heads(sigmoids, pose, targets, batch, plan, masks)
    if plan.terms.uses_ground:
        plane = _ground(_disparity(sigmoids[0], plan.architecture).detach().float(), batch)
        heads = [replace(head, ground=resize_map(plane, levels[head.level].size)) for head in heads]
    loss, parts, made = _maybe_compiled(mono_objective, plan)(heads, levels, plan.terms)
    if start_disparity is not None:
        mask = batch.valid_mask
        drift = log_depth_drift(_disparity(sigmoids[0], plan.architecture), start_disparity, mask)
        parts["anchor"] = drift.mean() if mask is None else mean_over_mask(drift, mask)
        loss = loss + plan.anchor * parts["anchor"]
    scalars = {**parts, **_diagnostics(sigmoids[0], heads[0], batch, plan.architecture)}
    return loss, StepOutput(scalars, _images(batch, sigmoids[0], made) if with_images else {})


def many_step(
    model: nn.Module, batch: Batch, plan: StepPlan, draw: Draw = FIRST, with_images: bool = False
) -> StepResult:
    """ManyDepth's loss on one batch: the student's, and the teacher's unless it is frozen (Watson et al.
    2021, sec. 3). The output's `sweep_range` is the sweep's after this batch.

    Of the batch's sources the first `plan.architecture.sources` are the loss's; those that the architecture
    names are matched. `draw` decides tie noise and volume augmentation.
    """
    a, loss_batch = plan.architecture, batch.first_sources(plan.architecture.sources)
    assert isinstance(a, ManyArchitecture)
    out, augmented = _matched(model, batch, a, draw)
    levels, targets = _levels(loss_batch, plan, draw)
    heads, teacher = _many_heads(out, targets, loss_batch, plan)
    student, terms = out.student, replace(plan.terms, reduction="masked")
    matching = Matching(student.lowest_cost_depth, student.confidence & ~augmented[:, None, None])
    loss, parts, made = _maybe_compiled(many_objective, plan)(
        heads, [head.sigmoid for head in teacher], matching, levels, terms, a.match_by == "pixels"
    )
    if student.matching_residual is not None:  # single-frame depth learns from what was matched
        residual = student.matching_residual.masked_fill(augmented[:, None, None], 0)
        parts["pull"] = MATCHING_WEIGHT * residual.mean()
        loss = loss + parts["pull"]
    parts["trusted"] = parts.pop("kept")
    scalars = {**parts, **_diagnostics(student.sigmoids[0], heads[0], loss_batch, a)}
    scalars["confident"] = student.confidence.float().mean()
    if not plan.teacher_frozen:
        teacher_loss, parts, _ = _maybe_compiled(mono_objective, plan)(teacher, levels, terms)
        loss = loss + teacher_loss
        scalars |= {f"teacher_{name}": parts[name] for name in ("photometric", "smoothness")}
        scalars["kept"] = parts["kept"]  # by the auto-mask, as a MonoDepth's
    sweep_range = out.sweep_range
    if plan.range_momentum is not None:
        depth = depth_from_sigmoid(out.teacher[0].detach().squeeze(1), a.min_depth, a.max_depth)
        sweep_range = running_range(*sweep_range, depth, plan.range_momentum)
    scalars["nearest"], scalars["farthest"] = sweep_range
    images = {}
    if with_images:
        images = _images(loss_batch, student.sigmoids[0], made)
        images["teacher"] = out.teacher[0].detach()
        images["lowest_cost"] = 1 / student.lowest_cost_depth.unsqueeze(1)
        images["confidence"] = student.confidence.unsqueeze(1).float()
    return loss, StepOutput(scalars, images, sweep_range)


def _maybe_compiled(objective: Function, plan: StepPlan) -> Function:
    """Compiled where the plan says so."""
    return compiled(objective) if plan.compile else objective


@cache
def compiled(objective: Function) -> Function:
    """By torch.compile, once in a run."""
    ready: Function = torch.compile(objective)  # type: ignore[assignment]
    return ready


def _matched(
    model: nn.Module, batch: Batch, a: ManyArchitecture, draw: Draw
) -> tuple[ManyOutput, Bool[Tensor, "B"]]:
    """The networks' output, and the samples whose cost volume is augmented."""
    at = [batch.source_offsets.index(offset) for offset in a.matching]
    static, empty = volume_augmentation(uniform(draw.seed + VOLUME, draw.step, batch.index, 1)[:, 0])
    matching = select(batch.sources_jittered, at)
    sweep_images = torch.where(static[:, None, None, None, None], batch.target[:, None], matching)
    exists = select(batch.source_exists, at) & ~empty[:, None]
    inputs = batch.first_sources(a.sources).for_networks()
    given = matching, exists, batch.intrinsics, sweep_images, batch.valid_mask
    return model(*inputs, *given), static | empty


def _many_heads(
    out: ManyOutput, targets: Images, batch: Batch, plan: StepPlan
) -> tuple[list[Head], list[Head]]:
    """The student's and the teacher's, with refined poses where there are any."""
    teacher = _heads(out.teacher, out.pose, targets, batch, plan)
    heads = _heads(out.student.sigmoids, out.pose, targets, batch, plan)
    refined, predicted = out.source_from_target, heads[0].source_from_target
    if refined is None:
        return heads, teacher
    count = refined.shape[1]  # the stereo partner's, which comes last, is known
    if batch.stereo_from_target is None and not plan.teacher_frozen:  # each would fix the unit
        refined = _in_unit_of(predicted[:, :count], refined, batch.source_exists[:, :count])
    poses = torch.cat([refined, predicted[:, count:]], 1)
    heads, teacher = ([replace(head, source_from_target=poses) for head in side] for side in (heads, teacher))
    return heads, teacher


@torch.no_grad()
def _in_unit_of(
    motion: Float[Tensor, "B S 4 4"], refined: Float[Tensor, "B S 4 4"], exists: Bool[Tensor, "B S"]
) -> Float[Tensor, "B S 4 4"]:
    """`refined` with translations as long as the network's, on the (geometric) mean of the batch. A teacher
    learns by the poses and poses are refined by its depth: the frozen pose network keeps their common unit.
    """
    logs = [(m[..., :3, 3].norm(dim=-1) + 1e-9).log() for m in (motion, refined)]
    total = mean_over_processes((logs[0] - logs[1]).masked_fill(~exists, 0).sum())
    longer = total / mean_over_processes(exists.sum().float()).clamp(min=1e-6)
    refined = refined.clone()
    refined[..., :3, 3] *= longer.exp()
    return refined


def _disparity(sigmoid: Float[Tensor, "B 1 H W"], a: MonoArchitecture) -> Float[Tensor, "B H W"]:
    """1 / depth, in the network's unit."""
    return disparity_from_sigmoid(sigmoid.squeeze(1), a.min_depth, a.max_depth)


def _ground(disparity: Float[Tensor, "B H W"], batch: Batch) -> Float[Tensor, "B H W"]:
    """1 / depth of the road at each pixel, in the predicted depth; 0 where there is none."""
    ground = fit_ground(disparity, batch.intrinsics, batch.valid_mask)
    return ground_disparity(ground, batch.intrinsics, _size(disparity))


def _levels(batch: Batch, plan: StepPlan, draw: Draw) -> tuple[dict[int, PyramidLevel], Images]:
    """What no prediction changes: the levels that are needed, and the target's pyramid."""
    needed = sorted({level for _, level in plan.heads})
    targets = image_pyramid(batch.target, max(map(max, plan.heads)) + 1, plan.pyramid)
    sources = image_pyramid(batch.sources, needed[-1] + 1, plan.pyramid)
    size, count, levels = _size(batch.target), batch.sources.shape[1], {}
    for k in needed:
        height, width = level_size = _size(targets[k])
        noise = None
        if plan.terms.automask:
            values = gaussian(draw.seed + 1 + k, draw.step, batch.index, count * height * width)
            noise = TIE_NOISE * values.view(-1, count, height, width)
        levels[k] = pyramid_level(
            targets[k],
            sources[k],
            batch.source_exists,
            level_intrinsics(batch.intrinsics, size, level_size, plan.camera_scaling),
            level_intrinsics(batch.source_intrinsics, size, level_size, plan.camera_scaling),
            plan.terms,
            noise,
            None if batch.valid_mask is None else shrink_mask(batch.valid_mask, level_size),
        )
    return levels, targets


def _heads(
    sigmoids: Sequence[Float[Tensor, "B 1 _ _"]],
    pose: RelativePose,
    targets: Images,
    batch: Batch,
    plan: StepPlan,
    masks: Sequence[Float[Tensor, "B N _ _"]] | None = None,
) -> list[Head]:
    """The disparity maps that have a loss, each with its poses."""
    a, heads, poses = plan.architecture, [], None
    for scale, level in plan.heads:
        sigmoid = sigmoids[scale].squeeze(1)
        if level > scale:  # coarse to fine: the finest map, pooled to its loss's level
            sigmoid = resize_map(sigmoid, _size(targets[level]))
        at = max(scale, level)
        if poses is None or a.pose_scaled_by_disparity:
            poses = head_motion(a, pose, batch.source_offsets, sigmoid, batch.stereo_from_target)
        heads.append(Head(sigmoid, level, targets[at], poses, at, None if masks is None else masks[scale]))
    return heads


def _diagnostics(
    sigmoid: Float[Tensor, "B 1 H W"], head: Head, batch: Batch, a: MonoArchitecture
) -> dict[str, Float[Tensor, ""]]:
    """Signs of a collapse: mean sigmoid (0 all far, 1 all near), disparity's variation in an image, and the
    length of the predicted translation (0: no motion was found)."""
    predicted = len(batch.for_networks()[2])
    with torch.no_grad():
        disparity = _disparity(sigmoid, a).flatten(1)
        variation = (disparity.std(1) / disparity.mean(1)).mean()
        found = {"sigmoid": sigmoid.mean(), "disparity_variation": variation}
        if predicted:
            length = head.source_from_target[:, :predicted, :3, 3].norm(dim=-1)
            exists = batch.source_exists[:, :predicted]
            found["translation"] = (length * exists).sum() / exists.sum().clamp(min=1)
    return found


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _images(batch: Batch, sigmoid: Tensor, made: Synthesis) -> dict[str, Tensor]:
    images = {
        "image": batch.target,
        "disparity": sigmoid,
        "warped_first": made.views[:, 0],
        "warped_last": made.views[:, -1],
        "error": made.error.unsqueeze(1),
        "mask": made.loss_mask.unsqueeze(1).float(),
    }
    return {name: image.detach() for name, image in images.items()}
