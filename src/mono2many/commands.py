"""The settings of the commands beside train: frozen dataclasses, checked when made. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Literal

import tyro

from mono2many.config import SourceConfig, at_least
from mono2many.errors import InputError


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a model: depth metrics where depth is known, else how well it explains neighbouring frames."""

    model: str | None = None
    """Model folder, or `starter`, the model that comes with the package."""
    predictions: str | None = None
    """Instead of a model: disparities of any method, a NumPy file (N H W) in the order of the list (KITTI,
    DDAD; Cityscapes without the hood)."""
    data: SourceConfig = field(default_factory=SourceConfig)
    protocol: str | None = None
    """How depth is compared, by name; by default the papers' for the list (KITTI): eigen-80m for kitti_eigen,
    eigen-improved for kitti_eigen_benchmark, ddad-200m for ddad, cityscapes-80m for
    cityscapes. Also eigen-80m-z: camera z instead of the scanner's forward coordinate."""
    alignment: str | None = None
    """What a prediction is aligned by instead of the protocol's own: median, none, stereo (the factor that
    the model's training on stereo pairs stored), least-squares (one factor of depth), affine (scale and shift
    of disparity), or a factor such as 5.4 (KITTI, DDAD)."""
    allow_contaminated: bool = False
    """Score frames that the model was trained on, and mark the figures (KITTI, DDAD)."""
    split: Literal["val", "test"] = "test"
    """Which unseen streets, or frames of Cityscapes; of footage both are the held-out end."""
    test_scenes: int = 24
    """Streets to score on; neither training nor validation sees them (datatype synthetic)."""
    guess_scenes: int = 64
    """Training streets from which the no-learning guesses are made (datatype synthetic)."""
    flip: bool = False
    """Also predict the mirrored image and blend: slower, slightly better."""
    json: str | None = None
    """Write all figures to this file."""
    report: str | None = None
    """Write an HTML page with figures and pictures."""
    sequences: tuple[str, ...] = ()
    """Which to score; by default 09 and 10, or, where neither is there, those with poses (kitti_odometry)."""
    trajectory: str | None = None
    """Draw the trajectories from above into this file, a PNG (kitti_odometry)."""
    refine_motion: bool = False
    """Align each step with the pictures by the predicted depth (kitti_odometry); not in the papers."""
    batch_size: int = 8
    """Images that are predicted together (KITTI, DDAD)."""
    workers: int = 2
    """Threads that read images and true depth (KITTI, DDAD)."""
    cache_dir: str | None = None
    """Folder of the true depth that was read once; default: $MONO2MANY_CACHE, else ~/.cache/mono2many."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        at_least("--batch-size", self.batch_size, 1)
        at_least("--workers", self.workers, 0)
        if (self.model is None) == (self.predictions is None):
            both = "" if self.model is None else ", not both"
            raise InputError(
                f"evaluate wants a model folder (--model) or a file of disparities (--predictions){both}"
            )
        odometry = self.data.datatype == "kitti_odometry"
        for flag in ("predictions", "protocol", "alignment"):
            if getattr(self, flag) is not None and (odometry or not self.data.listed):
                raise InputError(
                    f"--{flag} is for KITTI's lists, DDAD and Cityscapes: add --datatype kitti_eigen, ddad "
                    "or cityscapes"
                )
        for flag in ("sequences", "trajectory", "refine_motion"):
            if getattr(self, flag) and not odometry:
                raise InputError(
                    f"--{flag.replace('_', '-')} is for the camera's way: add --datatype kitti_odometry"
                )
        if odometry and (self.report is not None or self.flip):
            raise InputError("--report and --flip are for depth; of kitti_odometry see --trajectory FILE.png")
        if len(self.data.split_files) != 1 and (self.data.datatype == "kitti" or self.data.split_files):
            raise InputError("--split-files: scoring wants one list")
        at_least("--test-scenes", self.test_scenes, 1)
        at_least("--guess-scenes", self.guess_scenes, 1)


@dataclass(frozen=True)
class PredictConfig:
    """Depth of images, folders of images and videos."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Image files, folders, video files."""
    model: str = "starter"
    """Model folder; by default the one that comes with the package."""
    out: str = "outputs"
    """Folder to write to."""
    save: tuple[Literal["npy", "png16", "colour", "video", "kitti"], ...] = ()
    """What to write. npy: depth, float32. png16: depth, 16 bit, its factor inside. colour: disparity as a
    picture. video: input and disparity side by side. kitti: metres for KITTI's depth prediction server.
    Default: the first three of images, video of videos."""
    poses: tuple[Literal["kitti", "tum"], ...] = ()
    """Write the camera's way through each video and folder, with a picture of it. kitti: 12 numbers a line.
    tum: timestamp, place, quaternion. Depth is then written only with --save."""
    refine_motion: bool = False
    """With --poses: align each step with the pictures by the predicted depth; wants --camera or --fov."""
    camera: str | None = None
    """Camera file of films and folders, for --model many and --refine-motion."""
    fov: float | None = None
    """The same as a horizontal field of view in degrees."""
    flip: bool = False
    """Also predict the mirrored image and blend: slower, slightly better."""
    batch_size: int = 4
    """Frames of a video that are predicted together."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("nothing to predict: name image files, folders or videos")
        if self.camera is not None and self.fov is not None:
            raise InputError("--camera and --fov are both given; keep --camera, which knows more")
        if self.refine_motion and not self.poses:
            raise InputError("--refine-motion is for the camera's way: add --poses kitti")
        at_least("--batch-size", self.batch_size, 1)


@dataclass(frozen=True)
class StreetConfig:
    """Write the embedded street as a film with its camera file: footage to try things on."""

    film: tyro.conf.Positional[str]
    """The film to write (.mp4); the camera file goes beside it (.json)."""
    frames: int = 60
    """Length of the film."""
    height: int = 192
    """Of its pictures, in pixels."""
    width: int = 640
    """Of its pictures, in pixels."""
    scene: int = 0
    """Which street; neither training nor validation sees any of these."""
    variety: Literal["town", "wide"] = "town"
    """town: a town street by day. wide: any kind of road, traffic, light and camera."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 3)
        at_least("--scene", self.scene, 0)


