"""Optimiser, schedule, and what is frozen."""

import math
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mono2many.models.many import ManyDepth

CAMERA_SPEED = 30.0
"""Learnt cameras move so much faster than weights: four numbers have far to go."""


def make_optimiser(
    model: nn.Module, kind: Literal["adam", "adamw"], learning_rate: float
) -> torch.optim.Optimizer:
    """Adam (the papers') or AdamW, fused: one kernel for all weights. Learnt cameras are not decayed."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    cameras = [p for name, p in named if name.startswith("cameras.")]
    groups: list[dict[str, Any]] = [{"params": [p for n, p in named if not n.startswith("cameras.")]}]
    if cameras:
        groups.append({"params": cameras, "weight_decay": 0.0, "speed": CAMERA_SPEED})
    make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    return make(groups, lr=learning_rate, fused=True)


def learning_rate(
    step: int, steps: int, peak: float, schedule: Literal["step", "cosine"], warm_up: float = 0.0
) -> float:
    """At `step` of `steps`. step: x0.1 after 3/4 (15 of 20 epochs); cosine: to zero. `warm_up`: share."""
    rise = round(warm_up * steps)
    if step < rise:
        return peak * (step + 1) / rise
    if schedule == "step":
        return peak if step < 0.75 * steps else 0.1 * peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def freeze_statistics(network: nn.Module) -> None:
    """Normalise by running statistics and leave these as they are, but for the pose network's; after every
    `network.train()`."""
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and not name.startswith("pose."):
            module.eval()


def freeze_teacher(network: ManyDepth, frozen: bool) -> None:
    """Teacher and pose network learn, or are fixed with their batch statistics (Watson et al. 2021, sec. 4).
    A pose network whose poses are refined need not learn: frozen, it keeps the unit."""
    pose_frozen = frozen or network.architecture.refines_motion
    network.teacher.train(not frozen).requires_grad_(not frozen)
    network.pose.train(not pose_frozen).requires_grad_(not pose_frozen)
