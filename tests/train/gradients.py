"""The first step's gradients of a tiny run, by one process or several: python gradients.py FILE PROCESSES.

Several are started by torchrun. BatchNorm is fixed: its statistics are over each process's share.
"""

import io
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import nn

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, batches
from mono2many.datasets.street import StreetTraining
from mono2many.train.fabric import make_fabric
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.setup import build_run, open_dataset
from mono2many.train.steps import mono_step


def first_gradients(file: Path, processes: int) -> None:
    torch.set_num_threads(1)
    base = recipe("default")
    config = replace(
        base,
        data=replace(base.data, height=64, width=64, workers=0),
        dataset=StreetTraining(scenes=4, val_scenes=1, scene_frames=3),
        model=replace(base.model, encoder_weights="none"),
        optim=replace(base.optim, batch_size=4, steps=1),
        run=replace(base.run, precision="fp32", device="cpu", devices=processes),
    )
    fabric = make_fabric(config)
    with fabric.rank_zero_first():
        dataset = open_dataset(config, "train", Console(file=io.StringIO()))
    torch.manual_seed(0)
    state = build_run(config, fabric, file.parent, dataset)
    for module in state.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    order = BatchOrder(len(dataset), 4, 0, 0, 1, fabric.global_rank, fabric.world_size)
    for clips in batches(dataset, order, 0, pin=False):
        assert len(clips.frames) == 4 // processes
        batch = to_batch(clips, config.neighbours, fabric.device, Augmentation(), 0, 0)
        loss, _ = mono_step(state.model, batch, plan_at(config, state.card.architecture, 0.0))
        fabric.backward(loss)
    gradients = {n: p.grad.contiguous() for n, p in state.network.named_parameters() if p.grad is not None}
    if fabric.is_global_zero:
        save_file(gradients, file)


if __name__ == "__main__":
    first_gradients(Path(sys.argv[1]), int(sys.argv[2]))
