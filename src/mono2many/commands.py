"""The settings of the commands beside train: frozen dataclasses, checked when made. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Literal

import tyro

from mono2many.config import SourceConfig, at_least
from mono2many.errors import InputError


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a model: depth metrics where depth is known, else how well it explains neighbouring frames."""

    model: str
    """Model folder."""
    data: SourceConfig = field(default_factory=SourceConfig)
    split: Literal["val", "test"] = "test"
    """Which unseen streets; of footage both are the held-out end."""
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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        at_least("--test-scenes", self.test_scenes, 1)
        at_least("--guess-scenes", self.guess_scenes, 1)


@dataclass(frozen=True)
class PredictConfig:
    """Depth of images, folders of images and videos."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Image files, folders, video files."""
    model: str
    """Model folder."""
    out: str = "outputs"
    """Folder to write to."""
    save: tuple[Literal["npy", "png16", "colour", "video"], ...] = ()
    """What to write. npy: depth, float32. png16: depth, 16 bit, its factor inside. colour: disparity as a
    picture. video: input and disparity side by side. Default: the first three of images, video of videos."""
    flip: bool = False
    """Also predict the mirrored image and blend: slower, slightly better."""
    batch_size: int = 4
    """Frames of a video that are predicted together."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("nothing to predict: name image files, folders or videos")
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
    """Model folder."""
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
