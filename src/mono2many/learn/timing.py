"""How long a training takes, measured before it begins."""

import copy
import time
from statistics import median
from typing import Any

import torch

from mono2many.data.augment import Augmentation, to_batch
from mono2many.models.checkpoint import load_model
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import best_of
from mono2many.train.fabric import make_fabric
from mono2many.train.origin import as_configured
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.steps import mono_step
from mono2many.types import RawBatch

FEWEST, MOST, SECONDS = 4, 20, 6.0
"""Steps that are taken, the first of which does not count, and after how long no more are."""


def seconds_per_step(flags: dict[str, Any]) -> float:
    """Of a training with these flags: the median of steps on noise after a first. One or two would be those
    of a moment in which other programs ran, or did not."""
    flags = dict(flags)
    config = recipe(flags.pop("recipe"), "video", **flags)
    fabric, d, size = make_fabric(config), config.data, config.optim.batch_size
    start = config.run.start_from
    network = MonoDepth(as_configured(config)) if start is None else load_model(best_of(start))[0]
    assert isinstance(network, MonoDepth)
    network, anchor = network.to(memory_format=torch.channels_last).train(), None
    if config.anchor:
        anchor = copy.deepcopy(network.depth).eval().to(fabric.device)
    model, optimiser = fabric.setup(network, torch.optim.Adam(network.parameters()))
    count = 1 + len(config.offsets)
    k = torch.tensor([[0.6 * d.width, 0, d.width / 2], [0, 0.6 * d.width, d.height / 2], [0, 0, 1]])
    raw = RawBatch(
        torch.randint(0, 256, (size, count, 3, d.height, d.width), dtype=torch.uint8),
        torch.ones(size, count, dtype=torch.bool),
        k.repeat(size, count, 1, 1),
        torch.arange(size),
    )
    plan, taken = plan_at(config, network.architecture, 0.9), list[float]()
    while len(taken) < FEWEST or (len(taken) < MOST and sum(taken[1:]) < SECONDS):
        begun = time.monotonic()
        batch, held = to_batch(raw, config.offsets, fabric.device, Augmentation(), 0, len(taken)), None
        if anchor is not None:
            with torch.no_grad(), fabric.autocast():
                held = anchor(batch.target).float()
        loss, _ = mono_step(model, batch, plan, start_disparity=held)
        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()
        loss.item()  # waits for the device
        taken.append(time.monotonic() - begun)
    return median(taken[1:])
