"""What a street is made of: flat quadrilaterals, balls, and dark places on the ground.

An object is built in its own metres (right, up, forward) and then placed in the world (x right, y down,
z forward).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mono2many.street.noise import Array

Real = float | int
Span = tuple[Real, Real, Real, Real]
"""right from, right to, forward from, forward to."""


@dataclass(frozen=True)
class Quads:
    """Q flat convex quadrilaterals. Paint lives in each quad's own metres: a along its first edge, b up."""

    corners: Array
    """Q 4 3, world metres, around the edge; the first two lie at the bottom."""
    kind: NDArray[np.uint8]
    """Q, see KIND."""
    colour: Array
    """Q 3"""
    accent: Array
    """Q 3, a second colour."""
    params: Array
    """Q P, what the painter wants to know."""
    outward: Array
    """Q 3, unit normal."""

    def moved(self, rotation: Array, position: Array) -> "Quads":
        """The same quads after the rigid motion p -> rotation p + position."""
        rotation, position = rotation.astype(np.float32), position.astype(np.float32)
        corners = self.corners @ rotation.T + position
        return replace(self, corners=corners, outward=self.outward @ rotation.T)

    def only(self, which: list[int]) -> "Quads":
        """Some of the quads."""
        return Quads(*(getattr(self, name)[which] for name in Quads.__annotations__))


def join(parts: list[Quads]) -> Quads:
    """All the quads of `parts`, in order."""
    return Quads(*(np.concatenate([getattr(p, name) for p in parts]) for name in Quads.__annotations__))


class Shape(NamedTuple):
    """A vehicle or a person that looks along +forward, its middle at the origin; metres."""

    quads: list[Quads]
    length: float
    width: float
    height: float


@dataclass(frozen=True)
class Balls:
    """N balls (foliage)."""

    centre: Array
    radius: Array
    colour: Array


class Decal(NamedTuple):
    """A quad on the ground that darkens it: a shadow, a patch, a cover."""

    corners: Array
    """4 3"""
    strength: Real
    """Share of the light that is taken away."""
    soft: Real
    """Metres over which the edge fades."""
    round: bool = False
    """The ellipse inside the quad, not the whole quad."""
    sun: bool = False
    """Takes away the sun's share of the light only, and two of them no more than one."""


def own_axes(angle: float) -> Array:
    """Columns: an object's right, up and forward in the world, turned `angle` to the right of z."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, -1, 0], [-sin, 0, cos]])


def around(right: Real, half_width: Real, forward: Real, half_length: Real) -> Span:
    """The span around (right, forward)."""
    return right - half_width, right + half_width, forward - half_length, forward + half_length


def square(half: Real) -> Span:
    """Around the origin."""
    return -half, half, -half, half


def footprint(span: Span, up: Real = 0.0) -> Array:
    """Corners of a rectangle: near left, near right, far right, far left."""
    r0, r1, f0, f1 = span
    return np.array([[r0, up, f0], [r1, up, f0], [r1, up, f1], [r0, up, f1]])


def upright(lines: list[tuple[Real, Real, Real, Real]], low: Real, high: Real) -> Array:
    """Corners Q 4 3 of upright rectangles over lines on the ground, each right, forward to right, forward."""
    return np.array([
        [[r0, low, f0], [r1, low, f1], [r1, high, f1], [r0, high, f0]] for r0, f0, r1, f1 in lines
    ])  # fmt: skip


def sweep(start: Array, end: Array, reach: Array) -> Array:
    """4 3: the line from start to end, swept by `reach`: a wall's shadow."""
    return np.stack([start, end, end + reach, start + reach])


def cast(corners: Array, reach: Array) -> Array:
    """The shadow on the ground, 4 3, of a box on a rectangle there, 4 3, whose roof's falls `reach` away."""
    # swept by the diagonal that lies more across; the corners left out are beneath the box
    diagonals = corners[[0, 1]], corners[[2, 3]]
    across = np.abs(np.cross(diagonals[1] - diagonals[0], reach)[:, 1])
    i = int(np.argmax(across))
    return sweep(corners[i], corners[i + 2], reach)
