"""KITTI raw as data sets: the field's lists of its frames, and your own lists."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from mono2many.datasets.base import Dataset, ResizeOption, RootSettings, TestListOptions, imported_later
from mono2many.errors import InputError


@dataclass(frozen=True)
class KittiData(RootSettings):
    """How KITTI raw is read."""

    intrinsics: Literal["calibrated", "reference"] = "calibrated"
    """calibrated: each drive's own camera. reference: one average for all, as in the papers."""
    allow_missing: bool = False
    """Use the frames that are there where drives or frames of a split are missing."""


@dataclass(frozen=True)
class KittiTraining(ResizeOption, KittiData):
    """How KITTI raw is trained on."""

    stereo: Literal["none", "also", "only"] = "none"
    """The right camera as a source of the loss. none: neighbours in time, the papers' M. also: both, MS.
    only: the stereo partner alone, S: no pose network."""
    baseline: Literal["nominal", "metric"] = "nominal"
    """Distance of the cameras. nominal: 0.1, as in the papers; the metres per unit are stored in the model.
    metric: as calibrated, so that --min-depth and --max-depth are metres (--stereo)."""

    def __post_init__(self) -> None:
        if self.baseline != "nominal" and self.stereo == "none":
            raise InputError("--baseline is the distance of stereo cameras: add --stereo also or only")


@dataclass(frozen=True)
class OwnListsTraining(KittiTraining):
    """Your own lists to train on."""

    split_files: tuple[str, ...] = ()
    """Two lists of frames, training and validation, with a line `DATE/DRIVE FRAME l|r` for each."""


@dataclass(frozen=True)
class KittiScoring(TestListOptions, KittiData):
    """A list to score on."""


@dataclass(frozen=True)
class OwnListsScoring(KittiScoring):
    """Your own list to score on."""

    split_files: tuple[str, ...] = ()
    """A list of frames, with a line `DATE/DRIVE FRAME l|r` for each."""


def own_marks(s: OwnListsTraining) -> list[str]:
    from mono2many.datasets.kitti.splits import pack, read_split_file

    return pack(frame for path in s.split_files for frame in read_split_file(path))


def _listed(name: str, summary: str, **more: Any) -> Dataset:
    same: dict[str, Any] = {
        "family": "kitti",
        "listed": True,
        "settings": KittiData,
        "absent": "`mono2many prepare kitti` fetches KITTI raw (--data says where to)",
        "protocols": ("eigen-80m", "eigen-80m-z", "eigen-improved"),
        "open": partial(imported_later("mono2many.datasets.kitti.reader:open_kitti"), name),
        "test_list": partial(imported_later("mono2many.datasets.kitti.test_list:kitti_eval_set"), name),
    }
    return Dataset(name, summary, **(same | more))


def _to_train_on(name: str, summary: str, **more: Any) -> Dataset:
    """A published list: its name is what a model's card remembers."""
    same: dict[str, Any] = {"training": KittiTraining, "scored_on": "kitti_eigen", "marks": lambda _: [name]}
    return _listed(name, summary, **(same | more))


KITTI = (
    _to_train_on(
        "kitti_eigen_zhou",
        "Zhou et al.'s training list of KITTI raw",
        layout="kitti",
        layout_holds="KITTI raw with laser scans, calibration, positions and improved depth",
        write_street=imported_later("mono2many.datasets.kitti.street:write_kitti_street"),
    ),
    _to_train_on("kitti_eigen_full", "Eigen et al.'s training list of KITTI raw"),
    _to_train_on("kitti_benchmark", "the training list of KITTI's depth benchmark"),
    _to_train_on(
        "kitti",
        "your own lists of KITTI raw frames",
        training=OwnListsTraining,
        scoring=OwnListsScoring,
        marks=own_marks,
        prepare=imported_later("mono2many.datasets.kitti.command:prepare"),
        preparation="fetch KITTI raw, unpack it, check it",
    ),
    _listed("kitti_eigen", "697 test images of KITTI raw (Eigen et al.)", scoring=KittiScoring),
    _listed(
        "kitti_eigen_benchmark",
        "652 of these with KITTI's improved depth",
        scoring=KittiScoring,
        protocols=("eigen-improved", "eigen-80m", "eigen-80m-z"),
    ),
)
