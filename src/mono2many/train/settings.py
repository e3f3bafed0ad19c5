"""How a training goes: networks, losses, optimiser, run."""

from dataclasses import dataclass, field
from typing import Literal

from mono2many.datasets import DEFAULT
from mono2many.datasets.base import DatasetSettings, at_least
from mono2many.datasets.choice import TrainingData, all_offsets, default_training, time_offsets
from mono2many.errors import InputError
from mono2many.models.architecture import MatchBy, NetworkSettings

ANCHOR = 0.1
"""Weight of the anchor where a training begins from a model."""

Recipe = Literal["default", "reference", "scratch"]


@dataclass(frozen=True)
class ModelConfig(NetworkSettings):
    """Which networks (Godard et al. 2019)."""

    model: Literal["mono", "many"] = "mono"
    """mono: depth of one frame. many: of several, where they are (ManyDepth, Watson et al. 2021)."""
    encoder_weights: str = "imagenet"
    """imagenet (downloaded; of tf_efficientnet_lite0 from the extra `weights`), none, or a file with timm's
    key names (for ResNets also torchvision's: they agree)."""
    start_far: bool = True
    """A new network begins with a depth of 30 times the eyes' distance (--stereo). Else it begins at sigmoid
    0.5, with the papers' settings twice the distance, from where networks without ImageNet weights do not
    come back."""

    def __post_init__(self) -> None:
        if not 1 <= self.scales <= 4:
            raise InputError(f"--scales must be 1 to 4, got {self.scales}")
        if not 0 < self.min_depth < self.max_depth:
            raise InputError(
                f"--min-depth must be above 0, below --max-depth, got {self.min_depth} and {self.max_depth}"
            )


@dataclass(frozen=True)
class ManyConfig:
    """How several frames are used (--model many; Watson et al. 2021)."""

    matching: tuple[int, ...] = (-1,)
    """Frames that the target is compared with, counted from it in --frame-step, the nearest first."""
    hypotheses: int = 96
    """Depths at which they are compared."""
    spacing: Literal["linear", "inverse"] | None = None
    """Even steps of depth, or of 1 / depth; default: of depth by features, of 1 / depth by pixels."""
    match_by: MatchBy = "features"
    """What is compared. features: the student's, along the motion that the network tells (the paper). pixels:
    the pictures' own, along a motion that the pictures refined (better, not in the paper; --teacher)."""
    teacher: str | None = None
    """Folder of a MonoDepth model, or `starter`, with which teacher, motion and student begin."""
    freeze_from: float = 0.75
    """Share of the training after which teacher and motion are fixed; 0: from the beginning (--teacher)."""
    freeze_epoch: int | None = None
    """The same as a number of epochs; wins over --freeze-from."""
    freeze_step: int | None = None
    """The same as a number of steps; wins over both."""
    fresh_optimiser: bool = False
    """At the freeze begin with a new optimiser and the first learning rate, as the reference program does."""

    def __post_init__(self) -> None:
        at_least("--hypotheses", self.hypotheses, 2)
        if self.match_by == "pixels" and self.teacher is None:
            raise InputError(
                "--match-by pixels refines the motion that a network tells, and holds that network: train a "
                "MonoDepth first and give --teacher FOLDER"
            )
        if not 0 <= self.freeze_from <= 1:
            raise InputError(f"--freeze-from is a share of the training, 0 to 1, got {self.freeze_from}")
        for flag, value in (("--freeze-epoch", self.freeze_epoch), ("--freeze-step", self.freeze_step)):
            if value is not None:
                at_least(flag, value, 0)
        if self.frozen_at_once and self.teacher is None:
            raise InputError(
                "--freeze-from 0 (or --freeze-epoch, --freeze-step 0) fixes a teacher that has learnt "
                "nothing: give --teacher FOLDER"
            )
        wrong = not self.matching or 0 in self.matching or len(set(self.matching)) < len(self.matching)
        if wrong or sorted(self.matching, key=abs) != list(self.matching):
            raise InputError(
                "--matching wants different frames beside the target, the nearest first, for example "
                f"-1 -2; got {' '.join(map(str, self.matching))}"
            )

    @property
    def frozen_at_once(self) -> bool:
        """The teacher learns nothing."""
        return self.freeze_at(steps=10**9, steps_per_epoch=1) == 0

    def freeze_at(self, steps: int, steps_per_epoch: int) -> int:
        """The step from which teacher and motion are fixed, of a training of so many."""
        if self.freeze_step is not None:
            return self.freeze_step
        if self.freeze_epoch is not None:
            return self.freeze_epoch * steps_per_epoch
        return round(self.freeze_from * steps)


