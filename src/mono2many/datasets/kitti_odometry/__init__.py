"""KITTI odometry as a data set: sequences to train on, and to score trajectories on."""

from dataclasses import dataclass

from mono2many.datasets.base import Dataset, ResizeOption, TrajectoryOptions, imported_later
from mono2many.datasets.kitti import KittiData


@dataclass(frozen=True)
class OdometryData(KittiData):
    """How the sequences are read."""

    grey: bool = False
    """Read the grey images also where there are colour ones."""


@dataclass(frozen=True)
class OdometryTraining(ResizeOption, OdometryData):
    """How the sequences are trained on."""


@dataclass(frozen=True)
class OdometryScoring(TrajectoryOptions, OdometryData):
    """How trajectories are scored; by default of 09 and 10."""


KITTI_ODOMETRY = Dataset(
    name="kitti_odometry",
    summary="KITTI's odometry sequences; trajectories are scored",
    family="kitti",
    settings=OdometryData,
    training=OdometryTraining,
    scoring=OdometryScoring,
    open=imported_later("mono2many.datasets.kitti_odometry.reader:open_odometry"),
    trajectories=imported_later("mono2many.datasets.kitti_odometry.reader:trajectory_set"),
    listed=True,
    absent="--data needs the folder with KITTI's sequences and poses",
    layout="odometry",
    layout_holds="KITTI's sequences with poses",
    write_street=imported_later("mono2many.datasets.kitti_odometry.street:write_odometry_street"),
    marks=lambda settings: ["kitti_odometry"],
)
