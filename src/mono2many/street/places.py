"""The places of the wide variety: which road each has, and what lines it."""

import numpy as np
from numpy.random import Generator

from mono2many.street import furniture
from mono2many.street.land import TREES, hill_side, slope, wood
from mono2many.street.objects import house, pole
from mono2many.street.scene import BEHIND, Builder
from mono2many.street.shapes import Real
from mono2many.street.wide_paint import POINTED, ROUND, ROW

PLACES = {"town": 0.16, "avenue": 0.14, "suburb": 0.13, "country": 0.22, "motorway": 0.35}
"""How often each comes."""
TOWN_TREES = ["round", "round", "poplar", "bare"]
Limits = tuple[Real, Real]


def line_road(b: Builder, rngs: list[Generator], place: str, side: int, end: Real) -> None:
    """Everything beside the road on one side. One generator for each kind of thing."""
    if place in ("town", "avenue"):
        _town(b, rngs, place, side, end)
    elif place == "suburb":
        _suburb(b, rngs, side, end)
    elif place == "country":
        _country(b, rngs, side, end)
    else:
        _motorway(b, rngs, side, end)


def trees(
    b: Builder, rng: Generator, side: int, u: Real, end: Real, gap: Real, kinds: list[str], spread: Real
) -> None:
    """Single trees of a few kinds about |u| metres out."""
    b.rng = rng
    s = -BEHIND + rng.uniform(0, gap)
    while s < end:
        kind = str(rng.choice(kinds))
        big = rng.uniform(0.75, 1.35)
        out = max(u + abs(rng.normal(0, spread)), u)
        TREES[kind](b, s, side * (out + (2.5 if kind == "conifer" else 0)), big)
        s += gap * rng.uniform(0.5, 1.6)


def _houses(b: Builder, rng: Generator, side: int, front: Real, end: Real, closed: Real, limit: Real) -> None:
    """A row of houses; `closed`: how often one stands against the next."""
    b.rng = rng
    s = -BEHIND + rng.uniform(-6, 0)
    while s < min(end, limit):
        width = rng.uniform(7, 19)
        stretch = 1 / max(1 - b.road.curvature * side * front, 0.5)
        house(b, s + width / 2 * stretch, side, front + rng.choice([0, 0, rng.uniform(0, 2)]), width)
        s += (width + (rng.uniform(0.05, 0.2) if rng.random() < closed else rng.uniform(3, 18))) * stretch


def _kinds(rng: Generator, kinds: list[str], count: int) -> list[str]:
    return [str(kind) for kind in rng.choice(kinds, count)]


def _poles(b: Builder, side: int, u: Real, end: Real, first: Real, gap: Real) -> None:
    for s in np.arange(-BEHIND + first, end, gap):
        pole(b, s, side * u, side)


def _town(b: Builder, rngs: list[Generator], place: str, side: int, end: Real) -> None:
    road, rng = b.wide_road, rngs[0]
    front = max(road.rim + road.pavement + rng.choice([0.0, rng.uniform(0, 12)]), 4.6)
    _houses(b, rng, side, min(front, 27.0), end, rng.choice([0.85, 0.5]), 150)
    rng = rngs[1]
    if rng.random() < 0.7:
        gap = rng.uniform(8, 22)
        trees(b, rng, side, road.rim + 0.7, min(end, 120), gap, _kinds(rng, TOWN_TREES, 2), 0.05)
    b.rng = rng = rngs[2]
    if rng.random() < 0.6:
        reach, gap = -side * rng.uniform(1.2, 2.5), rng.uniform(18, 32)
        furniture.lamp_posts(b, min(end, 110), side * (road.rim + 0.4), reach, gap)
    _poles(b, side, road.rim + 0.35, min(end, 90), rng.uniform(0, 20), rng.uniform(15, 40))
    if place == "avenue" and road.inner > 1.5 and side > 0 and rng.random() < 0.7:
        trees(b, rng, 1, 0.0, min(end, 120), rng.uniform(8, 18), ["round", "bare", "poplar"], 0.0)