@dataclass(frozen=True)
class LossConfig:
    """What the networks are judged by."""

    multi_scale: Literal["full", "own", "coarse-to-fine"] = "full"
    """Where each disparity map is judged. full: at full size. own: at its own size (v1). coarse-to-fine: the
    finest map, pooled, on a pyramid that grows from 1/4 to 1/2 to 1 as training goes on."""
    ssim: bool = True
    """Structural similarity beside the absolute difference."""
    automask: bool = True
    """Leave out pixels that the un-warped neighbour explains better."""
    automask_from: float = 0.0
    """Share of the training after which the auto-mask sets in."""
    combine: Literal["minimum", "average"] = "minimum"
    """Best source per pixel, or the mean."""
    mask_unseen: bool = True
    """Leave out samples outside the source image or behind its camera."""
    tie_noise: bool = True
    """Noise of 1e-5 on the un-warped error (auto-mask)."""
    smoothness: float = 1e-3
    """Weight of the edge-aware smoothness."""
    disparity_floor: float = 0.0
    """Mean sigmoid below which it is pulled back, so that depth does not run away to infinity before motion
    is found; 0: never, as in the papers."""
    anchor: float | None = None
    """Weight of the anchor: how much log depth may not drift from that of the model which the training begins
    from (--start-from), after one factor per image. Default: 0.1 with --start-from, else 0; 0: off."""
    anchor_until: float = 1.0
    """Share of the training at which the anchor has faded (linearly) to nothing; 1: it holds to the end."""
    pyramid: Literal["mean", "lanczos"] = "mean"
    """How pictures are halved: mean of 2x2, or Lanczos as in the reference."""
    camera_scaling: Literal["half-pixel", "plain"] = "half-pixel"
    """How intrinsics follow a halved picture: pixel centres kept, or plainly divided as in the reference."""

    def __post_init__(self) -> None:
        if not 0 <= self.automask_from <= 1:
            raise InputError(f"--automask-from is a share between 0 and 1, got {self.automask_from}")
        if not 0 <= self.disparity_floor < 0.5:
            raise InputError(f"--disparity-floor must be 0 to 0.5, got {self.disparity_floor}; try 0.1")
        if self.smoothness < 0:
            raise InputError(f"--smoothness must not be negative, got {self.smoothness}")
        if self.anchor is not None and not self.anchor >= 0:
            raise InputError(f"--anchor is a weight, 0 (off) or more, got {self.anchor}; try {ANCHOR}")
        if not 0 < self.anchor_until <= 1:
            raise InputError(f"--anchor-until is a share of the training above 0, got {self.anchor_until}")


@dataclass(frozen=True)
class OptimConfig:
    """How the weights move."""

    optimiser: Literal["adam", "adamw"] = "adam"
    """adam: the papers'. adamw: with weight decay."""
    learning_rate: float = 1e-4
    """At the peak of the schedule."""
    schedule: Literal["step", "cosine"] = "step"
    """step: x0.1 after 3/4 of the training (15 of 20 epochs). cosine: to zero, after a warm-up."""
    warm_up: float = 0.0
    """Share of the training in which the learning rate rises from zero."""
    batch_size: int = 12
    """Samples per step; each is a frame with its neighbours."""
    epochs: int = 20
    """Length of the training in passes over all samples."""
    steps: int | None = None
    """Length of the training in steps; wins over --epochs."""
    camera_from: float = 0.1
    """Share of the training after which `--camera learn` moves the camera: before depth and motion are found,
    their noise pulls it away."""
    mirror: bool = True
    """Mirror half of the samples."""
    jitter: bool = True
    """Change the colours of half of the samples, for the networks only."""
    mirror_camera: bool = True
    """Mirror the principal point with the picture (the reference does not)."""

    def __post_init__(self) -> None:
        at_least("--batch-size", self.batch_size, 1)
        at_least("--epochs", self.epochs, 1)
        if self.steps is not None:
            at_least("--steps", self.steps, 1)
        if not self.learning_rate > 0:
            raise InputError(f"--learning-rate must be positive, got {self.learning_rate}")
        if not 0 <= self.camera_from < 1:
            raise InputError(f"--camera-from is a share of the training, 0 to 1, got {self.camera_from}")
        if not 0 <= self.warm_up < 1:
            raise InputError(f"--warm-up is a share of the training, 0 to 1, got {self.warm_up}")


