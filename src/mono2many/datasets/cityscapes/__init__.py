"""Cityscapes as a data set: its snippets of 30 frames (Cordts et al. 2016)."""

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

EGO_VEHICLE = 0.25
"""Share of the height that the ego vehicle takes."""


@dataclass(frozen=True)
class CityData(RootSettings):
    """How it is read."""

    allow_missing: bool = False
    """Use what is there where frames of a split or list are missing."""

    @property
    def crop_bottom(self) -> float:
        return EGO_VEHICLE


@dataclass(frozen=True)
class CityTraining(CityData):
    """How it is trained on."""

    split_files: tuple[str, ...] = ()
    """Two lists of frames instead of its own, training and validation, a line `aachen_000000_000019` for
    each."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How images are brought to training size, here and in every later use of the model."""

    def __post_init__(self) -> None:
        if len(self.split_files) not in (0, 2):
            raise InputError("--split-files: training wants two lists, TRAIN.txt VAL.txt")


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
            raise InputError("--split-files: scoring wants one list")


def open_cityscapes(s: CityData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.datasets.cityscapes.reader import CityReader, CitySettings

    lists = s.split_files if isinstance(s, CityTraining) else ()
    listed = lists[0 if split == "train" else -1] if lists else None
    how = (options.height, options.width, options.offsets, options.resize, s.allow_missing)
    return CityReader(CitySettings(s.root, listed, *how), split)


def test_list(s: CityScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    from mono2many.datasets.cityscapes.test_list import cityscapes_eval_set

    return cityscapes_eval_set(
        s.root,
        s.split,
        protocol,
        list_file=s.split_files[0] if s.split_files else None,
        allow_missing=s.allow_missing,
        needs_images=card is not None,
    )


def marks(s: CityTraining) -> list[str]:
    from mono2many.datasets.cityscapes.reader import city_marks

    return city_marks(s.root, s.split_files[0] if s.split_files else None)


def write_street(*arguments: Any) -> Path:
    from mono2many.datasets.cityscapes.street import write_city_street

    return write_city_street(*arguments)


CITYSCAPES = Dataset(
    name="cityscapes",
    summary="Cityscapes' snippets; test frames are scored by their stereo disparity",
    settings=CityData,
    training=CityTraining,
    scoring=CityScoring,
    open=open_cityscapes,
    protocols=("cityscapes-80m",),
    test_list=test_list,
    listed=True,
    marks=marks,
    layout="cityscapes",
    layout_holds="snippets with cameras and disparities",
    write_street=write_street,
)
