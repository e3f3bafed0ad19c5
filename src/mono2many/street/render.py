"""The street's ray caster: flat quads, balls and a ground plane, in inverse depth.

For a plane, 1/depth is an affine function of the pixel, and so are the plane's own coordinates (a, b)
divided by depth. A quad is therefore drawn by comparing a few affine functions inside its screen rectangle,
with no division, and (a, b) with their exact footprint come back afterwards for shading, once per ray.

Rays lie half a pixel apart, on a grid of (2 H + 1) x (2 W + 1) that contains every pixel centre. A pixel's
colour is the tent-weighted mean of the 3 x 3 rays around it; its depth is that of its centre ray alone.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mono2many.street.kinds import KIND, OUTLINED, PAINTERS
from mono2many.street.noise import Array, Ints, leafy
from mono2many.street.paint import Rays
from mono2many.street.scene import Street
from mono2many.street.shapes import Balls, Decal, Quads, join
from mono2many.street.wide_paint import outline

NEAR = 0.05
FAR = 1500.0
OVERLAP = 0.002
"""Metres by which a quad is drawn too large, so that no ray slips between neighbours."""
ALONE = 2000
"""A quad that more rays meet than this is painted by itself."""
RAGGED = 7.0
"""A ball of more than this many pixels has gaps between its leaves."""
SKY = -1
GROUND, BALL, WHEEL, RAMP = (KIND[name] for name in ("ground", "ball", "wheel", "ramp"))


@dataclass(frozen=True)
class View:
    """A camera on its grid of rays."""

    height: int
    width: int
    focal: float
    world_from_camera: Array

    @cached_property
    def x(self) -> Array:
        """Pixel coordinates of the rays' columns, from the principal point."""
        return self._half_pixels(self.width)

    @cached_property
    def y(self) -> Array:
        return self._half_pixels(self.height)

    def _half_pixels(self, size: int) -> Array:
        return ((np.arange(2 * size + 1) - 1) / 2 - (size - 1) / 2).astype(np.float32)

    def affine(self, coef: Array, box: list[int]) -> Array:
        """Functions of (x, y, 1), n 3, at the rays of a screen box: n rows columns."""
        x0, x1, y0, y1 = box
        return (coef[:, :1] * self.x[x0:x1] + coef[:, 2:])[:, None] + (coef[:, 1:2] * self.y[y0:y1])[
            :, :, None
        ]

    @property
    def origin(self) -> Array:
        return self.world_from_camera[:3, 3]

    @property
    def world_from_pixel(self) -> Array:
        """Direction of a ray with z = 1 from (x, y, 1)."""
        return self.world_from_camera[:3, :3] / np.array([self.focal, self.focal, 1.0])


@dataclass(frozen=True)
class Rendering:
    """What the ray caster returns."""

    image: NDArray[np.uint8]
    """3 H W"""
    depth: Array
    """H W, metres, NaN in the sky."""
    quad: Ints
    """H W, index of the quad at the pixel's centre, -1 elsewhere."""


def render(street: Street, view: View) -> Rendering:
    """The scene as a camera sees it, save its traffic. See the top of the file."""
    ground = Quads(
        np.array([[[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]]], np.float32),
        np.zeros(1, np.uint8),
        *(np.ones((1, street.quads.colour.shape[1]), np.float32),) * 2,
        np.zeros((1, street.quads.params.shape[1]), np.float32),
        np.array([[0, -1, 0]], np.float32),
    )
    quads = join([ground, street.quads])
    street = replace(street, quads=quads)
    coef, facing = _planes(quads.corners, quads.outward, view)

    inverse = coef[0, 4, 0] * view.x + coef[0, 4, 2] + (coef[0, 4, 1] * view.y)[:, None]
    owner = np.where(inverse > 1 / FAR, 0, -1).astype(np.int32)
    inverse = np.where(owner == 0, inverse, 0).astype(np.float32)
    shade = np.ones_like(inverse)
    _darken(shade, inverse, street.decals, street.light.share_of_sun, view)
    facing[0] = False
    _draw_quads(inverse, owner, quads, coef, facing, view)
    _cast_balls(inverse, owner, len(quads.kind), street.balls, view)

    colour = _paint(inverse, owner, shade, street, coef, view)
    centre = owner[1::2, 1::2]
    with np.errstate(divide="ignore"):
        depth = np.where(centre >= 0, 1 / inverse[1::2, 1::2], np.nan).astype(np.float32)
    image = street.light.develop(_tent(colour))
    return Rendering(image, depth, np.where((centre > 0) & (centre < len(quads.kind)), centre - 1, -1))


