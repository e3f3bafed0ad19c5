"""Device, precision and processes of a run."""

import logging
import os
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from lightning.fabric.strategies import DDPStrategy
from lightning_utilities.core import rank_zero
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from mono2many.devices import pick_device
from mono2many.train.settings import TrainConfig
from mono2many.types import InputError


def make_fabric(config: TrainConfig) -> Fabric:
    """Device, precision and processes. bf16 `auto`: where the machine computes in it."""
    rank_zero.log.setLevel(logging.WARNING)  # our first line names device and precision
    run = config.run
    device = pick_device(run.device)
    wants_cuda = device == "cuda"
    if wants_cuda and run.devices > torch.cuda.device_count():
        raise InputError(f"--devices {run.devices}: torch sees {torch.cuda.device_count()} CUDA devices here")
    if run.sync_batchnorm and not wants_cuda:
        raise InputError("--sync-batchnorm: torch synchronises batch statistics on GPUs only; leave it out")
    fast = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if wants_cuda
        else device == "cpu" and cpu_has_bf16()
    )
    bf16 = run.precision == "bf16" or (run.precision == "auto" and fast)
    world = run.devices * run.nodes
    if config.optim.batch_size % world:
        near = max(1, round(config.optim.batch_size / world)) * world
        raise InputError(
            f"--batch-size {config.optim.batch_size} is shared by {world} processes: wanted a multiple of "
            f"{world}; try {near}"
        )
    launched = os.environ.get("WORLD_SIZE", str(world)) if "TORCHELASTIC_RUN_ID" in os.environ else str(world)
    if launched != str(world):
        raise InputError(
            f"torchrun started {launched} processes, --devices {run.devices} and --nodes {run.nodes} mean "
            f"{world}: give --devices (processes per machine) and --nodes as torchrun has them"
        )
    coarse = config.loss.multi_scale == "coarse-to-fine" and config.model.scales > 1
    if coarse and config.dataset.learns_camera and world > 1:
        raise InputError(
            "--camera learn in several processes wants --scales 1 with --multi-scale coarse-to-fine"
        )
    unused = coarse or config.control == "supervised" or config.model.model == "many"
    fabric = Fabric(
        accelerator=device,
        devices=run.devices,
        num_nodes=run.nodes,
        strategy=DDPStrategy(find_unused_parameters=unused) if world > 1 else "auto",
        **({"plugins": _Bf16(device)} if bf16 else {"precision": "32-true"}),
    )
    fabric.launch()
    return fabric


class _Bf16(MixedPrecision):
    """Images enter in bf16, cameras keep their digits: rounded, K would be a pixel off."""

    def __init__(self, device: str) -> None:
        super().__init__("bf16-mixed", device)

    def convert_input(self, data: Any) -> Any:
        def rounded(x: Tensor) -> Tensor:
            return x if x.shape[-2:] == (3, 3) or not x.is_floating_point() else x.bfloat16()

        return apply_to_collection(data, Tensor, rounded)


def cpu_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation is slower."""
    found: dict[str, bool] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # not in every version of torch that we support
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
