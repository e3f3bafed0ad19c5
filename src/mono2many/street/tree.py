"""The embedded street as files in another data set's layout: what these trees have in common.

A street's world and its cameras have x right, y down, z forward; scanners and cars x forward, y left, z up.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from traceback import clear_frames
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mono2many.data.marker import MARKER
from mono2many.files import explained, read_json
from mono2many.street.noise import Array
from mono2many.street.reader import StreetSettings, camera, draw
from mono2many.street.render import View
from mono2many.street.scene import Street
from mono2many.types import InputError

BEAMS, STEP, REACH = np.radians(np.linspace(2, -24.8, 64)), np.radians(0.2), 100.0
"""The scanner's elevations and its step to the side (radians); how far it sees (m)."""
LOST = 0.1
"""Share of the laser points that do not return."""
VIEW_FROM_BODY = torch.tensor([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]).double()
"""From x forward, y left, z up to x right, y down, z forward."""


Lens = tuple[float, float, float]
"""Focal length, cx, cy in pixels."""
Reach = tuple[float, float]
"""How far down and to the sides a scan goes, as tangents."""
Begun = tuple[Callable[[Any], None], Sequence[Any]]
"""What writes the files of an item (picklable), and the items."""


@dataclass(frozen=True)
class StreetTree:
    """A tree to write, and how large."""

    root: Path
    drives: int = 10
    frames: int = 72
    """Of each drive."""
    height: int = 192
    width: int = 640
    seed: int = 0
    progress: Callable[[int, int], None] | None = None
    """Told how many items are written, of how many."""
    workers: int = 2
    """Processes that draw; 0: this one."""

    def need(self, name: str, least: int, most: int) -> None:
        """InputError where `drives` or `frames` are fewer or more."""
        value: int = getattr(self, name)
        if not least <= value <= most:
            near = min(max(value, least), most)
            raise InputError(f"--{name} must lie in {least} .. {most}, got {value}; try {near}")

    def settings(self, scenes: int, frames: int, step: float = 0.75) -> StreetSettings:
        return StreetSettings(scenes, frames, self.height, self.width, self.seed, step)

    def write(self, what: str, size: Mapping[str, object], begin: Callable[[Path], Begun]) -> Path:
        """Write what `begin` (given the folder) and its jobs write below `root`, which this returns. MARKER
        says what lies there. A tree of which it says the same stays as it is.

        InputError where anything else lies in `root`, or it cannot be written.
        """
        pixels = [self.height, self.width]
        about = {"what": what, **size, "size": pixels, "seed": self.seed}
        if _is_written(self.root, about):
            return self.root
        place = self.root.resolve()
        part = place.with_name(f".{place.name}.part")
        remedy = "free some space or give another folder with --out"
        try:
            with explained(f"{self.root}: the street cannot be written", remedy):
                shutil.rmtree(part, ignore_errors=True)
                jobs = _Jobs(*begin(part))
                written = iter(DataLoader(jobs, batch_size=None, num_workers=self.workers))
                try:
                    for done, error in enumerate(written, 1):
                        if error is not None:
                            raise error
                        if self.progress is not None:
                            self.progress(done, len(jobs))
                except BaseException as stop:
                    del written  # ends the loader's processes, which write into what is removed below
                    clear_frames(stop.__traceback__)
                    raise
                text = json.dumps({**about, "version": version("mono2many")}, indent=2)
                (part / MARKER).write_text(text + "\n")
                if place.exists():
                    place.rmdir()
                part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return self.root


@dataclass(frozen=True)
class _Jobs(Dataset[Exception | None]):
    """Asked for number i it writes the files of item i. It returns None, or the error: a loader would wrap a
    raised one into text."""

    write: Callable[[Any], None]
    items: Sequence[Any]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Exception | None:
        try:
            self.write(self.items[number])
        except (InputError, OSError) as error:
            return error
        return None


def _is_written(root: Path, about: Mapping[str, object]) -> bool:
    """Whether this very tree lies there. InputError where something else does."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    remedy = "give a new folder with --out"
    try:
        found = read_json(root / MARKER, remedy)
    except InputError:
        raise InputError(f"{root}: is not empty and holds no synthetic street; {remedy}") from None
    different = [key for key, value in about.items() if found.get(key) != value]
    if different:
        other = ", ".join(different)
        raise InputError(f"{root}: holds a synthetic street of other {other}; delete it, or {remedy}")
    return True


def world_from_camera(street: Street, settings: StreetSettings, index: int) -> Float[Tensor, "4 4"]:
    return torch.from_numpy(camera(street, settings, index).world_from_camera)


def made(path: Path) -> Path:
    """The same, whose folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def see_through(
    street: Street, lens: Lens, size: tuple[int, int], pose: Float[Tensor, "4 4"], index: int
) -> tuple[NDArray[np.uint8], Array]:
    """What a camera of this size (height, width) at `pose` (world_from_camera) sees of a street at a frame:
    image (3 H W) and exact depth (H W, metres, NaN in the sky). A view's principal point is its middle, a
    camera's lies there or to the upper left: more is drawn, and cut off."""
    (height, width), (focal, cx, cy) = size, lens
    tall, wide = (round(2 * (size - 1 - c)) + 1 for size, c in ((height, cy), (width, cx)))
    drawn = draw(street, View(tall, wide, focal, pose.numpy()), index)
    return drawn.image[:, -height:, -width:].copy(), drawn.depth[-height:, -width:].copy()


def cast(
    street: Street, pose: Float[Tensor, "4 4"], reach: Reach, index: int, rng: np.random.Generator
) -> Array:
    """A laser scan, N 4: x forward, y left, z up in the scanner (`pose`: world_from_body), metres,
    and the surface's brightness as reflectance.

    Rays are cast from the scanner itself, through pixels of an image of its own that looks forward: a column
    is a step, and a beam meets in each the pixel nearest to it, less than STEP / 2 away.
    """
    per = 1 / np.tan(STEP)
    down, side = (round(per * tangent) for tangent in reach)
    world_from_view = pose @ VIEW_FROM_BODY.T
    drawn = draw(street, View(2 * down + 1, 2 * side + 1, per, world_from_view.numpy()), index)
    x = np.arange(-side, side + 1) / per
    rows = np.rint(down - per * np.tan(BEAMS)[:, None] * np.hypot(1, x)).astype(int)
    beam, column = np.nonzero(rows <= 2 * down)
    row = rows[beam, column]
    z = drawn.depth[row, column].astype(np.float64)
    points = np.stack([z, -z * x[column], -z * (row - down) / per], 1)
    reflectance = drawn.image[:, row, column].mean(0) / 255
    # the sky's distance is no number, and so not below REACH
    kept = (np.linalg.norm(points, axis=1) < REACH) & (rng.random(len(z)) >= LOST)
    return np.column_stack([points, reflectance])[kept]
