"""Optimiser and schedule."""

import math
from typing import Any, Literal

import torch
from torch import nn

CAMERA_SPEED = 30.0
"""Learnt cameras move so much faster than weights: four numbers have far to go."""


def make_optimiser(
    model: nn.Module, kind: Literal["adam", "adamw"], learning_rate: float
) -> torch.optim.Optimizer:
    """Adam (the papers') or AdamW, fused: one kernel for all weights. Learnt cameras are not decayed."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    weights = [p for name, p in named if not name.startswith("cameras.")]
    cameras = [p for name, p in named if name.startswith("cameras.")]
    make = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
    groups: list[dict[str, Any]] = [
        {"params": weights},
        *([{"params": cameras, "weight_decay": 0.0, "speed": CAMERA_SPEED}] if cameras else []),
    ]
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
