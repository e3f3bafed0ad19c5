"""Where things lie in KITTI raw's official layout, and what its files say (Geiger et al. 2013)."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.datasets.kitti.splits import KittiFrame
from mono2many.files import LARGEST, explained
from mono2many.geometry.camera import Size, plausible_intrinsics
from mono2many.geometry.pose import rigid
from mono2many.types import InputError

JPEG = (".jpg", ".jpeg")
CAMERAS = {"l": "image_02", "r": "image_03"}
EARTH = 6378137.0
"""Metres, of the Mercator projection of oxts files."""
FARTHEST, FARTHEST_POINT = 100, 1000
"""Metres from one sensor to another, and of a point from the scanner, at most."""
NOT_ORTHONORMAL = 1e-3
"""How far the product of a rotation with its transpose may be from the identity."""
CALIBRATION_AGAIN = "unpack the date's _calib.zip again (`mono2many prepare kitti` fetches it)"
DRIVE_AGAIN = "unpack its drive's archive again"


def drive_folder(root: Path, frame: KittiFrame) -> Path:
    return root / frame.date / frame.drive


def image_folder(root: Path, frame: KittiFrame) -> Path:
    return drive_folder(root, frame) / CAMERAS[frame.eye] / "data"


def image_path(root: Path, frame: KittiFrame) -> Path:
    """The JPEG where there is one, else the PNG, which may be missing."""
    png = image_folder(root, frame) / f"{frame.number:010d}.png"
    jpegs = (png.with_suffix(suffix) for suffix in JPEG)
    return next((jpeg for jpeg in jpegs if jpeg.exists()), png)


def numbered_images(folder: Path, digits: int) -> dict[int, Path]:
    """Images by their number, JPEG rather than PNG; none where there is no folder."""
    names = sorted(os.listdir(folder), reverse=True) if folder.is_dir() else []  # JPEGs come last
    named = [n for n in names if re.fullmatch(rf"[0-9]{{{digits}}}(\.png|{'|'.join(JPEG)})", n)]
    return {int(n[:digits]): folder / n for n in named}


def velodyne_path(root: Path, frame: KittiFrame) -> Path:
    return drive_folder(root, frame) / "velodyne_points" / "data" / f"{frame.number:010d}.bin"


def oxts_path(root: Path, frame: KittiFrame) -> Path:
    return drive_folder(root, frame) / "oxts" / "data" / f"{frame.number:010d}.txt"


def improved_path(root: Path, frame: KittiFrame) -> Path:
    """Of the annotated depth (Uhrig et al. 2017), wherever its archive was unpacked; it may be missing."""
    inside = f"{frame.drive}/proj_depth/groundtruth/{CAMERAS[frame.eye]}/{frame.number:010d}.png"
    folders = ("data_depth_annotated/train", "data_depth_annotated/val", "train", "val", frame.date)
    paths = [root / folder / inside for folder in folders]
    return next((path for path in paths if path.exists()), paths[0])


@dataclass(frozen=True)
class Calibration:
    """Of one date: the rectified colour cameras, the laser scanner, the inertial unit. In float64."""

    projections: dict[str, Float[Tensor, "3 4"]]
    """Of each eye: P_rect, from rectified camera 0 to pixels."""
    sizes: dict[str, tuple[int, int]]
    """Of each eye: height and width of its images."""
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
        """Translation from rectified camera 0 to the eye, metres."""
        projection = self.projections[eye]
        return torch.linalg.solve(projection[:, :3], projection[:, 3])

    def image_from_velodyne(self, eye: str) -> Float[Tensor, "3 4"]:
        return self.projections[eye] @ self.rectification @ self.camera_from_velodyne

    def intrinsics(self, eye: str) -> Float[Tensor, "3 3"]:
        """K in pixels of the eye's own images."""
        return self.projections[eye][:, :3].float()


def read_calibration(root: Path, date: str, eyes: Sequence[str] = ("l", "r")) -> Calibration:
    """The files calib_*.txt of a date, with the cameras of these eyes. InputError, naming file and key, where
    one is missing or cannot be true."""
    cameras = read_keys(root / date / "calib_cam_to_cam.txt")
    velodyne = read_keys(root / date / "calib_velo_to_cam.txt")
    projections, sizes = {}, {}
    for eye in eyes:
        number = CAMERAS[eye][-2:]
        width, height = cameras.numbers(f"S_rect_{number}", 2).tolist()
        sizes[eye] = int(height), int(width)
        projections[eye] = cameras.projection(f"P_rect_{number}", sizes[eye])
    rectification = torch.eye(4, dtype=torch.float64)
    rectification[:3, :3] = cameras.rotation("R_rect_00")
    imu = root / date / "calib_imu_to_velo.txt"
    velodyne_from_imu = read_keys(imu).rigid() if imu.exists() else None
    return Calibration(projections, sizes, rectification, velodyne.rigid(), velodyne_from_imu)