def _suburb(b: Builder, rngs: list[Generator], side: int, end: Real) -> None:
    road, rng = b.wide_road, rngs[0]
    kerb = road.rim + road.pavement
    _houses(b, rng, side, kerb + rng.uniform(3, 14), end, 0.1, 130)
    b.rng = rng = rngs[1]
    style = rng.random()
    if style < 0.4:
        furniture.fence(b, min(end, 120), side * (kerb + 0.4))
    elif style < 0.75:
        high, wide = rng.uniform(1.0, 2.4), rng.uniform(1.2, 2.5)
        wood(b, -BEHIND, min(end, 130), side * (kerb + 0.6), high, ROUND, wide)
    kinds = _kinds(rng, list(TREES), 3)
    trees(b, rng, side, kerb + 1.8, min(end, 120), rng.uniform(8, 26), kinds, 1.5)
    b.rng = rng = rngs[2]
    _poles(b, side, kerb - road.pavement + 0.4, min(end, 100), rng.uniform(0, 20), rng.uniform(22, 40))


def _country(b: Builder, rngs: list[Generator], side: int, end: Real) -> None:
    kerb = b.wide_road.rim
    top = _bank_and_hedge(b, rngs[0], side, kerb, end)
    b.rng = rng = rngs[1]
    kinds = _kinds(rng, list(TREES), 3)
    if rng.random() < 0.75:
        out, gap, spread = top + rng.uniform(0.8, 6), rng.uniform(6, 35), float(rng.choice([0.1, 4.0]))
        trees(b, rng, side, out, min(end, 150), gap, kinds, spread)
    b.rng = rng = rngs[2]
    if rng.random() < 0.6:
        begin = rng.uniform(-60, 90)
        for _ in range(int(rng.integers(1, 4))):
            long = rng.uniform(40, 160)
            _wood_beyond(b, begin, begin + long, side, top, (6, 90), (7, 20), (3.5, 8))
            begin += long + rng.uniform(0, 60)
    if rng.random() < 0.4:
        house(b, rng.uniform(10, 100), side, top + rng.uniform(5, 30), rng.uniform(8, 18))
    if rng.random() < 0.3:
        hill_side(b, rng.uniform(80, 220), side * rng.uniform(70, 160), rng.uniform(12, 55))
    b.rng = rng = rngs[3]
    if rng.random() < 0.5:
        furniture.delineators(b, end, kerb + 0.7)
    elif rng.random() < 0.4:
        furniture.steel_barrier(b, end, side * (kerb + 0.6))
    if rng.random() < 0.5:
        furniture.road_sign(b, rng.uniform(8, 70), side * (kerb + 1.4), False)
    if rng.random() < 0.35:
        _poles(b, side, top + 1.2, min(end, 110), rng.uniform(0, 20), rng.uniform(28, 40))


def _bank_and_hedge(b: Builder, rng: Generator, side: int, kerb: Real, end: Real) -> Real:
    """What rises beside a country road; where the flat land behind it begins."""
    b.rng = rng
    top = kerb + 1.5
    if rng.random() < 0.3:
        high = rng.uniform(0.8, 6)
        foot = kerb + b.wide_road.pavement + rng.uniform(0.8, 3)
        top = foot + high * rng.uniform(1.0, 2.5)
        slope(b, end + 40, (side * foot, 0), (side * top, high))
        if rng.random() < 0.6:
            _wood_on_slope(b, end + 40, side * (top + 0.3), (4, 12), (3, 6), high)
        top += 1.0
    near = rng.random()
    if near < 0.25:
        out, high, deep = top + rng.uniform(0.5, 4), rng.uniform(0.8, 2.2), rng.uniform(1.0, 2.2)
        wood(b, -BEHIND, end, side * out, high, ROUND, deep)
    elif near < 0.55:
        furniture.fence(b, min(end, 120), side * (top + rng.uniform(0.3, 3)))
    return top


def _wood_on_slope(b: Builder, end: Real, u: Real, tall: Limits, wide: Limits, ground: Real) -> None:
    """`ground`: height of the slope. Trees of `tall` metres, `wide` apart."""
    height, shape = b.rng.uniform(*tall), int(b.rng.choice([ROUND, POINTED]))
    wood(b, -BEHIND, end, u, height, shape, b.rng.uniform(*wide), ground * 0.9)


def _wood_beyond(
    b: Builder, begin: Real, end: Real, side: int, u: Real, away: Limits, tall: Limits, wide: Limits
) -> None:
    """On flat land, `away` metres beyond |u|."""
    out, height = u + b.rng.uniform(*away), b.rng.uniform(*tall)
    wood(b, begin, end, side * out, height, int(b.rng.choice([ROUND, POINTED, ROW])), b.rng.uniform(*wide))


