"""Houses, trees, lamps and signs."""

import numpy as np

from mono2many.street.meshes import Palette, block, plain, sheet, solid
from mono2many.street.noise import Array
from mono2many.street.scene import Builder
from mono2many.street.shapes import Decal, Quads, Real, Span, footprint, square

PLASTER: Palette = (
    (0.78, 0.72, 0.6), (0.8, 0.76, 0.7), (0.74, 0.6, 0.46), (0.62, 0.66, 0.68), (0.76, 0.66, 0.55),
)  # fmt: skip
BRICK: Palette = (
    (0.56, 0.32, 0.25), (0.5, 0.36, 0.28), (0.62, 0.44, 0.33), (0.42, 0.3, 0.27), (0.66, 0.54, 0.42),
)  # fmt: skip
TILES: Palette = ((0.5, 0.27, 0.2), (0.33, 0.33, 0.36), (0.42, 0.3, 0.25), (0.28, 0.3, 0.33))
DOORS: Palette = ((0.3, 0.36, 0.3), (0.35, 0.27, 0.2), (0.5, 0.5, 0.52))
"""And window frames that are not white."""
CLOTH: Palette = ((0.7, 0.2, 0.16), (0.2, 0.42, 0.3), (0.8, 0.7, 0.5))
BARK: Palette = ((0.32, 0.25, 0.19), (0.4, 0.35, 0.3))
CROWNS: Palette = ((0.25, 0.4, 0.14), (0.33, 0.44, 0.17), (0.2, 0.36, 0.18), (0.5, 0.42, 0.14))
POSTS: Palette = ((0.33, 0.35, 0.36), (0.24, 0.3, 0.27), (0.5, 0.5, 0.5))
SIGNS: Palette = ((0.72, 0.12, 0.1), (0.1, 0.25, 0.6), (0.85, 0.75, 0.2))


def house(b: Builder, s: Real, side: int, front: Real, width: Real) -> None:
    """A house of `width` along the street whose front lies `front` metres from the middle."""
    rng = b.rng
    gabled = width < 12 and rng.random() < 0.6
    base, storey = rng.uniform(3.0, 3.6), rng.uniform(2.8, 3.3)
    floors = int(rng.integers(1, 3)) if gabled else int(rng.integers(1, 6))
    height = base + floors * storey + rng.uniform(0.5, 1.2)
    depth = rng.uniform(8, 13)
    brick = rng.random() < 0.5
    colour = b.pick(BRICK if brick else PLASTER, 0.1)
    bays = max(2, round(width / rng.uniform(2.2, 3.4)))
    bay = width / bays
    shop = not gabled and rng.random() < 0.45
    row = [bay, min(rng.uniform(0.95, 1.5), bay * 0.62), storey * rng.uniform(0.44, 0.56), storey, base]
    row += [int(brick) + 2 * shop, rng.uniform(0, 50), rng.uniform(0.2, 0.3)]
    sparse = [*row]
    sparse[0], sparse[5] = depth / max(2, round(depth / 4)), int(brick)
    trim = np.array((0.84, 0.83, 0.79)) if rng.random() < 0.6 else b.pick(DOORS)
    span: Span = (-width / 2, width / 2, 0, depth)
    kinds = ["facade", "facade", "plain", "facade", "plain"]
    params = [row, sparse, plain(rng), sparse, plain(rng)]
    parts = [block(span, span, 0, height, kinds, colour, trim, params)]
    roof, tiles = b.pick(TILES, 0.1), plain(rng, 0.35, 0.25, 0.33, 0.35)
    if gabled:
        parts += _gabled_roof(b, width, depth, height, (roof, colour), tiles, brick)
    else:
        lip: Span = (-width / 2 - 0.12, width / 2 + 0.12, -0.22, depth)
        parts.append(solid(lip, height, height + 0.35, colour * np.float32(0.85), plain(rng, 0.25)))
        if rng.random() < 0.35 and floors > 1:
            lows = [base + level * storey + storey * 0.3 - 0.75 for level in range(1, floors)]
            parts += _balconies(b, width, bays, lows, trim)
    if shop and rng.random() < 0.7:
        parts += _awning(b, width)
    # own axes: right points along the street on the left side, and back on the right side
    turn = np.pi / 2 * side
    b.put(parts, s, side * front, turn)
    bottom = b.ground(span, s, side * front, turn)
    for i, j in ((0, 1), (1, 2), (3, 0)):
        b.wall_shadow(bottom[i], bottom[j], height, 1.0)


