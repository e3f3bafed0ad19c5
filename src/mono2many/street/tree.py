"""The embedded street as files in another data set's layout: what these trees have in common.

A street's world and its cameras have x right, y down, z forward; scanners and cars x forward, y left, z up.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mono2many.data.marker import MARKER
from mono2many.files import explained
from mono2many.street.noise import Array
from mono2many.street.reader import draw
from mono2many.street.render import View
from mono2many.street.scene import Street
from mono2many.types import InputError

Item = TypeVar("Item")

BEAMS, STEP, REACH = np.radians(np.linspace(2, -24.8, 64)), np.radians(0.2), 100.0
"""The scanner's elevations and its step to the side (radians); how far it sees (m)."""
LOST = 0.1
"""Share of the laser points that do not return."""
VIEW_FROM_BODY = torch.tensor([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]).double()
"""From x forward, y left, z up to x right, y down, z forward."""


@dataclass(frozen=True)
class Jobs(Dataset[Exception | None], Generic[Item]):
    """What draws a tree: asked for number i it writes the files of item i. It returns None, or the error: a
    loader would wrap a raised one into text."""

    write: Callable[[Item], None]
    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Exception | None:
        try:
            self.write(self.items[number])
        except (InputError, OSError) as error:
            return error
        return None


def write_tree(
    root: Path,
    about: Mapping[str, object],
    begin: Callable[[Path], Jobs[Item]],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> Path:
    """Write what `begin` (given the folder) and its jobs write below `root`, which it returns. MARKER says
    what lies there, `about`. A tree of which it says the same stays as it is.

    progress(items done, items in all); workers: processes that draw (0: this one).
    InputError where anything else lies in `root`, or it cannot be written.
    """
    if _is_written(root, about):
        return root
    place = root.resolve()
    part = place.with_name(f".{place.name}.part")
    remedy = "free some space or give another folder with --out"
    try:
        with explained(f"{root}: the street cannot be written", remedy):
            shutil.rmtree(part, ignore_errors=True)
            jobs = begin(part)
            for done, error in enumerate(DataLoader(jobs, batch_size=None, num_workers=workers), 1):
                if error is not None:
                    raise error
                if progress is not None:
                    progress(done, len(jobs))
            about = {**about, "version": version("mono2many")}
            (part / MARKER).write_text(json.dumps(about, indent=2) + "\n")
            if place.exists():
                place.rmdir()
            part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def _is_written(root: Path, about: Mapping[str, object]) -> bool:
    """Whether this very tree lies there. InputError where something else does."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MARKER).read_text(encoding="utf-8"))
        different = [key for key, value in about.items() if found.get(key) != value]
    except (OSError, ValueError, AttributeError):
        raise InputError(
            f"{root}: is not empty and holds no synthetic street; give a new folder with --out"
        ) from None
    if different:
        raise InputError(
            f"{root}: holds a synthetic street of other {', '.join(different)}; delete it, or give a new "
            "folder with --out"
        )
    return True


def made(path: Path) -> Path:
    """The same, whose folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def see_through(
    street: Street,
    lens: tuple[float, float, float],
    size: tuple[int, int],
    world_from_camera: Float[Tensor, "4 4"],
    index: int,
) -> tuple[NDArray[np.uint8], Array]:
    """What a camera of this focal length, cx, cy and size (height, width) sees of a street at a frame: an
    image (3 H W) and exact depth (H W, metres, NaN in the sky). A view's principal point is its middle, a
    camera's lies there or to the upper left: more is drawn, and cut off."""
    (height, width), (focal, cx, cy) = size, lens
    tall, wide = (round(2 * (size - 1 - c)) + 1 for size, c in ((height, cy), (width, cx)))
    drawn = draw(street, View(tall, wide, focal, world_from_camera.numpy()), index)
    return drawn.image[:, -height:, -width:].copy(), drawn.depth[-height:, -width:].copy()


def cast(
    street: Street,
    world_from_body: Float[Tensor, "4 4"],
    reach: tuple[float, float],
    index: int,
    rng: np.random.Generator,
) -> Array:
    """A laser scan, N 4: x forward, y left, z up in the scanner's body, metres, and the surface's brightness
    as reflectance.

    Rays are cast from the scanner itself, through pixels of an image of its own: a column is a step, and a
    beam meets in each the pixel nearest to it, less than STEP / 2 away. The image looks forward; reach: how
    far down and to the sides, as tangents.
    """
    per = 1 / np.tan(STEP)
    down, side = (round(per * tangent) for tangent in reach)
    world_from_view = world_from_body @ VIEW_FROM_BODY.T
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
