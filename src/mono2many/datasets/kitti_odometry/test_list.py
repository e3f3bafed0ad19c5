"""What trajectories are scored on: sequences of KITTI odometry with measured poses.

They are camera 0's, as the papers take them, also where the images are those of the colour camera 6 cm beside
it.
"""

from pathlib import Path

from mono2many.data.marker import marked_synthetic
from mono2many.datasets.kitti.splits import ODOMETRY, KittiFrame, as_raw, seen_frames
from mono2many.datasets.kitti_odometry import OdometryScoring
from mono2many.datasets.kitti_odometry.reader import SOURCE, open_sequence
from mono2many.evaluate.frames import TrajectorySequence, TrajectorySet
from mono2many.types import InputError

TESTS = ("09", "10")
"""The papers' sequences."""


def trajectory_set(s: OdometryScoring) -> TrajectorySet:
    """Sequences by name, by default TESTS, or, where neither is there, those with poses. Raises InputError
    for files that are missing."""
    sequences = [_sequence(s, name) for name in s.sequences or _default(s.root)]
    return TrajectorySet(ODOMETRY, sequences, marked_synthetic(s.root), seen_frames)


def _default(root: Path) -> list[str]:
    there = [path.name for path in sorted((root / "sequences").glob("*")) if path.is_dir()]
    names = [n for n in there if n in TESTS] or [n for n in there if (root / "poses" / f"{n}.txt").exists()]
    if not names:
        raise InputError(
            f"{root}: no sequence with poses to score against (poses/NN.txt beside sequences/NN); "
            f"{SOURCE.format('poses.zip, _color.zip')}"
        )
    return names


def _sequence(s: OdometryScoring, name: str) -> TrajectorySequence:
    """All of its images must be there, from the first on, with their poses."""
    x = open_sequence(s.root, name, "l", s.grey, s.allow_missing)
    files = {} if x is None else x.files
    listed = max(files, default=-1) + 1
    if x is None or len(files) < max(2, listed):
        raise InputError(
            f"{s.root / 'sequences' / name}: {len(files)} images of {listed}, wanted two or more, no gap; "
            f"{SOURCE.format('color.zip')}, or name others: --sequences"
        )
    if x.poses is None:
        raise InputError(
            f"{s.root / 'poses' / name}.txt: no such file, no poses to score against (KITTI has those of 00 "
            f"to 10); {SOURCE.format('poses.zip')}, or name others: --sequences"
        )
    images = x.images()
    keys = [as_raw(KittiFrame(name, number, x.eye)) for number in range(len(files))]
    return TrajectorySequence(
        name, lambda number: images[number].image(), x.intrinsics, x.poses[: len(files)], keys, x.camera < 2
    )
