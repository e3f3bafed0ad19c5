"""What stands beside and over the wide variety's roads: barriers, walls, fences, gantries, bridges, signs."""

import numpy as np

from mono2many.street.land import along, line, strip
from mono2many.street.meshes import UPRIGHT, Palette, block, plain, sheet, solid
from mono2many.street.noise import Array
from mono2many.street.scene import BEHIND, Builder
from mono2many.street.shapes import Decal, Quads, Real, Span, around, square

CONCRETE: Palette = ((0.55, 0.54, 0.51), (0.62, 0.6, 0.57), (0.48, 0.48, 0.47), (0.66, 0.65, 0.63))
STEEL: Palette = ((0.55, 0.57, 0.58), (0.46, 0.48, 0.5), (0.64, 0.65, 0.66))
BOARDS: Palette = (
    (0.08, 0.2, 0.5), (0.05, 0.32, 0.2), (0.1, 0.26, 0.58), (0.84, 0.84, 0.82), (0.08, 0.36, 0.26),
)  # fmt: skip
WOODEN: Palette = ((0.42, 0.32, 0.22), (0.5, 0.44, 0.36), (0.62, 0.6, 0.56), (0.34, 0.26, 0.2))
PANELS: Palette = (*CONCRETE, *WOODEN, (0.35, 0.45, 0.4), (0.5, 0.55, 0.62))
BARS: list[Real] = [2.0, 0.35, 0.1, 0.5, 0.2, 0.0]
"""Of a gantry's beam: params of plain material."""


def ribbon(
    b: Builder, places: Array, u: Real, low: Real, high: Real, colour: Array, params: list[Real]
) -> None:
    """An upright sheet along the road, seen from the road's middle and from beyond."""
    rows = [[*params[:5], (s + params[5]) % 17.9] for s in places[:-1]]
    corners, behind = strip(b, places, (u, low), (u, high))
    before = 2 * corners.mean(1) - behind
    b.parts.append(sheet(corners, "plain", colour, params=rows, middle=behind))
    b.parts.append(sheet(corners, "plain", colour * 0.9, params=rows, middle=before))


def concrete_barrier(b: Builder, end: Real, u: Real) -> None:
    """A wall of sloping concrete, 0.8 to 1.1 m high."""
    high, wide = b.rng.uniform(0.8, 1.15), 0.3
    colour, places = b.pick(CONCRETE, 0.08), along(b, -BEHIND, end, 24)
    rows = [[6.0, 9.0, 0.03, 0.4, 0.35, s % 18] for s in places[:-1]]
    inside = line(b, places[:-1], u, -1)
    for sign in (-1, 1):
        corners, _ = strip(b, places, (u + sign * wide, 0), (u + sign * 0.1, high))
        b.parts.append(sheet(corners, "plain", colour, params=rows, middle=inside))
    corners, _ = strip(b, places, (u - 0.1, high), (u + 0.1, high))
    b.parts.append(sheet(corners, "plain", colour, params=rows, middle=corners[:, 0] + np.array([0, 5.0, 0])))
    ground, _ = strip(b, along(b, -BEHIND, end, 40), (u - wide - 0.15, 0), (u + wide + 0.15, 0))
    b.decals.extend(Decal(quad, 0.55, 0.25) for quad in ground)


def steel_barrier(b: Builder, end: Real, u: Real) -> None:
    """A steel rail on posts."""
    colour, places = b.pick(STEEL, 0.06), along(b, -BEHIND, end, 24)
    ribbon(b, places, u, 0.45, 0.76, colour, [4.0, 0.16, 0.05, 0.35, 0.15, 0])
    for s in np.arange(-BEHIND, min(end, 90 - BEHIND), 4.0):
        b.put([solid(square(0.05), 0, 0.7, colour * 0.8, plain(b.rng)).only([0, 1, 3])], s, u)