@dataclass(frozen=True)
class BenchConfig:
    """How fast this machine trains and predicts, beside a fixed yardstick, all in one run."""

    height: int = 192
    """Of the pictures, in pixels: a multiple of 32."""
    width: int = 640
    """Of the pictures, in pixels: a multiple of 32."""
    batch_size: int = 4
    """Samples per step."""
    steps: int = 5
    """Timed steps of each row; the median is told."""
    compile: bool = False
    """Also time the whole step with torch.compile."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""
    json: str | None = None
    """Write all figures to this file."""

    def __post_init__(self) -> None:
        for flag, value in (("--height", self.height), ("--width", self.width)):
            if value < 64 or value % 32:
                raise InputError(f"{flag} must be a multiple of 32, 64 or more, got {value}")
        at_least("--batch-size", self.batch_size, 1)
        at_least("--steps", self.steps, 1)


@dataclass(frozen=True)
class PrepareVideoConfig:
    """Look through films and list what can be learnt from: clips between cuts, without standing frames."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Video files or folders of images."""
    out: str = "prepared"
    """Folder for the lists: OUT/FILM.clips.json, which `train --data` reads."""
    fps: float | None = None
    """Frames per second to keep; by default the film's own most frequent rate."""
    shortest: int = 12
    """Clips with fewer frames are left out."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("nothing to prepare: name video files or folders of images")
        if self.fps is not None and not self.fps > 0:
            raise InputError(f"--fps must be positive, got {self.fps}")
        at_least("--shortest", self.shortest, 3)


@dataclass(frozen=True)
class CheckConfig:
    """Look at data before training on it: camera, motion, overlap of neighbours, duplicates, brightness."""

    data: SourceConfig = field(default_factory=SourceConfig)
    height: int = 192
    """Training height in pixels."""
    width: int = 640
    """Training width in pixels."""
    crop_bottom: float = 0.0
    """Share of the height to cut off below."""
    frames: int = 400
    """Pairs of neighbours looked at, evenly spread."""
    json: str | None = None
    """Write all figures to this file."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 2)


@dataclass(frozen=True)
class ScaleConfig:
    """Find out how many metres a model's unit is, and store it with the model."""

    model: str
    """Model folder, or `starter` (with --out)."""
    out: str | None = None
    """Folder for a copy of the model that knows its metres; by default it is stored with the model itself."""
    scale_from: tuple[str, ...] = ()
    """camera-height METRES: the ground plane below the camera; only on footage like that which the model was
    trained on. speed FILE.csv: the path's length. factor X: known already."""
    data: SourceConfig = field(default_factory=SourceConfig)
    frames: int = 200
    """Images, or pairs of neighbours, looked at, evenly spread."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 1)


@dataclass(frozen=True)
class PrepareKittiConfig:
    """Fetch what splits of KITTI raw need, unpack it, make JPEGs of its PNGs; or check that all is there."""

    data: str = "dataset"
    """Folder of KITTI raw."""
    splits: tuple[
        Literal[
            "kitti_eigen_zhou", "kitti_eigen_full", "kitti_benchmark", "kitti_eigen", "kitti_eigen_benchmark"
        ],
        ...,
    ] = ("kitti_eigen_zhou", "kitti_eigen", "kitti_eigen_benchmark")
    """The lists whose frames are wanted."""
    split_files: tuple[str, ...] = ()
    """Lists of your own instead, with their laser scans."""
    list: bool = False
    """Print the archives' addresses and stop."""
    check: bool = False
    """Look through what is there: missing, cut short, of another size. Fetches nothing."""
    png: bool = False
    """Keep the PNGs; else they become JPEGs (quality 92, 4:2:0), a quarter of the size, as in the papers."""
    convert_own: bool = False
    """Make JPEGs also of PNGs that are there: you unpacked them yourself, or fetched them with --png."""
    whole: bool = False
    """Unpack everything; else only what is read: no grey images."""
    keep_archives: bool = False
    """Keep archives that were unpacked."""
    url: str | None = None
    """Where to fetch from instead of KITTI's public bucket (a mirror with the same paths)."""
    workers: int = 2
    """Threads that make JPEGs or look through images."""

    def __post_init__(self) -> None:
        at_least("--workers", self.workers, 1)
        if not self.splits:
            raise InputError("--splits: name one list or more")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise InputError(f"--url {self.url}: wanted an address that begins with http:// or https://")
        if self.list and self.check:
            raise InputError("--list and --check: one of them")


