"""The procedural street in KITTI odometry's layout: trajectories can be tried without KITTI.

Camera 2 (image_2) drives along the street; the poses are camera 0's, 6 cm beside it, as KITTI's are.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from mono2many.datasets.kitti.street import FEWEST, PLACES, SECONDS, numbers
from mono2many.files import write_text
from mono2many.geometry.pose import invert
from mono2many.io.images import write_image
from mono2many.io.trajectories import write_poses
from mono2many.street.reader import StreetSettings, build_street, camera, draw
from mono2many.street.scene import Street
from mono2many.street.tree import Begun, StreetTree, world_from_camera
from mono2many.types import InputError, Split

SHOWS: dict[str, Split] = {
    "07": "train",
    "09": "test",
    "04": "train",
    "10": "test",
    **dict.fromkeys(("00", "01", "02", "03", "05", "06"), "train"),
}
"""Sequence to the part of the streets that it shows. Of 07 the lists name frames for both parts soonest."""


def write_odometry_street(tree: StreetTree) -> Path:
    """Write the first of SHOWS: see StreetTree.write."""
    tree.need("drives", 2, len(SHOWS))
    if tree.frames < FEWEST:
        raise InputError(f"--frames must be at least {FEWEST}, got {tree.frames}; try 72")
    settings, names = tree.settings(len(SHOWS), tree.frames), list(SHOWS)[: tree.drives]

    def begin(part: Path) -> Begun:
        focal, cx, cy = 0.58 * tree.width, (tree.width - 1) / 2, (tree.height - 1) / 2
        k = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
        projections = {int(n): k @ np.column_stack([np.eye(3), place]) for n, place in PLACES.items()}
        calibration = "".join(f"P{n}: {numbers(p, '.12e')}\n" for n, p in projections.items())
        eye_from_first = torch.eye(4, dtype=torch.float64)
        eye_from_first[:3, 3] = torch.tensor(PLACES["02"])
        times = [SECONDS * i for i in range(tree.frames)]
        for name in names:
            street, folder = _street(settings, name), part / "sequences" / name
            write_text(folder / "calib.txt", calibration)
            write_text(folder / "times.txt", "".join(f"{t:.6e}\n" for t in times))
            eyes = torch.stack([world_from_camera(street, settings, i) for i in range(tree.frames)])
            poses = eyes @ eye_from_first
            write_poses(part / "poses" / f"{name}.txt", invert(poses[0]) @ poses, "kitti", times)
        every = [(name, i) for name in names for i in range(tree.frames)]
        return partial(write_frame, part, settings), every

    what = "a procedural street of mono2many in the layout of KITTI odometry; nothing in it is KITTI's"
    return tree.write(what, {"sequences": {name: [0, tree.frames - 1] for name in names}}, begin)


def _street(settings: StreetSettings, name: str) -> Street:
    return build_street(settings, SHOWS[name], list(SHOWS).index(name))


def write_frame(root: Path, settings: StreetSettings, which: tuple[str, int]) -> None:
    """The image of one frame of a sequence."""
    name, index = which
    street = _street(settings, name)
    drawn = draw(street, camera(street, settings, index), index)
    path = root / "sequences" / name / "image_2" / f"{index:06d}.jpg"
    write_image(path, torch.from_numpy(drawn.image))
