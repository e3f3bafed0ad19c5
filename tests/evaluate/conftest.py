"""A tiny tree in KITTI's layout."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from mono2many.datasets.kitti.files import image_path, velodyne_path
from mono2many.datasets.kitti.splits import KittiFrame
from mono2many.io.images import write_image

Tree = Callable[..., Path]


@pytest.fixture
def kitti_tree() -> Tree:
    """tree(root, frames, distance=10): pictures of 40x16 pixels of a camera that sits in the scanner, focal
    length 10, centre 20, 10; the scanner sees a wall of 7x5 points at that distance."""

    def tree(root: Path, frames: Iterable[KittiFrame], distance: float = 10.0) -> Path:
        wall = [[distance, y, z, 0] for y in range(-3, 4) for z in range(-4, 1)]
        for frame in frames:
            scan, image = velodyne_path(root, frame), image_path(root, frame)
            scan.parent.mkdir(parents=True, exist_ok=True)
            np.array(wall, np.float32).tofile(scan)
            write_image(image, torch.randint(256, (3, 16, 40), dtype=torch.uint8))
            eyes = "".join(
                f"S_rect_{n}: 40 16\nP_rect_{n}: 10 0 20 0 0 10 10 0 0 0 1 0\n" for n in ("02", "03")
            )
            date = root / frame.date
            (date / "calib_cam_to_cam.txt").write_text(f"R_rect_00: 1 0 0 0 1 0 0 0 1\n{eyes}")
            (date / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
        return root

    return tree
