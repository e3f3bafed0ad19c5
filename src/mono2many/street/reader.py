"""An endless set of procedural streets with exact depth: data for the demo, the tests and the README.

Every scene follows from (seed, split, scene number) alone. Frames are drawn when asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.random import Generator

from mono2many.street.noise import Array
from mono2many.street.objects import house, pole, tree
from mono2many.street.paint import Road
from mono2many.street.render import Rendering, View, render
from mono2many.street.scene import (
    CARS,
    CONTACT,
    SHADOW,
    Builder,
    Car,
    Street,
    cast,
    footprint,
    own_axes,
    pick,
    square,
)
from mono2many.street.shapes import Decals, Quads, join
from mono2many.street.sky import draw_town_light
from mono2many.street.vehicles import car_shape
from mono2many.street.wide import build_wide
from mono2many.types import Frame, FrameSequence, InputError, Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")
Variety = Literal["town", "wide"]
FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""
BEHIND, AHEAD = 14.0, 120.0
"""Metres of street that are built behind the first camera and ahead of the last."""


@dataclass(frozen=True)
class StreetSettings:
    """What to draw. Square pixels, the principal point in the middle."""

    scenes: int = 320
    frames: int = 4
    """Of each scene."""
    height: int = 96
    width: int = 320
    seed: int = 0
    step: float = 0.75
    """Metres per frame; each scene's own speed is 0.75 to 1.25 times that."""
    moving: bool = True
    """Other cars drive."""
    variety: Variety = "town"
    """town: town streets by day, f = 0.58 x width. wide: all kinds of road, traffic, light and camera."""

    def __post_init__(self) -> None:
        for name, least in (("scenes", 1), ("frames", 1), ("height", 16), ("width", 16), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"--{name} must be at least {least}, got {value}; try {max(least, 1)}")
        if self.seed >= 2**32:
            raise InputError(f"--seed must be below 2**32, got {self.seed}; try {self.seed % 2**32}")
        if not 0 <= self.step <= 5:
            raise InputError(f"--scene-step must lie in 0 .. 5 metres per frame, got {self.step}; try 0.75")


class SyntheticReader:
    """Procedural streets as a Reader: one clip per scene. Cheap to pickle; frames do not depend on order."""

    def __init__(self, settings: StreetSettings, split: Split) -> None:
        if split not in SPLITS:
            raise InputError(f"--split must be one of {', '.join(SPLITS)}, got {split!r}; try 'train'")
        self.settings = settings
        self.split = split

    @property
    def clips(self) -> Sequence[FrameSequence]:
        return [
            FrameSequence(f"street-{self.split}-{i:04d}", self.settings.frames)
            for i in range(self.settings.scenes)
        ]

    def fingerprint(self) -> str:
        return f"street {FRAMES} {self.settings} {self.split}"

    def frame(self, clip: int, index: int) -> Frame:
        settings = self.settings
        if not (0 <= clip < settings.scenes and 0 <= index < settings.frames):
            have = f"{settings.scenes} clips of {settings.frames} frames"
            raise IndexError(f"no frame {index} of clip {clip}: there are {have}")
        street = build_street(settings, self.split, clip)
        view = camera(street, settings, index)
        drawn = draw(street, view, index)
        middle = (view.width - 1) / 2, (view.height - 1) / 2
        return Frame(
            image=torch.from_numpy(drawn.image),
            intrinsics=torch.tensor([[view.focal, 0, middle[0]], [0, view.focal, middle[1]], [0, 0, 1]]),
            depth=torch.from_numpy(drawn.depth),
            moving=torch.from_numpy(drawn.quad >= len(street.quads.kind)),
            world_from_camera=torch.from_numpy(view.world_from_camera).float(),
        )


