"""What drives and walks: cars, lorries, buses, two-wheelers, people."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from mono2many.street.kinds import KIND
from mono2many.street.meshes import UPRIGHT, Palette, block, pick, plain, sheet, solid
from mono2many.street.noise import Array
from mono2many.street.shapes import Quads, Real, Shape, Span, around, upright

PAINT: Palette = (
    (0.8, 0.81, 0.82), (0.88, 0.88, 0.87), (0.86, 0.87, 0.88), (0.07, 0.07, 0.08), (0.11, 0.12, 0.13),
    (0.09, 0.1, 0.13), (0.42, 0.44, 0.46), (0.55, 0.57, 0.59), (0.28, 0.29, 0.31), (0.55, 0.07, 0.07),
    (0.1, 0.2, 0.45), (0.2, 0.32, 0.5), (0.6, 0.57, 0.5), (0.12, 0.28, 0.22), (0.75, 0.42, 0.08),
    (0.36, 0.24, 0.18), (0.82, 0.7, 0.12),
)  # fmt: skip
"""Of cars, black to white."""
CARGO: Palette = (
    (0.88, 0.88, 0.87), (0.85, 0.86, 0.88), (0.78, 0.78, 0.76), (0.6, 0.62, 0.64), (0.2, 0.3, 0.55),
    (0.62, 0.12, 0.1), (0.16, 0.36, 0.25), (0.85, 0.68, 0.15), (0.8, 0.42, 0.12), (0.35, 0.36, 0.38),
    (0.14, 0.15, 0.17),
)  # fmt: skip
CLOTHES: Palette = (
    (0.1, 0.11, 0.15), (0.16, 0.2, 0.34), (0.5, 0.12, 0.12), (0.75, 0.74, 0.7), (0.3, 0.33, 0.24),
    (0.55, 0.5, 0.4), (0.8, 0.65, 0.2), (0.2, 0.4, 0.5), (0.07, 0.07, 0.08),
)  # fmt: skip
SKIN: Palette = ((0.78, 0.58, 0.46), (0.6, 0.42, 0.3), (0.36, 0.24, 0.17))
SIDES = (0.0, 1.0, 2.0, 1.0, 3.0)
"""What a block's faces are to the painters: 0 rear, 1 flank, 2 front, 3 top."""
CLEAN = {KIND["body"]: KIND["clean body"], KIND["cabin"]: KIND["clean cabin"]}
LAMP = 3.2
"""How much brighter than its surroundings a lamp that is on shines."""


def wheels(half: Real, axles: list[float], size: Real, colour: Array) -> list[Quads]:
    """Wheels of a vehicle at both sides."""
    lines = [(r, f - size / 2, r, f + size / 2) for f in axles for r in (-half, half)]
    return [sheet(upright(lines, 0, size), "wheel", colour, middle=np.zeros(3))]


def car_shape(rng: Generator, colour: Array, van: bool) -> Shape:
    if van:
        length, width, belt, roof = rng.uniform(4.6, 5.4), 1.95, 1.05, rng.uniform(1.9, 2.3)
        wheel, hood, nose = 0.66, 0.85, 0.75
    else:
        length, width = rng.uniform(3.7, 4.6), rng.uniform(1.68, 1.82)
        belt, roof = rng.uniform(0.82, 0.92), rng.uniform(1.4, 1.55)
        wheel, hood, nose = 0.61, 0.66, 1.05
    half, rear, front = width / 2, -length / 2, length / 2
    offset = rng.uniform(0, 17)
    axles = (rear + length * 0.19, front - length * 0.18)
    params = [[side, axles[0] - rear, axles[1] - rear, offset] for side in SIDES]
    params[3][1:3] = [front - axles[1], front - axles[0]]
    waist: Span = (-half + 0.02, half - 0.02, rear + 0.03, front - 0.06)
    body = block((-half, half, rear, front), waist, 0.2, hood, "body", colour, params=params).only(UPRIGHT)
    shoulder: Span = (-half + 0.06, half - 0.06, rear + 0.06, front - nose)
    parts = [body, block(waist, shoulder, hood, belt, "body", colour, params=[[3.0, 0, 0, offset]] * 5)]
    estate = van or rng.random() < 0.5
    back = rear + (0.08 if estate else 0.55)
    lean = (0.08, 0.55) if van else (0.25 if estate else 0.55, 0.7)
    cabin: Span = (-half + 0.06, half - 0.06, back, shoulder[3])
    top: Span = (-half + 0.2, half - 0.2, back + lean[0], shoulder[3] - lean[1])
    leans = [(0.14, 0.14), lean, (0.14, 0.14), lean[::-1], (0.0, 0.0)]
    params = [[side, low, high, offset] for side, (low, high) in zip(SIDES, leans, strict=True)]
    parts.append(block(cabin, top, belt, roof, "cabin", colour, params=params))
    for axle in axles:
        parts += wheels(half + 0.015, [axle], wheel, colour)
        box: Span = (-half + 0.02, half - 0.02, axle - wheel * 0.35, axle + wheel * 0.35)
        parts.append(solid(box, 0.0, 0.25, np.full(3, 0.05), plain(rng)).only([0, 2]))
    return Shape(parts, length, width, max(float(q.corners[..., 1].max()) for q in parts))


