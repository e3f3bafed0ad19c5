"""Scenes of the wide variety: all kinds of road, land, traffic, light and camera."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from mono2many.street.jam import queues, stop_and_go
from mono2many.street.land import GRASS, far_land, ramp
from mono2many.street.noise import Array
from mono2many.street.places import PLACES, line_road, over_and_between
from mono2many.street.roads import WHITE, YELLOW, Colour, WideRoad
from mono2many.street.scene import Builder, Street
from mono2many.street.shapes import Real, join, square
from mono2many.street.sky import draw_light
from mono2many.street.traffic import MOST, crossing, oncoming, parked, people, traffic

AHEAD = 150.0
"""Metres of road that are lined ahead of the last frame."""
FIELD_OF_VIEW = 35.0, 100.0
"""Of the camera, horizontally, degrees: the least and the greatest."""
PACE = {"town": 0.8, "avenue": 1.0, "suburb": 0.7, "country": 1.3, "motorway": 1.8}
"""How fast one drives, as a multiple of the settings' step."""
CROPS = (
    (0.3, 0.42, 0.16), (0.55, 0.5, 0.26), (0.4, 0.33, 0.24), (0.36, 0.44, 0.2), (0.62, 0.56, 0.32),
    (0.48, 0.46, 0.14), (0.26, 0.34, 0.15),
)  # fmt: skip


def build_wide(entropy: list[int], frames: int, step: Real, moving: bool, jammed: bool) -> Street:
    """The scene that follows from `entropy`: clips of `frames`, driven at about `step` metres per frame, or
    jammed: at most so fast, stop-and-go."""
    seeds = np.random.SeedSequence([*entropy, 0x51DE])
    # a generator for every kind of thing: a longer clip gets more road, not another road
    base, plan, wear, cars, land, over, walk, *sides, pace = (
        np.random.default_rng(s) for s in seeds.spawn(16)
    )
    place = str(base.choice(list(PLACES), p=list(PLACES.values())))
    light, sun_shift = draw_light(base)
    sun_shift = sun_shift * min(1.0, 3.5 / float(np.linalg.norm(sun_shift)))
    road = _road(plan, place, light.wet, np.minimum(light.horizon * 1.0, 1))
    lane = int(base.integers(road.count))
    speed = step * PACE[place] * (base.uniform(0.5, 1.3) if base.random() < 0.85 else base.uniform(0.0, 0.15))
    course = None
    if jammed:
        speed = max(speed, 0.4 * step * PACE[place])
        course = stop_and_go(pace, frames, speed)
    end = step * 1.3 * PACE[place] * frames + AHEAD
    if base.random() < 0.35:
        (x, z), heading = road.place(speed * frames + base.uniform(20, 110), 0)
        rise = float(x), float(z), float(heading), base.uniform(0.01, 0.075), base.uniform(60, 500)
        road = replace(road, ramp=rise)
    b = Builder(road, wear, sun_shift, [ramp(road)] if road.ramp is not None else [])
    _wear(b, end)
    for side in (-1, 1):
        line_road(b, sides[:4] if side < 0 else sides[4:], place, side, end)
        if road.shoulder > 2 and place != "motorway" and walk.random() < 0.85:
            b.rng = walk
            parked(b, 95.0, side, place, road.shoulder > 4.5)
        if road.kerbed and walk.random() < 0.7:
            b.rng = walk
            people(b, 70.0, side, walk.uniform(6, 30))
    over_and_between(b, over, place, end)
    b.rng = land
    far_land(b, speed * frames / 2, place in ("town", "avenue", "suburb"))
    b.rng = walk
    if course is None:  # a queue would stand among the people
        crossing(b, speed * frames + 7)
    driving = []
    if moving:
        b.rng = cars
        lit = light.dusk or light.haze > 6e-3
        if course is None:
            driving = traffic(b, place, frames, speed, step, lane, lit)
        else:
            lanes = [(road.middle_of(i), road.lane) for i in range(road.count)]
            driving = queues(cars, road, lanes, lane, course, speed, lit, sun_shift)
        driving += oncoming(b, place, step, lit, MOST + 10 - len(driving))
    # a ball out of sight, so that a scene without trees has an array of them
    b.balls.append((np.array([0.0, 50.0, -400.0]), 0.1, np.full(3, 0.1)))
    parts = join(b.parts), b.gathered_balls(), b.decals
    u, height, sway, focal = _camera(base, road, lane)
    come = None if course is None else course.travelled()
    return Street(road, light, *parts, driving, speed, u, height, sway, focal, place, come)


