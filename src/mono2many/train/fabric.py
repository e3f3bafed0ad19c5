"""Device, precision and processes of a run."""

import logging
import os
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies import DDPStrategy
from lightning_utilities.core import rank_zero
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from mono2many.devices import pick_bf16, pick_device
from mono2many.train.settings import TrainConfig
from mono2many.types import InputError


def make_fabric(config: TrainConfig) -> Fabric:
    """Device, precision and processes. bf16 `auto`: where the machine computes in it."""
    rank_zero.log.setLevel(logging.WARNING)  # our first line names device and precision
    run, device = config.run, pick_device(config.run.device)
    world = run.devices * run.nodes
    coarse = config.loss.multi_scale == "coarse-to-fine" and config.model.scales > 1
    _check_processes(config, device, world, coarse)
    bf16 = pick_bf16(run.precision, device)
    # of convolutions on GPUs: nineteen bits, unless the reference's figures are wanted
    torch.backends.cudnn.allow_tf32 = run.recipe != "reference"
    unused = coarse or config.model.model == "many"
    fabric = Fabric(
        accelerator=device,
        devices=run.devices,
        num_nodes=run.nodes,
        strategy=DDPStrategy(find_unused_parameters=unused) if world > 1 else "auto",
        **({"plugins": _Bf16("bf16-mixed", device)} if bf16 else {"precision": "32-true"}),
    )
    fabric.launch()
    return fabric


def _check_processes(config: TrainConfig, device: str, world: int, coarse: bool) -> None:
    run, size = config.run, config.optim.batch_size
    if device == "cuda" and run.devices > torch.cuda.device_count():
        raise InputError(f"--devices {run.devices}: torch sees {torch.cuda.device_count()} CUDA devices here")
    if run.sync_batchnorm and device != "cuda":
        raise InputError("--sync-batchnorm: torch synchronises batch statistics on GPUs only; leave it out")
    if size % world:
        near = max(1, round(size / world)) * world
        raise InputError(f"--batch-size {size} is shared by {world} processes: try {near}, a multiple")
    launched = os.environ.get("WORLD_SIZE") if "TORCHELASTIC_RUN_ID" in os.environ else None
    if launched not in (None, str(world)):
        raise InputError(
            f"torchrun started {launched} processes: --devices x --nodes must be that, is {world}"
        )
    if coarse and config.dataset.learns_camera and world > 1:
        raise InputError("--camera learn in several processes needs --scales 1 or --multi-scale full")


class _Bf16(MixedPrecision):
    """Images enter in bf16, cameras keep their digits: rounded, K would be a pixel off."""

    def convert_input(self, data: Any) -> Any:
        def rounded(x: Tensor) -> Tensor:
            return x if x.shape[-2:] == (3, 3) or not x.is_floating_point() else x.bfloat16()

        return apply_to_collection(data, Tensor, rounded)


def agreed(fabric: Fabric, stop: Callable[[], bool], done: int) -> bool:
    """Whether to stop now: several processes ask each other every tenth step, so that all do or none."""
    if fabric.world_size == 1:
        return stop()
    if done % 10:
        return False
    asked = fabric.all_reduce(torch.tensor(float(stop()), device=fabric.device), reduce_op="sum")
    assert isinstance(asked, Tensor)
    return bool(asked > 0)
