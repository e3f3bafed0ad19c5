"""How objects are built of quadrilaterals: sheets, blocks, and what they are made of."""

import numpy as np
from numpy.random import Generator

from mono2many.street.kinds import KIND
from mono2many.street.noise import Array
from mono2many.street.shapes import Quads, Real, Span, footprint

Palette = tuple[tuple[float, float, float], ...]
PARAMS = 10
FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]])
"""Of a block's corners, four below and four above: near, right, far, left, top."""
UPRIGHT = [0, 1, 2, 3]
"""A block's faces without its top."""
AFTER, BEFORE = np.array([1, 2, 0]), np.array([2, 0, 1])


def pick(rng: Generator, choices: Palette, spread: float = 0.05) -> Array:
    """One of the colours, varied a little."""
    rgb = np.array(choices[rng.integers(len(choices))])
    return np.clip(rgb * (1 + rng.normal(0, spread)) + rng.normal(0, spread / 9, 3), 0.03, 0.95)


def plain(
    rng: Generator, rough: Real = 0.3, along: Real = 9.0, up: Real = 9.0, tone: Real = 0.0
) -> list[Real]:
    """Params of one face of plain material; joints 3 cm wide."""
    return [along, up, 0.03, tone, rough, rng.uniform(0, 17)]


def sheet(
    corners: Array, kinds: str | list[str], colour: Array, accent: Array | None = None,
    params: list[list[Real]] | None = None, middle: Array | None = None,
) -> Quads:  # fmt: skip
    """Quads from corners Q 4 3, facing away from `middle`."""
    count = len(corners)
    along, rise = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
    outward = along[:, AFTER] * rise[:, BEFORE] - along[:, BEFORE] * rise[:, AFTER]
    outward /= np.sqrt((outward * outward).sum(1, keepdims=True))
    if middle is not None:
        outward *= np.sign(((corners[:, 0] - middle) * outward).sum(1, keepdims=True))
    rows = np.zeros((count, PARAMS), np.float32)
    up = (corners[:, 2] + corners[:, 3] - corners[:, 0] - corners[:, 1]) / 2
    rows[:, 0], rows[:, 1] = np.sqrt((along * along).sum(1)), np.sqrt((up * up).sum(1))
    for row, extra in zip(rows, params or [], strict=False):
        row[2 : 2 + len(extra)] = extra
    names = [kinds] * count if isinstance(kinds, str) else kinds
    numbers = np.array([KIND[name] for name in names], np.uint8)
    colours, accents = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    colours[:], accents[:] = colour, colour if accent is None else accent
    return Quads(corners.astype(np.float32), numbers, colours, accents, rows, outward.astype(np.float32))


def block(
    bottom: Span, top: Span, low: Real, high: Real, kinds: str | list[str], colour: Array,
    accent: Array | None = None, params: list[list[Real]] | None = None,
) -> Quads:  # fmt: skip
    """A box whose top may be smaller. Five faces, as in FACES."""
    corners = np.concatenate([footprint(bottom, low), footprint(top, high)])
    return sheet(corners[FACES], kinds, colour, accent, params, corners.sum(0) / 8)


def solid(
    span: Span, low: Real, high: Real, colour: Array, face: list[Real], top: Span | None = None
) -> Quads:
    """A block of plain material; `face`: params of each of its faces. `top`: its upper side, if another."""
    return block(span, top or span, low, high, "plain", colour, params=[face] * 5)