def _draw_quads(
    inverse: Array, owner: Ints, quads: Quads, planes: Array, facing: NDArray[np.bool_], view: View
) -> None:
    """Quads into the depth buffer, nearest first, so that what is hidden is passed over."""
    boxes, on_screen = _screen_boxes(quads.corners, view)
    nearest = 1 / np.maximum(((quads.corners - view.origin) @ view.world_from_camera[:3, 2]).min(1), NEAR)
    index = np.flatnonzero(facing & on_screen)
    for q in index[np.argsort(-nearest[index])].tolist():
        x0, x1, y0, y1 = boxes[q]
        region = inverse[y0:y1, x0:x1]
        if region.min() >= nearest[q]:
            continue
        f = view.affine(planes[q], boxes[q])
        hit = (f[:4].min(0) >= 0) & (f[4] > region)
        if quads.kind[q] == WHEEL:
            hit &= f[0] * f[2] + f[1] * f[3] >= quads.params[q, 0] ** 2 / 4 * f[4] ** 2
        elif quads.kind[q] in OUTLINED:
            share = outline(f[5] / np.maximum(f[4], 1 / FAR), quads.params[q])
            hit &= f[6] <= quads.params[q, 1] * share * f[4]
        np.copyto(region, f[4], where=hit)
        np.copyto(owner[y0:y1, x0:x1], q, where=hit)


def _planes(corners: Array, outward: Array, view: View) -> tuple[Array, NDArray[np.bool_]]:
    """Affine functions of (x, y, 1), Q 7 3: four edge distances, one, a and b, all over depth; and which of
    the Q polygons face the camera."""
    first = corners[:, 0].astype(np.float64)
    normal = outward.astype(np.float64)
    along = corners[:, 1] - first
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.cross(normal, along)
    up *= np.sign(((corners[:, 2] - first) * up).sum(1, keepdims=True))
    away = ((first - view.origin) * normal).sum(1)
    facing = away < -1e-4
    world_from_pixel, here = view.world_from_pixel, view.origin - first
    one = (normal @ world_from_pixel) / np.where(facing, away, 1)[:, None]
    a, b = (axis @ world_from_pixel + (here * axis).sum(1)[:, None] * one for axis in (along, up))

    flat = corners - first[:, None]
    flat = np.stack([(flat * along[:, None]).sum(-1), (flat * up[:, None]).sum(-1)], -1)
    edge = np.roll(flat, -1, 1) - flat
    length = np.maximum(np.linalg.norm(edge, axis=-1, keepdims=True), 1e-9)
    inward = np.stack([-edge[..., 1], edge[..., 0]], -1) / length
    constant = OVERLAP - (inward * flat).sum(-1)
    edges = inward[..., :1] * a[:, None] + inward[..., 1:] * b[:, None] + constant[..., None] * one[:, None]
    coef = np.concatenate([edges, one[:, None], a[:, None], b[:, None]], 1)
    return coef.astype(np.float32), facing


def _screen_boxes(corners: Array, view: View) -> tuple[list[list[int]], NDArray[np.bool_]]:
    """Columns [x0, x1) and rows [y0, y1) of the rays that may meet each polygon, and whether any may."""
    seen = (corners - view.origin) @ view.world_from_camera[:3, :3]
    following = np.roll(seen, -1, 1)
    z, z_next = seen[..., 2:], following[..., 2:]
    crosses = (z < NEAR) != (z_next < NEAR)
    share = (NEAR - z) / np.where(crosses, z_next - z, 1)
    points = np.concatenate([seen, seen + share * (following - seen)], 1)
    valid = np.concatenate([z >= NEAR, crosses], 1)[..., 0]
    pixels = points[..., :2] / np.maximum(points[..., 2:], NEAR) * view.focal
    low = np.where(valid[..., None], pixels, np.inf).min(1)
    high = np.where(valid[..., None], pixels, -np.inf).max(1)
    bounds = [
        np.searchsorted(axis, side[:, k]) for k, axis in enumerate((view.x, view.y)) for side in (low, high)
    ]
    x0, x1, y0, y1 = bounds
    return np.stack(bounds, 1).tolist(), (x0 < x1) & (y0 < y1)


