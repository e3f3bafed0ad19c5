"""The first step's gradients of tiny runs, by one process or several: python gradients.py FILE PROCESSES.

Several are started by torchrun. BatchNorm is fixed: its statistics are over each process's share.
"""

import io
import os
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, batches
from mono2many.models.many import ManyDepth
from mono2many.train.fabric import make_fabric
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.settings import Recipe
from mono2many.train.setup import build_run, open_dataset
from mono2many.train.steps import many_step, mono_step

KINDS: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "mono": ("default", {}),
    "floor": ("scratch", {"disparity_floor": 0.5}),
    "many": ("scratch", {"model": "many", "hypotheses": 8}),
    "pixels": ("scratch", {"model": "many", "hypotheses": 8, "match_by": "pixels", "teacher": "starter"}),
}


def first_gradients(kind: str, processes: int) -> dict[str, Tensor]:
    """Of every weight, and the sweep's range after the step."""
    name, flags = KINDS[kind]
    small = {"height": 64, "width": 64, "workers": 0, "scenes": 4, "val_scenes": 1, "scene_frames": 3}
    whole = {"encoder_weights": "none", "batch_size": 4, "steps": 1, "precision": "fp32", "device": "cpu"}
    config = recipe(name, "synthetic", **small, **whole, **flags, devices=processes)
    fabric, quiet = make_fabric(config), Console(file=io.StringIO())
    with fabric.rank_zero_first():
        dataset = open_dataset(config, "train", quiet)
    torch.manual_seed(0)
    state = build_run(config, fabric, Path(), dataset)
    for module in state.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    order, found = BatchOrder(len(dataset), 4, 0, 0, 1, fabric.global_rank, fabric.world_size), {}
    for clips in batches(dataset, order, 0, pin=False):
        assert len(clips.frames) == 4 // processes
        batch = to_batch(clips, config.offsets, fabric.device, Augmentation(), 0, 0)
        many = isinstance(state.network, ManyDepth)
        plan = plan_at(config, state.card.architecture, 0.7)
        loss, output = (many_step if many else mono_step)(state.model, batch, plan)
        fabric.backward(loss)
        found |= {"range": torch.stack(output.sweep_range)} if output.sweep_range is not None else {}
    for n, p in state.network.named_parameters():
        if p.grad is not None:
            found[n] = p.grad.contiguous()
    return {f"{kind}.{n}": value for n, value in found.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    processes = int(sys.argv[2])
    found = {n: value for kind in KINDS for n, value in first_gradients(kind, processes).items()}
    if int(os.environ.get("RANK", 0)) == 0:
        save_file(found, sys.argv[1])
