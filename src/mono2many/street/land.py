"""The land around the wide variety's roads: woods, hills, skylines, slopes, trees of several kinds."""

import numpy as np

from mono2many.street.meshes import UPRIGHT, Palette, block, plain, sheet, solid
from mono2many.street.noise import Array
from mono2many.street.objects import tree
from mono2many.street.roads import WideRoad
from mono2many.street.scene import BEHIND, Builder
from mono2many.street.shapes import Decal, Quads, Real, around, footprint, own_axes, square
from mono2many.street.wide_paint import POINTED, RIDGE, ROUND, ROW, STEPS

LEAVES: Palette = (
    (0.2, 0.32, 0.12), (0.26, 0.36, 0.14), (0.17, 0.28, 0.14), (0.34, 0.38, 0.15), (0.42, 0.34, 0.12),
    (0.24, 0.3, 0.2),
)  # fmt: skip
NEEDLES: Palette = ((0.11, 0.2, 0.12), (0.14, 0.24, 0.15), (0.16, 0.24, 0.2))
GRASS: Palette = (
    (0.33, 0.42, 0.17), (0.38, 0.41, 0.2), (0.28, 0.38, 0.16), (0.5, 0.47, 0.28), (0.44, 0.4, 0.24),
    (0.25, 0.33, 0.15),
)  # fmt: skip
DIRT: Palette = ((0.4, 0.33, 0.22), (0.46, 0.42, 0.3))
BARK: Palette = ((0.3, 0.26, 0.22), (0.42, 0.38, 0.33), (0.24, 0.2, 0.18))
WALLS: Palette = ((0.62, 0.6, 0.56), (0.52, 0.5, 0.5), (0.6, 0.5, 0.42), (0.7, 0.68, 0.64), (0.42, 0.4, 0.4))


def line(b: Builder, s: Array, u: Real, up: Real) -> Array:
    """World places N 3 at distances `s` (N) along the road."""
    angle, k = b.road.curvature * s, b.road.curvature
    x, z = (1 - np.cos(angle)) / k + u * np.cos(angle), np.sin(angle) / k - u * np.sin(angle)
    return np.stack([x, -up - b.road.lift(x, z) * np.ones(len(s)), z], -1)


def strip(
    b: Builder, places: Array, inner: tuple[Real, Real], outer: tuple[Real, Real]
) -> tuple[Array, Array]:
    """World corners N 4 3 between `places` (s) along the road, from (u, up) `inner` to `outer`.

    And points N 3 behind: the sheet faces the road's middle.
    """
    near, far = places[:-1], places[1:]
    ends = (near, inner), (far, inner), (far, outer), (near, outer)
    corners = np.stack([line(b, s, *at) for s, at in ends], 1)
    middle = (inner[0] + outer[0]) / 2
    behind = line(b, (near + far) / 2, middle + np.sign(middle) * 30, min(inner[1], outer[1]) - 15)
    return corners, behind


def along(b: Builder, start: Real, end: Real, step: Real) -> Array:
    """Places from start to end. A bend asks for steps short enough to follow it."""
    step = min(step, max(4.0, 0.9 * np.sqrt(8 * 0.3 / max(abs(b.road.curvature), 1e-9))))
    return np.linspace(start, end, max(2, int(np.ceil((end - start) / step)) + 1))


def slope(b: Builder, end: Real, low: tuple[Real, Real], high: tuple[Real, Real]) -> None:
    """A grassy bank beside the road, between two (u, up)."""
    places = along(b, -BEHIND, end, 16)
    corners, behind = strip(b, places, low, high)
    params = [[s % 17.9, 0] for s in places[:-1]]
    b.parts.append(sheet(corners, "turf", b.pick(GRASS, 0.1), b.pick(DIRT, 0.1), params, behind))


def leaves(b: Builder, style: int) -> Array:
    return b.pick(NEEDLES if style == POINTED else LEAVES, 0.12)


def wood(
    b: Builder, start: Real, end: Real, u: Real, high: Real, style: int, size: Real, lift: Real = 0.0
) -> None:
    """A row of trees or the edge of a wood along the road."""
    places = along(b, start, end, 40)
    corners, behind = strip(b, places, (u, lift), (u, lift + high))
    if style == POINTED:
        size = max(size, 0.42 * high)
    # the outline goes on from one piece to the next
    params = [[style, size, (s / size) % 97] for s in places[:-1]]
    b.parts.append(sheet(corners, "wood", leaves(b, style), None, params, behind))


