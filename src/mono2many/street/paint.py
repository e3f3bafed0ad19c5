"""What the street's surfaces look like: one painter for each kind of surface.

Everything is a function of a place on the surface, never of the camera, save that each pattern is averaged
over the ray's footprint there, so that nothing aliases. All light is fixed to the world (Lambertian).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from mono2many.street.noise import Array, Ints, after, between, blend, length, noise, stripes

BLUR = 0.7
"""Footprint of a ray, in pixels."""


@dataclass(frozen=True)
class Rays:
    """n rays on surfaces of one kind. All arrays are ... n, or of length 1 where all are alike."""

    a: Array
    b: Array
    a_x: Array
    """Change of a from one pixel to the next in x, metres; and so on."""
    a_y: Array
    b_x: Array
    b_y: Array
    params: Array
    colour: Array
    accent: Array

    def only(self, which: Ints) -> "Rays":
        """Some of the rays."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return Rays(*(x if x.shape[-1] == 1 else x[..., which] for x in arrays))

    @cached_property
    def wide(self) -> Array:
        """Footprint along a, metres."""
        return length(self.a_x, self.a_y) * np.float32(BLUR)

    @cached_property
    def tall(self) -> Array:
        return length(self.b_x, self.b_y) * np.float32(BLUR)


Painter = Callable[[Rays], Array]
"""Gives the colour of every ray, 3 n."""


def paint_plain(rays: Rays) -> Array:
    """One material with courses of joints. Params 2..: joint period a, b, width, tone; noise, layer."""
    _, _, along, up, width, tone, rough, offset = rays.params[:8]
    stone = noise(rays.a + offset, rays.b + offset * 1.7, rays.wide, rays.tall)
    leaf = noise(rays.a * 2 + offset, rays.b * 2, rays.wide * 2, rays.tall * 2)
    joints = np.maximum(
        stripes(rays.a + along / 2, along, width, rays.wide), stripes(rays.b, up, width, rays.tall)
    )
    return rays.colour * (1 + rough * (stone + 0.5 * leaf)) * (1 - tone * joints)


def paint_facade(rays: Rays) -> Array:
    """A house front. Params 2..: bay, window width, height, storey, ground floor, style, seed, roughness."""
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    base, style, seed, rough = rays.params[6:]
    stone = noise(a + seed, b + seed * 1.3, fa, fb)
    stain = noise(a * 0.35 + seed, b * 0.12, fa * 0.35, fb * 0.12)
    colour = rays.colour * (1 + rough * stone + 0.14 * stain)
    if (style % 2 >= 1).any():
        brick = (style % 2 >= 1) * np.float32(0.22)
        colour *= 1 - brick * np.maximum(stripes(b, 0.15, 0.03, fb), stripes(a, 0.45, 0.03, fa))
    below = b < base
    for part, paint in ((below, _ground_floor), (~below, _upper_floors)):
        i = np.flatnonzero(part)
        if len(i):
            some = colour[:, i]
            paint(some, rays.only(i), stone[i])
            colour[:, i] = some
    return colour


