"""Roads: their course over the ground, and how they paint it, in a town and in the wide variety."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mono2many.street.noise import Array, after, between, blend, length, noise, stripes
from mono2many.street.paint import BLUR, Rays
from mono2many.street.shapes import own_axes
from mono2many.street.wide_paint import luck

Colour = tuple[float, float, float]
WHITE: Colour = (0.84, 0.84, 0.82)
YELLOW: Colour = (0.82, 0.62, 0.14)


@dataclass(frozen=True)
class Road:
    """The ground's plan: s along the street's arc, u to the right of its middle, metres."""

    curvature: float
    pavement: float
    """Width of the footway."""
    asphalt: Colour
    slabs: Colour
    verge: Colour
    edge_line: bool
    zebra: float
    """s of a crossing."""

    def place(self, s: float | int, u: float | int) -> tuple[Array, float]:
        """World (x, z) of a place, and the street's heading there, radians to the right of z."""
        k, angle = self.curvature, self.curvature * s
        x, z = (1 - np.cos(angle)) / k, np.sin(angle) / k
        return np.array([x + u * np.cos(angle), z - u * np.sin(angle)]), angle

    def frame(self, s: float | int, u: float | int, turn: float | int = 0.0) -> tuple[Array, Array]:
        """world_from_own of an object at a place: rotation of (right, up, forward) columns, position."""
        (x, z), angle = self.place(s, u)
        return own_axes(angle + turn), np.array([x, 0.0 - self.lift(x, z), z])

    def lift(self, x: Array | float, z: Array | float) -> Array | float:
        """Height of the land at world (x, z), metres."""
        return 0.0

    def ground(self, rays: Rays) -> Array:
        """Colour of the ground, 3 n; a and b of the rays are x and z."""
        raise NotImplementedError

    def ramp_ground(self, rays: Rays) -> Array:
        """Of ground that is not level. Params 2..: x, z of the first corner, x and z per metre of a, of b."""
        x0, z0, ax, az, bx, bz = rays.params[2:8]

        def plan(a: Array, b: Array) -> tuple[Array, Array]:
            return ax * a + bx * b, az * a + bz * b

        (x, z), (x_x, z_x) = plan(rays.a, rays.b), plan(rays.a_x, rays.b_x)
        x_y, z_y = plan(rays.a_y, rays.b_y)
        level = Rays(x0 + x, z0 + z, x_x, x_y, z_x, z_y, rays.params, rays.colour, rays.accent)
        return self.ground(level)


class Ground:
    """Where rays meet the ground along a road: u and s, their footprints fu and fs along these, metres."""

    def __init__(self, rays: Rays, curvature: float) -> None:
        x, z, k = rays.a, rays.b, np.float32(curvature)
        q = (1 - k * x) ** 2 + (k * z) ** 2
        root = np.sqrt(q)
        self.u = (2 * x - k * (x * x + z * z)) / (1 + root)
        self.s = np.arctan2(k * z, 1 - k * x) / k
        cos, sin = (1 - k * x) / root, k * z / root
        blur = np.float32(BLUR)
        self.fu = length(cos * rays.a_x - sin * rays.b_x, cos * rays.a_y - sin * rays.b_y) * blur
        self.fs = length(sin * rays.a_x + cos * rays.b_x, sin * rays.a_y + cos * rays.b_y) * blur
        self.away = np.abs(self.u)
        self.leaf = noise(x, z, rays.wide, rays.tall, 1)

    @cached_property
    def stone(self) -> Array:
        return noise(self.u, self.s, self.fu, self.fs)

    @cached_property
    def broad(self) -> Array:
        return noise(self.s * 0.13 + 5, self.u * 0.13 + 3, self.fs * 0.13, self.fu * 0.13)


def _tone(rgb: Colour) -> Array:
    return np.array(rgb, np.float32)[:, None]