def backdrop(b: Builder, at: Real, distance: Real, high: Real, kind: str, style: int, size: Real) -> None:
    """Scenery around the place s = `at`, `distance` metres away, over 170 degrees."""
    (x, z), heading = b.road.place(at, 0)
    angles = heading + np.linspace(-1.5, 1.5, 8)
    r = distance / np.cos(1.5 / 7)
    foot = np.stack([x + r * np.sin(angles), np.zeros(8), z + r * np.cos(angles)], -1)
    foot[:, 1] -= b.road.lift(foot[:, 0], foot[:, 2])
    top = foot.copy()
    top[:, 1] -= high
    lean = 1.0 if kind != "hill" else 1 + 1.6 * high / distance
    top[:, [0, 2]] = np.array([x, z]) + (top[:, [0, 2]] - np.array([x, z])) * lean
    corners = np.stack([foot[:-1], foot[1:], top[1:], top[:-1]], 1)
    middle = corners.mean(1) + 2 * (corners.mean(1) - np.array([x, 0, z])) + np.array([0, 3 * high, 0])
    width = float(np.linalg.norm(foot[1] - foot[0]))
    offset = b.rng.uniform(0, 60)
    params = [[style, size, offset + i * width / size] for i in range(7)]
    if kind == "skyline":
        colour, accent = b.pick(WALLS, 0.1), b.pick(WALLS, 0.1)
    else:
        colour, accent = leaves(b, style), b.pick(GRASS, 0.1)
    b.parts.append(sheet(corners, kind, colour, accent, params, middle))


def far_land(b: Builder, at: Real, urban: bool) -> None:
    """What closes the view: hills, woods, buildings, in up to three ranges; seldom nothing."""
    rng = b.rng
    ranges = (0.5, (650, 1150), (0.04, 0.2), (0.1, 0.3)), (0.45, (380, 620), (0.03, 0.12), (0.1, 0.35))
    for chance, distance, high, size in ranges:
        if rng.random() < chance:
            far = rng.uniform(*distance)
            backdrop(b, at, far, far * rng.uniform(*high), "hill", RIDGE, far * rng.uniform(*size))
    near = rng.uniform(200, 350)
    if urban and rng.random() < 0.75:
        backdrop(b, at, near, rng.uniform(12, 45), "skyline", STEPS, rng.uniform(14, 40))
    elif rng.random() < 0.8:
        style = int(rng.choice([ROUND, POINTED, ROUND, ROW]))
        backdrop(b, at, near, rng.uniform(8, 20), "wood", style, rng.uniform(4, 9))


def conifer(b: Builder, s: Real, u: Real, big: Real) -> None:
    """Four tapering skirts of twigs on a trunk."""
    rng = b.rng
    high, colour = rng.uniform(7, 12) * big, b.pick(NEEDLES, 0.15)
    wide = high * rng.uniform(0.13, 0.2)
    parts = [solid(square(0.15), 0, high * 0.2, np.array([0.3, 0.23, 0.18]), plain(rng))]
    for i in range(4):
        low, top = square(wide * (1 - 0.2 * i)), square(wide * (0.5 - 0.16 * i))
        y = high * (0.12 + 0.22 * i)
        params: list[list[Real]] = [[rng.uniform(0, 17), rng.uniform(0, 17)]] * 5
        green = colour * (0.85 + 0.1 * i)
        skirt = block(low, top, y, y + high * 0.23, "turf", green, colour * 0.6, params)
        parts.append(skirt.only(UPRIGHT))
    b.put(parts, s, u, rng.uniform(0, 1.5))
    _tree_shadow(b, s, u, wide, high * 0.5)


