"""A camera as the user gives it: a calibration file, or a field of view."""

import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.camera import (
    AS_STORED,
    Display,
    DistortionModel,
    Size,
    horizontal_fov,
    intrinsics_from_fov,
    intrinsics_matrix,
    resize_intrinsics,
    turn_intrinsics,
)
from mono2many.io.camera_forms import COEFFICIENTS, KEYS, Found, numbers, read_calibration
from mono2many.types import InputError

FOV_GUESS = 65.0
"""Degrees, along the longer side: a phone's camera, where nothing is known of it."""
WIDE, LARGE_TANGENTIAL = 100.0, 0.02
"""Degrees across, and p1 or p2: from here on four coefficients without a name may be a fisheye's."""
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
    """The model's coefficients in OpenCV's order; empty for footage without distortion."""
    distortion_model: DistortionModel = "plumb_bob"

    @property
    def intrinsics(self) -> Float[Tensor, "3 3"]:
        """K in pixels of the camera's own size."""
        return intrinsics_matrix(self.fx, self.fy, self.cx, self.cy)

    @property
    def is_distorted(self) -> bool:
        """A fisheye bends the image even where all its coefficients are 0."""
        return self.distortion_model == "fisheye" or any(self.distortion)


def camera_from_intrinsics(
    intrinsics: Float[Tensor, "3 3"],
    size: Size,
    distortion: tuple[float, ...] = (),
    distortion_model: DistortionModel = "plumb_bob",
) -> Camera:
    """From K in pixels of images of this size (height, width)."""
    (fx, _, cx), (_, fy, cy), _ = intrinsics.tolist()
    return Camera(size[1], size[0], fx, fy, cx, cy, distortion, distortion_model)


def read_camera(path: str | Path) -> Camera:
    """The camera in a calibration file: JSON with width, height, fx, fy, cx, cy (pixels) and optionally
    `distortion` and `distortion_model`, or what ROS, OpenCV, Kalibr, COLMAP or open3d write. InputError,
    naming the file and the key, where a value is missing, not known or cannot be true."""
    values = read_calibration(path)

    def check(key: str, holds: bool, wanted: str, remedy: str) -> None:
        if not holds:
            name, value = values.get(key, (key, None))
            found = f"is {reprlib.repr(value)}" if key in values else "is missing"
            raise InputError(f"{path}: key '{name}' {found}, wanted {wanted}; {remedy}")

    for key in KEYS:
        remedy = "copy it from the calibration, or give --fov instead"
        check(key, key in values and is_finite(values[key][1]), "a finite number of pixels", remedy)
    width, height, fx, fy, cx, cy = (float(values[key][1]) for key in KEYS)
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
    model, given = _distortion(values, check)
    camera = Camera(int(width), int(height), fx, fy, cx, cy, given, model)
    if "distortion_model" not in values and len(given) == 4:  # a fisheye's calibration has four as well
        wide = horizontal_fov(camera.intrinsics, camera.width) > WIDE
        if wide or max(map(abs, given[2:])) > LARGE_TANGENTIAL:
            check("distortion_model", False, "plumb_bob or fisheye: either has 4 coefficients", "add it")
    return camera


def _distortion(
    values: Found, check: Callable[[str, bool, str, str], None]
) -> tuple[DistortionModel, tuple[float, ...]]:
    """The distortion model and its coefficients, of plumb_bob none, 4 or 5."""
    named: DistortionModel | None = values.get("distortion_model", ("", None))[1]
    key, found = "distortion", numbers(values.get("distortion", ("", []))[1])
    if "parts" in values:
        key, parts = "parts", values["parts"][1]
        order = ("k1", "k2", "k3", "k4") if named == "fisheye" else COEFFICIENTS
        unnamed = named is None and "k4" in parts and not {"k5", "k6"} & parts.keys()
        check("distortion_model", not unnamed, "rational or fisheye, which have a k4", "add it")
        rest = [parts[name] for name in parts.keys() - set(order)]
        found = [parts.get(name, 0) for name in order] + (rest if any(rest) else [])
    good = all(map(is_finite, found)) and len(found) in (0, 4, 5, 8, 12, 14)
    remedy = "copy OpenCV's coefficients, or remove the key for footage without distortion"
    wanted = "4, 5 or 8 finite numbers k1, k2, p1, p2, k3 ..."
    check(key, good and (bool(found) or key not in values), wanted, remedy)
    used = max((i + 1 for i, value in enumerate(found) if value), default=0)
    model = named or ("rational" if used > 5 else "plumb_bob")
    most = {"plumb_bob": 5, "rational": 8, "fisheye": 4}[model]
    good = used <= most and (bool(found) or model == "plumb_bob")
    remedy = "name the distortion_model that was calibrated, or calibrate with one of these"
    wanted = f"{most} coefficients of {model} (plumb_bob has 4 or 5, rational 8, fisheye 4)"
    check(key, good, wanted, remedy)
    padded = [*map(float, found), *[0.0] * most]
    return model, tuple(padded[: min(len(found), most) if model == "plumb_bob" else most])


