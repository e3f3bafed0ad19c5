"""The embedded street as a data set: drawn when it is read, with exact depth."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import tyro

from mono2many.datasets.base import (
    Dataset,
    DatasetSettings,
    DepthOptions,
    EvalSet,
    ModelCard,
    Protocol,
    Reader,
    ReadOptions,
    Split,
    at_least,
    imported_later,
)
from mono2many.errors import InputError


@dataclass(frozen=True)
class StreetData(DatasetSettings):
    """Which streets."""

    scene_frames: int = 4
    """Frames of each street."""
    scene_step: float = 0.75
    """How far the camera drives from frame to frame, metres; each street a quarter more or less."""
    variety: Literal["town", "wide"] = "town"
    """town: town streets by day, one lens. wide: all kinds of road, traffic, light and camera."""
    drive: Literal["steady", "stop-and-go"] = "steady"
    """steady: each street at one speed. stop-and-go: the camera halts and creeps in a queue of cars and
    lorries; --scene-step sets how fast at most."""

    scenes: tyro.conf.Suppress[int] = 320

    def __post_init__(self) -> None:
        if self.scene_frames < 3:
            raise InputError(
                f"--scene-frames must be at least 3 (a frame and two neighbours), got {self.scene_frames}"
            )

    def count(self, split: Split) -> int:
        """How many streets a split has."""
        return self.scenes

    def at_most(self, frames: int) -> DatasetSettings:
        return replace(self, scenes=math.ceil(frames / (self.scene_frames - 2)))


@dataclass(frozen=True)
class StreetTraining(StreetData):
    """Streets to train on."""

    scenes: int = 320
    """Streets to train on."""
    val_scenes: int = 16
    """Streets to validate on, other ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("--scenes", self.scenes, 1)
        at_least("--val-scenes", self.val_scenes, 1)

    def count(self, split: Split) -> int:
        return self.scenes if split == "train" else self.val_scenes


@dataclass(frozen=True)
class StreetScoring(DepthOptions, StreetData):
    """Streets to score on."""

    split: Literal["val", "test"] = "test"
    """Which unseen streets."""
    test_scenes: int = 24
    """Streets to score on; neither training nor validation sees them."""
    baseline_scenes: int = 64
    """Training streets from which the baselines (mean log depth, constant) are made."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("--test-scenes", self.test_scenes, 1)
        at_least("--baseline-scenes", self.baseline_scenes, 1)

    def count(self, split: Split) -> int:
        return self.baseline_scenes if split == "train" else self.test_scenes


def open_street(s: StreetData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.street.reader import StreetSettings, SyntheticReader

    size = (options.height, options.width)
    scenes = s.count(split)
    return SyntheticReader(
        StreetSettings(scenes, s.scene_frames, *size, step=s.scene_step, variety=s.variety, drive=s.drive),
        split,
    )


def test_list(s: StreetScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """Every other frame that has all neighbours, at the size that the model was trained at. The baselines are
    made of the first frame of each training street."""
    from mono2many.evaluate.frames import EvalSet, reader_frames
    from mono2many.models.architecture import matching_of

    assert card is not None, "there is no file of predictions for streets"
    options = ReadOptions(card.height, card.width, resize=card.resize)
    reader, training = open_street(s, options, s.split), open_street(s, options, "train")
    matching = matching_of(card.architecture)
    first, last = -min((0, *matching)), max((0, *matching))
    frames = range(first, s.scene_frames - last, 2)
    if not frames:
        raise InputError(
            f"--scene-frames {s.scene_frames}: no frame has all neighbours that this model matches "
            f"({' '.join(map(str, matching))}); ask for at least {first + last + 1}"
        )
    places = [(street, index) for street in range(len(reader.clips)) for index in frames]
    return EvalSet(
        "unseen streets",
        reader_frames(reader, places),
        len(places),
        protocol,
        baseline_frames=[partial(training.frame, street, 0) for street in range(len(training.clips))],
    )


STREET = Dataset(
    name="synthetic",
    summary="the embedded street, with exact depth",
    settings=StreetData,
    training=StreetTraining,
    scoring=StreetScoring,
    open=open_street,
    exact_depth=True,
    protocols=("synthetic-80m",),
    test_list=test_list,
    prepare=imported_later("mono2many.commands.prepare_synthetic:run"),
    preparation="the embedded street in the layout of another data set",
)
