"""The pinhole camera: its matrix, what resizing and mirroring do to it, and lens distortion.

K = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], in pixels of one image size, pixel centres at integers.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Size = tuple[int, int]
"""(height, width)"""
DistortionModel = Literal["plumb_bob", "rational", "fisheye"]
"""k1 k2 p1 p2 (k3); k1 k2 p1 p2 k3 k4 k5 k6; or k1 k2 k3 k4 of Kannala and Brandt: as OpenCV orders them."""


class Display(NamedTuple):
    """How a file wants its frames to be shown."""

    turns: int = 0
    """Quarter turns counterclockwise from the stored to the shown frame."""
    pixel_aspect: float = 1.0
    """Width of a shown pixel, divided by its height."""


AS_STORED = Display()


def intrinsics_matrix(fx: float, fy: float, cx: float, cy: float) -> Float[Tensor, "3 3"]:
    """K from focal lengths and principal point, all in pixels."""
    return torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float32)


LONGEST_SIDE = 65535
"""Pixels of an image's side, at most."""


def plausible_intrinsics(numbers: Sequence[float], size: Size) -> Float[Tensor, "3 3"]:
    """K of fx, fy, cx, cy. ValueError where no camera with images of this size has it: a side out of range, a
    focal length beyond 0.05 to 100 sides, two of which one is twice the other, a centre far outside."""
    (fx, fy, cx, cy), (height, width) = numbers, size
    if not (1 <= height <= LONGEST_SIDE and 1 <= width <= LONGEST_SIDE):
        raise ValueError(f"an image of {width:g}x{height:g} pixels")
    for name, focal, centre, side in (("x", fx, cx, width), ("y", fy, cy, height)):
        if not 0.05 * side <= focal <= 100 * side:
            raise ValueError(f"a focal length f{name} of {focal:g} pixels, with images of {width}x{height}")
        if not -0.5 * side <= centre <= 1.5 * side:
            raise ValueError(f"a centre c{name} of {centre:g} pixels, with images of {width}x{height}")
    if not 0.5 <= fx / fy <= 2:
        raise ValueError(f"focal lengths of {fx:g} and {fy:g} pixels, which differ by more than a factor 2")
    return intrinsics_matrix(fx, fy, cx, cy)


def intrinsics_from_fov(
    degrees: float, width: int, height: int, pixel_aspect: float = 1.0
) -> Float[Tensor, "3 3"]:
    """K of a centred axis from the horizontal field of view in degrees, from border to border:
    tan(fov / 2) = (width / 2) / fx. pixel_aspect: width of a pixel, divided by its height."""
    assert 0 < degrees < 180, f"a field of view lies between 0 and 180 degrees, got {degrees}"
    focal = width / 2 / math.tan(math.radians(degrees) / 2)
    return intrinsics_matrix(focal, focal * pixel_aspect, (width - 1) / 2, (height - 1) / 2)


def pixel_axes(size: Size, like: Tensor) -> tuple[Float[Tensor, " {size[1]}"], Float[Tensor, " {size[0]}"]]:
    """All x and all y of an image, in the dtype and on the device of `like`."""
    y, x = (torch.arange(length, device=like.device, dtype=like.dtype) for length in size)
    return x, y


PLAUSIBLE_FOV = (20.0, 130.0)
"""Degrees, horizontally; outside, a camera file is probably for another image size."""


def horizontal_fov(intrinsics: Float[Tensor, "3 3"], width: int) -> float:
    """Degrees from border to border of an image `width` pixels wide, K in its pixels."""
    fx, cx = float(intrinsics[0, 0]), float(intrinsics[0, 2]) + 0.5
    return math.degrees(math.atan(cx / fx) + math.atan((width - cx) / fx))


def resize_intrinsics(
    intrinsics: Float[Tensor, "*batch 3 3"], from_size: Size, to_size: Size
) -> Float[Tensor, "*batch 3 3"]:
    """K of a resized image with half-pixel centres: cx' = (cx + 0.5) w' / w - 0.5. A pixel keeps its ray."""
    (height, width), (new_height, new_width) = from_size, to_size
    sx, sy = new_width / width, new_height / height
    x, y, last = intrinsics.unbind(-2)
    return torch.stack([sx * x + (0.5 * sx - 0.5) * last, sy * y + (0.5 * sy - 0.5) * last, last], -2)