def is_finite(value: object) -> bool:
    """Whether it is a number of a size that calibrations have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def camera_for(
    file: str | None, degrees: float | None, size: Size, footage: str, display: Display = AS_STORED
) -> Camera:
    """The camera of footage of this shown size (height, width): of a camera file, or without distortion of a
    horizontal field of view in degrees, by default a phone's. InputError, naming `footage`, as its parts."""
    if file is None:
        return camera_from_fov(degrees, size[1], size[0], display.pixel_aspect)
    return fit_camera(read_camera(file), size, footage, file, display)


def camera_from_fov(degrees: float | None, width: int, height: int, pixel_aspect: float = 1.0) -> Camera:
    """A camera without distortion from its horizontal field of view (degrees; None: a phone's, which is that
    along the longer side), its image size and the width of a pixel, divided by its height. InputError unless
    1 <= degrees <= 170."""
    if degrees is None:
        share = min(1.0, width * pixel_aspect / height)
        half = math.atan(share * math.tan(math.radians(FOV_GUESS / 2)))
        degrees = FOV_GUESS if share == 1 else 2 * math.degrees(half)
    if not 1 <= degrees <= 170:  # also catches NaN
        raise InputError(
            f"--fov {degrees:g}: a horizontal field of view lies between 1 and 170 degrees; "
            "a phone has about 65 (held upright 40), a dashcam 90 to 140"
        )
    intrinsics = intrinsics_from_fov(degrees, width, height, pixel_aspect)
    return camera_from_intrinsics(intrinsics, (height, width))


def fit_camera(
    camera: Camera,
    size: Size,
    footage: str,
    camera_name: str = "--camera",
    display: Display = AS_STORED,
) -> Camera:
    """The same camera for footage of another size (height, width) but the same aspect ratio (to 0.5 %): that
    of its pixels, or the one it is shown at. A camera of the stored frames follows footage that is shown
    turned. InputError, naming `footage` and `camera_name`, where the aspect ratio differs."""
    height, width = size

    def fits(one: Camera) -> bool:
        ratio = width * one.height / (height * one.width)
        return any(abs(aspect * ratio - 1) <= ASPECT_TOLERANCE for aspect in (1, display.pixel_aspect))

    given = camera
    if display.turns % 2 and not fits(camera):
        for _ in range(display.turns % 4):
            camera = turn_camera(camera)
    own = (camera.height, camera.width)
    if own == size:
        return camera
    if not fits(camera):
        raise InputError(
            f"{footage} is {width}x{height}, but {camera_name} is for {given.width}x{given.height}, "
            "another aspect ratio: give the camera file of this footage, or correct width and height in it"
        )
    resized = resize_intrinsics(camera.intrinsics, own, size)
    return camera_from_intrinsics(resized, size, camera.distortion, camera.distortion_model)


def turn_camera(camera: Camera) -> Camera:
    """Of the image after a quarter turn counterclockwise."""
    distortion = camera.distortion
    if distortion and camera.distortion_model != "fisheye":
        k1, k2, p1, p2, *rest = distortion
        distortion = (k1, k2, -p2, p1, *rest)
    k = turn_intrinsics(camera.intrinsics, camera.width)
    return camera_from_intrinsics(k, (camera.width, camera.height), distortion, camera.distortion_model)
