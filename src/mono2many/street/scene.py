"""What one procedural street holds, and how its parts are built and placed.

The world: x right, y down, z forward, metres, the ground is y = 0. The street is an arc; a place on it is
(s, u), see Road. An object is built in its own metres (right, up, forward) and then placed.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from mono2many.street.kinds import KIND
from mono2many.street.noise import Array
from mono2many.street.paint import Road
from mono2many.street.roads import WideRoad
from mono2many.street.shapes import Balls, Decals, Quads, join
from mono2many.street.sky import Light

PARAMS = 10
CONTACT = (0.75, 0.45)
"""Strength and softness (m) of the dark beneath a car."""
SHADOW = (0.9, 0.3)
"""The same of the shadow that it casts."""
FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]])
"""Of a block's corners, four below and four above: near, right, far, left, top."""
AFTER, BEFORE = np.array([1, 2, 0]), np.array([2, 0, 1])
Real = float | int
Span = tuple[Real, Real, Real, Real]
"""right from, right to, forward from, forward to."""
Palette = tuple[tuple[float, float, float], ...]
CARS: Palette = (
    (0.75, 0.76, 0.78), (0.86, 0.86, 0.85), (0.13, 0.14, 0.16), (0.55, 0.08, 0.08), (0.12, 0.2, 0.42),
    (0.38, 0.4, 0.43), (0.6, 0.58, 0.5), (0.12, 0.3, 0.24), (0.75, 0.45, 0.1),
)  # fmt: skip


@dataclass(frozen=True)
class Car:
    """A car that drives: its shape in its own metres, and where it is at frame 0."""

    quads: Quads
    length: float
    width: float
    s: float
    u: float
    speed: float
    """Along the street's arc, metres per frame; negative: towards the camera."""
    reach: Array | None = None
    """How far its roof's shadow falls along the ground, metres; none: no shadow but the dark beneath."""


@dataclass
class Street:
    """What a scene holds."""

    road: Road
    light: Light
    quads: Quads
    balls: Balls
    decals: Decals
    traffic: list[Car]
    speed: float
    """Of the camera, metres per frame."""
    lane: float
    """The camera's u, about which it sways."""
    height: float
    """The camera's, metres."""
    sway: Array
    """3 4: heading, pitch and roll, each as amplitude (radians), period (m), phase, mean."""
    focal: float = 0.58
    """Focal length, in widths of the image."""
    place: str = "town"
    """What kind of road it is."""


@dataclass
class Builder:
    """Gathers what stands along a road."""

    road: Road
    rng: Generator
    sun_shift: Array
    """How far along the ground a shadow falls per metre of height."""
    parts: list[Quads] = field(default_factory=list)
    balls: list[tuple[Array, float, Array]] = field(default_factory=list)
    decals: list[tuple[Array, float, float, bool, bool]] = field(default_factory=list)

    @property
    def wide_road(self) -> WideRoad:
        assert isinstance(self.road, WideRoad)
        return self.road

    def pick(self, choices: Palette, spread: float = 0.05) -> Array:
        return pick(self.rng, choices, spread)

    def frame(self, s: Real, u: Real, turn: Real = 0.0) -> tuple[Array, Array]:
        """world_from_own of an object at (s, u): rotation of (right, up, forward) columns, position."""
        (x, z), angle = self.road.place(s, u)
        return own_axes(angle + turn), np.array([x, 0.0 - self.road.lift(x, z), z])

    def put(self, quads: list[Quads], s: Real, u: Real, turn: Real = 0.0) -> None:
        rotation, position = self.frame(s, u, turn)
        self.parts.append(join(quads).moved(rotation.astype(np.float32), position.astype(np.float32)))

    def shadow(
        self,
        s: Real,
        u: Real,
        span: Span,
        strength: Real,
        soft: Real,
        turn: Real = 0,
        round_: bool = False,
        cast_by: Real = 0,
    ) -> None:
        """Darken the ground; `cast_by`: by the shadow of something so many metres above."""
        rotation, position = self.frame(s, u, turn)
        corners = footprint(span) @ rotation.T + position + self.sun_shift * cast_by
        self.decals.append((corners, strength, soft, round_, cast_by > 0))

    def gathered(self) -> tuple[Balls, Decals]:
        """The balls and decals so far."""
        corners, strength, soft, round_, sun = (list(column) for column in zip(*self.decals, strict=True))
        centre, radius, colour = (np.array(column, np.float32) for column in zip(*self.balls, strict=True))
        decals = np.array(corners), np.array(strength), np.array(soft), np.array(round_), np.array(sun)
        return Balls(centre, radius, colour), Decals(*decals)