def scale_intrinsics_plain(
    intrinsics: Float[Tensor, "*batch 3 3"], from_size: Size, to_size: Size
) -> Float[Tensor, "*batch 3 3"]:
    """Row 0 times w' / w, row 1 times h' / h, without the half-pixel shift, as the programs of Godard et al.
    2019 and Watson et al. 2021 do."""
    x, y, last = intrinsics.unbind(-2)
    return torch.stack([x * (to_size[1] / from_size[1]), y * (to_size[0] / from_size[0]), last], -2)


def mirror_intrinsics(intrinsics: Float[Tensor, "*batch 3 3"], width: int) -> Float[Tensor, "*batch 3 3"]:
    """K of the left-right mirrored image, `width` pixels wide: cx' = width - 1 - cx (and the skew's sign)."""
    mirrored = intrinsics.clone()
    mirrored[..., 0, 1] = -intrinsics[..., 0, 1]
    mirrored[..., 0, 2] = width - 1 - intrinsics[..., 0, 2]
    return mirrored


def turn_intrinsics(intrinsics: Float[Tensor, "3 3"], width: int) -> Float[Tensor, "3 3"]:
    """K, without skew, of an image `width` pixels wide after a quarter turn counterclockwise: the pixel
    (x, y) is then at (y, width - 1 - x)."""
    (fx, _, cx), (_, fy, cy), _ = intrinsics.tolist()
    return intrinsics_matrix(fy, fx, cy, width - 1 - cx)


def divide_by_intrinsics(
    matrix: Float[Tensor, "*batch 3 3"], intrinsics: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """matrix K^-1, in closed form: keeps its precision under autocast and never waits for the device."""
    first, second, third = matrix.unbind(-1)
    fx, skew, cx = intrinsics[..., 0, :, None].unbind(-2)
    fy, cy = intrinsics[..., 1, 1:, None].unbind(-2)
    first = first / fx
    second = (second - skew * first) / fy
    third = third - cx * first - cy * second
    return torch.stack([first, second, third], -1)


def inverse_intrinsics(intrinsics: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """K^-1."""
    identity = torch.eye(3, device=intrinsics.device, dtype=intrinsics.dtype)
    return divide_by_intrinsics(identity.expand_as(intrinsics), intrinsics)


def distort(
    points_normalised: Float[Tensor, "*shape 2"],
    coefficients: Sequence[float],
    model: DistortionModel = "plumb_bob",
) -> Float[Tensor, "*shape 2"]:
    """Where a lens puts the points (X / Z, Y / Z) that an ideal pinhole would put at (x, y). No unit.

    With r2 = x2 + y2, as in OpenCV's calib3d documentation:
    plumb_bob (Brown 1966; k3 = 0 where 4 are given) and rational (k4, k5, k6 not 0):
    x' = x (1 + k1 r2 + k2 r4 + k3 r6) / (1 + k4 r2 + k5 r4 + k6 r6) + 2 p1 x y + p2 (r2 + 2 x2), y' likewise
    with p1 and p2 exchanged.
    fisheye (Kannala and Brandt 2006): (x', y') = (x, y) t (1 + k1 t2 + k2 t4 + k3 t6 + k4 t8) / r, where
    t = atan(r) is the angle to the axis.
    """
    x, y = points_normalised.unbind(-1)
    r2 = x * x + y * y
    if model == "fisheye":
        k1, k2, k3, k4 = coefficients
        r = r2.sqrt().clamp_min(1e-8)
        t2 = r.atan() ** 2
        scale = r.atan() / r * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        return points_normalised * scale[..., None]
    assert len(coefficients) in (4, 5, 8), f"4, 5 or 8 distortion coefficients, got {len(coefficients)}"
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, 0.0, 0.0, 0.0, 0.0)[:8]
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if model == "rational":
        radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    distorted_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    distorted_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([distorted_x, distorted_y], -1)


def undistortion_pixels(
    intrinsics: Float[Tensor, "3 3"],
    coefficients: Sequence[float],
    height: int,
    width: int,
    model: DistortionModel = "plumb_bob",
) -> Float[Tensor, "{height} {width} 2"]:
    """For each pixel of the ideal pinhole image (same K) the pixel (x, y) of the distorted image, perhaps
    outside it: `warp.sample(distorted, pixels)` is the image without distortion."""
    column, row = torch.meshgrid(*pixel_axes((height, width), intrinsics), indexing="xy")
    pixels = torch.stack([column, row, torch.ones_like(row)], -1)
    rays = pixels @ inverse_intrinsics(intrinsics).T
    lens = distort(rays[..., :2], coefficients, model)
    return lens @ intrinsics[:2, :2].T + intrinsics[:2, 2]
