"""DDAD as a data set, or any in TRI's DGP layout (Guizilini et al. 2020)."""

from dataclasses import dataclass

from mono2many.datasets.base import Dataset, ResizeOption, RootSettings, TestListOptions, imported_later
from mono2many.errors import InputError


@dataclass(frozen=True)
class DdadData(RootSettings):
    """How it is read."""

    cameras: tuple[str, ...] = ("CAMERA_01",)
    """Cameras of the rig by name, CAMERA_01 looks ahead; `all`: every one."""
    max_gap: float = 0.15
    """Seconds; frames further apart are not neighbours. DDAD has a frame every 0.1 s."""
    masks: str | None = None
    """Folder with a CAMERA.png for cameras that see the ego vehicle, black where they do: these pixels are
    left out of losses and scores."""

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InputError("--cameras: name a camera or more, such as CAMERA_01, or all")
        _seconds("--max-gap", self.max_gap)


@dataclass(frozen=True)
class DdadTraining(ResizeOption, DdadData):
    """How it is trained on."""


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


DDAD = Dataset(
    name="ddad",
    summary="DDAD, or another data set in TRI's DGP layout; its train and val scenes",
    settings=DdadData,
    training=DdadTraining,
    scoring=DdadScoring,
    open=imported_later("mono2many.datasets.ddad.reader:open_ddad"),
    protocols=("ddad-200m",),
    test_list=imported_later("mono2many.datasets.ddad.reader:ddad_eval_set"),
    listed=True,
    absent="--data needs the data set's folder or its JSON",
    marks=imported_later("mono2many.datasets.ddad.reader:marks"),
    layout="dgp",
    layout_holds="DDAD with three cameras, laser scans, calibration and poses",
    write_street=imported_later("mono2many.datasets.ddad.street:write_dgp_street"),
)
