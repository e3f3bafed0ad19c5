"""What a run needs before its first step: data, networks, optimiser, on the device."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from timm.layers import convert_sync_batchnorm
from torch import nn

from mono2many.data.cache import cached
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.base import ReadOptions
from mono2many.models.checkpoint import ModelCard
from mono2many.models.many import ManyDepth
from mono2many.models.mono import DepthNet, MonoDepth
from mono2many.models.pretrained import is_packaged
from mono2many.terminal import say
from mono2many.train.optim import make_optimiser
from mono2many.train.origin import NOMINAL_BASELINE, Origin
from mono2many.train.origin import as_configured as as_configured
from mono2many.train.settings import TrainConfig
from mono2many.types import Split


@dataclass(frozen=True)
class RunState:
    """What moves while a run goes on; the counters live in the loop."""

    fabric: Fabric
    network: MonoDepth | ManyDepth
    """The bare module; `model` is the same behind Fabric's precision and processes."""
    model: nn.Module
    optimiser: torch.optim.Optimizer
    folder: Path
    card: ModelCard
    origin: Origin
    start: DepthNet | None = None
    """The depth network that the run began from, for the anchor. No part of `network`: neither optimiser nor
    checkpoint nor the other processes see it."""


def open_dataset(config: TrainConfig, split: Split, console: Console) -> ClipDataset:
    """The frames of a split with their neighbours, packed into the cache unless --cache off."""
    d, settings = config.data, config.dataset
    options = ReadOptions(d.height, d.width, config.offsets, settings.resize, settings.crop_bottom)
    reader = d.dataset.open(settings, options, split)
    with progress_bar(console) as bar:
        task = bar.add_task(f"reading {split} frames", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if d.cache == "on":
            reader = cached(reader, d.cache_dir, d.workers, show, partial(say, console))
        elif hasattr(reader, "load"):  # of videos: decoded in order and kept, by this process
            reader.load(show)
    baseline = NOMINAL_BASELINE if settings.baseline == "nominal" else None
    return ClipDataset(reader, config.offsets, baseline)


def build_run(
    config: TrainConfig, fabric: Fabric, folder: Path, dataset: ClipDataset, resumes: bool = False
) -> RunState:
    """Networks and optimiser as configured, or as they are in `folder` where the run resumes, on the device.
    Raises InputError for unusable weights."""
    origin = Origin(config, dataset, folder, resumes)
    network = origin.network().to(memory_format=torch.channels_last)
    start = origin.anchor()
    if start is not None:
        start = start.to(fabric.device).to(memory_format=torch.channels_last)
    if config.run.sync_batchnorm:
        network = convert_sync_batchnorm(network)
    optimiser = make_optimiser(network, config.optim.optimiser, config.optim.learning_rate)
    ready: nn.Module = torch.compile(network) if config.run.compile else network  # type: ignore[assignment]
    model, optimiser = fabric.setup(ready, optimiser)
    card = origin.card(network.architecture)
    return RunState(fabric, network, model, optimiser, folder, card, origin, start)


def fetched_weights(config: TrainConfig) -> str:
    """Names of the encoders whose weights timm fetches from a hub; empty: none."""
    m = config.model
    if config.run.start_from or config.many.teacher or m.encoder_weights != "imagenet":
        return ""
    names = [m.encoder] + ([m.pose_encoder] if m.pose_type == "separate" else [])
    return ", ".join(dict.fromkeys(name for name in names if name != "light" and not is_packaged(name)))


def in_words(state: RunState) -> str:
    """Size, device and precision, for the first line of a run."""
    count = sum(p.numel() for p in state.network.parameters()) / 1e6
    with state.fabric.autocast():
        precision = "bf16" if torch.is_autocast_enabled(state.fabric.device.type) else "fp32"
    world = state.fabric.world_size
    shared = f", {world} processes" if world > 1 else ""
    return f"{count:.1f} M parameters, {state.fabric.device}, {precision}{shared}"


def progress_bar(console: Console, enabled: bool = True) -> Progress:
    """Drawn on a terminal, silent elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not enabled or not console.is_terminal, transient=True)