def _darken(shade: Array, inverse: Array, decals: list[Decal], share_of_sun: float, view: View) -> None:
    """Multiply `shade` by what the decals leave of the light. All lie in the ground's plane."""
    corners, strength, soft, round_, sun = (np.array(column) for column in zip(*decals, strict=True))
    outward = np.broadcast_to(np.array([0, -1, 0], np.float32), (len(decals), 3))
    planes, _ = _planes(corners, outward, view)
    boxes, on_screen = _screen_boxes(corners, view)
    sunlit = np.ones_like(shade)
    sides = np.linalg.norm(np.diff(corners[:, :3], axis=1), axis=-1)
    for d in np.flatnonzero(on_screen):
        x0, x1, y0, y1 = boxes[d]
        f = view.affine(planes[d, :4], boxes[d])
        distance = f / np.maximum(inverse[y0:y1, x0:x1], 1 / FAR)
        if round_[d]:
            across = distance[1] * distance[3] * (4 / sides[d, 0] ** 2)
            depth = (across + distance[0] * distance[2] * (4 / sides[d, 1] ** 2) - 1) * (sides[d, 0] / 4)
            depth[distance.min(0) < 0] = 0
        else:
            depth = distance.min(0)
        left = 1 - strength[d] * np.clip(depth / soft[d], 0, 1)
        if sun[d]:
            np.minimum(sunlit[y0:y1, x0:x1], left, out=sunlit[y0:y1, x0:x1])
        else:
            shade[y0:y1, x0:x1] *= left
    shade *= 1 - share_of_sun * (1 - sunlit)


def _cast_balls(inverse: Array, owner: Ints, first: int, balls: Balls, view: View) -> None:
    """Balls into the depth buffer; ball n gets the number first + n."""
    x, y = view.x, view.y
    seen = (balls.centre - view.origin) @ view.world_from_camera[:3, :3]
    rotation = view.world_from_camera[:3, :3].astype(np.float32)
    offset = (balls.centre - view.origin).astype(np.float32)
    order = np.argsort(seen[:, 2] - balls.radius)
    for n in order[(seen[:, 2] > balls.radius + NEAR)[order]]:
        centre, radius = seen[n], float(balls.radius[n])
        (x0, x1), (y0, y1) = (
            np.searchsorted(axis, _extent(float(side), float(centre[2]), radius, view.focal)).tolist()
            for axis, side in ((x, centre[0]), (y, centre[1]))
        )
        if x0 >= x1 or y0 >= y1:
            continue
        region = inverse[y0:y1, x0:x1]
        if region.min() >= 1 / (centre[2] - radius):
            continue
        dx, dy = x[x0:x1] / np.float32(view.focal), (y[y0:y1] / np.float32(view.focal))[:, None]
        square = dx * dx + 1 + dy * dy
        ahead = dx * np.float32(centre[0]) + np.float32(centre[2]) + dy * np.float32(centre[1])
        rest = np.float32(centre @ centre - radius * radius)
        under = ahead * ahead - square * rest
        # nearest root t = (ahead - sqrt(under)) / square, so 1/t = (ahead + sqrt(under)) / rest
        near = (ahead + np.sqrt(np.maximum(under, 0))) * (1 / rest)
        hit = (under > 0) & (near > region)
        if radius * view.focal > RAGGED * centre[2]:
            t = 1 / np.maximum(near, 1 / FAR)
            px, py, pz = ((dx * r[0] + (dy * r[1] + r[2])) * t for r in rotation)
            point = px - offset[n, 0], py - offset[n, 1], pz - offset[n, 2]
            hit &= leafy(point, n, float(centre[2]) / view.focal)
        np.copyto(region, near, where=hit)
        np.copyto(owner[y0:y1, x0:x1], first + n, where=hit)


def _extent(side: float, ahead: float, radius: float, focal: float) -> tuple[float, float]:
    """First and last pixel of a ball along one axis: the planes through the camera that touch it."""
    spread = radius * np.sqrt(side * side + ahead * ahead - radius * radius)
    scale = focal / (ahead * ahead - radius * radius)
    return (side * ahead - spread) * scale, (side * ahead + spread) * scale


