"""The procedural street in Cityscapes' layout: snippets, a camera for each, disparities, a hood."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mono2many.datasets.cityscapes.reader import AFTER, BEFORE, HOOD, CityCamera, Snippet
from mono2many.files import write_text
from mono2many.geometry.camera import intrinsics_matrix
from mono2many.io.depth_files import write_depth_png16
from mono2many.io.images import write_image
from mono2many.street.reader import StreetSettings, build_street
from mono2many.street.tree import Begun, StreetTree, see_through, world_from_camera
from mono2many.types import InputError, Split

BASELINE = 0.22
LENGTH = BEFORE + 1 + AFTER


def write_city_street(tree: StreetTree) -> Path:
    """Write snippets, of each the frames (at most 30) around the annotated one: see StreetTree.write. One of
    five is for validation and one for scoring."""
    drives, height = tree.drives, tree.height
    if drives < 3 or height % 4:
        raise InputError(
            f"--drives {drives} --height {height}: Cityscapes' layout needs 3 snippets or more (to train on, "
            "to validate on, to score) and a height that four divides"
        )
    frames = min(tree.frames, LENGTH)
    settings = tree.settings(drives, LENGTH, step=0.6)

    def begin(part: Path) -> Begun:
        first = BEFORE - round(frames * BEFORE / LENGTH)
        for scene in range(drives):
            (fx, _, cx), (_, fy, cy), _ = lens(settings, scene).intrinsics.tolist()
            k = {"fx": fx, "fy": fy, "u0": cx, "v0": cy}
            text = {"extrinsic": {"baseline": BASELINE}, "intrinsic": k, "size": [height, tree.width]}
            write_text(snippet(part, scene).path("camera"), json.dumps(text))
        every = [(scene, number) for scene in range(drives) for number in range(first, first + frames)]
        return partial(write_frame, part, settings), every

    what = "a procedural street of mono2many in the layout of Cityscapes; nothing in it is Cityscapes'"
    return tree.write(what, {"drives": [drives, frames]}, begin)


def snippet(root: Path, scene: int) -> Snippet:
    """Its cities are called after their splits."""
    splits: dict[int, Split] = {1: "val", 2: "test"}
    split = splits.get(scene % 5, "train")
    return Snippet(root, split, f"{split}ville", f"{scene:06d}", BEFORE, {})


def lens(settings: StreetSettings, scene: int) -> CityCamera:
    height, width = settings.height, settings.width
    focal = (0.8 + 0.02 * scene) * width
    cx, cy = (width - 1) / 2 - round(0.01 * width), (height - 1) / 2 - round(0.02 * height)
    return CityCamera(intrinsics_matrix(focal, focal, cx, cy), BASELINE, (height, width))


def write_frame(root: Path, settings: StreetSettings, which: tuple[int, int]) -> None:
    """The picture, and of an annotated frame the disparity: nonsense where the hood is, as in real ones."""
    (scene, number), (height, width) = which, (settings.height, settings.width)
    of, eye = snippet(root, scene), lens(settings, scene)
    street = build_street(settings, of.split, scene)
    pose = world_from_camera(street, settings, number)
    focal, cx, cy = (float(eye.intrinsics[place]) for place in ((0, 0), (0, 2), (1, 2)))
    image, depth = see_through(street, (focal, cx, cy), (height, width), pose, number)
    row, column = np.mgrid[:height, :width]
    hood = row >= height * (1 - HOOD + 0.15 * (2 * column / width - 1) ** 2)
    image[:, hood] = (40 + 60 * (height - row[hood]) / (HOOD * height)).astype(np.uint8)
    folder = root / "leftImg8bit_sequence" / of.split / of.city
    write_image(folder / f"{of.city}_{of.sequence}_{number:06d}_leftImg8bit.png", torch.from_numpy(image))
    if number == of.annotated:
        disparity = BASELINE * focal / torch.from_numpy(np.where(hood, 1.0, depth))
        write_depth_png16(of.path("disparity"), disparity + 1 / 256)
