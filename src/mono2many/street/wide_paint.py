"""Painters of what the wide variety adds: lorries, boards, turf, and far scenery with an outline."""

import numpy as np
from numpy.typing import NDArray

from mono2many.street.noise import Array, after, between, blend, noise, stripes
from mono2many.street.paint import Rays

ROUND, POINTED, RIDGE, STEPS, ROW = range(5)
"""Outlines: crowns side by side, conifers, hills, roofs, trees with gaps between."""


def luck(cell: Array, seed: Array | float | int = 0.0) -> Array:
    """A number in 0 .. 1 of every whole number `cell`."""
    wave = np.sin(cell * np.float32(12.9898) + seed * np.float32(7.13)) * np.float32(437.585)
    return wave - np.floor(wave)


def outline(a: Array, params: Array) -> Array:
    """How high a quad's scenery reaches at `a` metres along it, as a share of the quad's height.

    params: length, -, style, metres of one tree, roof or hill, seed, and whether it is a hill of its own.
    """
    style, seed = int(params[2]), float(params[4])
    place = a / params[3] + seed
    cell = np.floor(place)
    x = place - cell - np.float32(0.5)
    if style == RIDGE:
        wave = 0.24 * np.sin(place * 1.3) + 0.13 * np.sin(place * 2.9) + 0.05 * np.sin(place * 7.1)
        # a hill of its own falls off towards both ends; a range goes on
        ends = np.sqrt(np.clip(np.sin(np.pi * a / params[0]), 0, 1)) if params[5] else np.float32(1)
        return (0.58 + wave) * ends
    high = luck(cell, seed)
    if style == ROUND:
        return (0.62 + 0.38 * high) * np.sqrt(np.maximum(1 - 2.4 * x * x, 0.3))
    if style == POINTED:
        return (0.66 + 0.34 * high) * (1 - 1.1 * np.abs(x))
    if style == STEPS:
        return np.where(luck(cell + 31, seed) > 0.15, 0.4 + 0.6 * high, 0.25)
    bare = 0.75 * np.sqrt(np.maximum(1 - 9 * x * x, 0))
    return np.maximum(bare + 0.25 * high * (bare > 0), 0.1)


def paint_wood(rays: Rays) -> Array:
    """The edge of a wood, a hedge, a row of trees. Params as for outline."""
    height, style, tree, seed = (rays.params[k] for k in (1, 2, 3, 4))
    scale = np.float32(0.45)
    leaf = noise(rays.a + seed * 3, rays.b, rays.wide, rays.tall, 1)
    clump = noise(rays.a * scale + seed, rays.b * scale * 0.8, rays.wide * scale, rays.tall * scale, 1)
    own = luck(np.floor(rays.a / tree + seed), seed + 3)
    up = np.clip(rays.b / height, 0, 1)
    dark = 0.55 + 0.5 * up - 0.12 * (style == POINTED)
    return rays.colour * (dark * (0.78 + 0.4 * own) * (1.0 + 0.7 * leaf + 0.5 * clump))


def paint_hill(rays: Rays) -> Array:
    """A far hillside: woods (colour) and meadows (accent)."""
    seed = rays.params[4] * 1.7
    small, large = np.float32(0.16), np.float32(0.03)
    leaf = noise(rays.a * small + seed, rays.b * small, rays.wide * small, rays.tall * small, 1)
    land = noise(rays.a * large + seed, rays.b * large * 2, rays.wide * large, rays.tall * large * 2)
    colour = rays.colour * (1 + 0.5 * leaf + 0.2 * land)
    meadow = np.clip((land - 0.05) * 6, 0, 1)
    blend(colour, rays.accent * (1 + 0.15 * leaf), meadow)
    return colour


def paint_skyline(rays: Rays) -> Array:
    """Far buildings with rows of windows. Params as for outline."""
    width, seed = rays.params[3], rays.params[4]
    cell = np.floor(rays.a / width + seed)
    tone = 0.6 + 0.6 * luck(cell, seed + 5)
    colour = rays.colour * tone
    blend(colour, rays.accent * tone, (luck(cell, seed + 9) > 0.5).astype(np.float32))
    stone = noise(rays.a * 0.4 + seed, rays.b * 0.3, rays.wide * 0.4, rays.tall * 0.3)
    colour *= 1 + 0.25 * stone
    window = stripes(rays.a, 3.1, 1.5, rays.wide) * stripes(rays.b - 0.9, 3.3, 1.7, rays.tall)
    blend(colour, np.array([[0.24], [0.28], [0.34]], np.float32), 0.8 * window)
    return colour


def paint_turf(rays: Rays) -> Array:
    """A slope of grass and weeds, accent where it is bare. Params 2..: offsets along a and b."""
    a, b = rays.a + rays.params[2], rays.b + rays.params[3]
    leaf = noise(a, b, rays.wide, rays.tall, 1)
    broad = noise(a * 0.15 + 3, b * 0.15, rays.wide * 0.15, rays.tall * 0.15)
    colour = rays.colour * (1 + 0.6 * leaf + 0.3 * broad)
    blend(colour, rays.accent * (1 + 0.4 * leaf), np.clip(broad * 2.2 - 0.4, 0, 0.85))
    return colour


