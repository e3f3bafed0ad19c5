"""The settings of a training: frozen dataclasses, checked when made. Read by train, evaluate and cli only.

Every field is a flag of `mono2many train` (`--pose-type` or `--pose_type`). Imports nothing heavy:
`--help` answers at once.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from mono2many.errors import InputError

Recipe = Literal["default", "reference", "scratch"]
Datatype = Literal[
    "synthetic",
    "video",
    "kitti_eigen_zhou",
    "kitti_eigen_full",
    "kitti_benchmark",
    "kitti_odometry",
    "kitti_eigen",
    "kitti_eigen_benchmark",
    "kitti",
    "ddad",
]


@dataclass(frozen=True)
class SourceConfig:
    """Which frames."""

    datatype: Datatype = "synthetic"
    """synthetic: the embedded street. video: video files or folders of images. kitti_eigen_zhou,
    kitti_eigen_full, kitti_benchmark: lists to train on. kitti_odometry: sequences, to train and to score
    trajectories on. kitti_eigen, kitti_eigen_benchmark: lists to score on. kitti: lists of your own
    (--split-files). ddad: TRI's DGP layout, its own train and val scenes."""
    data: tuple[str, ...] = ()
    """Video files or folders of images (datatype video); the folder of KITTI raw or odometry, or of DDAD (or
    its JSON), by default `dataset`."""
    cameras_used: tuple[str, ...] = ("CAMERA_01",)
    """Cameras of the rig by name, CAMERA_01 looks ahead; `all`: every one (DDAD)."""
    largest_gap: float = 0.15
    """Seconds; frames further apart are no neighbours. DDAD has a frame every 0.1 s (DDAD)."""
    largest_lag: float = 0.25
    """Seconds between a picture and its sample's laser scan beyond which they are not compared (DDAD)."""
    masks: str | None = None
    """Folder with a CAMERA.png for cameras that see their own car, black where they do: these pixels are
    left out of losses and scores (DDAD)."""
    split_files: tuple[str, ...] = ()
    """Lists of frames, one `DATE/DRIVE FRAME l|r` a line: training and validation, or the one to score on
    (datatype kitti)."""
    intrinsics: Literal["calibrated", "reference"] = "calibrated"
    """calibrated: each drive's own camera. reference: one average for all, as in the papers (KITTI)."""
    allow_missing: bool = False
    """Do with what is there where drives of a split are missing (KITTI)."""
    grey: bool = False
    """Read the grey images also where there are colour ones (kitti_odometry)."""
    camera: tuple[str, ...] = ()
    """Camera file (JSON: fx fy cx cy width height, optional distortion): one for all --data, or one each.
    `learn`: find fx, fy, cx, cy of each film in training, from --fov (default 65 degrees) on."""
    fov: float | None = None
    """Horizontal field of view in degrees, where there is no camera file."""
    frame_step: int = 1
    """Neighbours are this many frames away: more for slow cameras or high frame rates."""
    hold_out: float = 0.1
    """Share of the frames at the end of each clip kept for validation (datatype video)."""
    hold_out_frames: int | None = None
    """The same as a number of frames; wins over --hold-out."""
    scene_frames: int = 4
    """Frames of each street (datatype synthetic)."""

    def __post_init__(self) -> None:
        if self.listed and len(self.data) > 1:
            raise InputError(
                f"--data: KITTI raw or DDAD lies in one folder, got {len(self.data)}; name the one"
            )
        for flag in ("cameras_used", "largest_gap", "largest_lag", "masks"):
            default = type(self).__dataclass_fields__[flag].default
            if self.datatype != "ddad" and getattr(self, flag) != default:
                raise InputError(f"--{flag.replace('_', '-')} is for DDAD: add --datatype ddad")
        if not self.cameras_used:
            raise InputError("--cameras-used: name a camera or more, such as CAMERA_01, or all")
        for flag, value in (("--largest-gap", self.largest_gap), ("--largest-lag", self.largest_lag)):
            if not value > 0:
                raise InputError(f"{flag} is a time in seconds above 0, got {value:g}")
        if self.split_files and self.datatype != "kitti":
            raise InputError("--split-files are lists of KITTI frames: add --datatype kitti")
        if self.datatype == "kitti" and not 1 <= len(self.split_files) <= 2:
            raise InputError(
                "--datatype kitti needs --split-files: TRAIN.txt VAL.txt, or the one list to score on"
            )
        if self.listed and self.camera:
            raise InputError(
                "--camera: KITTI and DDAD have theirs; --intrinsics reference takes that of KITTI's papers"
            )
        if self.datatype == "video" and not self.data:
            raise InputError("--datatype video needs --data: one or more video files or folders of images")
        if self.datatype == "synthetic" and self.data:
            raise InputError(
                f"--data {self.data[0]} is not read by --datatype synthetic; add --datatype video"
            )
        at_least("--frame-step", self.frame_step, 1)
        if self.scene_frames < 3:
            raise InputError(
                f"--scene-frames must be at least 3 (a frame and two neighbours), got {self.scene_frames}"
            )
        if not 0 < self.hold_out < 1:
            raise InputError(f"--hold-out is a share between 0 and 1, got {self.hold_out}; try 0.1")
        if "learn" in self.camera and len(self.camera) > 1:
            raise InputError("--camera learn finds the camera of every film: give no camera file beside it")
        if self.fov is not None and not 5 <= self.fov <= 170:
            raise InputError(f"--fov is in degrees, 5 to 170, got {self.fov}; a phone's camera has about 65")

    @property
    def kitti(self) -> bool:
        return self.datatype.startswith("kitti")

    @property
    def listed(self) -> bool:
        """Data with laser scans and lists of frames to score on."""
        return self.kitti or self.datatype == "ddad"

    @property
    def learns_camera(self) -> bool:
        return self.camera == ("learn",)

    @property
    def offsets(self) -> tuple[int, int]:
        """Times of the loss's sources relative to the target, in frames."""
        return (-self.frame_step, self.frame_step)

    def offsets_with(self, matching: tuple[int, ...]) -> tuple[int, ...]:
        """Of all frames read with a target: the loss's sources, then further ones that are only matched."""
        return tuple(dict.fromkeys((*self.offsets, *matching)))

    def reader(
        self, height: int, width: int, crop_bottom: float, scenes: int, resize: str = "bilinear"
    ) -> dict[str, Any]:
        """The arguments of data.reader.SourceSettings, for frames of this size and so many streets."""
        return {
            "datatype": self.datatype,
            "height": height,
            "width": width,
            "paths": self.data,
            "cameras": self.camera,
            "fov": self.fov,
            "crop_bottom": crop_bottom,
            "hold_out": self.hold_out,
            "hold_out_frames": self.hold_out_frames,
            "scenes": scenes,
            "scene_frames": self.scene_frames,
            "split_files": self.split_files,
            "intrinsics": self.intrinsics,
            "allow_missing": self.allow_missing,
            "grey": self.grey,
            "cameras_used": self.cameras_used,
            "largest_gap": self.largest_gap,
            "masks": self.masks,
            "offsets": self.offsets,
            "resize": resize,
        }


