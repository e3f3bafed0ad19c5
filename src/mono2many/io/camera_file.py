"""A camera as the user gives it: a small JSON file, or a field of view."""

import math
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.files import read_json
from mono2many.geometry.camera import Size, intrinsics_from_fov, intrinsics_matrix, resize_intrinsics
from mono2many.types import InputError

KEYS = ("width", "height", "fx", "fy", "cx", "cy")
DISTORTION_KEYS = ("distortion_opencv_k1k2p1p2k3", "distortion")
FOV_GUESS = 65.0
"""Degrees, horizontally: a phone's camera, where nothing is known of it."""
ASPECT_TOLERANCE = 0.005
"""Footage counts as a resized copy of the camera's image if the aspect ratios agree to this share."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with lens distortion, for images of width x height pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    """Pixels; pixel centres at integers."""
    distortion: tuple[float, ...] = ()
    """OpenCV's k1, k2, p1, p2 and optionally k3; empty for footage without distortion."""

    @property
    def intrinsics(self) -> Float[Tensor, "3 3"]:
        """K in pixels of the camera's own size."""
        return intrinsics_matrix(self.fx, self.fy, self.cx, self.cy)


def camera_from_intrinsics(
    intrinsics: Float[Tensor, "3 3"], size: Size, distortion: tuple[float, ...] = ()
) -> Camera:
    """From K in pixels of images of this size (height, width)."""
    (fx, _, cx), (_, fy, cy), _ = intrinsics.tolist()
    return Camera(size[1], size[0], fx, fy, cx, cy, distortion)


def read_camera(path: str | Path) -> Camera:
    """The camera in a JSON file with width, height, fx, fy, cx, cy (pixels) and optionally `distortion` or
    `distortion_opencv_k1k2p1p2k3` (4 or 5 numbers). InputError, naming the file and the key, where a value is
    missing or cannot be true."""
    values = read_json(path, "wanted width, height, fx, fy, cx, cy in braces: check --camera")

    def check(key: str, holds: bool, wanted: str, remedy: str) -> None:
        if not holds:
            found = f"is {values[key]!r}" if key in values else "is missing"
            raise InputError(f"{path}: key '{key}' {found}, wanted {wanted}; {remedy}")

    for key in KEYS:
        remedy = "copy it from the calibration, or give --fov instead"
        check(key, is_finite(values.get(key)), "a finite number of pixels", remedy)
    width, height, fx, fy, cx, cy = (float(values[key]) for key in KEYS)
    for key, side in (("width", width), ("height", height)):
        whole = side >= 1 and side.is_integer()
        check(key, whole, "a positive whole number", "give the size of the calibration images")
    for key, focal, side in (("fx", fx, width), ("fy", fy, height)):
        remedy = "copy it from the calibration; if it is a share of the image's size, multiply it by that"
        check(key, focal >= 0.05 * side, f"pixels (the image has {side:g} of them)", remedy)
    remedy = "check that both are in pixels of the same image size"
    check("fx", 0.5 <= fx / fy <= 2, f"a value within a factor 2 of fy {fy:g}", remedy)
    for key, centre, side in (("cx", cx, width), ("cy", cy, height)):
        remedy = "check that width and height belong to this calibration"
        near = -0.5 * side <= centre <= 1.5 * side
        check(key, near, f"a point in or near an image of {side:g} pixels", remedy)
    distortion: tuple[float, ...] = ()
    for key in DISTORTION_KEYS:
        found = values.get(key) or []
        if found and not distortion:
            good = isinstance(found, list) and len(found) in (4, 5) and all(map(is_finite, found))
            remedy = "copy OpenCV's first coefficients, or remove the key for footage without distortion"
            check(key, good, "4 or 5 finite numbers k1, k2, p1, p2, k3", remedy)
            distortion = tuple(map(float, found))
    return Camera(int(width), int(height), fx, fy, cx, cy, distortion)


def is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def camera_for(file: str | None, degrees: float | None, size: Size, footage: str) -> Camera:
    """The camera of footage of this size (height, width): of a camera file, or without distortion of a
    horizontal field of view in degrees, by default a phone's. InputError, naming `footage`, as its parts."""
    if file is None:
        return camera_from_fov(FOV_GUESS if degrees is None else degrees, size[1], size[0])
    return fit_camera(read_camera(file), size, footage, file)


def camera_from_fov(degrees: float, width: int, height: int) -> Camera:
    """A camera without distortion from its horizontal field of view (degrees) and its image size. InputError
    unless 1 <= degrees <= 170."""
    if not 1 <= degrees <= 170:  # also catches NaN
        raise InputError(
            f"--fov {degrees:g}: a horizontal field of view lies between 1 and 170 degrees; "
            "a phone has about 65, a dashcam 90 to 140"
        )
    return camera_from_intrinsics(intrinsics_from_fov(degrees, width, height), (height, width))


def fit_camera(camera: Camera, size: Size, footage: str, camera_name: str = "--camera") -> Camera:
    """The same camera for footage of another size (height, width) but the same aspect ratio (to 0.5 %).
    InputError, naming `footage` and `camera_name`, where the aspect ratio differs."""
    height, width = size
    own = (camera.height, camera.width)
    if own == size:
        return camera
    if abs(width * camera.height / (height * camera.width) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{footage} is {width}x{height}, but {camera_name} is for {camera.width}x{camera.height}, "
            "another aspect ratio: give the camera file of this footage, or correct width and height in it"
        )
    return camera_from_intrinsics(resize_intrinsics(camera.intrinsics, own, size), size, camera.distortion)
