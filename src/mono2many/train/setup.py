"""What a run needs before its first step: device, data, networks."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from lightning.fabric.strategies import DDPStrategy
from lightning_utilities.core import rank_zero
from lightning_utilities.core.apply_func import apply_to_collection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn

from mono2many.data.cache import cached
from mono2many.data.dataset import ClipDataset
from mono2many.data.video import VideoReader
from mono2many.datasets.base import ReadOptions
from mono2many.devices import pick_device
from mono2many.models.checkpoint import ModelCard, from_mono, load_weights, read_card
from mono2many.models.many import ManyDepth
from mono2many.models.mono import DepthNet, MonoArchitecture, MonoDepth
from mono2many.models.student import ManyArchitecture
from mono2many.train.optim import make_optimiser
from mono2many.train.settings import TrainConfig
from mono2many.train.start import open_start, reopen_start, typical_depth
from mono2many.train.stereo import NOMINAL, START, refuse_other_unit, start_at, unit_of
from mono2many.types import InputError, Split

Progressed = Callable[[int, int], None]


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
    film_sizes: tuple[tuple[int, int], ...] = ()
    """Height and width of each learnt camera's own images."""
    was_metric: bool = False
    """The folder's model had a scale in metres, which no longer holds once its weights change."""
    start: DepthNet | None = None
    """The depth network that the run began from, for the anchor. No part of `network`: neither optimiser nor
    checkpoint nor the other processes see it."""
    fresh_pose: bool = False
    """The model that the run begins from had no pose network."""


def make_fabric(config: TrainConfig) -> Fabric:
    """Device, precision and processes. bf16 `auto`: where the machine computes in it."""
    rank_zero.log.setLevel(logging.WARNING)  # our first line says device and precision
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


def open_dataset(config: TrainConfig, split: Split, console: Console) -> ClipDataset:
    """The frames of a split with their neighbours, packed into the cache unless --cache off."""
    d, settings = config.data, config.dataset
    options = ReadOptions(d.height, d.width, config.offsets, settings.resize, settings.crop_bottom)
    reader = d.dataset.open(settings, options, split)
    with progress_bar(console) as bar:
        task = bar.add_task(f"reading {split} frames", total=None)
        show: Progressed = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        if d.cache == "on":
            say = lambda line: console.print(line, highlight=False, soft_wrap=True)  # noqa: E731
            reader = cached(reader, d.cache_dir, d.workers, show, say)
        elif isinstance(reader, VideoReader) and reader.has_videos:
            reader.load(show)  # decoded in order and kept, by this process
    if config.control == "other-clips" and len(reader.clips) < 2:
        raise InputError("--control other-clips takes sources from another clip: give two clips or more")
    shuffled = config.control == "other-clips" and split == "train"
    return ClipDataset(reader, config.offsets, shuffled, NOMINAL if settings.baseline == "nominal" else None)