def draw(street: Street, view: View, index: int) -> Rendering:
    """The street at a frame. Quads numbered from len(street.quads.kind) belong to driving cars."""
    cars = [drive(street.road, car, index) for car in street.traffic]
    quads = join([street.quads, *(quads for quads, _ in cars)])
    spots = [spot for _, spot in cars]
    shadows = [
        cast(spot[0], car.reach)[None]
        for (_, spot), car in zip(cars, street.traffic, strict=True)
        if car.reach is not None
    ]
    contact, sun = len(spots), len(shadows)
    still = street.decals
    decals = Decals(
        np.concatenate([still.corners, *spots, *shadows]),
        np.concatenate([still.strength, np.full(contact, CONTACT[0]), np.full(sun, SHADOW[0])]),
        np.concatenate([still.soft, np.full(contact, CONTACT[1]), np.full(sun, SHADOW[1])]),
        np.append(still.round, np.zeros(contact + sun, bool)),
        np.concatenate([still.sun, np.zeros(contact, bool), np.ones(sun, bool)]),
    )
    return render(quads, street.balls, decals, street.road, street.light, view)


def camera(street: Street, settings: StreetSettings, index: int) -> View:
    """Where the camera is at a frame: forward along its lane, swaying, with a little pitch and roll."""
    s = street.speed * index
    heading, pitch, roll = street.sway
    phase = 2 * np.pi * s / heading[1] + heading[2]
    # u' = tan(yaw) nearly: the camera looks where it goes
    u = street.lane + heading[0] * heading[1] / (2 * np.pi) * np.sin(phase)
    yaw = np.arctan(heading[0] * np.cos(phase)) + heading[3]
    (x, z), angle = street.road.place(s, u)
    tilt = pitch[3] + pitch[0] * np.sin(2 * np.pi * s / pitch[1] + pitch[2])
    lean = roll[3] + roll[0] * np.sin(2 * np.pi * s / roll[1] + roll[2])
    world_from_camera = np.eye(4)
    own = own_axes(angle + yaw)
    own[:, 1] *= -1  # right, down, forward
    cos, sin = np.cos(tilt), np.sin(tilt)
    nod = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    cos, sin = np.cos(lean), np.sin(lean)
    world_from_camera[:3, :3] = own @ nod @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    world_from_camera[:3, 3] = x, -street.height, z
    return View(settings.height, settings.width, street.focal * settings.width, world_from_camera)


def drive(road: Road, car: Car, index: int) -> tuple[Quads, Array]:
    """A moving car's quads at a frame, and the dark beneath it."""
    (x, z), angle = road.place(car.s + car.speed * index, car.u)
    rotation = own_axes(angle + (np.pi if car.speed < 0 else 0))
    position = np.array([x, 0.0 - road.lift(x, z), z])
    quads = car.quads.moved(rotation.astype(np.float32), position.astype(np.float32))
    w, h = car.width / 2 + 0.15, car.length / 2 + 0.15
    spot = footprint((-w, w, -h, h)) @ rotation.T + position
    return quads, spot[None]