def _kerb_and_slabs(colour: Array, at: Ground, out: Array, kerb: float, bright: float, road: Road) -> None:
    """A kerb that begins where `out` is `kerb`, and the footway of slabs beyond."""
    slabs, stone, fu, fs = _tone(road.slabs), at.stone, at.fu, at.fs
    gaps = 1 - 0.45 * stripes(at.s, 1.0, 0.04, fs)
    blend(colour, slabs * bright * (1 + 0.25 * stone) * gaps, after(out, kerb, fu))
    blend(colour, 0.16, between(out, kerb - 0.03, kerb + 0.05, fu) * 0.7)
    row = np.floor(out / 0.6)
    joints = np.maximum(stripes(out, 0.6, 0.03, fu), stripes(at.s + 0.3 * (row % 2), 0.9, 0.03, fs))
    slab = slabs * (1 + 0.42 * stone + 0.12 * at.broad) * (1 - 0.5 * joints)
    blend(colour, slab, after(out, kerb + 0.18, fu))


@dataclass(frozen=True)
class TownRoad(Road):
    """A street with a lane or two between parked cars, kerbs, footways, and grass or paving beyond."""

    half: float
    """From the middle to the kerb."""
    lanes: float
    """From the middle to the parked cars."""
    grass: bool
    dash: float
    """Period of the middle line; 0: none."""

    def ground(self, rays: Rays) -> Array:
        at = Ground(rays, self.curvature)
        u, s, fu, fs, away, stone = at.u, at.s, at.fu, at.fs, at.away, at.stone
        tracks = between(np.abs(away - self.lanes / 2), 0.5, 0.95, fu + 0.3)
        colour = _tone(self.asphalt) * (1 + 0.5 * stone + 0.2 * at.broad - 0.1 * tracks)
        wear = np.clip(0.85 + 0.35 * stone, 0, 1)
        lines = np.zeros_like(u)
        if self.dash:
            lines += stripes(s, self.dash, self.dash * 0.45, fs) * between(u, -0.07, 0.07, fu)
        if self.edge_line:
            lines += between(away, self.lanes - 0.06, self.lanes + 0.06, fu)
        zebra = between(s, self.zebra, self.zebra + 3.2, fs)
        lines = lines * (1 - zebra) + zebra * stripes(u, 1.0, 0.5, fu) * between(away, -1, self.lanes, fu)
        blend(colour, 0.82, lines * wear)
        gutter = _tone(self.asphalt) * 0.72 * (1 + 0.35 * stone)
        blend(colour, gutter, after(away, self.half - 0.3, fu))
        _kerb_and_slabs(colour, at, away, self.half, 1.12, self)
        strength = 0.6 if self.grass else 0.25
        verge = _tone(self.verge) * (1 + strength * at.leaf + 0.25 * stone + 0.3 * at.broad)
        blend(colour, verge, after(away, self.half + self.pavement, fu))
        return colour


