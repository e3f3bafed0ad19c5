"""Roads of the wide variety: lanes, markings, shoulders, verges and fields on the ground plane."""

from dataclasses import dataclass

import numpy as np

from mono2many.street.noise import Array, after, between, blend, noise, stripes
from mono2many.street.paint import Rays, Road, along_road
from mono2many.street.wide_paint import luck

Colour = tuple[float, float, float]
WHITE: Colour = (0.84, 0.84, 0.82)
YELLOW: Colour = (0.82, 0.62, 0.14)


@dataclass(frozen=True)
class WideRoad(Road):
    """A road of several lanes. v is counted from a carriageway's inner edge outward, metres."""

    hand: int = 1
    """Which side one drives on: 1 right, -1 left."""
    two_way: bool = True
    inner: float = 0.0
    """|u| of the carriageways' inner edge: half the width of what lies between the directions."""
    count: int = 1
    """Lanes of a direction; of a one-way road: all."""
    lane: float = 3.5
    shoulder: float = 0.0
    """Paved width beyond the lanes: a hard shoulder, or where cars park."""
    kerbed: bool = False
    dashes: tuple[float, float] = (9.0, 3.0)
    """Period and length of the dashes between lanes; length 0: none."""
    middle: str = "dashed"
    """Between the directions: none, dashed, solid, double, mixed."""
    line: float = 0.06
    """Half the width of a line."""
    paint: Colour = WHITE
    middle_paint: Colour = WHITE
    wear: float = 0.15
    """0: new markings, 1: gone."""
    rough: float = 0.3
    """Contrast of the asphalt."""
    cracks: float = 0.0
    tracks: float = 0.1
    shoulder_tone: float = 0.95
    median: Colour = (0.4, 0.45, 0.25)
    median_hard: bool = False
    fields: tuple[Colour, ...] = ()
    """Beyond the verge; none: verge without end."""
    fields_from: float = 12.0
    """Metres from the road's edge."""
    wet: float = 0.0
    """0 dry, 1: shining."""
    sheen: Colour = (0.8, 0.85, 0.9)
    """What a wet road mirrors."""
    seed: float = 0.0
    ramp: tuple[float, float, float, float, float] | None = None
    """Where the land begins to rise: x and z of the road's middle there, its heading; slope, and for how many
    metres. A plane that meets the level one in a line across the road."""

    @property
    def edge(self) -> float:
        """|u| of the outer lane's outer edge."""
        return self.inner + self.count * self.lane if self.two_way else self.count * self.lane / 2

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
        return paint_road(rays, self)


def paint_ramp(rays: Rays, road: Road) -> Array:
    """Ground that is not level. Params 2..: x, z of the first corner, x and z per metre of a, of b."""
    x0, z0, ax, az, bx, bz = rays.params[2:8]

    def plan(a: Array, b: Array) -> tuple[Array, Array]:
        return ax * a + bx * b, az * a + bz * b

    (x, z), (x_x, z_x), (x_y, z_y) = (
        plan(*pair) for pair in ((rays.a, rays.b), (rays.a_x, rays.b_x), (rays.a_y, rays.b_y))
    )
    return road.ground(Rays(x0 + x, z0 + z, x_x, x_y, z_x, z_y, rays.params, rays.colour, rays.accent))


def paint_road(rays: Rays, road: WideRoad) -> Array:
    """The ground: carriageways, shoulders, kerb and footway or gravel, verge, fields."""
    u, s, fu, fs = along_road(rays, road.curvature)
    away = np.abs(u)
    v = away - road.inner if road.two_way else u + road.edge
    out = away - road.edge
    stone = noise(u, s, fu, fs)
    broad = noise(s * 0.13 + 5, u * 0.13 + 3, fs * 0.13, fu * 0.13)
    colour = _carriageway(u, s, v, fu, fs, stone, broad, road)
    if road.two_way and road.inner > 0.2:
        _between_directions(colour, away, s, fu, fs, stone, road)
    past = road.shoulder
    if past:
        side = _tone(road.asphalt) * road.shoulder_tone * (1 + road.rough * (stone + 0.45 * broad))
        blend(colour, side, after(out, 0.25, fu))
        _wet(colour, fu, fs, broad, road, after(out, 0.25, fu))
    pale = np.clip(0.55 + 0.35 * stone, 0, 1)
    leaf = noise(rays.a, rays.b, rays.wide, rays.tall, 1)
    if road.kerbed:
        kerb = 1 - 0.45 * stripes(s, 1.0, 0.04, fs)
        blend(colour, _tone(road.slabs) * 1.1 * (1 + 0.25 * stone) * kerb, after(out, past, fu))
        blend(colour, 0.16, between(out, past - 0.03, past + 0.05, fu) * 0.7)
        row = np.floor(out / 0.6)
        joints = np.maximum(stripes(out, 0.6, 0.03, fu), stripes(s + 0.3 * (row % 2), 0.9, 0.03, fs))
        slab = _tone(road.slabs) * (1 + 0.42 * stone + 0.12 * broad) * (1 - 0.5 * joints)
        blend(colour, slab, after(out, past + 0.18, fu))
    else:
        ragged = out + 0.25 * leaf
        blend(colour, _tone(road.slabs) * 0.8 * pale * 1.4, after(ragged, past + 0.1, fu))
    verge = _tone(road.verge) * (1 + 0.6 * leaf + 0.25 * stone + 0.3 * broad)
    if road.fields:
        _fields(verge, u, s, fu, fs, out, leaf, road)
    blend(colour, verge, after(out + 0.3 * leaf, past + road.pavement, fu))
    return colour


