"""Patterns that do not alias: noise, edges and stripes, each averaged over a ray's footprint."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Ints = NDArray[np.integer]

TEXEL = 0.0175
"""Metres of a texel of the finest noise; a tile is 1024 of them, 17.9 m."""
SIZE, LEVELS = 1024, 10


@lru_cache(maxsize=1)
def _noise() -> tuple[Array, NDArray[np.int32]]:
    """Two tileable noise images, each at every pair of halvings along a and b, and where each begins.

    Image 0 (stone): six octaves, cells of 3.5 cm to 3.6 m, amplitude rising with the cell.
    Image 1 (leaves): the same cells, strongest at 9 to 60 cm. Both have mean 0, values within -1 .. 1.
    """
    rng = np.random.default_rng(20)
    frequency = np.hypot(np.fft.fftfreq(SIZE, TEXEL)[:, None], np.fft.rfftfreq(SIZE, TEXEL)[None])
    cells = 0.035 * 2.52 ** np.arange(6)
    parts: list[Array] = []
    starts = np.zeros((2, LEVELS + 1, LEVELS + 1), np.int32)
    total = 0
    for layer, weights in enumerate(([0.75, 0.75, 0.8, 0.85, 0.95, 1.0], [0.4, 0.9, 1.0, 0.8, 0.4, 0.3])):
        power = np.zeros_like(frequency)
        for cell, weight in zip(cells, weights, strict=True):
            low = np.exp(-((frequency * cell) ** 2) * 4)
            power += weight**2 * low / low.mean()
        white = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
        image = np.fft.irfft2(white * np.sqrt(power), (SIZE, SIZE))
        image = np.tanh((image - image.mean()) / image.std() * 0.5)
        for j in range(LEVELS + 1):
            row = image
            for i in range(LEVELS + 1):
                starts[layer, i, j] = total
                parts.append(row.astype(np.float32).ravel())
                total += row.size
                row = (row[:, ::2] + row[:, 1::2]) / 2 if row.shape[1] > 1 else row
            image = (image[::2] + image[1::2]) / 2 if image.shape[0] > 1 else image
    return np.concatenate(parts), starts


def noise(a: Array, b: Array, wide: Array, tall: Array, layer: int = 0) -> Array:
    """Noise at (a, b) metres, averaged over a footprint of `wide` x `tall` metres; about -1 .. 1."""
    texels, starts = _noise()
    level_a = np.clip(np.frexp(wide * np.float32(0.7 / TEXEL))[1], 0, LEVELS)
    level_b = np.clip(np.frexp(tall * np.float32(0.7 / TEXEL))[1], 0, LEVELS)
    u = np.ldexp(a * np.float32(1 / TEXEL), -level_a) - np.float32(0.5)
    v = np.ldexp(b * np.float32(1 / TEXEL), -level_b) - np.float32(0.5)
    floor_u, floor_v = np.floor(u), np.floor(v)
    u -= floor_u
    v -= floor_v
    i, j = floor_u.astype(np.int32), floor_v.astype(np.int32)
    across, down = np.right_shift(np.int32(SIZE), level_a), np.right_shift(np.int32(SIZE), level_b)
    i0, i1 = i & (across - 1), (i + 1) & (across - 1)
    start = starts[layer].ravel()[level_a * np.int32(LEVELS + 1) + level_b]
    row0, row1 = start + (j & (down - 1)) * across, start + ((j + 1) & (down - 1)) * across
    top = texels[row0 + i0]
    top += u * (texels[row0 + i1] - top)
    bottom = texels[row1 + i0]
    bottom += u * (texels[row1 + i1] - bottom)
    return top + v * (bottom - top)


def leaf_place(x: Array, y: Array, z: Array, which: Array | int | np.integer) -> tuple[Array, Array]:
    """Where foliage is patterned: a ball seen along whichever axis its surface faces most."""
    far_x, far_y, far_z = np.abs(x), np.abs(y), np.abs(z)
    side = far_x > far_z
    a = np.where(side, z, x)
    b = np.where(far_y > np.maximum(far_x, far_z), np.where(side, x, z), y)
    return a + which * np.float32(3.7), b


def leafy(point: tuple[Array, Array, Array], which: int | np.integer, footprint: float) -> NDArray[np.bool_]:
    """Where ball number `which` has a leaf, not a gap, `point` metres from its middle."""
    a, b = leaf_place(*point, which)
    texels, starts = _noise()
    level = int(np.clip(np.frexp(footprint / TEXEL)[1], 0, LEVELS))
    scale, last = np.float32(2.0**-level / TEXEL), (SIZE >> level) - 1
    i, j = (a * scale).astype(np.int32) & last, (b * scale).astype(np.int32) & last
    return texels[starts[1, level, level] + j * (last + 1) + i] > -0.4


def length(x: Array, y: Array) -> Array:
    """np.hypot, faster."""
    return np.sqrt(x * x + y * y)


def after(x: Array, edge: Array | float | int, width: Array) -> Array:
    """Share of [x - width/2, x + width/2] that lies beyond `edge`."""
    return np.minimum(np.maximum((x - edge) / width + np.float32(0.5), 0), 1)


def between(x: Array, low: Array | float | int, high: Array | float | int, width: Array) -> Array:
    """Share of the footprint that lies in [low, high]."""
    return after(x, low, width) - after(x, high, width)


def stripes(x: Array, period: Array | float | int, on: Array | float | int, width: Array) -> Array:
    """Share of the footprint that lies in [0, on] modulo `period`."""

    def integral(x: Array) -> Array:
        whole = np.floor(x / period)
        return whole * on + np.minimum(x - whole * period, on)

    return (integral(x + width / 2) - integral(x - width / 2)) / width


def blend(colour: Array, other: Array | float | int, share: Array) -> None:
    """Paint `other` over `colour`, in place, as far as `share` says."""
    colour += (other - colour) * share
