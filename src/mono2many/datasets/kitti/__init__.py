"""KITTI raw as data sets: the field's lists of its frames, and lists of one's own."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mono2many.datasets.base import (
    Dataset,
    EvalSet,
    ModelCard,
    Protocol,
    Reader,
    ReadOptions,
    RootSettings,
    Split,
    TestListOptions,
)
from mono2many.errors import InputError


@dataclass(frozen=True)
class KittiData(RootSettings):
    """How KITTI raw is read."""

    intrinsics: Literal["calibrated", "reference"] = "calibrated"
    """calibrated: each drive's own camera. reference: one average for all, as in the papers."""
    allow_missing: bool = False
    """Use what is there where drives or frames of a split are missing."""


@dataclass(frozen=True)
class KittiTraining(KittiData):
    """How KITTI raw is trained on."""

    stereo: Literal["none", "also", "only"] = "none"
    """The right camera as a source of the loss. none: neighbours in time, the papers' M. also: both, MS.
    only: the stereo partner alone, S: no pose network."""
    baseline: Literal["nominal", "metric"] = "nominal"
    """Distance of the cameras. nominal: 0.1, as in the papers; the metres per unit are stored in the model.
    metric: as calibrated, so that --min-depth and --max-depth are metres (--stereo)."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How images are brought to training size, here and in every later use of the model; the reference
    programs use Lanczos."""

    def __post_init__(self) -> None:
        if self.baseline != "nominal" and self.stereo == "none":
            raise InputError("--baseline is the distance of stereo cameras: add --stereo also or only")


@dataclass(frozen=True)
class OwnListsTraining(KittiTraining):
    """Lists of one's own to train on."""

    split_files: tuple[str, ...] = ()
    """Two lists of frames, training and validation, with a line `DATE/DRIVE FRAME l|r` for each."""


@dataclass(frozen=True)
class KittiScoring(TestListOptions, KittiData):
    """A list to score on."""


@dataclass(frozen=True)
class OwnListsScoring(KittiScoring):
    """A list of one's own to score on."""

    split_files: tuple[str, ...] = ()
    """A list of frames, with a line `DATE/DRIVE FRAME l|r` for each."""


def open_kitti(name: str, s: KittiData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.datasets.kitti.reader import KittiReader, KittiSettings
    from mono2many.datasets.kitti.splits import TEST_SPLITS, read_split_file, split_frames

    if isinstance(s, OwnListsTraining):
        if len(s.split_files) != 2:
            raise InputError("--datatype kitti needs --split-files: TRAIN.txt VAL.txt, two lists")
        frames = read_split_file(s.split_files[0 if split == "train" else -1])
    elif name in TEST_SPLITS:
        frames = split_frames(name, "test")
    else:
        frames = split_frames(name, "val" if split == "test" else split)
    how = (options.height, options.width, options.offsets, s.intrinsics, options.resize, s.allow_missing)
    return KittiReader(KittiSettings(s.root, tuple(frames), *how, name))


def test_list(name: str, s: KittiScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    from mono2many.datasets.kitti.test_list import kitti_eval_set

    if isinstance(s, OwnListsScoring) and len(s.split_files) != 1:
        raise InputError("--split-files: scoring wants one list, --split-files TEST.txt")
    return kitti_eval_set(
        s.root,
        name,
        protocol,
        list_file=s.split_files[0] if isinstance(s, OwnListsScoring) else None,
        reference_camera=s.intrinsics == "reference",
        allow_missing=s.allow_missing,
        needs_images=card is not None,
    )


def own_marks(s: OwnListsTraining) -> list[str]:
    from mono2many.datasets.kitti.splits import pack, read_split_file

    return pack(frame for path in s.split_files for frame in read_split_file(path))


def _listed(name: str, summary: str, **more: Any) -> Dataset:
    kinds: dict[str, Any] = {"family": "kitti", "listed": True, "settings": KittiData, "protocols": PROTOCOLS}
    kinds |= {"open": partial(open_kitti, name), "test_list": partial(test_list, name)}
    return Dataset(name, summary, **(kinds | more))


def _to_train_on(name: str, summary: str, **more: Any) -> Dataset:
    """A published list: its name is what a model's card remembers."""
    return _listed(
        name,
        summary,
        training=KittiTraining,
        scored_on="kitti_eigen",
        marks=lambda settings: [name],
        **more,
    )


def write_street(*arguments: Any) -> Path:
    from mono2many.datasets.kitti.street import write_kitti_street

    return write_kitti_street(*arguments)


def prepare(arguments: list[str]) -> None:
    from mono2many.datasets.kitti import command

    command.prepare(arguments)


PROTOCOLS = ("eigen-80m", "eigen-80m-z", "eigen-improved")
KITTI = (
    _to_train_on(
        "kitti_eigen_zhou",
        "Zhou et al.'s training list of KITTI raw",
        layout="kitti",
        layout_holds="KITTI raw with laser scans, calibration, positions and improved depth",
        write_street=write_street,
    ),
    _to_train_on("kitti_eigen_full", "Eigen et al.'s training list of KITTI raw"),
    _to_train_on("kitti_benchmark", "the training list of KITTI's depth benchmark"),
    _listed(
        "kitti",
        "lists of one's own of KITTI raw's frames",
        training=OwnListsTraining,
        scoring=OwnListsScoring,
        scored_on="kitti_eigen",
        marks=own_marks,
        prepare=prepare,
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