def _motorway(b: Builder, rngs: list[Generator], side: int, end: Real) -> None:
    b.rng = rng = rngs[0]
    rim = b.wide_road.rim + 0.5
    reach = end + 120
    border = rng.random()
    if border < 0.4:
        furniture.steel_barrier(b, reach, side * rim)
    elif border < 0.6:
        furniture.concrete_barrier(b, reach, side * rim)
    out = _motorway_border(b, rngs[1], side, rim, reach)
    b.rng = rng = rngs[2]
    if rng.random() < 0.5:
        kinds = _kinds(rng, list(TREES), 3)
        trees(b, rng, side, out + 1.5, min(end, 150), rng.uniform(9, 40), kinds, 3.0)
    if rng.random() < 0.25:
        for s in np.arange(rng.uniform(-10, 60), 170, rng.uniform(30, 70)):
            house(b, s, side, out + rng.uniform(12, 60), rng.uniform(12, 19))
    if rng.random() < 0.25:
        hill_side(b, rng.uniform(100, 260), side * rng.uniform(90, 190), rng.uniform(15, 70))
    b.rng = rng = rngs[3]
    if rng.random() < 0.5:
        furniture.road_sign(b, rng.uniform(15, 110), side * (rim + 2.2), bool(rng.random() < 0.6))
    if rng.random() < 0.3:
        furniture.lamp_posts(b, min(end, 150), side * (rim + 0.6), -side * 2.5, rng.uniform(28, 45))


def _motorway_border(b: Builder, rng: Generator, side: int, rim: Real, reach: Real) -> Real:
    """A noise wall, an embankment or woods along a motorway; where the land behind begins."""
    b.rng = rng
    beyond = rng.random()
    out = rim + rng.uniform(1.0, 6)
    if beyond < 0.3:
        furniture.noise_wall(b, reach, side * out, rng.uniform(2.0, 5.5))
        return out + 3
    if beyond < 0.6:
        high = rng.uniform(1.5, 9)
        top = out + high * rng.uniform(1.2, 2.5)
        slope(b, reach, (side * out, 0), (side * top, high))
        if rng.random() < 0.7:
            _wood_on_slope(b, reach, side * (top + 0.2), (4, 13), (3, 7), high)
        return top + 2
    if beyond < 0.85:
        begin = -BEHIND
        while begin < reach:
            long = rng.uniform(40, 150)
            if rng.random() < 0.75:
                _wood_beyond(b, begin, begin + long, side, out, (1, 60), (5, 18), (3, 8))
            begin += long
    return out


def over_and_between(b: Builder, rng: Generator, place: str, end: Real) -> None:
    """Barriers between the directions, gantries, bridges."""
    road, rim = b.wide_road, b.wide_road.rim
    b.rng = rng
    if place == "motorway":
        kind = rng.random()
        if kind < 0.45:
            furniture.concrete_barrier(b, end + 120, 0.0)
        elif kind < 0.9:
            for u in (0.0,) if road.inner < 2.2 else (-road.inner + 0.9, road.inner - 0.9):
                furniture.steel_barrier(b, end + 120, u)
        if road.inner > 2.2 and rng.random() < 0.4:
            for u in (-0.1, 0.1):
                wood(b, -BEHIND, end + 60, u, rng.uniform(0.9, 2), ROUND, rng.uniform(1, 2))
        elif rng.random() < 0.3:
            furniture.lamp_posts(b, min(end, 160), 0.0, 0.0, rng.uniform(30, 50))
        if rng.random() < 0.4:
            left, right = (-rim - 1.2, rim + 1.2)
            if rng.random() < 0.5:
                left, right = (0.3, rim + 1.2) if road.hand > 0 else (-rim - 1.2, -0.3)
            furniture.gantry(b, rng.uniform(18, 110), left, right)
    if rng.random() < {"motorway": 0.4, "avenue": 0.05, "country": 0.1}.get(place, 0.03):
        s, clear = rng.uniform(20, 130), rng.uniform(4.8, 6.5)
        furniture.bridge(b, s, clear, rim + rng.uniform(1.5, 5))
        if road.inner > 0.8:
            furniture.pier(b, s, 0.0, clear)