def build_run(
    config: TrainConfig, fabric: Fabric, folder: Path, dataset: ClipDataset, resumes: bool = False
) -> RunState:
    """Networks and optimiser as configured, or as they are in `folder` where the run resumes, on the device.
    Raises InputError for unusable weights."""
    start = None if resumes else config.run.start_from
    known = folder if resumes and (folder / "config.json").exists() else start
    teacher = config.many.teacher if known is None else None
    architecture = as_configured(config) if known is None else read_card(known).architecture
    fresh_pose = start is not None and bool(config.neighbours) and not read_card(start).has_pose
    if isinstance(architecture, ManyArchitecture) != (config.model.model == "many"):
        raise InputError(f"{known}: --model {config.model.model} cannot begin with this model; see --teacher")
    unit = unit_of(dataset)
    if fresh_pose:  # it begins with short steps: the unit, where it is free, becomes the typical depth
        m = config.model
        unit_depth = 1.0 if unit else typical_depth(open_start(str(start)), dataset)
        architecture = replace(
            architecture,
            pose_type=m.pose_type,
            pose_input=m.pose_input,
            pose_encoder=m.pose_encoder,
            min_depth=architecture.min_depth / unit_depth,
            max_depth=architecture.max_depth / unit_depth,
        )
    sizes = dict(sorted((clip.camera, clip.size) for clip in dataset.reader.clips))
    own_size = (config.data.height, config.data.width)
    film_sizes = tuple(size or own_size for size in sizes.values()) if config.dataset.learns_camera else ()
    rig = {"sources": len(config.neighbours), "stereo": bool(unit)}
    architecture = replace(architecture, cameras=len(film_sizes), **rig)  # type: ignore[arg-type]
    weights = "none" if resumes or start or teacher else config.model.encoder_weights
    network: MonoDepth | ManyDepth
    if isinstance(architecture, ManyArchitecture):
        network = ManyDepth(architecture, weights)
        if teacher is not None and not resumes:
            refuse_other_unit(teacher, unit)
            from_mono(network, teacher)
    else:
        network = MonoDepth(architecture, weights)
    if unit and config.model.start_far and known is None and teacher is None:
        start_at(network, START * abs(dataset.stereo_x(0) or 0))
    if network.cameras is not None:
        network.cameras.start_from(starting_cameras(dataset), *own_size)
    if start is not None:
        own = ["cameras."] + ([] if architecture.sources else ["pose."])
        own += ["pose.", "depth.min_depth", "depth.max_depth"] if fresh_pose else []
        load_weights(network, start, tuple(own))
    anchor = None
    if config.anchor > 0:
        anchor = reopen_start(folder) if resumes else open_start(str(start))
        anchor = anchor.to(fabric.device).to(memory_format=torch.channels_last)
    network = network.to(memory_format=torch.channels_last)
    if config.run.sync_batchnorm:
        network = convert_sync_batchnorm(network)
    optimiser = make_optimiser(network, config.optim.optimiser, config.optim.learning_rate)
    ready: nn.Module = torch.compile(network) if config.run.compile else network  # type: ignore[assignment]
    model, optimiser = fabric.setup(ready, optimiser)
    marks = [mark for f in (known, teacher) if f for mark in read_card(f).seen]
    card = ModelCard(
        architecture,
        *own_size,
        config.dataset.crop_bottom,
        trained_on=_trained_on(config),
        resize=config.dataset.resize,
        seen=tuple(dict.fromkeys([*marks, *config.data.dataset.marks(config.dataset)])),
        has_pose=architecture.sources > 0,
        **unit,
    )
    was_metric = not unit and known == folder and read_card(folder).scale == "metres"
    return RunState(
        fabric, network, model, optimiser, folder, card, film_sizes, was_metric, anchor, fresh_pose
    )


def _trained_on(config: TrainConfig) -> str:
    dataset, settings = config.data.dataset, config.dataset
    if dataset.listed:
        return dataset.name + (", SYNTHETIC (the embedded street)" if dataset.synthetic(settings) else "")
    return " ".join(path.name for path in settings.sources) or dataset.name


def starting_cameras(dataset: ClipDataset) -> Float[Tensor, "N 3 3"]:
    """K that training begins with, one for each camera of the data set, in pixels of the training size."""
    first = {clip.camera: number for number, clip in reversed(list(enumerate(dataset.reader.clips)))}
    return torch.stack([dataset.reader.frame(first[camera], 0).intrinsics for camera in sorted(first)])


def as_configured(config: TrainConfig) -> MonoArchitecture:
    """The networks that the flags describe. Fine-tuning (--start-from) keeps those of its folder instead."""
    m, many = config.model, config.many
    further: dict[str, Any] = {
        "hypotheses": many.hypotheses,
        "spacing": many.spacing or ("inverse" if many.match_by == "pixels" else "linear"),
        "matching": config.matching,
        "match_by": many.match_by,
    }
    if m.model == "many" and many.teacher is not None:
        taught = read_card(many.teacher).architecture
        return ManyArchitecture(
            **{f.name: getattr(taught, f.name) for f in fields(MonoArchitecture)}, **further
        )
    kind = ManyArchitecture if m.model == "many" else MonoArchitecture
    return kind(
        **(further if m.model == "many" else {}),
        encoder=m.encoder,
        decoder=m.decoder,
        padding=m.padding,
        scales=m.scales,
        pose_type=m.pose_type,
        pose_input=m.pose_input,
        pose_encoder=m.pose_encoder,
        sources=len(config.neighbours),
        predictive_mask=m.predictive_mask,
        min_depth=m.min_depth,
        max_depth=m.max_depth,
    )


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