@lru_cache(maxsize=16)
def build_street(settings: StreetSettings, split: Split, scene: int) -> Street:
    """Scene number `scene` of a split."""
    if settings.variety == "wide":
        return build_wide(
            [settings.seed, SPLITS.index(split), scene], settings.frames, settings.step, settings.moving
        )
    seeds = np.random.SeedSequence([settings.seed, SPLITS.index(split), scene])
    # a generator for every kind of thing: a longer clip gets more street, not another street
    rng, traffic_rng, wear_rng, *side_rngs = (np.random.default_rng(s) for s in seeds.spawn(11))
    light, sun_shift = draw_town_light(rng)
    two_way = rng.random() < 0.7
    lanes = rng.uniform(2.75, 3.4) if two_way else rng.uniform(1.7, 2.1)
    parked = (rng.random() < 0.75, rng.random() < 0.75)
    grey = rng.uniform(0.28, 0.42)
    half = lanes + 2.15
    grass = rng.random() < 0.5
    pale = rng.uniform(0.45, 0.62)
    slabs = (pale * 1.03, pale, pale * rng.uniform(0.88, 0.96))
    pavement = rng.uniform(1.6, 2.6)
    greens = ((0.33, 0.42, 0.17), (0.38, 0.41, 0.2), (0.28, 0.38, 0.16))
    road = Road(
        curvature=float(rng.uniform(1e-4, 1 / 110) * rng.choice([-1, 1])),
        half=half,
        lanes=lanes,
        pavement=pavement,
        asphalt=(grey, grey, grey * 1.04),
        slabs=slabs,
        verge=greens[rng.integers(3)] if grass else (pale * 0.95, pale * 0.86, pale * 0.74),
        grass=grass,
        dash=float(rng.choice([4.0, 6.0, 9.0])) if two_way and rng.random() < 0.8 else 0.0,
        edge_line=bool(rng.random() < 0.6),
        zebra=float(rng.uniform(8, 60)) if rng.random() < 0.4 else -500.0,
    )
    speed = settings.step * rng.uniform(0.75, 1.25)
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

    end = settings.step * 1.25 * settings.frames + AHEAD
    b = Builder(road, wear_rng, sun_shift)
    _wear(b, end)
    for side in (-1, 1):
        _line_street(b, side, end, bool(parked[side > 0]), side_rngs[:4] if side < 0 else side_rngs[4:])

    traffic = _traffic(traffic_rng, settings, speed, lane) if settings.moving else []
    return Street(road, light, join(b.parts), *b.gathered(), traffic, speed, lane, height, sway)


def _line_street(b: Builder, side: int, end: float, parked: bool, rngs: list[Generator]) -> None:
    """Houses, trees, lamps and parked cars of one side."""
    road = b.road
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
            quads, length, width = car_shape(rng, b.pick(CARS, 0.1), bool(rng.random() < 0.15))
            turn = rng.normal(0, 0.02) + (np.pi if side < 0 and rng.random() < 0.8 else 0)
            u = side * (road.half - 0.2 - width / 2)
            b.put(quads, s + length / 2, u, turn)
            w, h = width / 2 + 0.15, length / 2 + 0.15
            b.shadow(s + length / 2, u, (-w, w, -h, h), *CONTACT, turn)
            b.shadow(s + length / 2, u, (-w, w, -h, h), *SHADOW, turn, cast_by=0.75)
            s += length + rng.uniform(0.6, 1.6)
        else:
            s += rng.uniform(3, 9)


def _wear(b: Builder, end: float) -> None:
    """Patches and covers on the roadway."""
    rng, road = b.rng, b.road
    for s in np.arange(-5, end, 9.0):
        at, u = s + rng.uniform(0, 9), rng.uniform(-0.8, 0.8) * road.lanes
        w, h = rng.uniform(0.3, 1.1), rng.uniform(0.5, 3)
        b.shadow(at, u, (-w, w, -h, h), rng.uniform(0.12, 0.3), 0.04)
        if rng.random() < 0.6:
            b.shadow(at + 4, -u, square(0.33), 0.5, 0.05, round_=True)


def _traffic(rng: Generator, settings: StreetSettings, speed: float, lane: float) -> list[Car]:
    """Cars ahead in the camera's lane and oncoming ones in the other; in some scenes none."""
    cars = []
    if rng.random() < 0.2:
        return []
    last = max(settings.frames - 1, 1)
    ahead = speed * rng.uniform(0.75, 1.25)
    s = rng.uniform(9, 30)
    ahead = max(ahead, speed - (s - 8.5) / last)
    for _ in range(int(rng.integers(0, 3))):
        quads, length, width = car_shape(rng, pick(rng, CARS, 0.1), bool(rng.random() < 0.15))
        cars.append(Car(join(quads), length, width, s, lane, ahead))
        s += rng.uniform(9, 30)
    oncoming = settings.step * rng.uniform(0.6, 1.2)
    s = rng.uniform(7, 30)
    for _ in range(int(rng.integers(0, 4)) if lane else 0):
        quads, length, width = car_shape(rng, pick(rng, CARS, 0.1), bool(rng.random() < 0.15))
        cars.append(Car(join(quads), length, width, s, -lane, -oncoming))
        s += rng.uniform(9, 30)
    return cars
