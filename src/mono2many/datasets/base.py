"""What a data set is: one value of `Dataset`, made in the file or folder of its name.

A new one is such a file and one line in `datasets/__init__.py`. Its settings are frozen dataclasses; their
fields are its flags, and nobody else's. Modules of settings import no PyTorch, so that `--help` answers at
once: what reads files is named by imported_later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from mono2many.errors import InputError

if TYPE_CHECKING:
    from mono2many.evaluate.frames import EvalSet, TrajectorySet
    from mono2many.metrics.protocol import Protocol
    from mono2many.models.checkpoint import ModelCard
    from mono2many.types import Reader, Split
else:  # these modules import PyTorch
    EvalSet = ModelCard = Protocol = Reader = Split = TrajectorySet = Any

ROOT = "dataset"
"""The folder where a data set lies unless --data says so."""


def imported_later(place: str) -> Callable[..., Any]:
    """The function at a place `package.module:name`, which is imported when it is first called."""

    def call(*arguments: Any) -> Any:
        return resolve_name(place)(*arguments)

    call.__doc__ = place
    return call


def at_least(flag: str, value: int, least: int) -> None:
    """InputError where a flag's number is too small."""
    if value < least:
        raise InputError(f"{flag} must be at least {least}, got {value}")


def network_size(height: int | None, width: int | None) -> None:
    """InputError where --height or --width is given and no size that the networks take."""
    for flag, value in (("--height", height), ("--width", width)):
        if value is not None and (value < 64 or value % 32):
            near = max(64, round(value / 32) * 32)
            raise InputError(f"{flag} must be a multiple of 32, 64 or more, got {value}; try {near}")


def share(flag: str, value: float) -> None:
    """InputError where a flag's number does not lie between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(f"{flag} is a share between 0 and 1, got {value}; try 0.1")


@dataclass(frozen=True)
class DatasetSettings:
    """Settings of one data set. What the program asks of any of them has a plain answer here, which a field
    or a property of a data set's own settings replaces."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """Folders or files that are read; empty where frames are made, not read."""
        return ()

    @property
    def stereo(self) -> Literal["none", "also", "only"]:
        """Whether the stereo partner of a frame is a source of the loss, beside its neighbours or alone."""
        return "none"

    @property
    def baseline(self) -> Literal["nominal", "metric"]:
        """The unit of length that the distance of stereo cameras gives."""
        return "nominal"

    @property
    def resize(self) -> Literal["bilinear", "lanczos"]:
        """How images are brought to training size."""
        return "bilinear"

    @property
    def crop_bottom(self) -> float:
        """Share of the height that the ego vehicle takes below, which is cut off."""
        return 0.0

    @property
    def learns_camera(self) -> bool:
        """Whether training estimates the intrinsics."""
        return False

    def with_learnt_cameras(self, model: str) -> "DatasetSettings":
        """These settings, with the cameras that the training of a model estimated."""
        return self

    def at_most(self, frames: int) -> "DatasetSettings":
        """The same for a use that reads at most so many frames."""
        return self


@dataclass(frozen=True)
class RootSettings(DatasetSettings):
    """A data set that lies in one folder."""

    data: str = ROOT
    """The data set's folder."""

    @property
    def sources(self) -> tuple[Path, ...]:
        return (Path(self.data),)

    @property
    def root(self) -> Path:
        return Path(self.data)


@dataclass(frozen=True)
class ResizeOption(DatasetSettings):
    """How images are made smaller."""

    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How images are brought to training size, here and in every later use of the model; the reference
    programs use Lanczos."""


@dataclass(frozen=True)
class ReportOption(DatasetSettings):
    """Flag of a score of images."""

    report: str | None = None
    """Write an HTML page with figures and images."""


@dataclass(frozen=True)
class DepthOptions(ReportOption):
    """Flags of a score that compares depth."""

    flip: bool = False
    """Also predict the mirrored image and blend: slower, slightly better."""


@dataclass(frozen=True)
class TestListOptions(DepthOptions):
    """Flags of a score on a list of images with measured depth."""

    predictions: str | None = None
    """Instead of a model: disparities of any method, a NumPy file (N H W) in the order of the list."""
    protocol: str | None = None
    """How depth is compared, by name; by default as in the papers that use the list."""
    alignment: str | None = None
    """How predictions are aligned, instead of the protocol's way: median, none, stereo (the factor that the
    model's training on stereo pairs stored), least-squares (one factor of depth), affine (scale and shift of
    disparity), or a factor such as 5.4."""
    allow_contaminated: bool = False
    """Score frames that the model was trained on, and mark the figures."""
    batch_size: int = 8
    """Images that are predicted together."""
    workers: int = 2
    """Threads that read images and measured depth."""

    def __post_init__(self) -> None:
        at_least("--batch-size", self.batch_size, 1)
        at_least("--workers", self.workers, 0)


@dataclass(frozen=True)
class TrajectoryOptions(DatasetSettings):
    """Flags of a score that compares trajectories."""

    sequences: tuple[str, ...] = ()
    """Sequences to score; default: the papers', or, where they are missing, all with poses."""
    trajectory: str | None = None
    """Draw the trajectories from above into this file, a PNG."""
    refine_motion: bool = False
    """Align each relative pose with the images by the predicted depth; not in the papers."""
    allow_contaminated: bool = False
    """Score frames that the model was trained on, and mark the figures."""
    batch_size: int = 8
    """Images that are predicted together."""

    def __post_init__(self) -> None:
        at_least("--batch-size", self.batch_size, 1)