def noise_wall(b: Builder, end: Real, u: Real, high: Real) -> None:
    """Panels of wood, concrete or coloured metal between posts."""
    colour, joints = b.pick(PANELS, 0.08), b.rng.uniform(0.3, 1.2)
    ribbon(b, along(b, -BEHIND, end, 24), u, 0, high, colour, [4.0, joints, 0.12, 0.4, 0.3, 0])


def fence(b: Builder, end: Real, u: Real) -> None:
    """Posts with one to three rails, or a closed wooden fence, or a low wall."""
    rng, places = b.rng, along(b, -BEHIND, end, 20)
    style = rng.integers(0, 3)
    if style == 0:
        colour = b.pick(WOODEN, 0.1)
        for level in range(int(rng.integers(1, 4))):
            up = 0.4 + 0.35 * level
            ribbon(b, places, u, up, up + 0.12, colour, [3.0, 9, 0.05, 0.4, 0.35, 0])
        for s in np.arange(-BEHIND, min(end, 70 - BEHIND), 3.0):
            b.put([solid(square(0.06), 0, 1.25, colour, plain(rng))], s, u)
    elif style == 1:
        ribbon(b, places, u, 0.05, rng.uniform(0.9, 2.0), b.pick(WOODEN, 0.1), [0.14, 9, 0.02, 0.6, 0.35, 0])
    else:
        ribbon(b, places, u, 0, rng.uniform(0.5, 1.6), b.pick(CONCRETE, 0.15), [0.5, 0.25, 0.02, 0.3, 0.4, 0])


def gantry(b: Builder, s: Real, left: Real, right: Real) -> None:
    """Two posts and a beam over the road, with boards."""
    rng, colour = b.rng, b.pick(STEEL, 0.06)
    high, dull = rng.uniform(5.6, 7.0), plain(rng, 0.2)
    parts = [solid(around(u, 0.2, 0, 0.2), 0, high + 1, colour, dull) for u in (left, right)]
    parts += _deck((left, right, -0.25, 0.25), high, high + 0.7, colour, BARS)
    u = left + rng.uniform(0.5, 3)
    paint = b.pick(BOARDS, 0.08)
    while u < right - 3:
        wide, tall = rng.uniform(2.6, 5), rng.uniform(1.6, 3)
        if u + wide > right - 0.5:
            break
        parts.append(board_block(b, (u, u + wide, -0.4, -0.3), high - 0.6, high - 0.6 + tall, paint))
        u += wide + rng.uniform(0.3, 4)
    b.put(parts, s, 0)


def board_block(b: Builder, span: Span, low: Real, high: Real, paint: Array) -> Quads:
    """A sign whose near face is lettered."""
    ink = np.full(3, 0.88) if paint.mean() < 0.6 else np.array([0.1, 0.1, 0.12])
    rows = int(b.rng.integers(2, 5))
    params: list[list[Real]] = [[b.rng.uniform(0, 17), rows]] + [[9, 9, 0.03, 0, 0.2, 0]] * 4
    return block(span, span, low, high, ["board", *["plain"] * 4], paint, ink, params)


def _deck(span: Span, low: Real, high: Real, colour: Array, face: list[Real]) -> list[Quads]:
    """A block with its lower face."""
    r0, r1, f0, f1 = span
    under = np.array([[[r0, low, f0], [r1, low, f0], [r1, low, f1], [r0, low, f1]]])
    below = sheet(under, "plain", colour * 0.55, params=[face], middle=np.array([0, low + 5.0, 0]))
    return [solid(span, low, high, colour, face), below]


