"""Settings of the commands evaluate, scale and check, and of model_test.py. They import no PyTorch, so that
`--help` answers at once."""

from dataclasses import dataclass, field

from mono2many.datasets import DEFAULT
from mono2many.datasets.base import DatasetSettings, TestListOptions, at_least
from mono2many.datasets.choice import DataConfig, default_training, settings_of
from mono2many.devices import Device


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a model: depth metrics where there is ground truth, else the error of view synthesis.

    Each --datatype has flags of its own: these are those of the model's data, else the procedural street's,
    unless another is named; mono2many evaluate --datatype video --help lists those of your own videos."""

    model: str | None = None
    """Model folder, or `starter`, the model that comes with the package."""
    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=lambda: settings_of(DEFAULT, "scoring")())
    json: str | None = None
    """Write all figures to this file."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    last: bool = False
    """Use the last model of a run instead of the best (lowest validation error)."""

    @property
    def predictions(self) -> str | None:
        """A file of disparities to score instead of a model."""
        return self.dataset.predictions if isinstance(self.dataset, TestListOptions) else None


@dataclass(frozen=True)
class ModelTestConfig:
    """Score the newest model on KITTI's eigen list and, where there is improved depth, on eigen_benchmark."""

    model: str | None = None
    """Model folder; by default the newest in --out."""
    out: str = "model_save"
    """Folder of the runs."""
    data: str = "dataset"
    """Folder of KITTI raw."""
    allow_missing: bool = False
    """Score the frames that are there where drives are missing."""
    flip: bool = False
    """Also predict the mirrored image and blend."""
    batch_size: int = 8
    """Images that are predicted together."""
    workers: int = 2
    """Threads that read images and true depth."""
    json: str | None = None
    """Write all figures to this file."""
    report: str | None = None
    """Write an HTML page with figures and images, of the eigen list."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""


@dataclass(frozen=True)
class ScaleConfig:
    """Estimate the metric scale of a model, in metres per unit, and store it with the model.

    Each --datatype has flags of its own: these are the procedural street's unless another is named, and
    mono2many scale --datatype video --help lists those of your own videos."""

    model: str
    """Model folder, or `starter` together with --out."""
    out: str | None = None
    """Folder for a copy of the model with its scale; by default it is stored with the model itself."""
    scale_from: tuple[str, ...] = ()
    """camera-height METRES: height of the camera above the road; only on footage like the training's, with a
    road ahead: one image does not show the height. speed FILE ...: length of the path, by a CSV (time,
    speed), GPX, NMEA or SRT file. auto: the same by positions or speed in each video's own tracks (GPMF,
    subtitles), or in such a file beside it. factor X: a known factor."""
    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=DEFAULT.settings)
    frames: int = 200
    """Images, or pairs of neighbours, that are measured, evenly spread."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    last: bool = False
    """Use the last model of a run instead of the best (lowest validation error)."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 1)


@dataclass(frozen=True)
class CheckConfig:
    """Check data before training: camera, motion, overlap of neighbours, duplicates, brightness.

    Each --datatype has flags of its own: these are the procedural street's unless another is named, and
    mono2many check --datatype video --help lists those of your own videos."""

    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=default_training)
    height: int = 192
    """Training height in pixels."""
    width: int = 640
    """Training width in pixels."""
    frames: int = 400
    """Pairs of neighbours that are measured, evenly spread."""
    json: str | None = None
    """Write all figures to this file."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 2)