def car(rng: Generator) -> Shape:
    shape = car_shape(rng, pick(rng, PAINT, 0.08), bool(rng.random() < 0.18))
    if rng.random() < 0.75:
        for q in shape.quads:
            q.kind[:] = [CLEAN.get(int(kind), int(kind)) for kind in q.kind]
    return shape


def box_body(
    rng: Generator, span: Span, low: Real, high: Real, style: int, colour: Array, accent: Array, foot: Real
) -> Quads:
    """A box of the kind `box`; its lowest `foot` metres are the dark chassis."""
    seed = rng.uniform(0, 17)
    params: list[list[Real]] = [[side, style, foot, seed] for side in SIDES]
    return block(span, span, low, high, "box", colour, accent, params)


def lorry(rng: Generator) -> Shape:
    """A lorry with a trailer, or a short one: box, curtain, stripes, dirt, tank ribs."""
    long = rng.random() < 0.6
    if long:
        length, half, high = rng.uniform(12.5, 16.5), rng.uniform(1.22, 1.28), rng.uniform(3.4, 4.0)
        gap, foot, size = 0.7, 0.75, 1.0
    else:
        length, half, high = rng.uniform(6.5, 10), rng.uniform(1.05, 1.25), rng.uniform(2.7, 3.6)
        gap, foot, size = 0.15, 0.55, 0.85
    style = int(rng.choice([0, 1, 2, 5, 6]))
    colour, accent = pick(rng, CARGO, 0.08), pick(rng, CARGO, 0.1)
    rear, front = -length / 2, length / 2
    cab = rng.uniform(1.8, 2.4)
    cargo: Span = (-half, half, rear, front - cab - gap)
    parts = [box_body(rng, cargo, 0.4, high, style, colour, accent, foot)]
    head: Span = (-half + 0.04, half - 0.04, front - cab, front)
    tall = rng.uniform(2.7, 3.6) if long else min(rng.uniform(2.2, 2.6), high)
    cabin = pick(rng, CARGO, 0.1)
    parts.append(box_body(rng, head, 0.35, tall, 4, cabin, cabin, 0.6))
    axles = [rear + 1.6, front - 1.1]
    if long:
        axles = [front - 1.3, front - cab - 1.6, rear + 2.0, rear + 3.3, rear + 4.6]
    parts += wheels(half + 0.02, axles, size, cabin)
    inner: Span = (-half + 0.05, half - 0.05, rear + 1.4, rear + 2.4)
    parts.append(solid(inner, 0, 0.75, np.full(3, 0.05), plain(rng)).only([0, 2]))
    chassis: Span = (-0.5, 0.5, rear + 0.6, front - 0.5)
    parts.append(solid(chassis, 0.35, 0.9, np.full(3, 0.07), plain(rng)).only([1, 3]))
    return Shape(parts, length, 2 * half, high)


def bus(rng: Generator) -> Shape:
    """A bus or coach."""
    length, half, high = rng.uniform(10, 13), 1.27, rng.uniform(2.9, 3.6)
    colour, accent = pick(rng, CARGO, 0.1), pick(rng, CARGO, 0.1)
    parts = [box_body(rng, (-half, half, -length / 2, length / 2), 0.3, high, 3, colour, accent, 0.5)]
    axles = [-length * 0.28, length * 0.31]
    parts += wheels(half + 0.02, axles, 0.95, colour)
    inner: Span = (-half + 0.1, half - 0.1, axles[0], axles[1])
    parts.append(solid(inner, 0, 0.35, np.full(3, 0.05), plain(rng)).only([0, 2]))
    return Shape(parts, length, 2 * half, high)