def poplar(b: Builder, s: Real, u: Real, big: Real) -> None:
    """A tall narrow column of balls."""
    rng = b.rng
    wide, colour = rng.uniform(0.9, 1.3) * big, b.pick(LEAVES, 0.12)
    b.put([solid(square(0.14), 0, 2.5, np.array([0.34, 0.28, 0.22]), plain(rng))], s, u)
    count = 8
    for i in range(count):
        share = i / (count - 1)
        r = wide * (0.75 + 0.5 * np.sin(np.pi * share)) * (1 - 0.35 * share)
        own = np.array([rng.normal(0, 0.15), 2.0 + r * 0.5 + i * wide * 0.95, rng.normal(0, 0.15)])
        b.ball(s, u, own, r, colour * (0.75 + 0.35 * share))
    _tree_shadow(b, s, u, wide, 5.0)


def bush(b: Builder, s: Real, u: Real, big: Real) -> None:
    """Two or three balls on the ground."""
    rng, colour = b.rng, b.pick(LEAVES, 0.15)
    for _ in range(int(rng.integers(2, 4))):
        r = rng.uniform(0.45, 0.9) * big
        own = np.array([rng.normal(0, 0.5 * big), r * 0.7, rng.normal(0, 0.5 * big)])
        b.ball(s, u, own, r, colour * rng.uniform(0.85, 1.15))
    b.shadow(s, u, square(big), 0.5, 0.6 * big, round_=True)


def bare(b: Builder, s: Real, u: Real, big: Real) -> None:
    """A trunk with bare branches."""
    rng = b.rng
    high, bark = rng.uniform(3, 5) * big, b.pick(BARK)
    rough = plain(rng, 0.5, 0.1, 9, 0.3)
    w = 0.17 * big
    parts = [solid(square(w), 0, high, bark, rough, top=square(w * 0.5))]
    for i in range(8):
        angle, low = i * 2.4 + rng.uniform(0, 0.8), high * rng.uniform(0.5, 1.0)
        out, t = rng.uniform(0.8, 1.7) * big, w * 0.4
        tip = around(out * np.cos(angle), t * 0.4, out * np.sin(angle), t * 0.4)
        up = low + rng.uniform(1.2, 2.4) * big
        parts.append(solid(square(t), low - 0.2, up, bark, rough, top=tip))
    b.put(parts, s, u, rng.uniform(0, 3))
    _tree_shadow(b, s, u, 0.4 * big, high)


def _tree_shadow(b: Builder, s: Real, u: Real, wide: Real, up: Real) -> None:
    """Of a crown `wide` to each side, `up` metres above the ground."""
    _, position = b.road.frame(s, u)
    spot = footprint(square(wide)) + position + b.sun_shift * up
    b.decals.append(Decal(spot, 0.8, wide * 0.6, True, True))


TREES = {"round": tree, "conifer": conifer, "poplar": poplar, "bush": bush, "bare": bare}


def ramp(road: WideRoad) -> Quads:
    """The land that rises ahead: one sheet, 1200 m across, that the road paints."""
    assert road.ramp is not None
    x, z, heading, grade, long = road.ramp
    right, forward = own_axes(heading)[:, 0], own_axes(heading)[:, 2]
    foot = np.array([x, 0, z]) + np.outer([-600, 600], right)
    top = foot + long * forward - np.array([0, grade * long, 0])
    corners = np.stack([foot[0], foot[1], top[1], top[0]])
    level = 1 / np.sqrt(1 + grade * grade)
    params = [foot[0, 0], foot[0, 2], right[0], right[2], forward[0] * level, forward[2] * level]
    below = np.array([x, 100.0, z])
    return sheet(corners[None], "ramp", np.ones(3), params=[[float(p) for p in params]], middle=below)


def hill_side(b: Builder, at: Real, u: Real, high: Real) -> None:
    """A wooded hill close beside the road: a leaning sheet 250 m long."""
    _, position = b.road.frame(at, u)
    own = own_axes(b.road.place(at, 0)[1])
    side = np.sign(u)
    right = side * high * 2
    corners = np.array([[0, 0, -125], [0, 0, 125], [right, high, 125], [right, high, -125]])
    behind = np.array([side * 50, -20.0, 0]) @ own.T + position
    params: list[list[Real]] = [[RIDGE, b.rng.uniform(25, 60), b.rng.uniform(0, 60), 1]]
    world = (corners @ own.T + position)[None]
    b.parts.append(sheet(world, "hill", b.pick(LEAVES, 0.1), b.pick(GRASS, 0.1), params, behind))