def _upper_floors(colour: Array, rays: Rays, stone: Array) -> None:
    """Rows of windows with frames, bars, sills, blinds; a cornice."""
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    _, height, bay, open_w, open_h, storey, base, _, seed, _ = rays.params
    up = b - base - storey * np.float32(0.3)
    floors = np.maximum(np.floor((height - base - 0.5) / storey), 1)
    within = between(b, base, base + floors * storey - 0.15, fb)
    margin = (bay - open_w) / 2
    around = stripes(a - margin + 0.12, bay, open_w + 0.24, fa)
    blend(colour, rays.accent, around * stripes(up + 0.12, storey, open_h + 0.24, fb) * within * 0.9)
    blend(colour, colour * 0.55, around * stripes(up + 0.24, storey, 0.12, fb) * within)
    across = stripes(a - margin, bay, open_w, fa)
    window = across * stripes(up, storey, open_h, fb) * within
    floor = np.floor(up / storey)
    cell = np.floor(a / bay) * 7.13 + floor * 3.71 + seed
    luck = cell * 0.618 - np.floor(cell * 0.618)
    near = np.clip(1.6 - np.maximum(fa, fb), 0, 1)
    pane = noise(a * 1.5 + cell, b * 1.1 + seed, fa * 1.5, fb * 1.1)
    glass = np.stack([0.2 + 0.06 * pane, 0.24 + 0.07 * pane, 0.3 + 0.08 * pane])
    inside = up - floor * storey
    blind = np.clip(inside - open_h * (0.3 + 0.6 * luck), 0, 1) * (luck > 0.35).astype(np.float32)
    glass += 0.5 * near * blind
    glass *= 1 - 0.55 * between(inside, open_h - 0.16, open_h + 0.1, fb + 0.05)
    blend(colour, glass, window)
    bars = stripes(a - margin - open_w / 2 + 0.035, bay, 0.07, fa)
    bars = np.maximum(bars, stripes(up - open_h * 0.64, storey, 0.07, fb))
    bars = np.maximum(bars, across - stripes(a - margin - 0.06, bay, open_w - 0.12, fa))
    blend(colour, 0.72 * (1 + 0.15 * stone), bars * window)
    blend(colour, np.minimum(rays.colour * 1.12, 0.95), between(b, height - 0.45, height, fb))
    blend(colour, 0.45 * rays.colour, between(b, height - 0.6, height - 0.45, fb))


def _ground_floor(colour: Array, rays: Rays, stone: Array) -> None:
    """A shop with its sign, or windows; a door; a darker foot."""
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    width, _, bay, open_w, _, _, base, style, seed, _ = rays.params
    colour *= 1 - 0.3 * np.exp(-1.2 * np.maximum(b, 0))
    shop = (style >= 2).astype(np.float32)
    low, high = 0.95 - 0.5 * shop, 2.35 + 0.1 * shop
    wide = open_w + shop * (bay * np.float32(0.84) - open_w)
    side = (bay - wide) / 2
    rows = between(b, low, high, fb)
    border = stripes(a - side + 0.1, bay, wide + 0.2, fa) * between(b, low - 0.1, high + 0.1, fb)
    blend(colour, rays.accent * (0.85 - 0.25 * shop), border)
    show = noise(a * 1.3 + seed * 2, b * 1.3, fa * 1.3, fb * 1.3, 1)
    shelf = 0.16 * show * (0.4 + shop) + 0.1 * shop * stripes(b - 0.6, 0.6, 0.3, fb)
    display = np.stack([0.22 + shelf, 0.24 + 0.85 * shelf, 0.28 + 0.7 * shelf])
    blend(colour, display, stripes(a - side, bay, wide, fa) * rows)
    blend(colour, 0.55, stripes(a - bay / 2 + 0.04, bay, 0.08, fa) * rows)
    paint = np.stack([0.28 + 0.35 * np.sin(seed), 0.3 + 0.25 * np.sin(seed * 2.3), 0.32 + 0.3 * np.cos(seed)])
    paint = np.clip(paint * 0.7 + 0.3 * paint.mean(0), 0.06, 0.8)
    if shop.any():
        sign = shop * between(b, 2.55, 3.0, fb) * between(a, 0.3, width - 0.3, fa)
        blend(colour, paint * (1 + 0.2 * stone), sign)
        letters = stripes(a - 0.8, 0.34, 0.2, fa) * between(a, 1.2, width * 0.55, fa)
        blend(colour, 0.85, shop * letters * between(b, 2.67, 2.88, fb) * 0.8)
    door = np.floor(seed * 1.7 % np.maximum(np.round(width / bay), 1)) * bay + bay / 2
    blend(colour, rays.accent, between(a, door - 0.68, door + 0.68, fa) * between(b, 0, 2.42, fb))
    panels = 1 - 0.35 * between(np.abs(a - door), 0.12, 0.38, fa) * stripes(b - 0.2, 0.75, 0.55, fb)
    leaf = np.clip(paint * 0.7, 0.08, 0.5) * ((1 + 0.3 * stone) * panels)
    blend(colour, leaf, between(a, door - 0.52, door + 0.52, fa) * between(b, 0.05, 2.25, fb))
    blend(colour, 0.7 * rays.colour, between(b, base - 0.2, base - 0.04, fb))