@dataclass(frozen=True)
class DataConfig(SourceConfig):
    """What to learn from."""

    height: int = 192
    """Training height in pixels, a multiple of 32, 64 or more."""
    width: int = 640
    """Training width in pixels, a multiple of 32, 64 or more."""
    crop_bottom: float = 0.0
    """Share of the height to cut off below, where the camera sees its own car's bonnet (datatype video)."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How pictures are brought to training size, here and in every later use of the model; the reference
    programs use Lanczos (KITTI, DDAD)."""
    scenes: int = 320
    """Streets to train on (datatype synthetic)."""
    val_scenes: int = 16
    """Streets to validate on, other ones."""
    workers: int = 2
    """Processes that read and decode images and draw streets; videos are decoded by one."""
    cache: Literal["on", "off"] = "on"
    """on: decode every frame once into a packed file at training size. off: open the originals each time."""
    cache_dir: str | None = None
    """Folder of the packed files; default: $MONO2MANY_CACHE, else ~/.cache/mono2many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, value in (("--height", self.height), ("--width", self.width)):
            if value < 64 or value % 32:
                near = max(64, round(value / 32) * 32)
                raise InputError(f"{flag} must be a multiple of 32, 64 or more, got {value}; try {near}")
        if not 0 <= self.crop_bottom < 0.9:
            raise InputError(f"--crop-bottom is a share of the height below 0.9, got {self.crop_bottom}")
        if self.crop_bottom and self.datatype != "video":
            raise InputError("--crop-bottom is for footage (datatype video); DDAD's own car: --masks FOLDER")
        if self.datatype in ("kitti_eigen", "kitti_eigen_benchmark"):
            raise InputError(f"--datatype {self.datatype} is a list to score on; train on kitti_eigen_zhou")
        if self.datatype == "kitti" and len(self.split_files) != 2:
            raise InputError("--split-files: training wants two lists, TRAIN.txt VAL.txt")
        at_least("--scenes", self.scenes, 1)
        at_least("--val-scenes", self.val_scenes, 1)
        at_least("--workers", self.workers, 0)


@dataclass(frozen=True)
class ModelConfig:
    """Which networks (Godard et al. 2019)."""

    model: Literal["mono", "many"] = "mono"
    """mono: depth of one frame. many: of several, where they are (ManyDepth, Watson et al. 2021)."""
    encoder: str = "resnet18"
    """Any timm model with features at strides 4 to 32, or `light`."""
    encoder_weights: str = "imagenet"
    """imagenet, none, or a file with timm's key names (for ResNets also torchvision's: they agree)."""
    decoder: Literal["paper", "light"] = "paper"
    """paper: ELU, widths 256 to 16. light: ReLU, widths 64 to 16."""
    padding: Literal["reflect", "zeros", "replicate"] = "reflect"
    """What the decoder's convolutions see beyond the border."""
    scales: int = 4
    """Disparity maps, at strides 1, 2, 4, 8."""
    pose_type: Literal["separate", "shared", "posecnn", "light"] = "separate"
    """separate: an encoder of its own. shared: a head on the depth encoder's features. posecnn: seven
    strided convolutions. light: six, on half-size pairs."""
    pose_input: Literal["pairs", "all"] = "pairs"
    """Frames that enter the pose network together."""
    pose_encoder: str = "resnet18"
    """Encoder of pose type separate."""
    predictive_mask: bool = False
    """Predict which pixels to trust (Zhou et al. 2017) instead of the auto-mask."""
    min_depth: float = 0.1
    """Depth of sigmoid 1."""
    max_depth: float = 100.0
    """Depth of sigmoid 0."""

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
    spacing: Literal["linear", "inverse"] = "linear"
    """Even steps of depth, or of 1 / depth."""
    teacher: str | None = None
    """Folder of a MonoDepth model with which teacher, motion and student begin."""
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
    """Model folder to start from (fine-tuning): its networks and weights."""
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

    data: DataConfig = field(default_factory=DataConfig)
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
        if self.model.model == "many" and (self.data.learns_camera or self.control == "supervised"):
            raise InputError(
                "--model many: give a camera file instead of --camera learn, and no --control supervised"
            )
        if self.control == "no-matching" and self.model.model != "many":
            raise InputError("--control no-matching is for ManyDepth: add --model many")
        if self.control == "supervised" and self.data.datatype != "synthetic":
            raise InputError("--control supervised needs exact depth: use --datatype synthetic")

    @property
    def matching(self) -> tuple[int, ...]:
        """Frames, counted from the target, that a ManyDepth compares it with."""
        return (
            tuple(m * self.data.frame_step for m in self.many.matching) if self.model.model == "many" else ()
        )

    @property
    def offsets(self) -> tuple[int, ...]:
        """See SourceConfig.offsets_with."""
        return self.data.offsets_with(self.matching)


def at_least(flag: str, value: int, least: int) -> None:
    """InputError where a flag's number is too small."""
    if value < least:
        raise InputError(f"{flag} must be at least {least}, got {value}")