def _gabled_roof(
    b: Builder, width: Real, depth: Real, height: Real, colours: tuple[Array, Array],
    tiles: list[Real], brick: bool,
) -> list[Quads]:  # fmt: skip
    """Two slopes, the gables and a chimney."""
    roof, wall = colours
    rise, over = b.rng.uniform(0.55, 0.9) * depth / 2, 0.35
    w, drop = width / 2 + over, over * rise / (depth / 2)
    ridge, eave, far = height + rise, height - drop, depth + over
    slopes = np.array([
        [[-w, eave, -over], [w, eave, -over], [w, ridge, depth / 2], [-w, ridge, depth / 2]],
        [[w, eave, far], [-w, eave, far], [-w, ridge, depth / 2], [w, ridge, depth / 2]],
    ])  # fmt: skip
    h = width / 2
    ends = np.array([
        [[x, height, 0], [x, height, depth], [x, ridge, depth / 2], [x, ridge, depth / 2]]
        for x in (-h, h)
    ])  # fmt: skip
    stone = plain(b.rng, 0.3, 0.45, 0.15, 0.2 * brick)
    c = b.rng.uniform(-h * 0.7, h * 0.7)
    stack: Span = (c - 0.4, c + 0.4, depth / 2 + 0.6, depth / 2 + 1.2)
    return [
        sheet(slopes, "plain", roof, params=[tiles] * 2, middle=np.array([0, 0, depth / 2])),
        sheet(ends, "plain", wall, params=[stone] * 2, middle=np.array([0, height, depth / 2])),
        solid(stack, height, ridge + 0.9, np.array(BRICK[0]), stone),
    ]


def _balconies(b: Builder, width: Real, bays: int, lows: list[Real], trim: Array) -> list[Quads]:
    """At every other bay of the floors at `lows`."""
    parts, bay = [], width / bays
    for up in lows:
        for i in range(0, bays, 2):
            r = -width / 2 + (i + 0.5) * bay
            slab: Span = (r - bay * 0.42, r + bay * 0.42, -0.95, 0)
            rail = [plain(b.rng, 0.25, 0.14, 9, 0.5)] * 4 + [plain(b.rng)]
            parts.append(block(slab, slab, up, up + 0.85, "plain", trim * 0.8, params=rail))
    return parts


def _awning(b: Builder, width: Real) -> list[Quads]:
    """Of a shop: its upper and its lower face."""
    w, out, cloth = width / 2 - 0.4, b.rng.uniform(0.8, 1.3), b.pick(CLOTH)
    awning = np.array([[[-w, 2.15, -out], [w, 2.15, -out], [w, 2.65, -0.02], [-w, 2.65, -0.02]]])
    stripe: list[list[Real]] = [[1.0, 9.0, 0.5, -0.3, 0.2, b.rng.uniform(0, 17)]]
    return [
        sheet(awning, "plain", cloth, params=stripe, middle=np.zeros(3)),
        sheet(awning, "plain", cloth * 0.5, params=stripe, middle=np.array([0.0, 9, -9])),
    ]


def tree(b: Builder, s: Real, u: Real, big: Real) -> None:
    """A trunk and a crown of leafy balls."""
    rng = b.rng
    trunk = rng.uniform(2.2, 2.9) * big
    wide, bark = 0.13 * big, plain(rng, 0.5, 0.1, 9, 0.3)
    shape = solid(square(wide), 0, trunk + big, b.pick(BARK), bark, top=square(wide * 0.6))
    b.put([shape], s, u, rng.uniform(0, 3))
    green = b.pick(CROWNS, 0.1)
    crown = rng.uniform(1.2, 1.7) * big
    count = int(rng.integers(6, 8))
    for i in range(count):
        angle, share = i * 2.4 + rng.uniform(0, 0.5), (i + 0.5) / count
        out = crown * np.sin(np.pi * min(share + 0.12, 1)) * 0.75
        own = np.array([out * np.cos(angle), trunk + crown * (0.25 + 1.5 * share), out * np.sin(angle)])
        b.ball(s, u, own, crown * rng.uniform(0.42, 0.6), green * (0.75 + 0.4 * share))
    _, position = b.road.frame(s, u)
    b.balls.append((position + np.array([0, -trunk - crown * 0.95, 0]), crown * 0.62, green * 0.6))
    spot = footprint(square(crown)) + (position + b.sun_shift * (trunk + crown))
    b.decals.append(Decal(spot, 0.85, crown * 0.7, True, True))


def pole(b: Builder, s: Real, u: Real, side: int) -> None:
    """A street lamp, or a traffic sign."""
    rng = b.rng
    grey, dull = b.pick(POSTS), plain(rng, 0.35, 9, 0.6, 0.2)
    if rng.random() < 0.6:
        high = rng.uniform(5.5, 7.5)
        arm: Span = (-1.5, 0.05, -0.05, 0.05) if side > 0 else (-0.05, 1.5, -0.05, 0.05)
        head: Span = (-1.7, -1.1, -0.13, 0.13) if side > 0 else (1.1, 1.7, -0.13, 0.13)
        parts = [
            solid(square(0.08), 0, high, grey, dull, top=square(0.05)),
            solid(arm, high, high + 0.09, grey, dull),
            solid(head, high - 0.1, high + 0.12, grey * 0.8, dull),
        ]
    else:
        high = rng.uniform(2.4, 3.0)
        paint, face, r = b.pick(SIGNS), plain(rng, 0.2), 0.26
        inner = footprint((-r, r, 0, 2 * r))[:, [0, 2, 1]] + np.array([0, high - 0.325 - r, -0.065])
        parts = [
            solid(square(0.04), 0, high, grey, dull),
            solid((-0.32, 0.32, -0.06, -0.045), high - 0.65, high, np.full(3, 0.85), face),
            sheet(inner[None], "plain", paint, params=[face], middle=np.array([0, high, 1.0])),
        ]
    b.put(parts, s, u)
    _, position = b.road.frame(s, u)
    wide = np.array([0.1, 0, 0])
    b.wall_shadow(position - wide, position + wide, high, 0.8)