def _tone(rgb: Colour) -> Array:
    return np.array(rgb, np.float32)[:, None]


def _carriageway(
    u: Array, s: Array, v: Array, fu: Array, fs: Array, stone: Array, broad: Array, road: WideRoad
) -> Array:
    """Asphalt of every lane, and all lines."""
    lane = np.floor(v / road.lane)
    inside = v - (lane + 0.5) * road.lane
    tracks = between(np.abs(inside), 0.45, 1.0, fu + 0.35)
    own = luck(lane, road.seed) * 0.14 - 0.07
    oil = between(inside, -0.3, 0.3, fu + 0.4)
    tone = 1 + road.rough * (stone + 0.45 * broad) - road.tracks * tracks - 0.06 * oil + own
    if road.cracks:
        tone *= _cracks(u, s, fu, fs, road)
    colour = _tone(road.asphalt) * tone
    half, width = road.line, road.count * road.lane
    marks = np.zeros_like(u)
    if road.count > 1 and road.dashes[1]:
        across = stripes(v + half, road.lane, 2 * half, fu)
        across = across * between(v, road.lane * 0.5, width - road.lane * 0.5, fu)
        marks += across * stripes(s, *road.dashes, fs)
    if road.edge_line:
        marks += between(v, width - 2 * half - 0.1, width - 0.1, fu)
        if road.inner > 0.2 or not road.two_way:
            marks += between(v, 0.1, 0.1 + 2 * half, fu)
    share = np.clip(1 - road.wear + 0.6 * road.wear * stone * 2, 0, 1)
    zebra = between(s, road.zebra, road.zebra + 3.2, fs)
    if road.zebra > -400:
        marks = marks * (1 - zebra) + zebra * stripes(u, 1.0, 0.5, fu) * after(road.edge - np.abs(u), 0, fu)
    _wet(colour, fu, fs, broad, road, 1 - 0.5 * marks)
    blend(colour, _tone(road.paint), np.clip(marks, 0, 1) * share)
    if road.two_way and road.inner <= 0.2 and road.middle != "none":
        dash = stripes(s, *road.dashes, fs)
        if road.middle in ("dashed", "solid"):
            lines = between(u, -half, half, fu) * (dash if road.middle == "dashed" else 1)
        else:
            right = between(u, half * 0.8, half * 2.8, fu)
            lines = between(-u, half * 0.8, half * 2.8, fu) + right * (dash if road.middle == "mixed" else 1)
        blend(colour, _tone(road.middle_paint), lines * (1 - zebra) * share)
    return colour


def _cracks(u: Array, s: Array, fu: Array, fs: Array, road: WideRoad) -> Array:
    """Thin dark lines where a slow noise changes its sign; gone where they would be thinner than a ray."""
    tone = np.ones_like(u)
    near = np.flatnonzero(np.maximum(fu, fs) < 0.5)
    if len(near):
        u, s, fu, fs = u[near], s[near], fu[near], fs[near]
        slow = noise(u * 0.4 + road.seed, s * 0.3, fu * 0.4, fs * 0.3)
        thin = np.clip(1 - np.abs(slow) / 0.035, 0, 1) * np.clip(1.3 - 2.6 * np.maximum(fu, fs), 0, 1)
        tone[near] -= 0.55 * road.cracks * thin
    return tone


def _wet(colour: Array, fu: Array, fs: Array, broad: Array, road: WideRoad, share: Array) -> None:
    """Darken, and mirror the sky the more the lower the view glances over the road."""
    if not road.wet:
        return
    grazing = np.minimum(fu / fs, fs / fu)
    pools = np.clip(0.75 + 0.9 * broad, 0.15, 1)
    colour *= 1 - 0.35 * road.wet * share
    mirror = road.wet * pools * share * (0.04 + 0.75 * (1 - np.minimum(grazing, 1)) ** 6)
    blend(colour, _tone(road.sheen), mirror)


def _between_directions(
    colour: Array, away: Array, s: Array, fu: Array, fs: Array, stone: Array, road: WideRoad
) -> None:
    """The strip between the carriageways."""
    edge = road.inner - 0.35
    strength = 0.35 if road.median_hard else 0.7
    share = 1 - after(away, edge, fu)
    blend(colour, _tone(road.median) * (1 + strength * stone), share)
    if road.kerbed:
        blend(
            colour, _tone(road.slabs) * 1.05 * (1 + 0.25 * stone), between(away, edge - 0.15, edge + 0.1, fu)
        )


def _fields(
    verge: Array, u: Array, s: Array, fu: Array, fs: Array, out: Array, leaf: Array, road: WideRoad
) -> None:
    """Plots of crop, earth and meadow, side by side."""
    from_edge = out - road.fields_from
    plot = np.floor((s + 40 * np.sign(u)) / 110) * 3 + np.floor(from_edge / 70) + 50 * (u > 0)
    chance = luck(plot, road.seed)
    colours = np.array(road.fields, np.float32).T
    which = np.minimum((chance * len(road.fields)).astype(int), len(road.fields) - 1)
    rows = np.where(luck(plot + 7) > 0.5, stripes(u, 0.9, 0.4, fu), stripes(s, 0.9, 0.4, fs)) - 0.45
    ploughed = 0.25 * (luck(plot + 3) > 0.4)
    crop = colours[:, which] * (1 + 0.4 * leaf + ploughed * rows)
    blend(verge, crop, after(from_edge + 0.5 * leaf, 0, fu))
