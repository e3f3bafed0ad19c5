"""Draw the laser scans of a data set in DDAD's layout over the pictures of its cameras, near to far.

python examples/lidar_views.py FOLDER OUT            the first sample of every scene, every camera
"""

from pathlib import Path

import torch
import tyro
from torch.nn import functional as F

from mono2many.datasets.ddad.dgp import ALL, read_runs, scan_depth
from mono2many.io.colour import colour_disparity
from mono2many.io.images import resize_image, write_image
from mono2many.types import Split


def main(
    folder: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    split: Split = "train",
    number: int = 0,
    width: int = 968,
    largest_gap: float = 1.5,
) -> None:
    for run in read_runs(folder, split, [ALL], largest_gap, max_lag=0.25):
        frame = run[number]
        depth, image = scan_depth(frame), frame.image.image()
        height = round(image.shape[1] * width / image.shape[2])
        # the nearest point within a drawn dot
        near = F.adaptive_max_pool2d((1 / depth).nan_to_num(0)[None], (height, width))
        near = F.max_pool2d(near, 3, 1, 1)[0]
        dots = colour_disparity(near.log2(), low=-6.5, high=-1.0)  # 90 m to 2 m
        drawn = torch.where(near > 0, dots, resize_image(image, (height, width)))
        path = out / f"{frame}.jpg".replace(" ", "_")
        write_image(path, drawn)
        seen = depth[depth.isfinite()]
        low, high, middle = float(seen.min()), float(seen.max()), float(seen.median())
        print(f"{path}: {len(seen)} pixels, {low:.1f} to {high:.1f} m, median {middle:.1f} m")


if __name__ == "__main__":
    tyro.cli(main)
