"""Settings of the commands evaluate, scale and check, and of model_test.py. They import no PyTorch, so that
`--help` answers at once."""

from dataclasses import dataclass, field
from typing import Literal

from mono2many.datasets import DEFAULT
from mono2many.datasets.base import DatasetSettings, TestListOptions, at_least
from mono2many.datasets.choice import DataConfig, default_training, settings_of

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a model: depth metrics where depth is known, else how well it explains neighbouring frames."""

    model: str | None = None
    """Model folder, or `starter`, the model that comes with the package."""
    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=lambda: settings_of(DEFAULT, "scoring")())
    json: str | None = None
    """Write all figures to this file."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    last: bool = False
    """Of a run the last model instead of the best, that with the lowest validation error."""

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
    """Write an HTML page with figures and images, of the eigen list."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""


@dataclass(frozen=True)
class ScaleConfig:
    """Find out how many metres a model's unit is, and store it with the model."""

    model: str
    """Model folder, or `starter` together with --out."""
    out: str | None = None
    """Folder for a copy of the model that knows its metres; by default it is stored with the model itself."""
    scale_from: tuple[str, ...] = ()
    """camera-height METRES: the ground plane below the camera; only on footage like that which the model was
    trained on, with a road ahead: another height is not seen. speed FILE ...: the path's length, by a CSV
    (time, speed), GPX, NMEA or SRT file. auto: the same from what each video knows: positions or speed in its
    own tracks (GPMF, subtitles), or in such a file beside it. factor X: known already."""
    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=DEFAULT.settings)
    frames: int = 200
    """Images, or pairs of neighbours, looked at, evenly spread."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    last: bool = False
    """Of a run the last model instead of the best, that with the lowest validation error."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 1)


@dataclass(frozen=True)
class CheckConfig:
    """Look at data before training on it: camera, motion, overlap of neighbours, duplicates, brightness."""

    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=default_training)
    height: int = 192
    """Training height in pixels."""
    width: int = 640
    """Training width in pixels."""
    frames: int = 400
    """Pairs of neighbours looked at, evenly spread."""
    json: str | None = None
    """Write all figures to this file."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 2)
