"""A camera as the user gives it: a small JSON file, or a field of view."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.files import read_json
from mono2many.geometry.camera import Size, intrinsics_from_fov, intrinsics_matrix, resize_intrinsics
from mono2many.types import InputError

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


def read_camera(path: str | Path) -> Camera:
    """The camera in a JSON file with width, height, fx, fy, cx, cy (pixels) and optionally `distortion` or
    `distortion_opencv_k1k2p1p2k3` (4 or 5 numbers).

    InputError, naming the file and the key, where a value is missing or cannot be true.
    """
    values = read_json(path, "wanted width, height, fx, fy, cx, cy in braces: check --camera")
    width, height = (_whole_number(path, values, key) for key in ("width", "height"))
    fx, fy, cx, cy = (_number(path, values, key) for key in ("fx", "fy", "cx", "cy"))
    for key, focal, side in (("fx", fx, width), ("fy", fy, height)):
        if focal < 0.05 * side:
            remedy = "copy it from the calibration; if it is a share of the image's size, multiply it by that"
            raise _wrong(path, key, focal, f"pixels (the image has {side} of them)", remedy)
    if not 0.5 <= fx / fy <= 2:
        wanted = f"a value within a factor 2 of fy {fy:g}"
        raise _wrong(path, "fx", fx, wanted, "check that both are in pixels of the same image size")
    for key, centre, side in (("cx", cx, width), ("cy", cy, height)):
        if not -0.5 * side <= centre <= 1.5 * side:
            remedy = "check that width and height belong to this calibration"
            raise _wrong(path, key, centre, f"a point in or near an image of {side} pixels", remedy)
    return Camera(width, height, fx, fy, cx, cy, _distortion(path, values))


def camera_from_fov(degrees: float, width: int, height: int) -> Camera:
    """A camera without distortion from its horizontal field of view (degrees) and its image size.

    InputError unless 1 <= degrees <= 170.
    """
    if not 1 <= degrees <= 170:  # also catches NaN
        raise InputError(
            f"--fov {degrees:g}: a horizontal field of view lies between 1 and 170 degrees; "
            "a phone has about 65, a dashcam 90 to 140"
        )
    matrix = intrinsics_from_fov(degrees, width, height).tolist()
    (fx, _, cx), (_, fy, cy), _ = matrix
    return Camera(width, height, fx, fy, cx, cy)


def camera_for(file: str | None, degrees: float | None) -> Callable[[int, int], Float[Tensor, "3 3"]]:
    """K for images of (height, width), from a camera file or a horizontal field of view."""
    known = read_camera(file) if file is not None else None

    def intrinsics(height: int, width: int) -> Tensor:
        if known is None:
            return camera_from_fov(FOV_GUESS if degrees is None else degrees, width, height).intrinsics
        return fit_camera(known, (height, width), f"{width}x{height} footage", str(file)).intrinsics

    return intrinsics


def fit_camera(camera: Camera, size: Size, footage: str, camera_name: str = "--camera") -> Camera:
    """The same camera for footage of another size (height, width) but the same aspect ratio (to 0.5 %).

    InputError, naming `footage` and `camera_name`, where the aspect ratio differs.
    """
    height, width = size
    if (camera.height, camera.width) == size:
        return camera
    if abs(width * camera.height / (height * camera.width) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"{footage} is {width}x{height}, but {camera_name} is for {camera.width}x{camera.height}, "
            "another aspect ratio: give the camera file of this footage, or correct width and height in it"
        )
    (fx, _, cx), (_, fy, cy), _ = resize_intrinsics(
        camera.intrinsics, (camera.height, camera.width), size
    ).tolist()
    return Camera(width, height, fx, fy, cx, cy, camera.distortion)


def _number(path: str | Path, values: dict[str, object], key: str) -> float:
    if key not in values:
        raise InputError(
            f"{path}: key '{key}' is missing, wanted a number of pixels; add it, or give --fov instead"
        )
    value = values[key]
    if not _is_finite(value):
        raise _wrong(path, key, value, "a finite number of pixels", "copy it from the calibration")
    return float(value)  # type: ignore[arg-type]


def _whole_number(path: str | Path, values: dict[str, object], key: str) -> int:
    value = _number(path, values, key)
    if value < 1 or value != int(value):
        raise _wrong(
            path, key, values[key], "a positive whole number", "give the size of the calibration images"
        )
    return int(value)


def _distortion(path: str | Path, values: dict[str, object]) -> tuple[float, ...]:
    given = [key for key in DISTORTION_KEYS if values.get(key) not in (None, [])]
    if not given:
        return ()
    found = values[given[0]]
    if isinstance(found, list) and len(found) in (4, 5) and all(map(_is_finite, found)):
        return tuple(map(float, found))
    remedy = "copy OpenCV's first coefficients, or remove the key for footage without distortion"
    raise _wrong(path, given[0], found, "4 or 5 finite numbers k1, k2, p1, p2, k3", remedy)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(path: str | Path, key: str, found: object, wanted: str, remedy: str) -> InputError:
    return InputError(f"{path}: key '{key}' is {found!r}, wanted {wanted}; {remedy}")