def paint_box(rays: Rays) -> Array:
    """A lorry's or a bus's body. Params 2..: side (0 rear, 1 flank, 2 front, 3 top), style, foot, offset.

    Styles: 0 plain, 1 curtain, 2 striped, 3 bus, 4 tractor's cab, 5 dirty, 6 tank or tipper with ribs.
    """
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    width, height, side, style, foot, offset = rays.params[:6]

    def where(condition: NDArray[np.bool_]) -> Array:
        return condition.astype(np.float32)

    dirt = noise(a * 0.8 + offset, b * 0.8 + offset, fa * 0.8, fb * 0.8)
    streak = noise(a * 3 + offset, b * 0.25, fa * 3, fb * 0.25)
    colour = rays.colour * (1 + 0.1 * dirt + 0.07 * streak)
    low = np.clip(1 - b / height, 0, 1)
    grime = where(style == 5) * np.clip(0.5 * low + 0.5 * dirt, 0, 0.8) + 0.35 * low**3
    blend(colour, np.array([[0.27], [0.24], [0.2]], np.float32), np.clip(grime, 0, 0.85) * where(side < 3))
    flank, rear, front = (where(side == k) for k in (1, 0, 2))
    ribs = where(style == 1) * flank * stripes(a, 0.62, 0.05, fa)
    ribs = ribs + where(style == 6) * (flank + rear) * stripes(a, 1.1, 0.14, fa)
    blend(colour, colour * 0.72, np.clip(ribs, 0, 1))
    band = where(style == 2) * between(b, height * 0.3, height * 0.62, fb) * (flank + rear)
    blend(colour, rays.accent, band)
    name = where((style < 3) | (style == 5)) * flank * between(b, height * 0.52, height * 0.76, fb)
    name = name * between(a, width * 0.22, width * 0.78, fa) * stripes(a + offset, 0.95, 0.6, fa)
    blend(colour, rays.accent * 0.8, name * 0.8)
    box = where((style < 3) | (style >= 5))
    doors = between(a, width / 2 - 0.025, width / 2 + 0.025, fa) + where(style != 5) * (
        stripes(a - 0.42, width - 0.9, 0.05, fa) * between(a, 0.3, width - 0.3, fa)
    )
    blend(colour, 0.13, np.clip(doors, 0, 1) * rear * box * between(b, foot, height, fb))
    frame = 1 - between(a, 0.07, width - 0.07, fa) * between(b, foot + 0.08, height - 0.08, fb)
    blend(colour, colour * 0.6, frame * rear * box)
    blend(colour, 0.06 * (1 + 0.5 * dirt), (rear + flank) * box * (1 - after(b, foot, fb)))
    glazed = where((style == 3) & (side < 3)) * between(b, height * 0.42, height * 0.82, fb)
    glazed = glazed * (1 - flank * stripes(a, 1.55, 0.12, fa)) * between(a, 0.14, width - 0.14, fa)
    cab = where(style == 4) * between(b, height * 0.5, height * 0.82, fb)
    cab = cab * (
        front * between(a, 0.12, width - 0.12, fa) + flank * between(a, width * 0.3, width * 0.85, fa)
    )
    shine = 0.12 + 0.1 * np.clip(b / height, 0, 1)
    glass = np.stack([shine, shine * 1.1, shine * 1.25]) * (1 + 0.5 * dirt)
    blend(colour, glass, np.clip(glazed + cab, 0, 1))
    grille = where(style >= 3) * where(style < 5) * front * between(b, height * 0.12, height * 0.34, fb)
    blend(colour, 0.08 + 0.1 * stripes(b, 0.12, 0.06, fb), grille * between(a, width * 0.2, width * 0.8, fa))
    lamp = between(np.minimum(a, width - a), 0.08, 0.45, fa) * between(b, foot * 0.5, foot * 0.8, fb)
    red = np.array([[0.6], [0.05], [0.05]], np.float32)
    blend(colour, red + front * (np.float32(0.92) - red), np.clip(lamp, 0, 1) * (rear + front))
    plate = between(a, width / 2 - 0.27, width / 2 + 0.27, fa) * between(b, foot * 0.35, foot * 0.5, fb)
    blend(colour, 0.85, plate * (rear + front))
    return colour


def paint_board(rays: Rays) -> Array:
    """A large sign: ground in colour, border and lines of writing in accent. Params 2: offset; 3: rows."""
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    width, height, offset, rows = rays.params[:4]
    colour = rays.colour * (1 + 0.08 * noise(a + offset, b, fa, fb))
    inside = between(a, 0.08, width - 0.08, fa) * between(b, 0.08, height - 0.08, fb)
    line = height / (rows + 0.4)
    text = stripes(b - line * 0.45, line, line * 0.5, fb)
    row = np.floor((b - line * 0.2) / line)
    reach = width * (0.45 + 0.45 * luck(row, offset))
    text = text * between(a, width * 0.08, reach, fa) * between(b, line * 0.3, height - line * 0.2, fb)
    letter = line * 0.5
    text = text * (0.35 + 0.65 * stripes(a + offset, letter, letter * 0.7, fa))
    blend(colour, rays.accent, np.clip(inside * text * 0.9, 0, 1))
    blend(colour, rays.accent, (1 - inside) * 0.9)
    return colour