def pick(rng: Generator, choices: Palette, spread: float = 0.05) -> Array:
    """One of the colours, varied a little."""
    rgb = np.array(choices[rng.integers(len(choices))])
    return np.clip(rgb * (1 + rng.normal(0, spread)) + rng.normal(0, spread / 9, 3), 0.03, 0.95)


def own_axes(angle: float) -> Array:
    """Columns: an object's right, up and forward in the world, turned `angle` to the right of z."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, -1, 0], [-sin, 0, cos]])


def footprint(span: Span, up: Real = 0.0) -> Array:
    """Corners of a rectangle: near left, near right, far right, far left."""
    r0, r1, f0, f1 = span
    return np.array([[r0, up, f0], [r1, up, f0], [r1, up, f1], [r0, up, f1]])


def cast(corners: Array, reach: Array) -> Array:
    """The shadow on the ground, 4 3, of a box on a rectangle there, 4 3, whose roof's falls `reach` away."""
    # swept by the diagonal that lies more across; the corners left out are beneath the box
    diagonals = corners[[0, 1]], corners[[2, 3]]
    across = np.abs(np.cross(diagonals[1] - diagonals[0], reach)[:, 1])
    i = int(np.argmax(across))
    p, q = corners[i], corners[i + 2]
    return np.stack([p, q, q + reach, p + reach])


def block(
    bottom: Span, top: Span, low: Real, high: Real, kinds: str | list[str], colour: Array,
    accent: Array | None = None, params: list[list[Real]] | None = None,
) -> Quads:  # fmt: skip
    """A box whose top may be smaller. Five faces, as in FACES."""
    corners = np.concatenate([footprint(bottom, low), footprint(top, high)])
    return sheet(corners[FACES], kinds, colour, accent, params, corners.sum(0) / 8)


def solid(
    span: Span, low: Real, high: Real, colour: Array, face: list[Real], top: Span | None = None
) -> Quads:
    """A block of plain material; `face`: params of each of its faces. `top`: its upper side, if another."""
    return block(span, top or span, low, high, "plain", colour, params=[face] * 5)


def square(half: Real) -> Span:
    """Around the origin."""
    return -half, half, -half, half


def sheet(
    corners: Array, kinds: str | list[str], colour: Array, accent: Array | None = None,
    params: list[list[Real]] | None = None, middle: Array | None = None,
) -> Quads:  # fmt: skip
    """Quads from corners Q 4 3, facing away from `middle`."""
    count = len(corners)
    along, rise = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
    outward = along[:, AFTER] * rise[:, BEFORE] - along[:, BEFORE] * rise[:, AFTER]
    outward /= np.sqrt((outward * outward).sum(1, keepdims=True))
    if middle is not None:
        outward *= np.sign(((corners[:, 0] - middle) * outward).sum(1, keepdims=True))
    rows = np.zeros((count, PARAMS), np.float32)
    up = (corners[:, 2] + corners[:, 3] - corners[:, 0] - corners[:, 1]) / 2
    rows[:, 0], rows[:, 1] = np.sqrt((along * along).sum(1)), np.sqrt((up * up).sum(1))
    for row, extra in zip(rows, params or [], strict=False):
        row[2 : 2 + len(extra)] = extra
    names = [kinds] * count if isinstance(kinds, str) else kinds
    colours, accents = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    colours[:] = colour
    accents[:] = colour if accent is None else accent
    return Quads(
        corners.astype(np.float32),
        np.array([KIND[name] for name in names], np.uint8),
        colours,
        accents,
        rows,
        outward.astype(np.float32),
    )


def plain(
    rng: Generator, rough: Real = 0.3, along: Real = 9.0, up: Real = 9.0, tone: Real = 0.0
) -> list[Real]:
    """Params of one face of plain material; joints 3 cm wide."""
    return [along, up, 0.03, tone, rough, rng.uniform(0, 17)]
