"""KITTI odometry as a data set: sequences to train on, and to score trajectories on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mono2many.datasets.base import Dataset, Reader, ReadOptions, Split, TrajectoryOptions, TrajectorySet
from mono2many.datasets.kitti import KittiData


@dataclass(frozen=True)
class OdometryData(KittiData):
    """How the sequences are read."""

    grey: bool = False
    """Read the grey images also where there are colour ones."""


@dataclass(frozen=True)
class OdometryTraining(OdometryData):
    """How the sequences are trained on."""

    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How images are brought to training size, here and in every later use of the model; the reference
    programs use Lanczos."""


@dataclass(frozen=True)
class OdometryScoring(TrajectoryOptions, OdometryData):
    """How trajectories are scored; by default of 09 and 10."""


def open_odometry(s: OdometryData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.datasets.kitti.reader import KittiSettings
    from mono2many.datasets.kitti.splits import split_frames
    from mono2many.datasets.kitti_odometry.reader import OdometryReader

    frames = tuple(split_frames(KITTI_ODOMETRY.name, split))
    how = (options.height, options.width, options.offsets, s.intrinsics, options.resize, s.allow_missing)
    return OdometryReader(KittiSettings(s.root, frames, *how, KITTI_ODOMETRY.name), s.grey)


def trajectories(s: OdometryScoring) -> TrajectorySet:
    from mono2many.datasets.kitti_odometry.test_list import trajectory_set

    return trajectory_set(s.root, s.sequences, s.grey, s.allow_missing)


def write_street(*arguments: Any) -> Path:
    from mono2many.datasets.kitti_odometry.street import write_odometry_street

    return write_odometry_street(*arguments)


KITTI_ODOMETRY = Dataset(
    name="kitti_odometry",
    summary="KITTI's odometry sequences; trajectories are scored",
    family="kitti",
    settings=OdometryData,
    training=OdometryTraining,
    scoring=OdometryScoring,
    open=open_odometry,
    trajectories=trajectories,
    listed=True,
    layout="odometry",
    layout_holds="KITTI's sequences with poses",
    write_street=write_street,
    marks=lambda settings: ["kitti_odometry"],
)