def person(rng: Generator, stride: Real = 0.0) -> Shape:
    """A person upright: legs, arms, coat, head, hair."""
    high = rng.uniform(1.5, 1.9) if rng.random() < 0.85 else rng.uniform(1.0, 1.4)
    wide = high * rng.uniform(0.12, 0.15)
    coat, trousers = pick(rng, CLOTHES, 0.15), pick(rng, CLOTHES, 0.15)
    step = 0.16 * high * (stride or rng.uniform(0, 0.8))
    rough = plain(rng, 0.5)

    def part(bottom: Span, top: Span, low: Real, up: Real, colour: Array) -> Quads:
        return solid(bottom, high * low, high * up, colour, rough, top=top)

    parts = []
    for side in (-1, 1):
        arm, leg, f = side * wide, side * wide * 0.5, side * step
        hip = around(leg, wide * 0.5, 0, 0.09)
        parts.append(part(around(leg, wide * 0.36, f, 0.1), hip, 0, 0.48, trousers).only(UPRIGHT))
        hand, upper = around(arm * 1.25, wide * 0.24, -f, 0.06), around(arm * 1.05, wide * 0.26, 0, 0.06)
        parts.append(part(hand, upper, 0.44, 0.8, coat * 0.92))
    crown = around(0, wide * 0.36, 0, 0.08)
    parts.append(part(around(0, wide, 0, 0.12), around(0, wide * 0.95, 0, 0.1), 0.42, 0.83, coat))
    parts.append(part(around(0, wide * 0.42, 0, 0.09), crown, 0.83, 1, pick(rng, SKIN, 0.1)))
    hair: Span = (-wide * 0.44, wide * 0.44, -0.1, 0.06)
    parts.append(part(hair, crown, 0.92, 1.01, pick(rng, CLOTHES, 0.2) * 0.6))
    return Shape(parts, 0.5, 2.6 * wide, high)


def two_wheeler(rng: Generator) -> Shape:
    """A bicycle or motorcycle with its rider."""
    motor = rng.random() < 0.5
    size, base, wide = (0.64, 1.35, 0.17) if motor else (0.68, 1.05, 0.05)
    coat, frame = pick(rng, CLOTHES, 0.15), pick(rng, PAINT, 0.2)
    rough = plain(rng, 0.5)
    parts = []
    for f in (-base / 2, base / 2):
        parts += wheels(0.04, [f], size, frame)
        tyre = around(0, 0.05, f, size * 0.42)
        parts.append(solid(tyre, 0.02, size * 0.96, np.full(3, 0.07), rough).only([0, 2]))
    parts.append(solid((-wide, wide, -base * 0.45, base * 0.4), 0.38, 0.85, frame, rough))
    parts.append(solid((-0.19, 0.19, -0.4, -0.1), 0.85, 1.45, coat, rough, top=around(0, 0.2, 0, 0.15)))
    helmet = pick(rng, PAINT if motor else SKIN, 0.1)
    parts.append(solid((-0.11, 0.11, -0.05, 0.2), 1.45, 1.72, helmet, rough))
    for side in (-1, 1):
        foot: Span = (side * 0.16 - 0.07, side * 0.16 + 0.07, 0.0, 0.2)
        hip: Span = (side * 0.13 - 0.08, side * 0.13 + 0.08, -0.35, -0.1)
        parts.append(solid(foot, 0.3, 0.9, coat * 0.6, rough, top=hip))
        hand: Span = (side * 0.24 - 0.05, side * 0.24 + 0.05, 0.35, 0.45)
        arm: Span = (side * 0.21 - 0.06, side * 0.21 + 0.06, -0.05, 0.08)
        parts.append(solid(hand, 0.95, 1.35, coat * 0.9, rough, top=arm))
    return Shape(parts, base + size, 0.7, 1.72)


SHAPES: dict[str, Callable[[Generator], Shape]] = {
    "car": car,
    "lorry": lorry,
    "bus": bus,
    "two-wheeler": two_wheeler,
}


def lamps(length: Real, width: Real, low: Real = 0.6) -> Quads:
    """Tail and head lamps that are on: small sheets just outside the ends."""
    f, r = length / 2 + 0.015, width / 2 - 0.28
    lines = [(right - 0.15, end, right + 0.15, end) for end in (-f, f) for right in (-r, r)]
    params: list[list[Real]] = [[9, 9, 0.03, 0, 0.05, 0]] * 4
    middle = np.array([0, low, 0.0])
    quads = sheet(upright(lines, low, low + 0.17), "plain", np.ones(3), params=params, middle=middle)
    quads.colour[:2], quads.colour[2:] = (LAMP, 0.22, 0.15), (LAMP, LAMP, LAMP * 0.85)
    return quads
