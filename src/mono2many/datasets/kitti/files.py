"""Where things lie in KITTI raw's official layout, and what its files say (Geiger et al. 2013)."""

from dataclasses import dataclass, replace
from math import cos, log, pi, radians, sin, tan
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.datasets.kitti.splits import KittiFrame
from mono2many.types import InputError

CAMERAS = {"l": "image_02", "r": "image_03"}
OTHER_EYE = {"l": "r", "r": "l"}


def drive_folder(root: Path, frame: KittiFrame) -> Path:
    return root / frame.date / frame.drive


def image_path(root: Path, frame: KittiFrame) -> Path:
    """The JPEG where there is one, else the PNG, which may be missing."""
    folder = drive_folder(root, frame) / CAMERAS[frame.eye] / "data"
    jpeg = folder / f"{frame.number:010d}.jpg"
    return jpeg if jpeg.exists() else jpeg.with_suffix(".png")


def velodyne_path(root: Path, frame: KittiFrame) -> Path:
    return drive_folder(root, frame) / "velodyne_points" / "data" / f"{frame.number:010d}.bin"


def oxts_path(root: Path, frame: KittiFrame) -> Path:
    return drive_folder(root, frame) / "oxts" / "data" / f"{frame.number:010d}.txt"


def improved_path(root: Path, frame: KittiFrame) -> Path | None:
    """Of the annotated depth (Uhrig et al. 2017), wherever its archive was unpacked."""
    inside = f"{frame.drive}/proj_depth/groundtruth/{CAMERAS[frame.eye]}/{frame.number:010d}.png"
    folders = ("data_depth_annotated/train", "data_depth_annotated/val", "train", "val", frame.date)
    return next((root / f / inside for f in folders if (root / f / inside).exists()), None)


@dataclass(frozen=True)
class Calibration:
    """Of one date: the rectified colour cameras, the laser scanner, the inertial unit. In float64."""

    projections: dict[str, Float[Tensor, "3 4"]]
    """Of each eye: P_rect, from rectified camera 0 to pixels."""
    sizes: dict[str, tuple[int, int]]
    """Of each eye: height and width of its pictures."""
    rectification: Float[Tensor, "4 4"]
    """R_rect_00."""
    camera_from_velodyne: Float[Tensor, "4 4"]
    """To camera 0, not yet rectified."""
    velodyne_from_imu: Float[Tensor, "4 4"] | None

    def eye_from_velodyne(self, eye: str) -> Float[Tensor, "4 4"]:
        """To the rectified camera itself."""
        eye_from_rectified = torch.eye(4, dtype=torch.float64)
        eye_from_rectified[:3, 3] = self.added(eye)
        return eye_from_rectified @ self.rectification @ self.camera_from_velodyne

    def added(self, eye: str) -> Float[Tensor, "3"]:
        """To a point's place seen from rectified camera 0, to see it from the eye; metres."""
        projection = self.projections[eye]
        return torch.linalg.solve(projection[:, :3], projection[:, 3])

    def image_from_velodyne(self, eye: str) -> Float[Tensor, "3 4"]:
        return self.projections[eye] @ self.rectification @ self.camera_from_velodyne

    def intrinsics(self, eye: str) -> Float[Tensor, "3 3"]:
        """K in pixels of the eye's own pictures."""
        return self.projections[eye][:, :3].float()


def read_calibration(root: Path, date: str) -> Calibration:
    """The files calib_*.txt of a date. InputError, naming file and key, where one is missing or no number."""
    cameras = read_keys(root / date / "calib_cam_to_cam.txt")
    velodyne = read_keys(root / date / "calib_velo_to_cam.txt")
    projections, sizes = {}, {}
    for eye, number in (("l", "02"), ("r", "03")):
        projections[eye] = cameras.numbers(f"P_rect_{number}", 12).reshape(3, 4)
        width, height = cameras.numbers(f"S_rect_{number}", 2).tolist()
        sizes[eye] = int(height), int(width)
    rectification = torch.eye(4, dtype=torch.float64)
    rectification[:3, :3] = cameras.numbers("R_rect_00", 9).reshape(3, 3)
    imu = root / date / "calib_imu_to_velo.txt"
    return Calibration(
        projections, sizes, rectification, velodyne.rigid(), read_keys(imu).rigid() if imu.exists() else None
    )