def bridge(b: Builder, s: Real, clear: Real, open_half: Real) -> None:
    """A road or railway bridge overhead: deck, parapet, piers or abutments, its shadow."""
    rng, colour = b.rng, b.pick(CONCRETE, 0.1)
    wide, thick, turn = rng.uniform(6, 14), rng.uniform(0.9, 1.7), rng.normal(0, 0.12)
    far, half = open_half + 40, wide / 2
    courses: list[Real] = [rng.uniform(3, 9), rng.uniform(0.6, 3), 0.03, 0.3, 0.4, rng.uniform(0, 17)]
    parts = _deck((-far, far, -half, half), clear, clear + thick, colour, courses)
    for f in (-half, half - 0.2):
        paint = colour * (0.75 if rng.random() < 0.5 else 1.05)
        bars: list[Real] = [2.0, 0.25, 0.1, 0.5, 0.2, 0.0]
        parts.append(solid((-far, far, f, f + 0.2), clear + thick, clear + thick + 1, paint, bars))
    walls = rng.random() < 0.5
    for side in (-1, 1):
        low, high = sorted((side * (open_half if walls else open_half + 9), side * far))
        end: Span = (low, high, -half, half)
        if walls:
            parts.append(solid(end, 0, clear, colour * 0.9, courses))
        else:
            foot: Span = (low - (9 if side > 0 else 0), high + (9 if side < 0 else 0), -half, half)
            parts.append(solid(foot, 0, clear, colour * 0.85, courses, top=end))
    b.put(parts, s, 0, turn)
    b.shadow(s, 0, (-open_half, open_half, -half, half), 0.55, 2.0, turn)


def pier(b: Builder, s: Real, u: Real, clear: Real) -> None:
    """A bridge's support between the carriageways."""
    colour = b.pick(CONCRETE, 0.1)
    b.put([solid((-0.4, 0.4, -2.5, 2.5), 0, clear, colour, plain(b.rng, 0.3, 9, 1.5, 0.2))], s, u)


def road_sign(b: Builder, s: Real, u: Real, large: bool) -> None:
    """A board on two posts beside the road."""
    rng, colour = b.rng, b.pick(STEEL, 0.06)
    if large:
        wide, tall = rng.uniform(2.2, 4.5), rng.uniform(1.8, 3.2)
    else:
        wide, tall = rng.uniform(0.6, 1.3), rng.uniform(0.5, 1)
    low = rng.uniform(1.2, 2.2)
    posts = [around(r, 0.06, 0, 0.06) for r in (-wide * 0.35, wide * 0.35)]
    parts = [solid(post, 0, low + tall * 0.8, colour, plain(rng)) for post in posts]
    paint = b.pick((*BOARDS, (0.8, 0.66, 0.12)), 0.08)
    parts.append(board_block(b, (-wide / 2, wide / 2, -0.14, -0.07), low, low + tall, paint))
    b.put(parts, s, u, rng.normal(0, 0.06))


def delineators(b: Builder, end: Real, u: Real) -> None:
    """White posts at the edge of the road."""
    for s in np.arange(-BEHIND, min(end, 160 - BEHIND), 25.0):
        white = solid(square(0.06), 0, 1.0, np.full(3, 0.85), plain(b.rng))
        black = solid(square(0.065), 0.7, 0.88, np.full(3, 0.08), plain(b.rng))
        for side in (-1, 1):
            b.put([white, black], s, side * u)


def lamp_posts(b: Builder, end: Real, u: Real, reach: Real, gap: Real) -> None:
    """Tall lamps; `reach` is how far the arm leads towards +u (negative: towards -u; 0: both ways)."""
    rng = b.rng
    colour = b.pick(STEEL, 0.1) * float(rng.choice([1.0, 0.5]))  # galvanised, or painted dark
    high, dull = rng.uniform(7, 11), plain(rng, 0.3)
    for s in np.arange(-BEHIND + rng.uniform(0, gap), end, gap):
        parts = [solid(square(0.11), 0, high, colour, dull, top=square(0.06)).only(UPRIGHT)]
        for arm in (float(reach),) if reach else (-2.0, 2.0):
            span: Span = (min(0.0, arm), max(0.0, arm), -0.05, 0.05)
            parts.append(solid(span, high, high + 0.1, colour, dull))
            head = around(arm - np.sign(arm) * 0.35, 0.4, 0, 0.15)
            parts.append(solid(head, high - 0.1, high + 0.12, colour * 0.9, dull))
        b.put(parts, s, u)
