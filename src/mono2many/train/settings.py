"""How a training goes: networks, losses, optimiser, run."""

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Literal, get_args, get_type_hints

from mono2many.datasets.base import DatasetSettings
from mono2many.datasets.choice import TrainingData, all_offsets, default_training, time_offsets
from mono2many.devices import Device, Precision
from mono2many.errors import InputError
from mono2many.models.architecture import MOST_HYPOTHESES, MatchBy, NetworkSettings

ANCHOR = 0.1
"""Weight of the anchor where a training begins from a model."""

Recipe = Literal["default", "reference", "scratch", "video"]


@dataclass(frozen=True)
class Range:
    """The numbers that a flag takes."""

    least: int | float
    most: int | float = inf
    above: bool = False
    """`least` itself is too small."""

    def __str__(self) -> str:
        least = f"{'above' if self.above else 'at least'} {self.least:g}"
        return least if self.most == inf else f"{least}, at most {self.most:.10g}"

    def __contains__(self, value: int | float) -> bool:
        return self.least <= value <= self.most and not (self.above and value == self.least)


Count = Annotated[int, Range(1)]
Share = Annotated[float, Range(0, 1)]
Weight = Annotated[float, Range(0)]


class RangeChecked:
    """Settings whose numbers are checked against the Range of their type."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            metadata = [m for kind in (hint, *get_args(hint)) for m in getattr(kind, "__metadata__", ())]
            for allowed in metadata if value is not None else ():
                if isinstance(allowed, Range) and value not in allowed:
                    raise InputError(f"--{name.replace('_', '-')} must be {allowed}, got {value}")


@dataclass(frozen=True)
class ModelConfig(NetworkSettings):
    """Which networks (Godard et al. 2019)."""

    model: Literal["mono", "many"] = "mono"
    """mono: depth of one frame. many: of several, where they are (ManyDepth, Watson et al. 2021)."""
    encoder_weights: str = "imagenet"
    """imagenet (downloaded; of tf_efficientnet_lite0 from the extra `weights`), none, or a file with timm's
    key names (for ResNets also torchvision's: they agree)."""
    start_far: bool = True
    """Initialise a new network to a depth of 30 stereo baselines (--stereo). Else it starts at sigmoid 0.5,
    two baselines, where networks without ImageNet weights collapse."""

    def __post_init__(self) -> None:
        if not 1 <= self.scales <= 4:
            raise InputError(f"--scales must be 1 to 4, got {self.scales}")
        if not 0 < self.min_depth < self.max_depth:
            raise InputError(
                f"--min-depth must be above 0, below --max-depth, got {self.min_depth} and {self.max_depth}"
            )


@dataclass(frozen=True)
class ManyConfig(RangeChecked):
    """How several frames are used (--model many; Watson et al. 2021)."""

    matching: tuple[int, ...] = (-1,)
    """Frames that the target is compared with, counted from it in --frame-step, the nearest first."""
    hypotheses: Annotated[int, Range(2, MOST_HYPOTHESES)] = 96
    """Depths at which they are compared."""
    spacing: Literal["linear", "inverse"] | None = None
    """Even steps of depth, or of 1 / depth; default: of depth by features, of 1 / depth by pixels."""
    match_by: MatchBy = "features"
    """What is compared. features: the student's, along the predicted pose (the paper). pixels: the images,
    along a pose refined on them (better, not in the paper; --teacher)."""
    teacher: str | None = None
    """MonoDepth model folder, or `starter`, whose weights initialise teacher, pose network and student."""
    freeze_from: Share = 0.75
    """Share of the training after which teacher and pose network are frozen (15 of 20 epochs in the paper);
    0: from the start (--teacher)."""
    fresh_optimiser: bool = False
    """At the freeze start a new optimiser at the initial learning rate, as the reference program does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.match_by == "pixels" and self.teacher is None:
            raise InputError(
                "--match-by pixels refines the poses of a trained network: train a MonoDepth first and give "
                "--teacher FOLDER"
            )
        if self.freeze_from == 0 and self.teacher is None:
            raise InputError("--freeze-from 0 freezes an untrained teacher: give --teacher FOLDER")
        distinct = 0 not in self.matching and len(set(self.matching)) == len(self.matching) > 0
        if not distinct or sorted(self.matching, key=abs) != list(self.matching):
            raise InputError(
                "--matching wants different frames beside the target, the nearest first, for example "
                f"-1 -2; got {' '.join(map(str, self.matching))}"
            )


@dataclass(frozen=True)
class LossConfig(RangeChecked):
    """The objective."""

    multi_scale: Literal["full", "own", "coarse-to-fine"] = "full"
    """Where each disparity map has its loss. full: at full size. own: at its own size (v1). coarse-to-fine:
    the finest map, pooled, on a pyramid that grows from 1/4 to 1/2 to 1 in training."""
    automask: bool = True
    """Leave out pixels that the un-warped neighbour explains better."""
    automask_from: Share = 0.0
    """Share of the training after which the auto-mask is applied."""
    ground: Weight = 0.0
    """Weight of the hinge that pulls what lies below the road's plane up to it."""
    combine: Literal["minimum", "average"] = "minimum"
    """Best source per pixel, or the mean."""
    mask_unseen: bool = True
    """Leave out samples outside the source image or behind its camera."""
    smoothness: Weight = 1e-3
    """Weight of the edge-aware smoothness."""
    disparity_floor: Annotated[float, Range(0, 0.5)] = 0.0
    """Mean sigmoid below which a penalty raises it, so that depth does not diverge before motion has
    converged; 0: never, as in the papers."""
    anchor: Weight | None = None
    """Weight of the anchor, a penalty on the deviation of log depth from the initial model's (--start-from)
    up to one factor per image. Default: 0.1 with --start-from, else 0; 0: off."""
    anchor_until: Annotated[float, Range(0, 1, above=True)] = 1.0
    """Share of the training at which the anchor's weight has decayed linearly to 0; 1: it stays constant."""
    pyramid: Literal["mean", "lanczos"] = "mean"
    """How images are halved: mean of 2x2, or Lanczos as in the reference."""
    camera_scaling: Literal["half-pixel", "plain"] = "half-pixel"
    """How intrinsics follow a halved image: pixel centres kept, or plainly divided as in the reference."""


@dataclass(frozen=True)
class OptimConfig(RangeChecked):
    """Optimiser, schedule, augmentation."""

    optimiser: Literal["adam", "adamw"] = "adam"
    """adam: the papers'. adamw: with weight decay."""
    learning_rate: Annotated[float, Range(0, above=True)] = 1e-4
    """Peak learning rate."""
    schedule: Literal["step", "cosine"] = "step"
    """step: x0.1 after 3/4 of the training (15 of 20 epochs). cosine: to zero, after a warm-up."""
    warm_up: Share = 0.0
    """Share of the training in which the learning rate rises from zero."""
    batch_size: Count = 12
    """Samples per step; each is a frame with its neighbours."""
    epochs: Count = 20
    """Length of the training in passes over all samples."""
    steps: Count | None = None
    """Length of the training in steps; overrides --epochs."""
    camera_from: Share = 0.1
    """Share of the training after which `--camera learn` optimises the camera: before depth and motion have
    converged it would drift."""
    mirror: bool = True
    """Mirror half of the samples."""
    jitter: bool = True
    """Change the colours of half of the samples, for the networks only."""
    mirror_camera: bool = True
    """Mirror the principal point with the image (the reference does not)."""


@dataclass(frozen=True)
class RunConfig(RangeChecked):
    """Output, device, precision and logging of the run."""

    recipe: Recipe = "default"
    """Defaults of the other settings. default: the papers' losses and schedule, with our masks. reference:
    the papers' behaviour in every switch. scratch: small networks from random weights, in minutes.
    video: fine-tunes the starter on your own videos, in minutes."""
    config: str | None = None
    """Take the defaults from a run.json instead."""
    name: str = "mono"
    """The run's folder is OUT/NAME."""
    out: str = "model_save"
    """Folder of the runs."""
    max_minutes: Annotated[float, Range(0, above=True)] | None = None
    """Stop after so many minutes, wherever the training is; --resume continues it."""
    resume: bool = False
    """Continue the run in OUT/NAME from its last checkpoint, with its own settings; start it where there is
    no checkpoint."""
    start_from: str | None = None
    """Model folder to fine-tune, or `starter`: its networks and weights. --anchor regularises its depth;
    where it has no pose network, a new one is made as the flags say."""
    freeze_batchnorm: bool = True
    """With --start-from or --teacher: keep the depth network's BatchNorm statistics, not each batch's."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    precision: Precision = "auto"
    """bf16: networks in mixed precision, losses in fp32. auto: bf16 where the machine computes in it. fp32:
    convolutions on GPUs are rounded to TF32, except with --recipe reference."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Seed of all random numbers: initial weights, order, augmentation."""
    log_every: Count = 50
    """Steps between lines of the log."""
    picture_every: Count = 500
    """Steps between images in TensorBoard."""
    val_every: Count | None = None
    """Steps between validations (and checkpoints); by default ten times in the run."""
    save_every: Count | None = None
    """Steps between checkpoints; by default as often as validations."""
    keep: Count = 3
    """Checkpoints kept, beside the best."""
    devices: Count = 1
    """Processes on this machine, one per GPU (on the CPU: one per share of the batch)."""
    nodes: Count = 1
    """Machines that train together; see docs/scale.md."""
    sync_batchnorm: bool = False
    """Batch statistics over all processes instead of each one's share."""
    compile: bool = False
    """Compile networks and objective (torch.compile): slow to start, faster on a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise InputError(f"--name must be the name of a folder, got {self.name!r}; --out says where")


@dataclass(frozen=True)
class TrainConfig:
    """Train a model: depth and camera motion from video alone.

    Each --datatype has flags of its own: these are the procedural street's unless another is named, and
    mono2many train --datatype video --help lists those of your own videos."""

    data: TrainingData = field(default_factory=TrainingData)
    dataset: DatasetSettings = field(default_factory=default_training)
    model: ModelConfig = field(default_factory=ModelConfig)
    many: ManyConfig = field(default_factory=ManyConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        many, weight = self.model.model == "many", self.loss.anchor
        mistakes = {
            "--predictive-mask takes the place of the auto-mask: add --no-automask": (
                self.model.predictive_mask and self.loss.automask
            ),
            "--teacher is for ManyDepth: add --model many": self.many.teacher is not None and not many,
            "--model many: give a camera file instead of --camera learn": many and self.dataset.learns_camera,
            "--model many matches neighbours in time: --stereo also instead of only": (
                many and self.dataset.stereo == "only"
            ),
            "--ground is for --model mono": many and self.loss.ground > 0,
            f"--anchor {weight} holds depth to an initial model: add --start-from FOLDER": (
                weight and self.run.start_from is None
            ),
            f"--anchor {weight} is for --model mono; --model many is held by --teacher FOLDER "
            "--freeze-from 0": weight and many,
        }
        for mistake, made in mistakes.items():
            if made:
                raise InputError(mistake)

    @property
    def anchor(self) -> float:
        """Weight of the anchor; 0: there is none."""
        if self.loss.anchor is not None:
            return self.loss.anchor
        return ANCHOR if self.fine_tunes else 0.0

    @property
    def fine_tunes(self) -> bool:
        """A MonoDepth begins from a model."""
        return self.model.model == "mono" and self.run.start_from is not None

    @property
    def matching(self) -> tuple[int, ...]:
        """Frames, counted from the target, that a ManyDepth compares it with."""
        if self.model.model == "mono":
            return ()
        return tuple(m * self.data.frame_step for m in self.many.matching)

    @property
    def neighbours(self) -> tuple[int, ...]:
        """Times of the loss's neighbours relative to the target, in frames; none for stereo alone."""
        return () if self.dataset.stereo == "only" else time_offsets(self.data.frame_step)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of all frames read with a target: the loss's neighbours, then further ones that are only matched;
        0, the last: the stereo partner."""
        partner = () if self.dataset.stereo == "none" else (0,)
        return all_offsets(self.neighbours, self.matching) + partner