@dataclass(frozen=True)
class PrepareCityscapesConfig:
    """Write Cityscapes in small and without the hood, so that the originals need not be kept."""

    data: str
    """Folder of leftImg8bit_sequence, camera and, to score on, disparity."""
    out: str
    """Folder to write; `--datatype cityscapes --data OUT` reads it."""
    splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
    """The parts that are wanted."""
    width: int = 1024
    """Of the pictures written; the height follows (384)."""
    allow_missing: bool = False
    """Leave out pictures that no camera file is for."""
    workers: int = 2
    """Processes that shrink."""

    def __post_init__(self) -> None:
        at_least("--width", self.width, 64)
        at_least("--workers", self.workers, 0)


@dataclass(frozen=True)
class PrepareSyntheticConfig:
    """Write the embedded street as a data set in another's layout, to try its commands on."""

    layout: Literal["kitti", "odometry", "dgp", "cityscapes"] = "kitti"
    """kitti: KITTI raw with laser scans, calibration, positions and improved depth. odometry: KITTI's
    sequences with poses. dgp: DDAD, with three cameras, laser scans, calibration and poses. cityscapes:
    snippets with cameras and disparities."""
    out: str = "dataset"
    """Folder to write, empty or new."""
    height: int = 192
    """Of the pictures, in pixels."""
    width: int = 640
    """Of the pictures, in pixels."""
    frames: int = 72
    """Of each drive, 12 to 90 (dgp: 3 to 90); of each sequence 12 or more (odometry: 300 make some 200 m); of
    each snippet 30 at most (cityscapes)."""
    drives: int = 10
    """How many, 2 to 10 (odometry: sequences; cityscapes: snippets, 3 or more)."""
    seed: int = 0
    """Of the streets."""
    workers: int = 2
    """Processes that draw."""

    def __post_init__(self) -> None:
        at_least("--workers", self.workers, 1)
        at_least("--height", self.height, 32)
        at_least("--width", self.width, 64)


@dataclass(frozen=True)
class InfoConfig:
    """What a model is: networks, size, unit of its depth, what it was trained on."""

    model: tyro.conf.Positional[str] = "starter"
    """Model folder; by default the model that comes with the package."""


@dataclass(frozen=True)
class CacheConfig:
    """List the cache of decoded frames, check it, or remove what was not used for long."""

    check: bool = False
    """Read every entry and compare its checksums."""
    remove_unused: float | None = None
    """Remove entries that were not used for this many days; 0: all."""
    cache_dir: str | None = None
    """The cache's folder; default: $MONO2MANY_CACHE, else ~/.cache/mono2many."""

    def __post_init__(self) -> None:
        if self.remove_unused is not None and not self.remove_unused >= 0:
            raise InputError(f"--remove-unused is a number of days, 0 or more, got {self.remove_unused:g}")


@dataclass(frozen=True)
class ImportWeightsConfig:
    """Make a model folder of published MonoDepth or ManyDepth weights."""

    folder: tyro.conf.Positional[str]
    """With encoder.pth, depth.pth and, where there are any, pose_encoder.pth and pose.pth."""
    out: str
    """Model folder to write."""


@dataclass(frozen=True)
class ModelTestConfig:
    """Score the newest model on KITTI's eigen list and, where there is improved depth, on eigen_benchmark."""

    model: str | None = None
    """Model folder; by default the newest in --out."""
    out: str = "model_save"
    """Where the folders of runs are."""
    data: str = "dataset"
    """Folder of KITTI raw."""
    allow_missing: bool = False
    """Do with what is there where drives are missing."""
    flip: bool = False
    """Also predict the mirrored image and blend."""
    batch_size: int = 8
    """Images that are predicted together."""
    workers: int = 2
    """Threads that read images and true depth."""
    json: str | None = None
    """Write all figures to this file."""
    report: str | None = None
    """Write an HTML page with figures and pictures, of the eigen list."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""
