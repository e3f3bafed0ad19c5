"""The embedded street in KITTI odometry's layout: trajectories can be tried without KITTI.

Camera 2 (image_2) drives along the street; the poses are camera 0's, 6 cm beside it, as KITTI's are.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mono2many.datasets.kitti.street import FEWEST, PLACES, SECONDS
from mono2many.geometry.pose import invert
from mono2many.io.images import write_image
from mono2many.io.trajectories import write_poses
from mono2many.street.reader import StreetSettings, build_street, camera, draw
from mono2many.street.tree import Jobs, made, write_tree
from mono2many.types import InputError, Split

SHOWS: dict[str, Split] = {
    "07": "train",
    "09": "test",
    "04": "train",
    "10": "test",
    **dict.fromkeys(("00", "01", "02", "03", "05", "06"), "train"),
}
"""Sequence to the part of the streets that it shows. Of 07 the lists name frames for both parts soonest."""


def write_odometry_street(
    root: Path,
    sequences: int = 10,
    frames: int = 72,
    height: int = 192,
    width: int = 640,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> Path:
    """Write the first of SHOWS below `root`, which it returns: see write_tree."""
    if not 2 <= sequences <= len(SHOWS):
        raise InputError(f"--drives must lie in 2 .. {len(SHOWS)}, got {sequences}; try 10")
    if frames < FEWEST:
        raise InputError(f"--frames must be at least {FEWEST}, got {frames}; try 72")
    settings, names = StreetSettings(len(SHOWS), frames, height, width, seed), list(SHOWS)[:sequences]
    about: dict[str, object] = {
        "what": "an embedded street of mono2many in the layout of KITTI odometry; nothing in it is KITTI's",
        "sequences": {name: [0, frames - 1] for name in names},
        "size": [height, width],
        "seed": seed,
    }

    def jobs(part: Path) -> Jobs[tuple[str, int]]:
        focal, cx, cy = 0.58 * width, (width - 1) / 2, (height - 1) / 2
        k = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
        lines = [
            f"P{int(n)}: {' '.join(f'{v:.12e}' for v in np.ravel(k @ np.column_stack([np.eye(3), place])))}\n"
            for n, place in PLACES.items()
        ]
        eye_from_first = torch.eye(4, dtype=torch.float64)
        eye_from_first[:3, 3] = torch.tensor(PLACES["02"])
        for name in names:
            folder = part / "sequences" / name
            made(folder / "calib.txt").write_text("".join(lines))
            times = [SECONDS * i for i in range(frames)]
            (folder / "times.txt").write_text("".join(f"{t:.6e}\n" for t in times))
            poses = torch.stack([_pose(settings, name, i) for i in range(frames)]) @ eye_from_first
            write_poses(part / "poses" / f"{name}.txt", invert(poses[0]) @ poses, "kitti", times)
        return Jobs(
            partial(write_frame, part, settings), [(name, i) for name in names for i in range(frames)]
        )

    return write_tree(root, about, jobs, progress, workers)


def _pose(settings: StreetSettings, name: str, index: int) -> Tensor:
    """world_from_camera of camera 2."""
    street = build_street(settings, SHOWS[name], list(SHOWS).index(name))
    return torch.from_numpy(camera(street, settings, index).world_from_camera)


def write_frame(root: Path, settings: StreetSettings, place: tuple[str, int]) -> None:
    """The picture of one frame of a sequence."""
    name, index = place
    street = build_street(settings, SHOWS[name], list(SHOWS).index(name))
    picture = draw(street, camera(street, settings, index), index)
    path = root / "sequences" / name / "image_2" / f"{index:06d}.jpg"
    write_image(path, torch.from_numpy(picture.image))