@dataclass(frozen=True)
class Keys:
    """The lines `key: numbers` of a calibration file."""

    path: Path
    values: dict[str, str]
    remedy: str

    def numbers(self, key: str, count: int) -> Float[Tensor, "{count}"]:
        """float64. InputError where the key is missing or has not so many finite numbers."""
        if key not in self.values:
            raise InputError(f"{self.path}: key {key} is missing; {self.remedy}")
        try:
            numbers = torch.tensor([float(word) for word in self.values[key].split()], dtype=torch.float64)
        except ValueError:
            numbers = torch.tensor([torch.nan])
        if len(numbers) != count or not numbers.isfinite().all():
            found = f"{self.path}: key {key} is {' '.join(self.values[key].split())[:60]!r}"
            raise InputError(f"{found}, wanted {count} finite numbers; {self.remedy}")
        return numbers

    def projection(self, key: str, size: Size) -> Float[Tensor, "3 4"]:
        """Of a rectified camera with images of this size (height, width). InputError where that cannot be."""
        projection = self.numbers(key, 12).reshape(3, 4)
        with explained(f"{self.path}: key {key} cannot be a camera's", self.remedy, (ValueError,)):
            (fx, skew, cx, x), (low, fy, cy, y), (*last, z) = projection.tolist()
            plausible_intrinsics([fx, fy, cx, cy], size)
            if max(map(abs, (skew, low, last[0], last[1], last[2] - 1))) > 1e-6:
                raise ValueError("a matrix other than fx 0 cx, 0 fy cy, 0 0 1")
            if max(abs(x / fx), abs(y / fy), abs(z)) > FARTHEST:
                raise ValueError(f"more than {FARTHEST} m from camera 0")
        return projection

    def rotation(self, key: str) -> Float[Tensor, "3 3"]:
        matrix = self.numbers(key, 9).reshape(3, 3)
        error = (matrix @ matrix.T - torch.eye(3, dtype=torch.float64)).abs().max()
        if error > NOT_ORTHONORMAL or torch.det(matrix) < 0:
            raise InputError(f"{self.path}: key {key} is no rotation; {self.remedy}")
        return matrix

    def rigid(self) -> Float[Tensor, "4 4"]:
        translation = self.numbers("T", 3)
        if translation.abs().max() > FARTHEST:
            raise InputError(f"{self.path}: key T is more than {FARTHEST} m; {self.remedy}")
        return rigid(self.rotation("R"), translation)


def read_keys(path: Path, remedy: str = CALIBRATION_AGAIN) -> Keys:
    """InputError, with the remedy, where there is no such file; later, where a key is not as wanted."""
    with explained(f"{path}: the calibration cannot be read", remedy):
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return Keys(path, {key.strip(): value.strip() for key, _, value in pairs}, remedy)


def read_velodyne(path: Path) -> Float[Tensor, "N 4"]:
    """x forward, y left, z up in metres, reflectance from 0 to 1. InputError where the file is missing, cut
    short, or does not hold that."""
    with explained(f"{path}: the laser scan cannot be read", DRIVE_AGAIN), path.open("rb") as file:
        data = file.read(LARGEST)
    if not data or len(data) % 16:
        wanted = "wanted a multiple of 16 (four float32 per point)"
        raise InputError(f"{path}: {len(data)} bytes, {wanted}: cut short; {DRIVE_AGAIN}")
    points = torch.from_numpy(np.frombuffer(data, "<f4").reshape(-1, 4).copy())
    if not points.isfinite().all():
        raise InputError(f"{path}: holds values that are not finite; {DRIVE_AGAIN}")
    low, high = points[:, 3].aminmax()
    if low < 0 or high > 1:
        raise InputError(
            f"{path}: reflectances lie between {low:g} and {high:g}, wanted 0 to 1: not x y z reflectance, "
            f"four float32 a point; {DRIVE_AGAIN}"
        )
    if points[:, :3].abs().max() > FARTHEST_POINT:
        raise InputError(f"{path}: points more than {FARTHEST_POINT} m away; {DRIVE_AGAIN}")
    return points
