"""One line per data set: its name on the command line, and how its reader is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mono2many.data.cityscapes import CITYSCAPES, CityReader, CitySettings
from mono2many.data.ddad import DdadReader, DdadSettings
from mono2many.data.kitti import KittiReader, KittiSettings
from mono2many.data.kitti_odometry import OdometryReader
from mono2many.data.kitti_splits import (
    ODOMETRY,
    OWN_LISTS,
    TEST_SPLITS,
    TRAINING_SPLITS,
    read_split_file,
    split_frames,
)
from mono2many.data.video import VideoReader, VideoSettings
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Reader, Split


@dataclass(frozen=True)
class SourceSettings:
    """What any reader may need to know; each takes what concerns it."""

    datatype: str
    height: int
    width: int
    paths: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    fov: float | None = None
    crop_bottom: float = 0.0
    hold_out: float = 0.1
    hold_out_frames: int | None = None
    scenes: int = 320
    scene_frames: int = 4
    scene_step: float = 0.75
    variety: Literal["town", "wide"] = "town"
    seed: int = 0
    split_files: tuple[str, ...] = ()
    intrinsics: Literal["calibrated", "reference"] = "calibrated"
    allow_missing: bool = False
    grey: bool = False
    cameras_used: tuple[str, ...] = ("CAMERA_01",)
    largest_gap: float = 0.15
    masks: str | None = None
    offsets: tuple[int, ...] = (-1, 1)
    """0: the other eye."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"


def open_reader(settings: SourceSettings, split: Split) -> Reader:
    """The reader of a data set's split. Raises InputError for input that cannot be read."""
    return READERS[settings.datatype](settings, split)


def _synthetic(s: SourceSettings, split: Split) -> Reader:
    street = StreetSettings(
        s.scenes, s.scene_frames, s.height, s.width, s.seed, s.scene_step, variety=s.variety
    )
    return SyntheticReader(street, split)


def _video(s: SourceSettings, split: Split) -> Reader:
    return VideoReader(
        VideoSettings(
            s.paths, s.cameras, s.fov, s.height, s.width, s.hold_out, s.hold_out_frames, s.crop_bottom
        ),
        split,
    )


def _kitti(s: SourceSettings, split: Split) -> Reader:
    if s.datatype == OWN_LISTS:
        frames = read_split_file(s.split_files[0 if split == "train" else -1])
    elif s.datatype in TEST_SPLITS:
        frames = split_frames(s.datatype, "test")
    elif s.datatype == ODOMETRY:
        frames = split_frames(ODOMETRY, split)
    else:
        frames = split_frames(s.datatype, "val" if split == "test" else split)
    root = Path(s.paths[0] if s.paths else DATASET)
    rest = (s.height, s.width, s.offsets, s.intrinsics, s.resize, s.allow_missing, s.datatype)
    settings = KittiSettings(root, tuple(frames), *rest)
    return OdometryReader(settings, s.grey) if s.datatype == ODOMETRY else KittiReader(settings)


def _ddad(s: SourceSettings, split: Split) -> Reader:
    root = Path(s.paths[0] if s.paths else DATASET)
    rest = (s.cameras_used, s.largest_gap, s.masks, s.height, s.width, s.resize)
    return DdadReader(DdadSettings(root, *rest), split)


def _cityscapes(s: SourceSettings, split: Split) -> Reader:
    root = Path(s.paths[0] if s.paths else DATASET)
    listed = s.split_files[0 if split == "train" else -1] if s.split_files else None
    rest = (s.height, s.width, s.offsets, s.resize, s.allow_missing)
    return CityReader(CitySettings(root, listed, *rest), split)


DATASET = "dataset"
"""Where KITTI raw, DDAD or Cityscapes lies unless --data says so."""

READERS: Mapping[str, Callable[[SourceSettings, Split], Reader]] = {
    "synthetic": _synthetic,
    "video": _video,
    "ddad": _ddad,
    CITYSCAPES: _cityscapes,
    **dict.fromkeys((*TRAINING_SPLITS, *TEST_SPLITS, OWN_LISTS, ODOMETRY), _kitti),
}
