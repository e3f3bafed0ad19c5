"""Streets of the town variety: by day, between houses, trees and parked cars."""

import numpy as np
from numpy.random import Generator

from mono2many.street.jam import queues, stop_and_go
from mono2many.street.meshes import Palette, pick
from mono2many.street.objects import house, pole, tree
from mono2many.street.roads import TownRoad
from mono2many.street.scene import BEHIND, CONTACT, SHADOW, Builder, Car, Street
from mono2many.street.shapes import Real, Shape, around, join, square
from mono2many.street.sky import draw_town_light
from mono2many.street.vehicles import car_shape

AHEAD = 120.0
"""Metres of street that are built ahead of the last frame."""
CARS: Palette = (
    (0.75, 0.76, 0.78), (0.86, 0.86, 0.85), (0.13, 0.14, 0.16), (0.55, 0.08, 0.08), (0.12, 0.2, 0.42),
    (0.38, 0.4, 0.43), (0.6, 0.58, 0.5), (0.12, 0.3, 0.24), (0.75, 0.45, 0.1),
)  # fmt: skip
GREENS = ((0.33, 0.42, 0.17), (0.38, 0.41, 0.2), (0.28, 0.38, 0.16))


def build_town(entropy: list[int], frames: int, step: Real, moving: bool, jammed: bool) -> Street:
    """The scene that follows from `entropy`: clips of `frames`, driven at about `step` metres per frame, or
    jammed: at most so fast, stop-and-go."""
    seeds = np.random.SeedSequence(entropy)
    # a generator for every kind of thing: a longer clip gets more street, not another street
    rng, traffic_rng, wear_rng, *side_rngs = (np.random.default_rng(s) for s in seeds.spawn(11))
    light, sun_shift = draw_town_light(rng)
    two_way = rng.random() < 0.7
    lanes = rng.uniform(2.75, 3.4) if two_way else rng.uniform(1.7, 2.1)
    parked = (rng.random() < 0.75, rng.random() < 0.75)
    grey = rng.uniform(0.28, 0.42)
    grass = rng.random() < 0.5
    pale = rng.uniform(0.45, 0.62)
    road = TownRoad(
        slabs=(pale * 1.03, pale, pale * rng.uniform(0.88, 0.96)),
        pavement=rng.uniform(1.6, 2.6),
        curvature=float(rng.uniform(1e-4, 1 / 110) * rng.choice([-1, 1])),
        half=lanes + 2.15,
        lanes=lanes,
        asphalt=(grey, grey, grey * 1.04),
        verge=GREENS[rng.integers(3)] if grass else (pale * 0.95, pale * 0.86, pale * 0.74),
        grass=grass,
        dash=float(rng.choice([4.0, 6.0, 9.0])) if two_way and rng.random() < 0.8 else 0.0,
        edge_line=bool(rng.random() < 0.6),
        zebra=float(rng.uniform(8, 60)) if rng.random() < 0.4 else -500.0,
    )
    speed = step * rng.uniform(0.75, 1.25)
    lane = lanes / 2 if two_way else 0.0
    room = max(lane - 1.0, 0.15) if two_way else lanes - 1.25
    period = rng.uniform(18, 40)
    yaw = min(rng.uniform(0.04, 0.12), room * 2 * np.pi / period)
    phases = rng.uniform(0, 2 * np.pi, 3)
    sway = np.array([
        [yaw, period, phases[0], 0],
        [rng.uniform(0.002, 0.008), rng.uniform(4, 9), phases[1], rng.uniform(-0.03, 0.05)],
        [rng.uniform(0.002, 0.01), rng.uniform(7, 15), phases[2], 0],
    ])  # fmt: skip
    height = rng.uniform(1.35, 1.75)

    end = step * 1.25 * frames + AHEAD
    b = Builder(road, wear_rng, sun_shift)
    _wear(b, road.lanes, end)
    for side in (-1, 1):
        _line_street(b, road, side, end, bool(parked[side > 0]), side_rngs[:4] if side < 0 else side_rngs[4:])

    traffic = _traffic(traffic_rng, frames, step, speed, lane) if moving else []
    come = None
    if jammed:
        pace, cars = (np.random.default_rng(s) for s in seeds.spawn(2))
        course = stop_and_go(pace, frames, speed)
        come = course.travelled()
        width = lanes if two_way else 2 * lanes
        queue = queues(cars, road, [(lane, width)], 0, course, speed, False, sun_shift) if moving else []
        traffic = queue + [car for car in traffic if car.speed < 0]
    parts = join(b.parts), b.gathered_balls(), b.decals
    return Street(road, light, *parts, traffic, speed, lane, height, sway, travelled=come)


