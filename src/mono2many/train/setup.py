"""What a run needs before its first step: device, data, networks."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn

from mono2many.data.cache import cached
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.base import ReadOptions
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture, NetworkSettings
from mono2many.models.checkpoint import ModelCard, from_mono, load_weights, read_card
from mono2many.models.many import ManyDepth
from mono2many.models.mono import DepthNet, MonoDepth
from mono2many.train.optim import make_optimiser
from mono2many.train.settings import TrainConfig
from mono2many.train.start import open_start, reopen_start, typical_depth
from mono2many.train.stereo import NOMINAL, START, StereoUnit, refuse_other_unit, start_at, unit_of
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
    camera_sizes: tuple[tuple[int, int], ...] = ()
    """Height and width of each learnt camera's own images."""
    was_metric: bool = False
    """The folder's model had a scale in metres, which no longer holds once its weights change."""
    start: DepthNet | None = None
    """The depth network that the run began from, for the anchor. No part of `network`: neither optimiser nor
    checkpoint nor the other processes see it."""
    fresh_pose: bool = False
    """The model that the run begins from had no pose network."""


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
        elif hasattr(reader, "load"):  # of videos: decoded in order and kept, by this process
            reader.load(show)
    if config.control == "other-clips" and len(reader.clips) < 2:
        raise InputError("--control other-clips takes sources from another clip: give two clips or more")
    shuffled = config.control == "other-clips" and split == "train"
    return ClipDataset(reader, config.offsets, shuffled, NOMINAL if settings.baseline == "nominal" else None)


@dataclass(frozen=True)
class Origin:
    """Where a run's networks come from."""

    resumes: bool
    start: str | None
    """The model that a new run begins from (--start-from)."""
    known: str | Path | None
    """The model folder that describes the networks: the run's own, or `start`; None: the flags do."""
    teacher: str | None
    """The MonoDepth that a new ManyDepth begins with."""
    fresh_pose: bool
    """`start` has no pose network."""


def origin_of(config: TrainConfig, folder: Path, resumes: bool) -> Origin:
    """As the flags and what lies in the run's folder decide."""
    start = None if resumes else config.run.start_from
    known = folder if resumes and (folder / "config.json").exists() else start
    fresh_pose = start is not None and bool(config.neighbours) and not read_card(start).has_pose
    return Origin(resumes, start, known, config.many.teacher if known is None else None, fresh_pose)


def build_run(
    config: TrainConfig, fabric: Fabric, folder: Path, dataset: ClipDataset, resumes: bool = False
) -> RunState:
    """Networks and optimiser as configured, or as they are in `folder` where the run resumes, on the device.
    Raises InputError for unusable weights."""
    origin, unit = origin_of(config, folder, resumes), unit_of(dataset)
    learnt_sizes = _learnt_camera_sizes(config, dataset)
    architecture = _architecture(config, origin, dataset, unit)
    network = _network(config, origin, replace(architecture, cameras=len(learnt_sizes)), dataset, unit)
    anchor = None
    if config.anchor > 0:
        anchor = reopen_start(folder) if resumes else open_start(str(origin.start))
        anchor = anchor.to(fabric.device).to(memory_format=torch.channels_last)
    network = network.to(memory_format=torch.channels_last)
    if config.run.sync_batchnorm:
        network = convert_sync_batchnorm(network)
    optimiser = make_optimiser(network, config.optim.optimiser, config.optim.learning_rate)
    ready: nn.Module = torch.compile(network) if config.run.compile else network  # type: ignore[assignment]
    model, optimiser = fabric.setup(ready, optimiser)
    was_metric = unit is None and origin.known == folder and read_card(folder).scale == "metres"
    card = _card(config, origin, network.architecture, unit)
    return RunState(
        fabric, network, model, optimiser, folder, card, learnt_sizes, was_metric, anchor, origin.fresh_pose
    )


def _architecture(
    config: TrainConfig, origin: Origin, dataset: ClipDataset, unit: StereoUnit | None
) -> MonoArchitecture:
    known, m = origin.known, config.model
    architecture = as_configured(config) if known is None else read_card(known).architecture
    if isinstance(architecture, ManyArchitecture) != (m.model == "many"):
        raise InputError(f"{known}: --model {m.model} cannot begin with this model; see --teacher")
    if origin.fresh_pose:  # it begins with short steps: the unit, where it is free, becomes the typical depth
        unit_depth = 1.0 if unit else typical_depth(open_start(str(origin.start)), dataset)
        architecture = replace(
            architecture,
            pose_type=m.pose_type,
            pose_input=m.pose_input,
            pose_encoder=m.pose_encoder,
            min_depth=architecture.min_depth / unit_depth,
            max_depth=architecture.max_depth / unit_depth,
        )
    return replace(architecture, sources=len(config.neighbours), stereo=unit is not None)


def _network(
    config: TrainConfig,
    origin: Origin,
    architecture: MonoArchitecture,
    dataset: ClipDataset,
    unit: StereoUnit | None,
) -> MonoDepth | ManyDepth:
    """The networks with the weights that they begin with."""
    begun = origin.resumes or origin.start is not None or origin.teacher is not None
    weights = "none" if begun else config.model.encoder_weights
    network: MonoDepth | ManyDepth
    if isinstance(architecture, ManyArchitecture):
        network = ManyDepth(architecture, weights)
        if origin.teacher is not None and not origin.resumes:
            refuse_other_unit(origin.teacher, unit)
            from_mono(network, origin.teacher)
    else:
        network = MonoDepth(architecture, weights)
    if unit and config.model.start_far and origin.known is None and origin.teacher is None:
        start_at(network, START * abs(dataset.stereo_x(0) or 0))
    if network.cameras is not None:
        k = starting_cameras(dataset)
        network.cameras.start_from(k, config.data.height, config.data.width)
    if origin.start is not None:
        own = ["cameras."] + ([] if architecture.sources else ["pose."])
        own += ["pose.", "depth.min_depth", "depth.max_depth"] if origin.fresh_pose else []
        load_weights(network, origin.start, tuple(own))
    return network


def _learnt_camera_sizes(config: TrainConfig, dataset: ClipDataset) -> tuple[tuple[int, int], ...]:
    """Height and width of each learnt camera's own images."""
    sizes = dict(sorted((clip.camera, clip.size) for clip in dataset.reader.clips))
    own = (config.data.height, config.data.width)
    return tuple(size or own for size in sizes.values()) if config.dataset.learns_camera else ()


def _card(
    config: TrainConfig, origin: Origin, architecture: MonoArchitecture, unit: StereoUnit | None
) -> ModelCard:
    before = [name for f in (origin.known, origin.teacher) if f for name in read_card(f).seen]
    card = ModelCard(
        architecture,
        config.data.height,
        config.data.width,
        config.dataset.crop_bottom,
        trained_on=_trained_on(config),
        resize=config.dataset.resize,
        seen=tuple(dict.fromkeys([*before, *config.data.dataset.marks(config.dataset)])),
        has_pose=architecture.sources > 0,
    )
    return card if unit is None else replace(card, scale="metres", **asdict(unit))


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
        known = read_card(many.teacher).architecture
        return ManyArchitecture(
            **{f.name: getattr(known, f.name) for f in fields(MonoArchitecture)}, **further
        )
    kind = ManyArchitecture if m.model == "many" else MonoArchitecture
    chosen = {f.name: getattr(m, f.name) for f in fields(NetworkSettings)}
    return kind(**chosen, sources=len(config.neighbours), **(further if m.model == "many" else {}))


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