@dataclass(frozen=True)
class Keys:
    """The lines `key: numbers` of a calibration file."""

    path: Path
    values: dict[str, str]
    remedy: str

    def numbers(self, key: str, count: int) -> Tensor:
        if key not in self.values:
            raise InputError(f"{self.path}: key {key} is missing; {self.remedy}")
        try:
            numbers = torch.tensor([float(word) for word in self.values[key].split()], dtype=torch.float64)
        except ValueError:
            numbers = torch.tensor([torch.nan])
        if len(numbers) != count or not numbers.isfinite().all():
            found = " ".join(self.values[key].split())[:60]
            raise InputError(
                f"{self.path}: key {key} is {found!r}, wanted {count} finite numbers; {self.remedy}"
            )
        return numbers

    def rigid(self) -> Tensor:
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = self.numbers("R", 9).reshape(3, 3)
        matrix[:3, 3] = self.numbers("T", 3)
        return matrix


def read_keys(
    path: Path, remedy: str = "unpack the date's _calib.zip again (`mono2many prepare kitti` fetches it)"
) -> Keys:
    """InputError, with the remedy, where there is no such file; later, where a key is not as wanted."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: the calibration cannot be read ({error.strerror}); {remedy}") from error
    return Keys(path, {key: value for key, _, value in (line.partition(": ") for line in lines)}, remedy)


def read_velodyne(path: Path) -> Float[Tensor, "N 4"]:
    """x forward, y left, z up in metres, reflectance. InputError where the file is missing or cut short."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: the laser scan cannot be read ({error.strerror}); `mono2many prepare kitti --check` "
            "says what else is missing"
        ) from error
    if not data or len(data) % 16:
        raise InputError(
            f"{path}: {len(data)} bytes, wanted a multiple of 16 (four float32 per point): cut short; unpack "
            "its drive's archive again"
        )
    points = torch.from_numpy(np.frombuffer(data, "<f4").reshape(-1, 4).copy())
    if not points.isfinite().all():
        raise InputError(f"{path}: holds values that are not finite; unpack its drive's archive again")
    return points


EARTH = 6378137.0
"""Metres, of the Mercator projection."""


def read_oxts(path: Path) -> Float[Tensor, "30"]:
    """Latitude, longitude (degrees), altitude (m), roll, pitch, yaw (radians), velocities (m/s) ..., as the
    data's own dataformat.txt lists them, in float64."""
    try:
        values = [float(word) for word in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: the position cannot be read ({error}); unpack its drive's archive again"
        ) from error
    if len(values) != 30 or not np.isfinite(values).all():
        raise InputError(f"{path}: {len(values)} numbers, wanted 30 finite ones; unpack its archive again")
    return torch.tensor(values, dtype=torch.float64)


def world_from_imu(oxts: Float[Tensor, "30"], latitude: float) -> Float[Tensor, "4 4"]:
    """East, north, up in metres, by the Mercator projection at `latitude` (degrees, of the first frame), with
    rotation z (yaw), y (pitch), x (roll)."""
    lat, lon, up, roll, pitch, yaw = oxts[:6].tolist()
    scale = cos(radians(latitude)) * EARTH
    matrix = torch.eye(4, dtype=torch.float64)
    rotation = torch.eye(3, dtype=torch.float64)
    for angle, (i, j) in ((yaw, (0, 1)), (pitch, (2, 0)), (roll, (1, 2))):
        turn = torch.eye(3, dtype=torch.float64)
        turn[i, i] = turn[j, j] = cos(angle)
        turn[i, j], turn[j, i] = -sin(angle), sin(angle)
        rotation = rotation @ turn
    matrix[:3, :3] = rotation
    east, north = scale * radians(lon), scale * log(tan(pi / 4 + radians(lat) / 2))
    matrix[:3, 3] = torch.tensor([east, north, up], dtype=torch.float64)
    return matrix


def first_from_later(
    root: Path, first: KittiFrame, number: int, calibration: Calibration
) -> Float[Tensor, "4 4"]:
    """From the camera at frame `number` of the same drive to the camera at `first`, in metres (oxts)."""
    if calibration.velodyne_from_imu is None:
        raise InputError(
            f"{root / first.date}: calib_imu_to_velo.txt is missing; unpack the date's _calib.zip"
        )
    then, now = (read_oxts(oxts_path(root, replace(first, number=n))) for n in (first.number, number))
    latitude = float(then[0])
    camera_from_imu = calibration.eye_from_velodyne(first.eye) @ calibration.velodyne_from_imu
    motion = torch.linalg.inv(world_from_imu(then, latitude)) @ world_from_imu(now, latitude)
    return (camera_from_imu @ motion @ torch.linalg.inv(camera_from_imu)).float()