@dataclass(frozen=True)
class RunConfig:
    """Where and how the run goes."""

    recipe: Recipe = "default"
    """What the other settings begin with. default: the papers' losses and schedule, with our masks.
    reference: the papers' behaviour in every switch. scratch: from no weights at all, in minutes."""
    config: str | None = None
    """Begin with the settings of a run.json instead."""
    name: str = "mono"
    """The run's folder is OUT/NAME."""
    out: str = "model_save"
    """Where the folders of runs are."""
    resume: bool = False
    """Go on with the run in OUT/NAME from its last checkpoint, with its own settings; begin where there is
    none."""
    start_from: str | None = None
    """Model folder to start from (fine-tuning), or `starter`: its networks and weights. Its depth is held by
    --anchor; where it has no pose network, that of the flags is made."""
    freeze_batchnorm: bool = True
    """With --start-from: normalise depth's features by the statistics of the start, not of each batch."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16: networks in mixed precision, losses in fp32. auto: bf16 where the machine computes in it."""
    seed: int = 0
    """Of everything random: first weights, order, augmentation."""
    log_every: int = 50
    """Steps between lines of the log."""
    picture_every: int = 500
    """Steps between pictures in TensorBoard."""
    val_every: int | None = None
    """Steps between validations (and checkpoints); by default ten times in the run."""
    save_every: int | None = None
    """Steps between checkpoints; by default as often as validations."""
    keep: int = 3
    """Checkpoints kept, beside the best."""
    devices: int = 1
    """Processes on this machine, one per GPU (on the CPU: one per share of the batch)."""
    nodes: int = 1
    """Machines that train together; see docs/scale.md."""
    sync_batchnorm: bool = False
    """Batch statistics over all processes instead of each one's share."""
    compile: bool = False
    """Compile the networks (torch.compile): slow to start, faster on a GPU."""
    not_finite_limit: int = 20
    """Steps in a row that may be skipped because their loss or gradient is not finite."""

    def __post_init__(self) -> None:
        at_least("--seed", self.seed, 0)
        if self.seed >= 2**32:
            raise InputError(f"--seed must be below 2**32, got {self.seed}")
        at_least("--log-every", self.log_every, 1)
        at_least("--picture-every", self.picture_every, 1)
        at_least("--keep", self.keep, 1)
        for flag, value in (("--val-every", self.val_every), ("--save-every", self.save_every)):
            if value is not None:
                at_least(flag, value, 1)
        at_least("--devices", self.devices, 1)
        at_least("--nodes", self.nodes, 1)
        at_least("--not-finite-limit", self.not_finite_limit, 1)
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise InputError(
                f"--name must be the name of a folder, got {self.name!r}; --out says where it is"
            )


@dataclass(frozen=True)
class TrainConfig:
    """Train a model: depth and camera motion from nothing but moving pictures."""

    data: TrainingData = field(default_factory=TrainingData)
    dataset: DatasetSettings = field(default_factory=default_training)
    model: ModelConfig = field(default_factory=ModelConfig)
    many: ManyConfig = field(default_factory=ManyConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    control: Literal["none", "other-clips", "supervised", "no-matching"] = "none"
    """Experiments that bracket a result. other-clips: sources come from another clip, nothing can be learnt.
    supervised: exact depth is the loss, the ceiling for these networks (datatype synthetic). no-matching: a
    ManyDepth's student never sees a cost volume and learns by all its views, as its teacher does."""

    def __post_init__(self) -> None:
        if self.model.predictive_mask and self.loss.automask:
            raise InputError("--predictive-mask takes the place of the auto-mask: add --no-automask")
        if self.many.teacher is not None and self.model.model != "many":
            raise InputError("--teacher is for ManyDepth: add --model many")
        if self.model.model == "many" and (self.dataset.learns_camera or self.control == "supervised"):
            raise InputError(
                "--model many: give a camera file instead of --camera learn, and no --control supervised"
            )
        if self.dataset.stereo == "only" and self.model.model == "many":
            raise InputError("--model many matches neighbours in time: --stereo also instead of only")
        if self.dataset.stereo != "none" and self.control == "other-clips":
            raise InputError("--control other-clips is for neighbours in time: leave --stereo out")
        if self.control == "no-matching" and self.model.model != "many":
            raise InputError("--control no-matching is for ManyDepth: add --model many")
        if self.control == "supervised" and not self.data.dataset.exact_depth:
            raise InputError(f"--control supervised needs exact depth: use --datatype {DEFAULT.name}")
        if self.loss.anchor and self.run.start_from is None:
            raise InputError(
                f"--anchor {self.loss.anchor:g} holds depth to the model that a training begins from: add "
                "--start-from FOLDER"
            )
        if self.loss.anchor and self.model.model == "many":
            raise InputError(
                f"--anchor {self.loss.anchor:g} is for --model mono; --model many holds to what it begins "
                "from by its teacher: --teacher FOLDER --freeze-from 0"
            )
        if self.loss.anchor and self.control == "supervised":
            raise InputError("--control supervised is held by exact depth: leave --anchor out")

    @property
    def anchor(self) -> float:
        """Weight of the anchor; 0: there is none."""
        if self.loss.anchor is not None:
            return self.loss.anchor
        held = self.model.model == "mono" and self.control != "supervised"
        return ANCHOR if held and self.run.start_from is not None else 0.0

    @property
    def freezes_batchnorm(self) -> bool:
        started = self.model.model == "mono" and self.run.start_from is not None
        return started and self.run.freeze_batchnorm

    @property
    def matching(self) -> tuple[int, ...]:
        """Frames, counted from the target, that a ManyDepth compares it with."""
        return (
            tuple(m * self.data.frame_step for m in self.many.matching) if self.model.model == "many" else ()
        )

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
