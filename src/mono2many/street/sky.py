"""The light and the sky: of a town by day, and of the wide variety."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mono2many.street.noise import Array, blend, leaf_place, noise
from mono2many.street.paint import BLUR

MOODS = {"sun": 0.24, "low sun": 0.16, "clouds": 0.2, "overcast": 0.2, "white": 0.1, "dusk": 0.1}
"""Of the wide variety, and how often each comes."""


@dataclass(frozen=True)
class Light:
    """The sun and the sky."""

    to_sun: Array
    sun: Array
    sky: Array
    """Colour of the light from the sky and the surroundings."""
    zenith: Array
    horizon: Array
    clouds: float
    haze: float = 0.0
    """Share of the light that is lost per metre of air, replaced by the horizon's colour."""
    dusk: bool = False
    wet: float = 0.0
    """Of the road."""
    curve: NDArray[np.uint8] | None = None
    """3 256: the camera's tone curves."""

    @property
    def share_of_sun(self) -> float:
        """Of the light that falls on the ground."""
        sun, sky = self.on(np.array([[0.0, -1.0, 0.0]])).mean(), self.sky.mean()
        return float(1 - sky / sun)

    def on(self, outward: Array) -> Array:
        """Light on surfaces with these unit normals, n 3."""
        facing = np.maximum(outward @ self.to_sun, 0)[:, None]
        above = 0.85 + 0.15 * -outward[:, 1:2] + 0.06 * outward[:, :1]
        return (facing * self.sun + above * self.sky).astype(np.float32)

    def leaves(self, point: Array, radius: Array, colour: Array, footprint: Array, which: Array) -> Array:
        """Foliage at `point` (3 n, from its ball's centre)."""
        normal = point / radius
        size = footprint * np.float32(BLUR * 1.2)
        a, b = leaf_place(point[0], point[1], point[2], which)
        rough = noise(a, b, size, size, 1)
        fine = noise((a - b) * 1.6, (b + 0.6 * a) * 1.6, size * 2, size * 2, 1)
        facing = np.clip(self.to_sun @ normal + 0.6 * rough + 0.2, 0, None)
        shade = facing[None] * self.sun[:, None] + (0.75 - 0.3 * normal[1:2]) * self.sky[:, None]
        return colour * (1.05 + 0.6 * rough + 0.8 * fine) * shade

    def heaven(self, direction: Array) -> Array:
        """The sky along rays of `direction` (3 n, z = 1): a gradient, soft clouds, haze."""
        up = np.maximum(-direction[1] / np.sqrt((direction * direction).sum(0)), 0)
        fall = np.minimum(up * 2.2, 1) ** 0.7
        colour = self.horizon[:, None] + (self.zenith - self.horizon)[:, None] * fall
        far = 6 / (up + 0.12)
        size = far * 0.02 + 0.05
        soft = noise(direction[0] * far * 0.5, far * 0.55, size, size)
        share = np.clip((soft + self.clouds) * 1.3, 0, 1) * np.minimum(up * 8, 1) * 0.85
        blend(colour, np.array([[0.97], [0.97], [0.98]], np.float32), share)
        if self.haze:
            blend(colour, self.horizon[:, None], np.exp(-up / np.float32(0.02 + 60 * self.haze)))
        return colour

    def through_air(self, colour: Array, inverse: Array) -> None:
        """What the air between does to colours (3 n) at these inverse depths (n), in place."""
        if self.haze:
            lost = 1 - np.exp(np.float32(-self.haze) / np.maximum(inverse, 1e-6))
            blend(colour, self.horizon[:, None], lost * (inverse > 0))

    def develop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the camera makes of the light that reaches it, 3 H W."""
        if self.curve is None:
            return image
        return np.stack([curve[plane] for curve, plane in zip(self.curve, image, strict=True)])


def _sun(elevation: float, azimuth: float) -> tuple[Array, Array]:
    """Unit vector to the sun, and how far along the ground a shadow falls per metre of height."""
    flat = np.cos(elevation)
    to_sun = np.array([flat * np.sin(azimuth), -np.sin(elevation), flat * np.cos(azimuth)])
    return to_sun, np.array([-to_sun[0], 0, -to_sun[2]]) / np.sin(elevation)


def _mix(clear: list[float], grey: list[float], cloudy: float) -> Array:
    return np.array(clear) * (1 - cloudy) + np.array(grey) * cloudy


def draw_town_light(rng: Generator) -> tuple[Light, Array]:
    """The light of a town by day, and how far along the ground a shadow falls per metre of height."""
    to_sun, shift = _sun(rng.uniform(0.7, 1.2), rng.uniform(0, 2 * np.pi))
    cloudy = rng.random()
    sun = np.array([1.0, 0.95, 0.84]) * (0.7 - 0.5 * cloudy)
    sky = np.array([0.93, 0.97, 1.05]) * (0.64 + 0.3 * cloudy)
    zenith = _mix([0.3, 0.5, 0.82], [0.68, 0.72, 0.78], cloudy)
    horizon = _mix([0.8, 0.87, 0.94], [0.84, 0.86, 0.87], cloudy)
    clouds = float(rng.uniform(-0.15, 0.35))
    to_sun, sun, sky, zenith, horizon = np.stack([to_sun, sun, sky, zenith, horizon]).astype(np.float32)
    return Light(to_sun, sun, sky, zenith, horizon, clouds), shift


def draw_light(rng: Generator) -> tuple[Light, Array]:
    """The light of the wide variety, and how far along the ground a shadow falls per metre of height."""
    mood = str(rng.choice(list(MOODS), p=list(MOODS.values())))
    low = mood == "low sun"
    elevation = rng.uniform(0.2, 0.45) if low else rng.uniform(0.5, 1.25)
    to_sun, shift = _sun(elevation, rng.uniform(0, 2 * np.pi))
    cloudy = {"sun": 0.0, "low sun": 0.1, "clouds": 0.45}.get(mood, 1.0) + rng.uniform(0, 0.15)
    cloudy = min(cloudy, 0.96)
    warm = np.array([1.0, rng.uniform(0.72, 0.9), rng.uniform(0.42, 0.7)] if low else [1.0, 0.95, 0.84])
    sun: Array = warm * (0.85 - 0.85 * cloudy)
    sky: Array = np.array([0.9, 0.96, 1.06]) * (0.5 + 0.38 * cloudy) * (0.75 if low else 1)
    zenith = _mix([0.24, 0.45, 0.82], [0.66, 0.7, 0.76], cloudy) * rng.uniform(0.8, 1.15)
    horizon = _mix([0.8, 0.87, 0.94], [0.82, 0.85, 0.87], cloudy)
    clouds = float(rng.uniform(-0.9, -0.4) if mood in ("sun", "low sun") else rng.uniform(-0.2, 0.4))
    if low:
        horizon = 0.5 * horizon + 0.5 * warm * 0.95
    if mood == "white":
        zenith, horizon, clouds = np.full(3, 1.0), np.full(3, rng.uniform(0.93, 1.0)), 0.3
        sky *= rng.uniform(0.75, 1.0)
    if mood == "dusk":
        tint = np.array([0.62, 0.74, 1.0]) if rng.random() < 0.7 else np.array([0.85, 0.72, 0.75])
        dim = rng.uniform(0.4, 0.75)
        sky, sun = sky * tint * dim, sun * 0
        zenith = tint * dim * rng.uniform(0.6, 0.95)
        horizon = np.array([0.95, rng.uniform(0.6, 0.8), 0.62]) * dim * rng.uniform(1.1, 1.6)
    wet = float(rng.uniform(0.4, 1.0)) if mood not in ("sun", "low sun") and rng.random() < 0.4 else 0.0
    haze = float(rng.choice([2e-4, 8e-4, 2.5e-3, 9e-3], p=[0.35, 0.35, 0.22, 0.08]) * rng.uniform(0.6, 1.6))
    to_sun, sun, sky, zenith, horizon = np.stack([to_sun, sun, sky, zenith, horizon]).astype(np.float32)
    air = clouds, haze, mood == "dusk", wet
    return Light(to_sun, sun, sky, zenith, horizon, *air, _tone_curves(rng)), shift


def _tone_curves(rng: Generator) -> NDArray[np.uint8]:
    """Light.curve: exposure, white balance, gamma, contrast and black level."""
    exposure = rng.uniform(0.88, 1.25)
    tinted = np.exp(rng.normal(0, 0.035) * np.array([1, 0, -1.0])) * exposure
    x = np.arange(256) / 255
    gamma, contrast = np.exp(rng.normal(-0.03, 0.12)), rng.uniform(-0.25, 0.35)
    tone = np.clip(x[None] * tinted[:, None], 0, 1) ** gamma
    tone = np.clip(tone + contrast * (tone - 0.45) * tone * (1 - tone) * 4 * 0.6, 0, 1)
    lift = rng.uniform(0, 0.05)
    return np.round(255 * (lift + (1 - lift) * tone)).astype(np.uint8)
