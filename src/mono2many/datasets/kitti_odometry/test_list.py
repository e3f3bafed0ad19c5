"""What trajectories are scored on: sequences of KITTI odometry with measured poses.

They are camera 0's, as the papers take them, also where the images are those of the colour camera 6 cm beside
it.
"""

from pathlib import Path

from mono2many.data.marker import marked_synthetic
from mono2many.datasets.kitti.splits import ODOMETRY, KittiFrame, as_raw, seen_frames
from mono2many.datasets.kitti_odometry.reader import SOURCE, OdometrySequence, open_sequence
from mono2many.evaluate.frames import TrajectorySequence, TrajectorySet
from mono2many.types import InputError

TESTS = ("09", "10")
"""The papers' sequences."""


def trajectory_set(
    root: Path, names: tuple[str, ...] = (), grey: bool = False, allow_missing: bool = False
) -> TrajectorySet:
    """Sequences by name, by default TESTS, or, where neither is there, those with poses. Raises InputError
    for files that are missing."""
    sequences = [_scored(root, name, grey, allow_missing) for name in names or _default(root)]
    return TrajectorySet(ODOMETRY, sequences, marked_synthetic(root), seen_frames)


def _scored(root: Path, name: str, grey: bool, allow_missing: bool) -> TrajectorySequence:
    x = _opened(root, name, grey, allow_missing)
    assert x.poses is not None, "_opened saw to it"
    keys = [as_raw(KittiFrame(x.name, number, x.eye)) for number in x.files]
    return TrajectorySequence(x.name, x.image, x.intrinsics, x.poses[: len(x.files)], keys, x.camera < 2)


def _default(root: Path) -> list[str]:
    there = [path.name for path in sorted((root / "sequences").glob("*")) if path.is_dir()]
    names = [n for n in there if n in TESTS] or [n for n in there if (root / "poses" / f"{n}.txt").exists()]
    if not names:
        raise InputError(
            f"{root}: no sequence with poses to score against (poses/NN.txt beside sequences/NN); "
            f"{SOURCE.format('poses.zip, _color.zip')}"
        )
    return names


def _opened(root: Path, name: str, grey: bool, allow_missing: bool) -> OdometrySequence:
    """All of its images are there, from the first on, with their poses."""
    sequence = open_sequence(root, name, "l", grey, allow_missing)
    if sequence is None:
        raise InputError(
            f"{root / 'sequences' / name}: no images (image_2 or image_0); {SOURCE.format('color.zip')}, or "
            "name others: --sequences"
        )
    missing = max(sequence.files) + 1 - len(sequence.files)
    if missing:
        raise InputError(
            f"{sequence.folder}: {missing} of the images up to {max(sequence.files)} are missing, and the "
            f"way is chained from each to the next; {SOURCE.format('color.zip')} again"
        )
    if sequence.poses is None:
        raise InputError(
            f"{root / 'poses' / name}.txt: no such file, no poses to score against (KITTI has those of 00 "
            f"to 10); {SOURCE.format('poses.zip')}, or name others: --sequences"
        )
    if len(sequence.files) < 2:
        raise InputError(f"{sequence.folder}: one image shows no motion; name others: --sequences")
    return sequence
