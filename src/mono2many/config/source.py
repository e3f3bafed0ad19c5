"""What is read, and how it is brought to size: the settings that training and scoring share."""

from dataclasses import dataclass
from typing import Any, Literal

from mono2many.errors import InputError

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
    "cityscapes",
]


@dataclass(frozen=True)
class SourceConfig:
    """Which frames."""

    datatype: Datatype = "synthetic"
    """synthetic: the embedded street. video: video files or folders of images. kitti_eigen_zhou,
    kitti_eigen_full, kitti_benchmark: lists to train on. kitti_odometry: sequences, to train and to score
    trajectories on. kitti_eigen, kitti_eigen_benchmark: lists to score on. kitti: lists of your own
    (--split-files). ddad: TRI's DGP layout, its own train and val scenes. cityscapes: its train and val
    snippets, scored on test; or lists of your own."""
    data: tuple[str, ...] = ()
    """Video files or folders of images (datatype video); the folder of KITTI raw or odometry, Cityscapes, or
    DDAD (or its JSON), by default `dataset`."""
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
    """Lists of frames, one `DATE/DRIVE FRAME l|r` (datatype kitti) or `aachen_000000_000019` (cityscapes) a
    line: training and validation, or the one to score on."""
    intrinsics: Literal["calibrated", "reference"] = "calibrated"
    """calibrated: each drive's own camera. reference: one average for all, as in the papers (KITTI)."""
    allow_missing: bool = False
    """Do with what is there where drives or frames of a split are missing (KITTI, Cityscapes)."""
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
    scene_step: float = 0.75
    """How far the camera drives from frame to frame, metres; each street a quarter more or less (datatype
    synthetic)."""
    variety: Literal["town", "wide"] = "town"
    """town: town streets by day, one lens. wide: all kinds of road, traffic, light and camera (datatype
    synthetic)."""

    def __post_init__(self) -> None:
        if self.listed and len(self.data) > 1:
            raise InputError(
                f"--data: KITTI, DDAD or Cityscapes lies in one folder, got {len(self.data)}; name the one"
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
        if self.split_files and self.datatype not in ("kitti", "cityscapes"):
            raise InputError("--split-files are lists of frames: add --datatype kitti or cityscapes")
        if self.datatype == "kitti" and not 1 <= len(self.split_files) <= 2:
            raise InputError(
                "--datatype kitti needs --split-files: TRAIN.txt VAL.txt, or the one list to score on"
            )
        if self.listed and self.camera:
            raise InputError(
                "--camera: such data have theirs; --intrinsics reference takes that of KITTI's papers"
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
        """Data with measured depth and lists of frames to score on."""
        return self.kitti or self.datatype in ("ddad", "cityscapes")

    @property
    def learns_camera(self) -> bool:
        return self.camera == ("learn",)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Times of the loss's neighbours relative to the target, in frames."""
        return (-self.frame_step, self.frame_step)

    def offsets_with(self, matching: tuple[int, ...]) -> tuple[int, ...]:
        """Of all frames read with a target: the loss's neighbours, then further ones that are only matched;
        0, the last: the other eye."""
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
            "scene_step": self.scene_step,
            "variety": self.variety,
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

    stereo: Literal["none", "also", "only"] = "none"
    """The other eye as a source of the loss (lists of KITTI raw). none: neighbours in time, the papers' M.
    also: both, MS. only: the other eye alone, S: no pose network."""
    baseline: Literal["nominal", "metric"] = "nominal"
    """Distance of the eyes. nominal: 0.1, as in the papers; the metres per unit are stored in the model.
    metric: as calibrated, so that --min-depth and --max-depth are metres (--stereo)."""
    height: int = 192
    """Training height in pixels, a multiple of 32, 64 or more."""
    width: int = 640
    """Training width in pixels, a multiple of 32, 64 or more."""
    crop_bottom: float = 0.0
    """Share of the height to cut off below, where the camera sees its own car's bonnet (datatype video)."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How pictures are brought to training size, here and in every later use of the model; the reference
    programs use Lanczos (KITTI, DDAD, Cityscapes)."""
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
        if self.stereo != "none" and (not self.kitti or self.datatype == "kitti_odometry"):
            raise InputError(
                f"--stereo {self.stereo}: --datatype {self.datatype} is read with one eye; both are of the "
                "lists of KITTI raw: --datatype kitti_eigen_zhou or kitti_eigen_full"
            )
        if self.baseline != "nominal" and self.stereo == "none":
            raise InputError("--baseline is the distance of two eyes: add --stereo also or only")
        if len(self.split_files) != 2 and (self.datatype == "kitti" or self.split_files):
            raise InputError("--split-files: training wants two lists, TRAIN.txt VAL.txt")
        at_least("--scenes", self.scenes, 1)
        at_least("--val-scenes", self.val_scenes, 1)
        at_least("--workers", self.workers, 0)

    @property
    def offsets(self) -> tuple[int, ...]:
        return () if self.stereo == "only" else super().offsets

    def offsets_with(self, matching: tuple[int, ...]) -> tuple[int, ...]:
        return super().offsets_with(matching) + (() if self.stereo == "none" else (0,))


def at_least(flag: str, value: int, least: int) -> None:
    """InputError where a flag's number is too small."""
    if value < least:
        raise InputError(f"{flag} must be at least {least}, got {value}")
