"""A camera as the user gives it: a small JSON file, or a field of view."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.camera import Size, intrinsics_from_fov, intrinsics_matrix, resize_intrinsics
from mono2many.types import InputError

DISTORTION_KEYS = ("distortion_opencv_k1k2p1p2k3", "distortion")
FOV_GUESS = 65.0
"""Degrees, horizontally: a phone's camera, where nothing is known of it."""
ASPECT_TOLERANCE = 0.005
"""Footage counts as a resized copy of the camera's picture if the aspect ratios agree to this share."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with lens distortion, for pictures of width x height pixels."""

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
    values = _read_json(path)
    width, height = (_whole_number(path, values, key) for key in ("width", "height"))
    fx, fy, cx, cy = (_number(path, values, key) for key in ("fx", "fy", "cx", "cy"))
    for key, focal, side in (("fx", fx, width), ("fy", fy, height)):
        if focal <= 0:
            raise _wrong(path, key, focal, "a positive number of pixels", "copy it from the calibration")
        if focal < 0.05 * side:
            remedy = "if it is a share of the picture's size, multiply it by that size"
            raise _wrong(path, key, focal, f"pixels (the picture has {side} of them)", remedy)
    if not 0.5 <= fx / fy <= 2:
        wanted = f"a value within a factor 2 of fy {fy:g}"
        raise _wrong(path, "fx", fx, wanted, "check that both are in pixels of the same picture size")
    for key, centre, side in (("cx", cx, width), ("cy", cy, height)):
        if not -0.5 * side <= centre <= 1.5 * side:
            remedy = "check that width and height belong to this calibration"
            raise _wrong(path, key, centre, f"a point in or near a picture of {side} pixels", remedy)
    return Camera(width, height, fx, fy, cx, cy, _distortion(path, values))


def camera_from_fov(degrees: float, width: int, height: int) -> Camera:
    """A camera without distortion from its horizontal field of view (degrees) and its picture size.

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
    """K for pictures of (height, width), from a camera file or a horizontal field of view."""
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


def _read_json(path: str | Path) -> dict[str, object]:
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot read the camera file ({reason}); check --camera") from error
    except ValueError as error:
        raise InputError(
            f"{path}: not a JSON camera file ({error}); wanted one object with width, height, fx, fy, cx, cy"
        ) from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: found a JSON {type(values).__name__}, wanted one object with width, height, fx, fy, "
            "cx, cy; put the camera's values in braces"
        )
    return values


def _number(path: str | Path, values: dict[str, object], key: str) -> float:
    if key not in values:
        raise InputError(
            f"{path}: key '{key}' is missing, wanted a number of pixels; add it, or give --fov instead"
        )
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(path, key, value, "a finite number of pixels", "copy it from the calibration")
    return float(value)


def _whole_number(path: str | Path, values: dict[str, object], key: str) -> int:
    value = _number(path, values, key)
    if value < 1 or value != int(value):
        raise _wrong(path, key, values[key], "a positive whole number", "give the calibration pictures' size")
    return int(value)


def _distortion(path: str | Path, values: dict[str, object]) -> tuple[float, ...]:
    given = [key for key in DISTORTION_KEYS if values.get(key) not in (None, [])]
    if not given:
        return ()
    key = given[0]
    found = values[key]
    if isinstance(found, list) and len(found) in (4, 5):
        numbers = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(found) and all(math.isfinite(v) for v in numbers):
            return tuple(numbers)
    remedy = "copy OpenCV's first coefficients, or remove the key for footage without distortion"
    raise _wrong(path, key, found, "4 or 5 finite numbers k1, k2, p1, p2, k3", remedy)


def _wrong(path: str | Path, key: str, found: object, wanted: str, remedy: str) -> InputError:
    return InputError(f"{path}: key '{key}' is {found!r}, wanted {wanted}; {remedy}")
