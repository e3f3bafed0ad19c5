"""What a run needs before its first step: device, data, networks."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.fabric import Fabric
from lightning_utilities.core import rank_zero
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from mono2many.config import TrainConfig
from mono2many.data.dataset import ClipDataset, Preloaded
from mono2many.data.reader import SourceSettings, open_reader
from mono2many.data.video import VideoReader
from mono2many.models.checkpoint import ModelCard, load_weights, read_card
from mono2many.models.mono import MonoArchitecture, MonoDepth
from mono2many.train.optim import make_optimiser
from mono2many.types import InputError, Split

Progressed = Callable[[int, int], None]


@dataclass(frozen=True)
class RunState:
    """What moves while a run goes on; the counters live in the loop."""

    fabric: Fabric
    network: MonoDepth
    """The bare module; `model` is the same behind Fabric's precision and processes."""
    model: nn.Module
    optimiser: torch.optim.Optimizer
    folder: Path
    card: ModelCard


def make_fabric(config: TrainConfig) -> Fabric:
    """Device and precision. bf16 `auto`: where the machine computes in it."""
    rank_zero.log.setLevel(logging.WARNING)  # our first line says device and precision
    device = config.run.device
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    wants_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    fast = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if wants_cuda
        else device in ("cpu", "auto") and cpu_has_bf16()
    )
    bf16 = config.run.precision == "bf16" or (config.run.precision == "auto" and fast)
    fabric = Fabric(accelerator=device, devices=1, precision="bf16-mixed" if bf16 else "32-true")
    fabric.launch()
    return fabric


def cpu_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation is slower."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def open_dataset(config: TrainConfig, split: Split, console: Console) -> ClipDataset:
    """The frames of a split with their neighbours, opened once and kept in memory unless --cache off."""
    scenes = config.data.scenes if split == "train" else config.data.val_scenes
    d = config.data
    reader = open_reader(SourceSettings(**d.reader(d.height, d.width, d.crop_bottom, scenes)), split)
    with progress_bar(console) as bar:
        task = bar.add_task(f"reading {split} frames", total=None)
        show: Progressed = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        workers = config.data.workers
        if isinstance(reader, VideoReader) and reader.has_videos:
            reader.load(show)  # decoded in order and kept, by this process
            workers = 0
        if config.data.cache == "memory":
            reader = Preloaded(reader, show, workers)
    if config.control == "other-clips" and len(reader.clips) < 2:
        raise InputError("--control other-clips takes sources from another clip: give two clips or more")
    return ClipDataset(reader, config.data.offsets, config.control == "other-clips" and split == "train")


def build_run(config: TrainConfig, fabric: Fabric, folder: Path) -> RunState:
    """Networks and optimiser as configured, on the device. Raises InputError for unusable weights."""
    start = None if config.run.resume else config.run.start_from
    architecture = as_configured(config) if start is None else read_card(start).architecture
    weights = "none" if config.run.resume or start else config.model.encoder_weights
    network = MonoDepth(architecture, weights)
    if start is not None:
        load_weights(network, start)
    network = network.to(memory_format=torch.channels_last)
    optimiser = make_optimiser(network, config.optim.optimiser, config.optim.learning_rate)
    model, optimiser = fabric.setup(network, optimiser)
    trained_on = " ".join(Path(name).name for name in config.data.data) or config.data.datatype
    card = ModelCard(
        architecture, config.data.height, config.data.width, config.data.crop_bottom, trained_on=trained_on
    )
    return RunState(fabric, network, model, optimiser, folder, card)


def as_configured(config: TrainConfig) -> MonoArchitecture:
    """The networks that the flags describe. Fine-tuning (--start-from) keeps those of its folder instead."""
    m = config.model
    return MonoArchitecture(
        encoder=m.encoder,
        decoder=m.decoder,
        padding=m.padding,
        scales=m.scales,
        pose_type=m.pose_type,
        pose_input=m.pose_input,
        pose_encoder=m.pose_encoder,
        sources=len(config.data.offsets),
        predictive_mask=m.predictive_mask,
        min_depth=m.min_depth,
        max_depth=m.max_depth,
    )


def in_words(state: RunState) -> str:
    """Size, device and precision, for the first line of a run."""
    count = sum(p.numel() for p in state.network.parameters()) / 1e6
    precision = "bf16" if "bf16" in str(state.fabric._precision.precision) else "fp32"
    return f"{count:.1f} M parameters, {state.fabric.device}, {precision}"


def progress_bar(console: Console, enabled: bool = True) -> Progress:
    """Drawn on a terminal, silent elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not enabled or not console.is_terminal, transient=True)