def _line_street(
    b: Builder, road: TownRoad, side: int, end: float, parked: bool, rngs: list[Generator]
) -> None:
    """Houses, trees, lamps and parked cars of one side."""
    b.rng = rng = rngs[0]
    kerb = road.half + 0.3
    line = max(road.half + road.pavement + rng.choice([0.0, rng.uniform(0.5, 5)]), 4.6)
    s = -BEHIND + rng.uniform(-6, 0)
    while s < end:
        width = rng.uniform(7, 19)
        # a row of houses on the inside of a bend is shorter than the street's middle line
        stretch = 1 / max(1 - road.curvature * side * line, 0.5)
        house(b, s + width / 2 * stretch, side, line + rng.choice([0, 0, rng.uniform(0, 1.5)]), width)
        gap = rng.uniform(2, 6) if rng.random() < 0.3 else rng.uniform(0.05, 0.2)
        if gap > 3:
            tree(b, s + (width + gap / 2) * stretch, side * (line + 3), rng.uniform(1, 1.5))
        s += (width + gap) * stretch
    b.rng = rng = rngs[1]
    greenery = rng.uniform(9, 22)
    s = -BEHIND + rng.uniform(0, 8)
    trees = []
    while s < end:
        if rng.random() < 0.75:
            trees.append(s)
            tree(b, s, side * (kerb + 0.5), rng.uniform(0.75, 1.15))
        s += greenery * rng.uniform(0.7, 1.4)
    b.rng = rng = rngs[2]
    s = -BEHIND + rng.uniform(0, 8)
    while s < end:
        if all(abs(s - at) > 3.2 for at in trees):
            pole(b, s, side * (kerb + 0.2), side)
        s += rng.uniform(14, 26)
    b.rng = rng = rngs[3]
    s = -BEHIND
    while s < end:
        if parked and rng.random() < 0.7:
            car = _car(rng)
            turn = rng.normal(0, 0.02) + (np.pi if side < 0 and rng.random() < 0.8 else 0)
            at, u = s + car.length / 2, side * (road.half - 0.2 - car.width / 2)
            b.put(car.quads, at, u, turn)
            span = around(0, car.width / 2 + 0.15, 0, car.length / 2 + 0.15)
            b.shadow(at, u, span, *CONTACT, turn)
            b.shadow(at, u, span, *SHADOW, turn, cast_by=0.75)
            s += car.length + rng.uniform(0.6, 1.6)
        else:
            s += rng.uniform(3, 9)


def _car(rng: Generator) -> Shape:
    return car_shape(rng, pick(rng, CARS, 0.1), bool(rng.random() < 0.15))


def _wear(b: Builder, lanes: float, end: float) -> None:
    """Patches and covers on the roadway."""
    rng = b.rng
    for s in np.arange(-5, end, 9.0):
        at, u = s + rng.uniform(0, 9), rng.uniform(-0.8, 0.8) * lanes
        w, h = rng.uniform(0.3, 1.1), rng.uniform(0.5, 3)
        b.shadow(at, u, (-w, w, -h, h), rng.uniform(0.12, 0.3), 0.04)
        if rng.random() < 0.6:
            b.shadow(at + 4, -u, square(0.33), 0.5, 0.05, round_=True)


def _traffic(rng: Generator, frames: int, step: Real, speed: float, lane: float) -> list[Car]:
    """Cars ahead in the camera's lane and oncoming ones in the other; in some scenes none."""
    if rng.random() < 0.2:
        return []
    ahead = speed * rng.uniform(0.75, 1.25)
    s = rng.uniform(9, 30)
    ahead = max(ahead, speed - (s - 8.5) / max(frames - 1, 1))
    cars = _row(rng, int(rng.integers(0, 3)), s, lane, ahead)
    oncoming = step * rng.uniform(0.6, 1.2)
    s = rng.uniform(7, 30)
    count = int(rng.integers(0, 4)) if lane else 0
    return cars + _row(rng, count, s, -lane, -oncoming)


def _row(rng: Generator, count: int, s: float, lane: float, speed: float) -> list[Car]:
    cars = []
    for _ in range(count):
        car = _car(rng)
        cars.append(Car(join(car.quads), car.length, car.width, s, lane, speed))
        s += rng.uniform(9, 30)
    return cars
