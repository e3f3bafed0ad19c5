"""What a step computes at each stage of a training."""

from dataclasses import dataclass
from typing import Literal

from mono2many.losses.objective import MonoTerms
from mono2many.models.architecture import MonoArchitecture
from mono2many.train.settings import ManyConfig, TrainConfig

STAGES = ((0.2, ((0, 2),)), (0.6, ((0, 1), (0, 2))), (1.0, ((0, 0), (0, 1))))
"""Coarse to fine: until this share of the training, these (map, pyramid level) pairs."""
GROUND_FROM, GROUND_RAMP = 0.2, 0.2
"""Shares of the training: the ground's hinge waits for the first and grows over the second."""
RANGE_MOMENTUM = 0.99
"""Of the running average of the sweep's range (Watson et al. 2021)."""


@dataclass(frozen=True)
class StepPlan:
    """What a step computes: which disparity map has its loss at which level of the image pyramid."""

    architecture: MonoArchitecture
    terms: MonoTerms
    heads: tuple[tuple[int, int], ...]
    """(map of the decoder, pyramid level), the finest first."""
    pyramid: Literal["mean", "lanczos"] = "mean"
    camera_scaling: Literal["half-pixel", "plain"] = "half-pixel"
    anchor: float = 0.0
    """Weight of the drift from the depth that the training began with."""
    teacher_frozen: bool = False
    """A ManyDepth's teacher and pose network get no loss."""
    range_momentum: float | None = RANGE_MOMENTUM
    """Of the running average that the sweep's range is; None: the range stays."""
    compile: bool = False
    """The objective by torch.compile."""


def plan_at(config: TrainConfig, architecture: MonoArchitecture, progress: float) -> StepPlan:
    """The plan at this share of the training."""
    loss = config.loss
    heads: tuple[tuple[int, int], ...]
    if loss.multi_scale == "coarse-to-fine":
        heads = next(heads for until, heads in STAGES if progress < until or until == 1.0)
    else:
        heads = tuple((s, s if loss.multi_scale == "own" else 0) for s in range(architecture.scales))
    terms = MonoTerms(
        automask=loss.automask and progress >= loss.automask_from,
        combine=loss.combine,
        mask_unseen=loss.mask_unseen,
        smoothness=loss.smoothness,
        # the stereo baseline fixes the scale, which the floor must not choose; an anchor holds depth itself
        disparity_floor=0.0 if architecture.stereo or config.anchor > 0 else loss.disparity_floor,
        min_depth=architecture.min_depth,
        ground=loss.ground * min(1.0, max(0.0, (progress - GROUND_FROM) / GROUND_RAMP)),
        max_depth=architecture.max_depth,
    )
    anchor = anchor_at(config, progress)
    sizes = loss.pyramid, loss.camera_scaling
    return StepPlan(architecture, terms, heads, *sizes, anchor, compile=config.run.compile)


def anchor_at(config: TrainConfig, progress: float) -> float:
    """Weight of the anchor at this share of the training."""
    until = config.loss.anchor_until
    return config.anchor if until == 1 else config.anchor * max(0.0, 1 - progress / until)


def range_momentum(many: ManyConfig, step: int, frozen: bool) -> float | None:
    """Momentum of the sweep's range at this step. It is frozen with the teacher; a teacher that is trained
    already predicts its depths from the first step, so there the average begins with the first batch."""
    if frozen and many.freeze_from > 0:
        return None
    return RANGE_MOMENTUM if many.teacher is None else min(RANGE_MOMENTUM, step / (step + 1))
