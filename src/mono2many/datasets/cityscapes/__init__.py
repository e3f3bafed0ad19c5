"""Cityscapes as a data set: its snippets of 30 frames (Cordts et al. 2016)."""

from dataclasses import dataclass
from typing import Literal

from mono2many.datasets.base import Dataset, ResizeOption, RootSettings, TestListOptions, imported_later
from mono2many.errors import InputError

EGO_VEHICLE = 0.25
"""Share of the height that the ego vehicle takes."""


@dataclass(frozen=True)
class CityData(RootSettings):
    """How it is read."""

    allow_missing: bool = False
    """Use the frames that are there where frames of a split or list are missing."""

    @property
    def crop_bottom(self) -> float:
        return EGO_VEHICLE


@dataclass(frozen=True)
class CityTraining(ResizeOption, CityData):
    """How it is trained on."""

    split_files: tuple[str, ...] = ()
    """Two lists of frames instead of the official ones, training and validation, a line
    `aachen_000000_000019` for each."""

    def __post_init__(self) -> None:
        if len(self.split_files) not in (0, 2):
            raise InputError("--split-files: training needs two lists, TRAIN.txt VAL.txt")


@dataclass(frozen=True)
class CityScoring(TestListOptions, CityData):
    """How it is scored on."""

    split: Literal["val", "test"] = "test"
    """Which annotated frames."""
    split_files: tuple[str, ...] = ()
    """A list of frames instead."""

    def __post_init__(self) -> None:
        TestListOptions.__post_init__(self)
        if len(self.split_files) > 1:
            raise InputError("--split-files: scoring needs one list")


CITYSCAPES = Dataset(
    name="cityscapes",
    summary="Cityscapes' snippets; test frames are scored by their stereo disparity",
    settings=CityData,
    training=CityTraining,
    scoring=CityScoring,
    open=imported_later("mono2many.datasets.cityscapes.reader:open_cityscapes"),
    protocols=("cityscapes-80m",),
    test_list=imported_later("mono2many.datasets.cityscapes.reader:cityscapes_eval_set"),
    listed=True,
    absent="--data needs the folder where Cityscapes was unpacked",
    marks=imported_later("mono2many.datasets.cityscapes.reader:marks"),
    layout="cityscapes",
    layout_holds="snippets with cameras and disparities",
    write_street=imported_later("mono2many.datasets.cityscapes.street:write_city_street"),
)
