"""The frames of KITTI raw and odometry that the field trains and tests on, and lists of one's own.

The lists are facts (Eigen et al. 2014, Zhou et al. 2017, Uhrig et al. 2017), kept packed in splits.txt.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Literal, cast

from mono2many.data.lists import consecutive, read_list
from mono2many.files import brief
from mono2many.types import InputError, Split

Eye = Literal["l", "r"]

RANGE = r"\d{1,6}(-\d{1,6})?"
"""Of frames, in packed lines."""
TRAINING_SPLITS = ("kitti_eigen_zhou", "kitti_eigen_full", "kitti_benchmark")
TEST_SPLITS = ("kitti_eigen", "kitti_eigen_benchmark")
OWN_LISTS = "kitti"
"""The datatype of lists in the reference format."""
ODOMETRY = "kitti_odometry"
SEQUENCES = {
    "00": ("2011_10_03_drive_0027_sync", 0),
    "01": ("2011_10_03_drive_0042_sync", 0),
    "02": ("2011_10_03_drive_0034_sync", 0),
    "03": ("2011_09_26_drive_0067_sync", 0),
    "04": ("2011_09_30_drive_0016_sync", 0),
    "05": ("2011_09_30_drive_0018_sync", 0),
    "06": ("2011_09_30_drive_0020_sync", 0),
    "07": ("2011_09_30_drive_0027_sync", 0),
    "08": ("2011_09_30_drive_0028_sync", 1100),
    "09": ("2011_09_30_drive_0033_sync", 0),
    "10": ("2011_09_30_drive_0034_sync", 0),
}
"""The drive of KITTI raw that each sequence with known poses is, and the frame that it begins with."""


@dataclass(frozen=True, order=True)
class KittiFrame:
    """One image of KITTI raw or odometry."""

    drive: str
    """For example 2011_09_26_drive_0002_sync, or an odometry sequence such as 09."""
    number: int
    eye: Eye = "l"
    """l: image_02, r: image_03."""

    @property
    def date(self) -> str:
        """Whose calibration it has."""
        return self.drive[:10]

    def __str__(self) -> str:
        return f"{self.date}/{self.drive} {self.number} {self.eye}"


@cache
def split_frames(name: str, part: Split) -> tuple[KittiFrame, ...]:
    """The frames of a split in a fixed order: `train` or `val` of TRAINING_SPLITS, `test` of TEST_SPLITS (in
    the order in which published files of predictions are stored), any part of ODOMETRY."""
    assert name == ODOMETRY or (part == "test") == (name in TEST_SPLITS), f"{name} has no part {part}"
    text = files("mono2many.datasets.kitti").joinpath("splits.txt").read_text(encoding="utf-8")
    listed = re.search(rf"^\[{name} {part}\]\n([^\[]*)", text, re.MULTILINE)
    assert listed, f"no split {name} {part}"
    return tuple(unpack(listed[1].splitlines()))


def unpack(lines: Iterable[str]) -> Iterator[KittiFrame]:
    """Frames of packed lines such as `2011_09_26_drive_0001_sync l 1-15,17`."""
    for line in lines:
        drive, eye, ranges = line.split()
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield KittiFrame(drive, number, cast(Eye, eye))


def pack(frames: Iterable[KittiFrame]) -> list[str]:
    """The opposite, in rising order."""
    lines = []
    ordered = sorted(set(frames), key=lambda f: (f.drive, f.eye, f.number))
    for (drive, eye), group in groupby(ordered, lambda f: (f.drive, f.eye)):
        runs = [f"{a}-{b}" if b > a else f"{a}" for a, b in consecutive([f.number for f in group])]
        lines.append(f"{drive} {eye} {','.join(runs)}")
    return lines


def seen_frames(seen: Iterable[str]) -> set[KittiFrame]:
    """What a model's card says of its training (names of training splits, packed lines) as frames of KITTI
    raw. Other words, such as another data set's name, hold none."""
    frames: set[KittiFrame] = set()
    for text in dict.fromkeys(seen):
        if text == ODOMETRY:
            frames |= {as_raw(f) for f in split_frames(text, "train") + split_frames(text, "val")}
        elif text in TRAINING_SPLITS:
            frames.update(split_frames(text, "train"), split_frames(text, "val"))
        elif re.match(r"\S+_drive_\d+_sync ", text):
            packed = re.fullmatch(rf"\S+ [lr] {RANGE}(,{RANGE})*", text, re.ASCII)
            if packed is None:
                raise InputError(
                    f"a model's config.json: key 'seen' holds {brief(text)}, wanted a drive, l or r and "
                    "numbers of frames such as 1-15,17; copy it again"
                )
            frames |= set(unpack([text]))
    return frames


def as_raw(frame: KittiFrame) -> KittiFrame:
    """The image of KITTI raw that one of an odometry sequence is (as it is where no one has said)."""
    drive, first = SEQUENCES.get(frame.drive, (frame.drive, 0))
    return KittiFrame(drive, frame.number + first, frame.eye)


def read_split_file(path: str | Path) -> tuple[KittiFrame, ...]:
    """A list of one's own in the reference format: `2011_09_26/2011_09_26_drive_0001_sync 69 l` in each line.
    InputError, naming file and line, where it is not so."""

    def parse(line: str) -> KittiFrame | None:
        found = re.fullmatch(
            r"(?:(\d{4}_\d\d_\d\d)[/\\])?((\d{4}_\d\d_\d\d)_drive_\d{4}_sync)\s+(\d{1,10})\s+([lr])",
            line,
            re.ASCII,
        )
        if found is None or found[1] not in (None, found[3]):
            return None
        return KittiFrame(found[2], int(found[4]), cast(Eye, found[5]))

    return tuple(read_list(path, parse, "2011_09_26/2011_09_26_drive_0001_sync 69 l"))