def _lanes(rng: Generator, place: str) -> tuple[int, bool, float, int, float, float]:
    """Least radius of its bends, two-way or not, and WideRoad's inner, count, lane and shoulder."""
    # what differs from place to place: least radius, lanes, their width, the middle, the paved edge
    radius, lanes, lane, inner, shoulder = {
        "town": (110, (1, 2), (2.9, 3.5), 0.0, rng.choice([0.3, 2.2, 2.2, 5.2])),
        "avenue": (
            220,
            (2, 4),
            (3.0, 3.6),
            rng.choice([0.0, rng.uniform(1, 5)]),
            rng.choice([0.3, 2.3, 5.2]),
        ),
        "suburb": (90, (1, 2), (2.7, 3.4), 0.0, rng.choice([0.2, 0.3, 2.2])),
        "country": (90, (1, 2), (2.7, 3.75), 0.0, rng.uniform(0.1, 1.5)),
        "motorway": (420, (2, 5), (3.4, 3.8), rng.uniform(1.0, 5.5), rng.uniform(0.8, 3.2)),
    }[place]
    two_way = not (place in ("town", "avenue") and rng.random() < 0.25)
    count = int(rng.integers(*lanes))
    if not two_way:
        count = int(rng.integers(1, 5 if place == "town" else 7))
        inner = 0.0
    elif place == "country" and rng.random() < 0.12:
        count = 2
    return radius, two_way, inner, count, rng.uniform(*lane), float(shoulder)


def _road(rng: Generator, place: str, wet: Real, sheen: Array) -> WideRoad:
    """Its plan: lanes, markings, surfaces, curvature."""
    radius, two_way, inner, count, width, shoulder = _lanes(rng, place)
    kerbed = place in ("town", "avenue") or (place == "suburb" and rng.random() < 0.7)
    footway = rng.uniform(1.4, 5.0) if kerbed else rng.uniform(0.3, 1.6)
    # most bends are gentle, a third of the roads nearly straight
    bend = rng.choice([rng.uniform(0, 0.06), rng.uniform(0, 0.5), rng.uniform(0.2, 1)]) / radius
    grey, tint = rng.uniform(0.2, 0.44), rng.uniform(-0.02, 0.03)
    pale = rng.uniform(0.42, 0.66)
    green = np.array(GRASS[rng.integers(len(GRASS))]) * rng.uniform(0.85, 1.15)
    yellow = rng.random() < 0.3
    period = float(rng.choice([4, 6, 9, 12, 18]))
    paved = kerbed and place != "suburb" and rng.random() < 0.6
    unmarked = ["none"] if place in ("suburb", "country", "town") else []
    middles = ["dashed", "dashed", "solid", "double", "mixed", *unmarked]
    crossed = {"motorway": 0.0, "country": 0.0}.get(place, 0.35)
    return WideRoad(
        curvature=float(max(bend, 2e-5) * rng.choice([-1, 1])),
        pavement=footway,
        asphalt=(grey * (1 + tint), grey, grey * (1.03 - tint)),
        slabs=(pale * 1.03, pale, pale * rng.uniform(0.86, 0.98)),
        verge=(pale * 0.95, pale * 0.86, pale * 0.74) if paved else _colour(green),
        edge_line=bool(rng.random() < {"motorway": 1.0, "country": 0.6}.get(place, 0.35)),
        zebra=float(rng.uniform(6, 60)) if rng.random() < crossed else -500.0,
        hand=1 if rng.random() < 0.72 else -1,
        two_way=two_way,
        inner=inner,
        count=count,
        lane=width,
        shoulder=shoulder,
        kerbed=kerbed,
        dashes=(period, period * float(rng.choice([0.33, 0.45, 0.6]))),
        middle=str(rng.choice(middles)),
        line=rng.uniform(0.05, 0.1),
        middle_paint=YELLOW if yellow else WHITE,
        wear=float(rng.choice([0.1, 0.35, 0.75])),
        rough=rng.uniform(0.08, 0.4),
        cracks=float(rng.choice([0.0, 0.5, 1.0])),
        tracks=rng.uniform(0.02, 0.22),
        shoulder_tone=rng.uniform(0.8, 1.15),
        median=_colour(green if rng.random() < 0.5 else np.full(3, pale * 0.8)),
        median_hard=bool(rng.random() < 0.5),
        fields=_crops(rng) if place in ("country", "motorway", "suburb") else (),
        fields_from=rng.uniform(4, 22),
        wet=wet,
        sheen=_colour(sheen),
        seed=rng.uniform(0, 9),
    )


