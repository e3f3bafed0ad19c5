"""Traffic of the wide variety: lanes of vehicles that keep pace, jams, parked rows, people."""

import numpy as np
from numpy.random import Generator

from mono2many.street.noise import Array
from mono2many.street.scene import BEHIND, CONTACT, SHADOW, Builder, Car
from mono2many.street.shapes import Decal, Real, Shape, around, cast, join
from mono2many.street.vehicles import SHAPES, lamps, person, two_wheeler

GAPS = {"jam": (1.5, 5.0), "dense": (5.0, 22.0), "some": (12.0, 60.0), "sparse": (40.0, 160.0)}
"""Metres between vehicles of a lane."""
MIX = {
    "motorway": (0.6, 0.33, 0.03, 0.04),
    "avenue": (0.78, 0.08, 0.08, 0.06),
    "town": (0.76, 0.08, 0.06, 0.1),
    "suburb": (0.8, 0.08, 0.04, 0.08),
    "country": (0.72, 0.16, 0.03, 0.09),
}
"""Shares of cars, lorries, buses, two-wheelers."""
MOST = 34
"""Vehicles of a scene."""


def vehicle(rng: Generator, place: str, slow: bool = False) -> Shape:
    """One of what drives there; in the slow lane more lorries."""
    shares = np.array(MIX[place])
    if slow and place == "motorway":
        shares = shares * (0.6, 1.6, 1, 1)
    return SHAPES[str(rng.choice(list(SHAPES), p=shares / shares.sum()))](rng)


def _density(rng: Generator, shares: tuple[float, ...]) -> tuple[float, float]:
    """One of GAPS, which are as frequent as `shares` says."""
    return GAPS[str(rng.choice(list(GAPS), p=shares))]


def moving(shape: Shape, s: Real, u: Real, speed: Real, lit: bool, sun_shift: Array) -> Car:
    quads, length, width, high = shape
    if lit and length > 3:
        quads = [*quads, lamps(length, width)]
    return Car(join(quads), length, width, s, u, speed, sun_shift * high * 0.85)


def traffic(b: Builder, place: str, frames: int, speed: Real, step: Real, lane: int, lit: bool) -> list[Car]:
    """Vehicles of the camera's direction at frame 0. In a lane all drive at one speed: none meets another."""
    rng, road = b.rng, b.wide_road
    large = place in ("motorway", "avenue")
    low, high = _density(rng, (0.2, 0.36, 0.3, 0.14) if large else (0.12, 0.3, 0.38, 0.2))
    last = max(frames - 1, 1)
    cars: list[Car] = []
    for i in range(road.count):
        own = i == lane
        slow = i == road.count - 1 if road.two_way else (i == 0) == (road.hand < 0)
        # relative to the camera: near zero for most lanes, so that a neighbour stays beside it
        relative = step * (rng.normal(0, 0.06) if rng.random() < 0.6 else rng.normal(0, 0.3))
        if slow and not own:
            relative -= step * rng.uniform(0, 0.15)
        v = max(speed + relative, 0.03 * step)
        s = rng.uniform(-8, 6) if not own else rng.uniform(4, 7) + rng.uniform(0, 0.8) * high
        if own and rng.random() < 0.3:
            s += rng.uniform(10, 60)
        start = len(cars)
        while s < 130 and len(cars) < MOST:
            shape = vehicle(rng, place, slow)
            if own and len(cars) == start:
                v = max(v, speed - (s - 3.8) / last)
            room = max((road.lane - shape.width) / 2 - 0.2, 0.05)
            u = road.middle_of(i) + float(np.clip(rng.normal(0, 0.15), -room, room))
            cars.append(moving(shape, s + shape.length / 2, u, v, lit, b.sun_shift))
            s += shape.length + low + (high - low) * rng.random() ** 1.6
    return cars


def oncoming(b: Builder, place: str, step: Real, lit: bool, most: int) -> list[Car]:
    """At most so many vehicles of the other direction, if the road has one, at frame 0."""
    rng, road = b.rng, b.wide_road
    cars: list[Car] = []
    if not road.two_way:
        return cars
    low, high = _density(rng, (0.08, 0.34, 0.38, 0.2))
    for i in range(road.count):
        v = step * rng.uniform(0.2, 1.8)
        s = rng.uniform(3, 40)
        while s < 120 and len(cars) < most:
            shape = vehicle(rng, place, i == road.count - 1)
            u = road.middle_of(i, own=False)
            cars.append(moving(shape, s + shape.length / 2, u, -v, lit, b.sun_shift))
            s += shape.length + low + (high - low) * rng.random() ** 1.6
    return cars


def stand(b: Builder, shape: Shape, s: Real, u: Real, turn: Real) -> None:
    """A vehicle or person that does not move, with its shadows."""
    b.put(shape.quads, s, u, turn)
    span = around(0, shape.width / 2 + 0.12, 0, shape.length / 2 + 0.12)
    b.shadow(s, u, span, *CONTACT, turn)
    reach = b.sun_shift * shape.height * 0.85
    b.decals.append(Decal(cast(b.ground(span, s, u, turn), reach), *SHADOW, False, True))


def parked(b: Builder, end: Real, side: int, place: str, across: bool) -> None:
    """A row of parked vehicles on the road's paved edge: along it, or square to it."""
    rng, road = b.rng, b.wide_road
    full = rng.uniform(0.45, 0.95)
    s = -BEHIND
    while s < end:
        shape = vehicle(rng, "town" if place == "motorway" else place)
        if rng.random() > full or (across and shape.length > 5.5) or shape.width > 2.2 or shape.length < 3:
            s += rng.uniform(2.5, 6)
            continue
        facing = np.pi if (side * road.hand < 0) == (rng.random() < 0.9) else 0
        if across:
            u = side * (road.rim - 0.3 - shape.length / 2)
            turn = np.pi / 2 * side + (np.pi if rng.random() < 0.5 else 0) + rng.normal(0, 0.03)
            stand(b, shape, s + 1.2, u, turn)
            s += 2.5 + rng.uniform(0, 0.4)
        else:
            u = side * (road.rim - 0.25 - shape.width / 2)
            stand(b, shape, s + shape.length / 2, u, facing + rng.normal(0, 0.02))
            s += shape.length + rng.uniform(0.6, 1.6)


def people(b: Builder, end: Real, side: int, many: Real) -> None:
    """People on the footway, alone and in pairs; now and then a bicycle."""
    rng, road = b.rng, b.wide_road
    s = -BEHIND + rng.uniform(0, many)
    while s < end:
        for _ in range(int(rng.integers(1, 4))):
            u = side * (road.rim + rng.uniform(0.5, max(road.pavement - 0.3, 0.6)))
            shape = two_wheeler(rng) if rng.random() < 0.08 else person(rng)
            stand(b, shape, s + rng.normal(0, 0.9), u, rng.choice([0, np.pi]) + rng.normal(0, 0.4))
        s += many * rng.uniform(0.4, 1.6)


def crossing(b: Builder, after: Real) -> None:
    """People on a zebra that the camera does not reach."""
    rng, road = b.rng, b.wide_road
    if road.zebra < after:
        return
    for _ in range(int(rng.integers(1, 6))):
        u = rng.uniform(-road.edge, road.edge)
        stand(b, person(rng, 1.0), road.zebra + rng.uniform(0.4, 2.8), u, np.pi / 2 * rng.choice([-1, 1]))
