"""One HTML file of a video: film, trajectory and points, with everything in it; nothing is fetched.

The page is page.html.jinja with report.css and viewer.js, which draws with WebGL.
"""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.evaluate.report.page import render
from mono2many.io.surfaces import Surface

MOST_POINTS = 200_000
LEVELS = 65535
"""Of a coordinate, over the points' extent."""


class Reconstruction(NamedTuple):
    """What was found in a video."""

    name: str
    surface: Surface
    cell: float
    """Side of the cells in which points are averaged."""
    world_from_camera: Float[Tensor, "N 4 4"]
    """Of each frame; the world is the first camera's."""
    times: Sequence[float]
    """Seconds since the first."""
    half_view: tuple[float, float]
    """Tangents of half the field of view, across and down."""
    metric: bool

    @property
    def unit(self) -> str:
        return "m" if self.metric else "units, up to scale"


def write_page(path: str | Path, found: Reconstruction, film: bytes) -> None:
    """film: MP4. InputError where the file cannot be written."""
    poses = found.world_from_camera
    length = float(poses[:, :3, 3].diff(dim=0).norm(dim=1).sum())
    facts = {
        "Frames": f"{len(poses)}, {found.times[-1]:.1f} s",
        "Path": f"{length:.1f} {found.unit}",
        "Points": f"{len(found.surface.points):,}",
        "Scale": "metres" if found.metric else "known up to scale",
    }
    scene = {
        "unit": "m" if found.metric else "units",
        "times": [round(time, 3) for time in found.times],
        "poses": [round(x, 4) for x in poses[:, :3].flatten().tolist()],
        "half": found.half_view,
        "cell": found.cell,
        **packed(found.surface),
        "film": b64encode(film).decode(),
    }
    render(path, "page.html.jinja", "mono2many.reconstruct", title=found.name, facts=facts, scene=scene)


def packed(surface: Surface) -> dict[str, Any]:
    """At most MOST_POINTS points, picked evenly at random: `count`, `points` (16 bit a coordinate, from `low`
    in steps of `step`) and `colours` (8 bit), both in base64, little-endian."""
    points, colours = surface.points, surface.colours
    if len(points) > MOST_POINTS:
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(points), generator=generator)[:MOST_POINTS].sort().values
        points, colours = points[chosen], colours[chosen]
    low = points.amin(0)
    step = ((points.amax(0) - low) / LEVELS).clamp(min=1e-9)
    return {
        "count": len(points),
        "low": low.tolist(),
        "step": step.tolist(),
        "points": _base64(((points - low) / step).round(), "<u2"),
        "colours": _base64(colours, "u1"),
    }


def _base64(values: Tensor, kind: str) -> str:
    return b64encode(values.numpy().astype(np.dtype(kind)).tobytes()).decode()