def _colour(rgb: Array) -> Colour:
    red, green, blue = rgb.tolist()
    return red, green, blue


def _crops(rng: Generator) -> tuple[Colour, ...]:
    return tuple(CROPS[i] for i in rng.integers(0, len(CROPS), 4))


def _camera(rng: Generator, road: WideRoad, lane: int) -> tuple[float, float, Array, float]:
    """Its u and height, how it sways (Street.sway), and its focal length in widths."""
    low, high = FIELD_OF_VIEW
    fov = rng.uniform(low, high) if rng.random() < 0.25 else np.clip(rng.normal(66, 13), low, high)
    height = rng.uniform(0.5, 3.0) if rng.random() < 0.25 else np.clip(rng.normal(1.45, 0.2), 0.9, 2.2)
    u = road.middle_of(lane) + rng.uniform(-0.35, 0.35)
    period = rng.uniform(25, 60)
    yaw = min(rng.uniform(0.005, 0.05), 0.25 * 2 * np.pi / period)
    phases = rng.uniform(0, 2 * np.pi, 3)
    tilt = np.clip(rng.normal(0, 0.035), -0.105, 0.105)
    lean = np.clip(rng.normal(0, 0.015), -0.052, 0.052)
    sway = np.array([
        [yaw, period, phases[0], rng.normal(0, 0.02)],
        [rng.uniform(0.001, 0.008), rng.uniform(4, 9), phases[1], tilt],
        [rng.uniform(0.001, 0.01), rng.uniform(7, 15), phases[2], lean],
    ])  # fmt: skip
    return float(u), float(height), sway, float(0.5 / np.tan(np.radians(fov) / 2))


def _wear(b: Builder, end: Real) -> None:
    """Patches, covers and skid marks on the carriageways."""
    rng, road = b.rng, b.wide_road
    often = rng.uniform(7, 40)
    for s in np.arange(-5, min(end, 110), often):
        at = s + rng.uniform(0, often)
        u = road.middle_of(int(rng.integers(road.count)), bool(rng.random() < 0.6)) + rng.normal(0, 0.6)
        w, h = rng.uniform(0.3, 1.4), rng.uniform(0.5, 6)
        b.shadow(at, u, (-w, w, -h, h), rng.uniform(0.1, 0.32), 0.04)
        if rng.random() < 0.4 and road.kerbed:
            b.shadow(at + 4, u - 0.5, square(0.33), 0.5, 0.05, round_=True)
        if rng.random() < 0.15:
            b.shadow(at + 2, u, (-0.11, 0.11, -7, 7), 0.25, 0.08, rng.normal(0, 0.02))
