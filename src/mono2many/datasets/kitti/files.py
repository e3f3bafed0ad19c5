"""Where things lie in KITTI raw's official layout, and what its files say (Geiger et al. 2013)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.datasets.kitti.splits import KittiFrame
from mono2many.files import explained
from mono2many.types import InputError

CAMERAS = {"l": "image_02", "r": "image_03"}
EARTH = 6378137.0
"""Metres, of the Mercator projection of oxts files."""
CALIBRATION_AGAIN = "unpack the date's _calib.zip again (`mono2many prepare kitti` fetches it)"
DRIVE_AGAIN = "unpack its drive's archive again"


def drive_folder(root: Path, frame: KittiFrame) -> Path:
    return root / frame.date / frame.drive


def image_folder(root: Path, frame: KittiFrame) -> Path:
    return drive_folder(root, frame) / CAMERAS[frame.eye] / "data"


def image_path(root: Path, frame: KittiFrame) -> Path:
    """The JPEG where there is one, else the PNG, which may be missing."""
    jpeg = image_folder(root, frame) / f"{frame.number:010d}.jpg"
    return jpeg if jpeg.exists() else jpeg.with_suffix(".png")


def numbered_images(folder: Path, digits: int) -> dict[int, Path]:
    """Images by their number, JPEG rather than PNG; none where there is no folder."""
    names = sorted(os.listdir(folder), reverse=True) if folder.is_dir() else []  # .jpg comes last
    named = [n for n in names if re.fullmatch("[0-9]+", n[:digits]) and n[digits:] in (".jpg", ".png")]
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

    def rigid(self) -> Float[Tensor, "4 4"]:
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = self.numbers("R", 9).reshape(3, 3)
        matrix[:3, 3] = self.numbers("T", 3)
        return matrix


def read_keys(path: Path, remedy: str = CALIBRATION_AGAIN) -> Keys:
    """InputError, with the remedy, where there is no such file; later, where a key is not as wanted."""
    with explained(f"{path}: the calibration cannot be read", remedy):
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    return Keys(path, {key: value for key, _, value in (line.partition(": ") for line in lines)}, remedy)


def read_velodyne(path: Path) -> Float[Tensor, "N 4"]:
    """x forward, y left, z up in metres, reflectance. InputError where the file is missing or cut short."""
    with explained(f"{path}: the laser scan cannot be read", DRIVE_AGAIN):
        data = path.read_bytes()
    if not data or len(data) % 16:
        wanted = "wanted a multiple of 16 (four float32 per point)"
        raise InputError(f"{path}: {len(data)} bytes, {wanted}: cut short; {DRIVE_AGAIN}")
    points = torch.from_numpy(np.frombuffer(data, "<f4").reshape(-1, 4).copy())
    if not points.isfinite().all():
        raise InputError(f"{path}: holds values that are not finite; {DRIVE_AGAIN}")
    return points