def paint_body(rays: Rays, grime: float = 0.26) -> Array:
    """A car's lower half. Params 2..: side (0 rear, 1 flank, 2 front, 3 top), two axles, offset."""
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    width, _, side, axle_1, axle_2, offset = rays.params[:6]
    dirt = noise(a * 2 + offset, b * 2 + offset, fa * 2, fb * 2)
    colour = rays.colour * (1 + grime * dirt)
    flank, near, far = ((side == k).astype(np.float32) for k in (1, 0, 2))
    ends = near + far
    size = np.maximum(fa, fb)
    arch = np.zeros_like(a)
    for axle in (axle_1, axle_2):
        arch = np.maximum(arch, 1 - after(length(a - axle, b - 0.1), 0.4, size))
    seams = np.zeros_like(a)
    for share in (0.3, 0.5, 0.72):
        seams += between(a, width * share - 0.015, width * share + 0.015, fa)
    blend(colour, 0.07, flank * seams * 0.7)
    blend(colour, colour * 0.5, flank * between(b, 0.36, 0.41, fb) * 0.6)
    blend(colour, 0.05, flank * arch)
    low = (side < 3).astype(np.float32) * (1 - after(b, 0.2 - 0.12 * flank, fb))
    blend(colour, 0.09 * (1 + 0.4 * dirt), low)
    lamp = between(np.minimum(a, width - a), 0.06, 0.4, fa) * between(b, 0.34, 0.52, fb) * ends
    red = np.array([[0.62], [0.06], [0.06]], np.float32)
    blend(colour, red + far * (np.float32(0.92) - red), lamp)
    grille = between(a, width * 0.28, width * 0.72, fa) * between(b, 0.3, 0.46, fb)
    blend(colour, 0.08 + 0.12 * stripes(b, 0.06, 0.03, fb), grille * far)
    plate = between(a, width / 2 - 0.27, width / 2 + 0.27, fa) * between(b, 0.16, 0.28, fb)
    blend(colour, 0.85, plate * ends)
    return colour


def paint_cabin(rays: Rays, grime: float = 0.26) -> Array:
    """A car's windows. Params 2..: side (as the body), lean of the two ends, offset."""
    a, b, fa, fb = rays.a, rays.b, rays.wide, rays.tall
    width, height, side, lean_near, lean_far, offset = rays.params[:6]
    dirt = noise(a * 2 + offset, b * 2 + offset, fa * 2, fb * 2)
    colour = rays.colour * (1 + grime * dirt)
    left, right = lean_near * b / height, width - lean_far * b / height
    pane = between(a, left + 0.09, right - 0.09, fa) * between(b, 0.05, height - 0.08, fb)
    pillar = between(a, width * 0.52 - 0.05, width * 0.52 + 0.05, fa) * (side == 1).astype(np.float32)
    glass = np.stack([0.1 + 0.1 * b, 0.12 + 0.11 * b, 0.15 + 0.13 * b]) * (1 + 0.5 * dirt)
    seats = between(np.abs(a - width / 2), width * 0.1, width * 0.3, fa) * between(b, 0, height * 0.5, fb)
    blend(glass, 0.06, seats * 0.6)
    blend(colour, glass, pane * (1 - pillar) * (side < 3).astype(np.float32))
    return colour


def paint_wheel(rays: Rays) -> Array:
    """A tyre and its hub, on a square. Params: diameter, -, -, offset."""
    diameter = rays.params[0]
    x, y = rays.a - diameter / 2, rays.b - diameter / 2
    size = np.maximum(rays.wide, rays.tall)
    radius = length(x, y)
    dirt = noise(rays.a * 3, rays.b * 3, rays.wide * 3, rays.tall * 3)
    colour = np.broadcast_to(0.075 * (1 + 0.5 * dirt), (3, len(x))).copy()
    spokes = 0.75 + 0.25 * np.cos(5 * np.arctan2(y, x)) * np.clip(1.5 - size * 12, 0, 1)
    blend(colour, 0.5 * spokes, 1 - after(radius, diameter * 0.3, size))
    blend(colour, 0.2, 1 - after(radius, diameter * 0.07, size))
    return colour
