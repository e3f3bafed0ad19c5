"""What one procedural street holds, and how its parts are placed.

The world: x right, y down, z forward, metres, the ground is y = 0. The street is an arc; a place on it is
(s, u), see Road.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from mono2many.street.meshes import Palette, pick
from mono2many.street.noise import Array
from mono2many.street.roads import Road, WideRoad
from mono2many.street.shapes import Balls, Decal, Quads, Real, Span, footprint, join, sweep
from mono2many.street.sky import Light

BEHIND = 14.0
"""Metres of road that are lined behind the first frame."""
CONTACT = (0.75, 0.45)
"""Strength and softness (m) of the dark beneath a car."""
SHADOW = (0.9, 0.3)
"""The same of the shadow that it casts."""


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
    travelled: Array | None = None
    """Metres beyond `s` at the frames -1, 0, 1 ..; none: `speed` metres more in each."""


@dataclass
class Street:
    """What a scene holds."""

    road: Road
    light: Light
    quads: Quads
    balls: Balls
    decals: list[Decal]
    traffic: list[Car]
    speed: float
    """Of the camera, metres per frame; in stop-and-go its greatest."""
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
    travelled: Array | None = None
    """Of the camera: as Car.travelled."""


def travelled(of: Car | Street, index: int) -> float:
    """How far a vehicle, or a street's camera, has come at a frame: metres along the street's arc."""
    return of.speed * index if of.travelled is None else float(of.travelled[index + 1])


@dataclass
class Builder:
    """Gathers what stands along a road."""

    road: Road
    rng: Generator
    sun_shift: Array
    """How far along the ground a shadow falls per metre of height."""
    parts: list[Quads] = field(default_factory=list)
    balls: list[tuple[Array, float, Array]] = field(default_factory=list)
    decals: list[Decal] = field(default_factory=list)

    @property
    def wide_road(self) -> WideRoad:
        assert isinstance(self.road, WideRoad)
        return self.road

    def pick(self, choices: Palette, spread: float = 0.05) -> Array:
        return pick(self.rng, choices, spread)

    def put(self, quads: list[Quads], s: Real, u: Real, turn: Real = 0.0) -> None:
        self.parts.append(join(quads).moved(*self.road.frame(s, u, turn)))

    def ground(self, span: Span, s: Real, u: Real, turn: Real = 0.0) -> Array:
        """World corners, 4 3, of a rectangle in an object's own metres."""
        rotation, position = self.road.frame(s, u, turn)
        return footprint(span) @ rotation.T + position

    def shadow(
        self, s: Real, u: Real, span: Span, strength: Real, soft: Real, turn: Real = 0, round_: bool = False,
        cast_by: Real = 0,
    ) -> None:  # fmt: skip
        """Darken the ground; `cast_by`: by the shadow of something so many metres above."""
        corners = self.ground(span, s, u, turn) + self.sun_shift * cast_by
        self.decals.append(Decal(corners, strength, soft, round_, cast_by > 0))

    def wall_shadow(self, start: Array, end: Array, high: Real, strength: Real) -> None:
        """The shadow of a wall between two world places."""
        self.decals.append(Decal(sweep(start, end, self.sun_shift * high), strength, 0.1, False, True))

    def ball(self, s: Real, u: Real, own: Array, radius: Real, colour: Array) -> None:
        """At `own`, metres right, up, forward of a place."""
        rotation, position = self.road.frame(s, u)
        self.balls.append((rotation @ own + position, radius, colour))

    def gathered_balls(self) -> Balls:
        columns = zip(*self.balls, strict=True)
        return Balls(*(np.array(list(column), np.float32) for column in columns))
