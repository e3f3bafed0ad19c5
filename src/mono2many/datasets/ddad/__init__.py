"""DDAD as a data set, or any in TRI's DGP layout (Guizilini et al. 2020)."""

from dataclasses import dataclass
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
class DdadData(RootSettings):
    """How it is read."""

    cameras: tuple[str, ...] = ("CAMERA_01",)
    """Cameras of the rig by name, CAMERA_01 looks ahead; `all`: every one."""
    max_gap: float = 0.15
    """Seconds; frames further apart are no neighbours. DDAD has a frame every 0.1 s."""
    masks: str | None = None
    """Folder with a CAMERA.png for cameras that see the ego vehicle, black where they do: these pixels are
    left out of losses and scores."""

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InputError("--cameras: name a camera or more, such as CAMERA_01, or all")
        _seconds("--max-gap", self.max_gap)


@dataclass(frozen=True)
class DdadTraining(DdadData):
    """How it is trained on."""

    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How images are brought to training size, here and in every later use of the model."""


@dataclass(frozen=True)
class DdadScoring(TestListOptions, DdadData):
    """How it is scored on."""

    max_lag: float = 0.25
    """Seconds between an image and its sample's laser scan beyond which they are not compared."""

    def __post_init__(self) -> None:
        DdadData.__post_init__(self)
        TestListOptions.__post_init__(self)
        _seconds("--max-lag", self.max_lag)


def _seconds(flag: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{flag} is a time in seconds above 0, got {value:g}")


def open_ddad(s: DdadData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.datasets.ddad.reader import DdadReader, DdadSettings

    how = (s.cameras, s.max_gap, s.masks, options.height, options.width, options.resize)
    return DdadReader(DdadSettings(s.root, *how), split)


def test_list(s: DdadScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    from mono2many.datasets.ddad.test_list import ddad_eval_set

    return ddad_eval_set(s.root, protocol, s.cameras, s.max_gap, s.max_lag, s.masks)


def marks(s: DdadData) -> list[str]:
    from mono2many.datasets.ddad.dgp import scene_files
    from mono2many.datasets.ddad.reader import scene_mark

    return [scene_mark(name) for name in scene_files(s.root, "train")[1]]


def write_street(*arguments: Any) -> Path:
    from mono2many.datasets.ddad.street import write_dgp_street

    return write_dgp_street(*arguments)


DDAD = Dataset(
    name="ddad",
    summary="DDAD, or another data set in TRI's DGP layout; its train and val scenes",
    settings=DdadData,
    training=DdadTraining,
    scoring=DdadScoring,
    open=open_ddad,
    protocols=("ddad-200m",),
    test_list=test_list,
    listed=True,
    marks=marks,
    layout="dgp",
    layout_holds="DDAD with three cameras, laser scans, calibration and poses",
    write_street=write_street,
)