@dataclass(frozen=True)
class ReadOptions:
    """How frames are wanted; the same for every data set."""

    height: int
    width: int
    """In pixels."""
    offsets: tuple[int, ...] = (-1, 1)
    """Neighbours that are read with each frame, in frames; 0: its stereo partner."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    crop_bottom: float = 0.0
    """Share of the height that is cut off below before resizing, of data sets that do not do so
    themselves."""

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


def no_marks(settings: Any) -> list[str]:
    """Nothing is remembered of the frames of a training."""
    return []


@dataclass(frozen=True)
class Dataset:
    """One data set."""

    name: str
    """Its `--datatype`."""
    summary: str
    """What it is, in a few words."""
    settings: type[DatasetSettings]
    """Flags of every command that reads it."""
    open: Callable[[Any, ReadOptions, Split], Reader]
    """Its frames at a wanted size. Raises InputError for data that cannot be read."""
    training: type[DatasetSettings] | None = None
    """Flags of `train` and `check`; None: it is a list to score on."""
    scoring: type[DatasetSettings] | None = None
    """Flags of `evaluate`; None: it is a list to train on."""
    scored_on: str = ""
    """The data set that scores a model trained on this one, where it is another."""
    family: str = ""
    """Data sets of one family read the same folder: their common settings carry over."""
    test_list: Callable[[Any, Protocol, ModelCard | None], EvalSet] | None = None
    """The images with measured depth, of settings `scoring`, for a protocol and a model (None: predictions of
    a file are scored, which need no images). None: scored by photometric error."""
    protocols: tuple[str, ...] = ()
    """Names of the protocols for its measured depth, the papers' first."""
    trajectories: Callable[..., TrajectorySet] | None = None
    """Sequences with measured poses: scored by their trajectory, instead of depth."""
    exact_depth: bool = False
    """Every frame comes with its exact depth."""
    listed: bool = False
    """Frames are those of published lists or scenes: a model's card names the data set, not its folder."""
    absent: str = "check the path"
    """What to do where its files are not there."""
    marks: Callable[[Any], list[str]] = field(default=no_marks)
    """What a model's card remembers of a training, so that its frames are not scored as unseen."""

    prepare: Callable[[list[str]], None] | None = None
    """`mono2many prepare NAME`, given its arguments."""
    cleaning: str = ""
    """The command that leaves out frames which spoil training; empty: the user takes them out of a list."""
    preparation: str = ""
    """What that does, in a line."""
    layout: str = ""
    """The name of its files' layout, in which the procedural street can be written."""
    layout_holds: str = ""
    """What such a tree holds."""
    write_street: Callable[..., Path] | None = None
    """Write the procedural street in this layout, given a street.tree.StreetTree."""

    @property
    def scorer(self) -> str:
        return self.scored_on or self.name

    def related(self, other: "Dataset") -> bool:
        """Whether both read the same folder."""
        return (self.family or self.name) == (other.family or other.name)

    def in_card(self, settings: DatasetSettings) -> str:
        """What a model's card says that it was trained on."""
        if not self.listed:
            return " ".join(path.name for path in settings.sources) or self.name
        return self.name + (", SYNTHETIC (the procedural street)" if self.synthetic(settings) else "")

    def synthetic(self, settings: DatasetSettings) -> bool:
        """Whether its folder shows the procedural street in the layout of this data set."""
        from mono2many.data.marker import marked_synthetic

        return any(map(marked_synthetic, settings.sources))


def common(kind: type[DatasetSettings], settings: DatasetSettings) -> dict[str, Any]:
    """The values of `settings` for fields that `kind` has, too."""
    names = {f.name for f in fields(kind) if f.init}
    return {f.name: getattr(settings, f.name) for f in fields(settings) if f.name in names}