@dataclass(frozen=True)
class WideRoad(Road):
    """A road of several lanes. v is counted from a carriageway's inner edge outward, metres."""

    hand: int
    """Which side one drives on: 1 right, -1 left."""
    two_way: bool
    inner: float
    """|u| of the carriageways' inner edge: half the width of what lies between the directions."""
    count: int
    """Lanes of a direction; of a one-way road: all."""
    lane: float
    """Width of a lane."""
    shoulder: float
    """Paved width beyond the lanes: a hard shoulder, or where cars park."""
    kerbed: bool
    dashes: tuple[float, float]
    """Period and length of the dashes between lanes."""
    middle: str
    """Between the directions: none, dashed, solid, double, mixed."""
    line: float
    """Half the width of a line."""
    middle_paint: Colour
    wear: float
    """0: new markings, 1: gone."""
    rough: float
    """Contrast of the asphalt."""
    cracks: float
    tracks: float
    shoulder_tone: float
    median: Colour
    median_hard: bool
    fields: tuple[Colour, ...]
    """Beyond the verge; none: verge without end."""
    fields_from: float
    """Metres from the road's edge."""
    wet: float
    """0 dry, 1: shining."""
    sheen: Colour
    """What a wet road mirrors."""
    seed: float
    ramp: tuple[float, float, float, float, float] | None = None
    """Where the land begins to rise: x and z of the road's middle there, its heading; slope, and for how many
    metres. A plane that meets the level one in a line across the road."""

    @cached_property
    def edge(self) -> float:
        """|u| of the outer lane's outer edge."""
        return self.inner + self.count * self.lane if self.two_way else self.count * self.lane / 2

    @property
    def rim(self) -> float:
        """|u| where the paved shoulder ends."""
        return self.edge + self.shoulder

    def middle_of(self, lane: int, own: bool = True) -> float:
        """u of a lane's middle; lane 0 is the innermost (two-way), or the one at the left (one-way)."""
        if not self.two_way:
            return (lane + 0.5) * self.lane - self.edge
        return (self.inner + (lane + 0.5) * self.lane) * self.hand * (1 if own else -1)

    def lift(self, x: Array | float, z: Array | float) -> Array | float:
        if self.ramp is None:
            return 0.0
        x0, z0, heading, slope, long = self.ramp
        past = (x - x0) * np.sin(heading) + (z - z0) * np.cos(heading)
        return slope * np.clip(past, 0, long)

    def ground(self, rays: Rays) -> Array:
        at = Ground(rays, self.curvature)
        out, past = at.away - self.edge, self.shoulder
        colour = self._carriageway(at)
        if self.two_way and self.inner > 0.2:
            self._between_directions(colour, at)
        if past:
            side = _tone(self.asphalt) * self.shoulder_tone * (1 + self.rough * (at.stone + 0.45 * at.broad))
            blend(colour, side, after(out, 0.25, at.fu))
            self._wet(colour, at, after(out, 0.25, at.fu))
        if self.kerbed:
            _kerb_and_slabs(colour, at, out, past, 1.1, self)
        else:
            gravel = _tone(self.slabs) * 0.8 * np.clip(0.55 + 0.35 * at.stone, 0, 1) * 1.4
            blend(colour, gravel, after(out + 0.25 * at.leaf, past + 0.1, at.fu))
        verge = _tone(self.verge) * (1 + 0.6 * at.leaf + 0.25 * at.stone + 0.3 * at.broad)
        if self.fields:
            self._fields(verge, at, out)
        blend(colour, verge, after(out + 0.3 * at.leaf, past + self.pavement, at.fu))
        return colour

    def _carriageway(self, at: Ground) -> Array:
        """Asphalt of every lane, and all lines."""
        u, s, fu, fs, stone = at.u, at.s, at.fu, at.fs, at.stone
        v = at.away - self.inner if self.two_way else u + self.edge
        lane = np.floor(v / self.lane)
        inside = v - (lane + 0.5) * self.lane
        tracks = between(np.abs(inside), 0.45, 1.0, fu + 0.35)
        own = luck(lane, self.seed) * 0.14 - 0.07
        oil = between(inside, -0.3, 0.3, fu + 0.4)
        tone = 1 + self.rough * (stone + 0.45 * at.broad) - self.tracks * tracks - 0.06 * oil + own
        if self.cracks:
            tone *= self._cracks(at)
        colour = _tone(self.asphalt) * tone
        half, width = self.line, self.count * self.lane
        marks = np.zeros_like(u)
        if self.count > 1:
            across = stripes(v + half, self.lane, 2 * half, fu)
            across = across * between(v, self.lane * 0.5, width - self.lane * 0.5, fu)
            marks += across * stripes(s, *self.dashes, fs)
        if self.edge_line:
            marks += between(v, width - 2 * half - 0.1, width - 0.1, fu)
            if self.inner > 0.2 or not self.two_way:
                marks += between(v, 0.1, 0.1 + 2 * half, fu)
        share = np.clip(1 - self.wear + 0.6 * self.wear * stone * 2, 0, 1)
        zebra = between(s, self.zebra, self.zebra + 3.2, fs)
        if self.zebra > -400:
            bars = stripes(u, 1.0, 0.5, fu)
            marks = marks * (1 - zebra) + zebra * bars * after(self.edge - at.away, 0, fu)
        self._wet(colour, at, 1 - 0.5 * marks)
        blend(colour, _tone(WHITE), np.clip(marks, 0, 1) * share)
        if self.two_way and self.inner <= 0.2 and self.middle != "none":
            blend(colour, _tone(self.middle_paint), self._middle_line(at) * (1 - zebra) * share)
        return colour

    def _middle_line(self, at: Ground) -> Array:
        u, fu, half = at.u, at.fu, self.line
        dash = stripes(at.s, *self.dashes, at.fs)
        if self.middle in ("dashed", "solid"):
            return between(u, -half, half, fu) * (dash if self.middle == "dashed" else 1)
        right = between(u, half * 0.8, half * 2.8, fu)
        return between(-u, half * 0.8, half * 2.8, fu) + right * (dash if self.middle == "mixed" else 1)

    def _cracks(self, at: Ground) -> Array:
        """Thin dark lines where a slow noise changes its sign; none thinner than a ray."""
        tone = np.ones_like(at.u)
        near = np.flatnonzero(np.maximum(at.fu, at.fs) < 0.5)
        if len(near):
            u, s, fu, fs = at.u[near], at.s[near], at.fu[near], at.fs[near]
            slow = noise(u * 0.4 + self.seed, s * 0.3, fu * 0.4, fs * 0.3)
            thin = np.clip(1 - np.abs(slow) / 0.035, 0, 1) * np.clip(1.3 - 2.6 * np.maximum(fu, fs), 0, 1)
            tone[near] -= 0.55 * self.cracks * thin
        return tone

    def _wet(self, colour: Array, at: Ground, share: Array) -> None:
        """Darken, and mirror the sky the more the lower the view glances over the road."""
        if not self.wet:
            return
        grazing = np.minimum(at.fu / at.fs, at.fs / at.fu)
        pools = np.clip(0.75 + 0.9 * at.broad, 0.15, 1)
        colour *= 1 - 0.35 * self.wet * share
        mirror = self.wet * pools * share * (0.04 + 0.75 * (1 - np.minimum(grazing, 1)) ** 6)
        blend(colour, _tone(self.sheen), mirror)

    def _between_directions(self, colour: Array, at: Ground) -> None:
        """The strip between the carriageways."""
        edge, strength = self.inner - 0.35, 0.35 if self.median_hard else 0.7
        share = 1 - after(at.away, edge, at.fu)
        blend(colour, _tone(self.median) * (1 + strength * at.stone), share)
        if self.kerbed:
            kerb = between(at.away, edge - 0.15, edge + 0.1, at.fu)
            blend(colour, _tone(self.slabs) * 1.05 * (1 + 0.25 * at.stone), kerb)

    def _fields(self, verge: Array, at: Ground, out: Array) -> None:
        """Plots of crop, earth and meadow, side by side."""
        u, s = at.u, at.s
        from_edge = out - self.fields_from
        plot = np.floor((s + 40 * np.sign(u)) / 110) * 3 + np.floor(from_edge / 70) + 50 * (u > 0)
        chance = luck(plot, self.seed)
        colours = np.array(self.fields, np.float32).T
        which = np.minimum((chance * len(self.fields)).astype(int), len(self.fields) - 1)
        rows = np.where(luck(plot + 7) > 0.5, stripes(u, 0.9, 0.4, at.fu), stripes(s, 0.9, 0.4, at.fs)) - 0.45
        ploughed = 0.25 * (luck(plot + 3) > 0.4)
        crop = colours[:, which] * (1 + 0.4 * at.leaf + ploughed * rows)
        blend(verge, crop, after(from_edge + 0.5 * at.leaf, 0, at.fu))
