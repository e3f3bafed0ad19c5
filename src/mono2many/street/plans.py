"""Which road each place of the wide variety has: lanes, markings, surfaces, curvature."""

import numpy as np
from numpy.random import Generator

from mono2many.street.land import GRASS
from mono2many.street.noise import Array
from mono2many.street.roads import WHITE, YELLOW, Colour, WideRoad
from mono2many.street.shapes import Real

CROPS = (
    (0.3, 0.42, 0.16), (0.55, 0.5, 0.26), (0.4, 0.33, 0.24), (0.36, 0.44, 0.2), (0.62, 0.56, 0.32),
    (0.48, 0.46, 0.14), (0.26, 0.34, 0.15),
)  # fmt: skip


def draw_road(rng: Generator, place: str, wet: Real, sheen: Array) -> WideRoad:
    """Its plan: lanes, markings, surfaces, curvature."""
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
    width = rng.uniform(*lane)
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
        shoulder=float(shoulder),
        kerbed=kerbed,
        dashes=(period, period * float(rng.choice([0.33, 0.45, 0.6]))),
        middle=str(rng.choice(middles)),
        line=rng.uniform(0.05, 0.1),
        paint=WHITE,
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