def _paint(inverse: Array, owner: Ints, shade: Array, street: Street, planes: Array, view: View) -> Array:
    """Colour of every ray, 3 x rows x columns, 0 to 1."""
    rows, columns = inverse.shape
    inverse, shade, owner = inverse.ravel(), shade.ravel(), owner.ravel()
    quads, balls, light = street.quads, street.balls, street.light
    colour = np.empty((3, rows * columns), np.float32)
    direction = view.world_from_pixel.astype(np.float32)
    lit = light.on(quads.outward)
    # rays sorted by what they meet: a large quad is painted alone, its numbers being scalars then
    order = np.argsort(owner.astype(np.int16), kind="stable").astype(np.int32)
    counts = np.bincount(owner + 1, minlength=len(quads.kind) + len(balls.radius) + 1)
    for k, index in _groups(quads.kind, counts, order):
        row = index // columns
        px, py = view.x[index - row * columns], view.y[row]
        if k in (SKY, BALL):
            d = direction[:, :1] * px + direction[:, 1:2] * py + direction[:, 2:]
        if k == SKY:
            colour[:, index] = light.heaven(d)
            continue
        t = 1 / inverse[index]
        if k == BALL:
            n = owner[index] - len(quads.kind)
            point = view.origin.astype(np.float32)[:, None] + d * t - balls.centre[n].T
            size, which = t * np.float32(1 / view.focal), n.astype(np.float32)
            colour[:, index] = light.leaves(point, balls.radius[n], balls.colour[n].T, size, which)
            continue
        q = owner[index]
        if q[0] == q[-1]:
            q = q[:1]
        coef = np.ascontiguousarray(planes[q, 4:].reshape(len(q), 9).T)
        one_x, one_y, _, a_x, a_y, a_1, b_x, b_y, b_1 = coef
        a = (a_x * px + a_y * py + a_1) * t
        b = (b_x * px + b_y * py + b_1) * t
        slopes = (t * (a_x - a * one_x), t * (a_y - a * one_y), t * (b_x - b * one_x), t * (b_y - b * one_y))
        params = np.ascontiguousarray(quads.params[q].T)
        rays = Rays(a, b, *slopes, params, quads.colour[q].T, quads.accent[q].T)
        if k == GROUND:
            painted = street.road.ground(rays) * lit[q].T * shade[index]
        elif k == RAMP:
            painted = street.road.ramp_ground(rays) * lit[q].T
        else:
            painted = PAINTERS[k](rays) * lit[q].T
        colour[:, index] = painted
    light.through_air(colour, inverse)
    return colour.reshape(3, rows, columns)


def _groups(kind: Ints, counts: Ints, order: Ints) -> list[tuple[int, Ints]]:
    """(kind, rays) of everything seen; `counts` and `order` begin with the sky, then quads, then balls."""
    ends = np.cumsum(counts)
    groups = [(SKY, order[: ends[0]]), (BALL, order[ends[len(kind)] :])]
    counts, ends = counts[1 : len(kind) + 1], ends[1 : len(kind) + 1]
    alone = counts > ALONE
    alone[0] = True
    groups += [
        (int(kind[q]), order[ends[q] - counts[q] : ends[q]]) for q in np.flatnonzero(alone & (counts > 0))
    ]
    for k in np.unique(kind):
        few = np.flatnonzero((kind == k) & ~alone & (counts > 0))
        if len(few):
            groups.append((int(k), np.concatenate([order[ends[q] - counts[q] : ends[q]] for q in few])))
    return [group for group in groups if len(group[1])]


def _tent(colour: Array) -> NDArray[np.uint8]:
    """3 H W bytes from rays half a pixel apart: weights 1 2 1 along each axis."""
    tall = colour[:, 0:-2:2] + 2 * colour[:, 1:-1:2] + colour[:, 2::2]
    both = tall[:, :, 0:-2:2] + 2 * tall[:, :, 1:-1:2] + tall[:, :, 2::2]
    return (np.clip(both, 0, 16) * np.float32(255 / 16) + np.float32(0.5)).astype(np.uint8)
