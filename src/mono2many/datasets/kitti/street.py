"""The procedural street in KITTI raw's official layout: all that works on KITTI can be tried without KITTI.

Camera 2 drives along the street, camera 3 is 0.54 m to its right, a laser scanner and an inertial unit sit
where KITTI's do, each a little turned. All is drawn with the numbers that stand in the calibration files.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mono2many.datasets.kitti import files
from mono2many.datasets.kitti.files import CAMERAS, EARTH, Calibration, drive_folder
from mono2many.datasets.kitti.splits import KittiFrame, split_frames
from mono2many.files import write_text
from mono2many.geometry.pose import rotation_from_axis_angle
from mono2many.io.depth_files import write_depth_png16
from mono2many.io.images import write_image
from mono2many.street.noise import Array
from mono2many.street.reader import StreetSettings, build_street
from mono2many.street.scene import Street
from mono2many.street.tree import (
    REACH,
    VIEW_FROM_BODY,
    Begun,
    StreetTree,
    cast,
    made,
    see_through,
    world_from_camera,
)
from mono2many.types import Split

DRIVES: dict[str, Split] = {
    "2011_09_26_drive_0011_sync": "train",
    "2011_09_30_drive_0016_sync": "test",
    "2011_10_03_drive_0042_sync": "train",
    "2011_09_28_drive_0002_sync": "test",
    "2011_09_29_drive_0004_sync": "train",
    "2011_09_26_drive_0046_sync": "test",
    "2011_09_26_drive_0014_sync": "train",
    "2011_09_30_drive_0033_sync": "train",
    "2011_09_26_drive_0070_sync": "train",
    "2011_09_30_drive_0020_sync": "train",
}
"""And the part of the streets that each shows. Of these drives the lists name frames soonest. The first is in
kitti_eigen_zhou and kitti_eigen_full (train, val) and in kitti_benchmark train, the second in kitti_benchmark
val and in the test lists, with frames that kitti_benchmark has and frames that it has not."""
FEWEST, MOST = 12, 90
"""Frames of a drive: fewer leave a list empty, and one of the drives has no more in the lists."""
SIZES = {
    "2011_09_26": (375, 1242),
    "2011_09_28": (370, 1224),
    "2011_09_29": (374, 1238),
    "2011_09_30": (370, 1226),
    "2011_10_03": (376, 1241),
}
"""KITTI's own heights and widths; ours are in proportion, the first is the size that is asked for."""
PLACES = {"00": (0, 0, 0), "01": (-0.54, 0, 0), "02": (0.06, -4e-4, 2.7e-3), "03": (-0.48, -4e-4, 2.7e-3)}
"""Of each camera: what is added to a point's place seen from camera 0, metres."""
SECONDS = 0.1
"""From frame to frame."""
ANNOTATED = 0.22
"""Share of the pixels that have improved depth."""
LATITUDE, LONGITUDE, ALTITUDE = 49.0, 8.4, 115.0
"""Of each drive's first frame, degrees and metres. A street begins towards the east."""
Pose = Float[Tensor, "4 4"]


def write_kitti_street(tree: StreetTree) -> Path:
    """Write the first drives of DRIVES: see StreetTree.write."""
    tree.need("drives", 2, len(DRIVES))
    tree.need("frames", FEWEST, MOST)
    settings, names = tree.settings(len(DRIVES), tree.frames), list(DRIVES)[: tree.drives]

    def begin(part: Path) -> Begun:
        calibrations = {}
        for name in names:
            _write_times(drive_folder(part, KittiFrame(name, 0)), tree.frames)
            _write_calibration(part / name[:10], tree.height, tree.width)
            calibrations[name[:10]] = files.read_calibration(part, name[:10])
        every = [KittiFrame(name, number) for name in names for number in range(tree.frames)]
        return partial(write_frame, part, settings, calibrations), every

    what = "a procedural street of mono2many in the layout of KITTI raw; nothing in it is KITTI's"
    return tree.write(what, {"drives": {name: [0, tree.frames - 1] for name in names}}, begin)


def write_frame(
    root: Path, settings: StreetSettings, calibrations: Mapping[str, Calibration], frame: KittiFrame
) -> None:
    """The files of one frame."""
    number, calibration = frame.number, calibrations[frame.date]
    scene = list(DRIVES).index(frame.drive)
    street = build_street(settings, DRIVES[frame.drive], scene)
    rng = np.random.default_rng([settings.seed, scene, number])
    poses = [world_from_camera(street, settings, i) for i in (number, number - 1, number + 1, 0)]
    depths = {}
    for eye, name in CAMERAS.items():
        image, depths[eye] = see(street, calibration, eye, poses[0], number)
        path = drive_folder(root, frame) / name / "data" / f"{number:010d}.jpg"
        write_image(path, torch.from_numpy(image))
    points = scan(street, calibration, poses[0], number, rng)
    made(files.velodyne_path(root, frame)).write_bytes(points.astype("<f4").tobytes())
    assert calibration.velodyne_from_imu is not None
    left_from_imu = calibration.eye_from_velodyne("l") @ calibration.velodyne_from_imu
    oxts = _oxts(*(VIEW_FROM_BODY.T @ pose @ left_from_imu for pose in poses))
    made(files.oxts_path(root, frame)).write_text(oxts)
    if frame in split_frames("kitti_eigen_benchmark", "test"):
        depth = depths["l"]
        low = np.arange(len(depth))[:, None] >= len(depth) / 3
        kept = low & (depth < REACH) & (rng.random(depth.shape) < ANNOTATED)
        folder = root / "data_depth_annotated/train" / frame.drive / "proj_depth/groundtruth"
        path = folder / CAMERAS["l"] / f"{number:010d}.png"
        write_depth_png16(path, torch.from_numpy(np.where(kept, depth, np.nan)))


def see(
    street: Street, calibration: Calibration, eye: str, world_from_left: Pose, index: int
) -> tuple[NDArray[np.uint8], Array]:
    """An eye's picture and its exact depth: see_through."""
    (focal, _, cx, shift), (_, _, cy, _) = calibration.projections[eye][:2].tolist()
    left_from_eye = torch.eye(4).double()
    left_from_eye[0, 3] = (calibration.projections["l"][0, 3] - shift) / focal
    pose = world_from_left @ left_from_eye
    return see_through(street, (focal, cx, cy), calibration.sizes[eye], pose, index)


def scan(
    street: Street, calibration: Calibration, world_from_left: Pose, index: int,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """A turn of the scanner, as far as the left camera sees: see cast."""
    height, width = calibration.sizes["l"]
    (focal, _, cx, _), (_, _, cy, _) = calibration.projections["l"][:2].tolist()
    # 0.05: the scanner's turn, and what the right eye sees beside the left one
    reach = (height - cy) / focal + 0.05, (width - cx) / focal + 0.05
    return cast(street, world_from_left @ calibration.eye_from_velodyne("l"), reach, index, rng)


def _oxts(now: Pose, before: Pose, after: Pose, first: Pose) -> str:
    """KITTI's 30 numbers of enu_from_imu (east, north, up); rates by differences of the frames around."""
    r = now[:3, :3]
    yaw, pitch, roll = torch.atan2(r[1, 0], r[0, 0]), torch.asin(-r[2, 0]), torch.atan2(r[2, 1], r[2, 2])
    level_from_enu = rotation_from_axis_angle(torch.stack([0 * yaw, 0 * yaw, -yaw]))
    velocity = (after - before)[:3, 3] / (2 * SECONDS)
    felt = (after - 2 * now + before)[:3, 3] / SECONDS**2 + torch.tensor([0, 0, 9.81])
    turn = before[:3, :3].T @ after[:3, :3]
    rates = (turn - turn.T)[[2, 0, 1], [1, 2, 0]] / (4 * SECONDS)
    east, north, up = (now - first)[:3, 3].tolist()
    scale = EARTH * np.cos(np.radians(LATITUDE))  # Mercator
    grown = north / scale + np.log(np.tan(np.pi / 4 + np.radians(LATITUDE) / 2))
    latitude = np.degrees(2 * np.arctan(np.exp(grown)) - np.pi / 2)
    place = torch.tensor([latitude, LONGITUDE + np.degrees(east / scale), ALTITUDE + up]).double()
    level = level_from_enu
    vectors = level @ velocity, r.T @ felt, level @ felt, rates, level @ r @ rates
    numbers = torch.cat([place, torch.stack([roll, pitch, yaw]), velocity[[1, 0]], *vectors]).tolist()
    # accuracies (m, m/s), then the receiver's state and its satellites
    return " ".join(f"{number:.14g}" for number in numbers) + " 0.05 0.02 4 9 6 6 6\n"


def numbers(values: Array | Sequence[float] | Sequence[int], form: str) -> str:
    """As KITTI's calibration has them."""
    return " ".join(format(value, form) for value in np.ravel(values))


def _write_times(folder: Path, frames: int) -> None:
    date, hour = folder.parent.name.replace("_", "-"), 9 + list(DRIVES).index(folder.name)
    lines = [f"{date} {hour:02d}:00:{i // 10:02d}.{i % 10}00000000\n" for i in range(frames)]
    for part in (*CAMERAS.values(), "velodyne_points", "oxts"):
        write_text(folder / part / "timestamps.txt", "".join(lines))


def _write_calibration(folder: Path, height: int, width: int) -> None:
    """A date's three files. Turns and places are invented, and of the size of KITTI's."""
    rng = np.random.default_rng(list(SIZES).index(folder.name))

    def turned(by: float) -> Array:
        angles = by * rng.uniform(0.3, 1, 3) * rng.choice([-1, 1], 3)
        return rotation_from_axis_angle(torch.from_numpy(angles)).numpy()

    tall, wide = SIZES[folder.name]
    h, w = round(height * tall / 375), round(width * wide / 1242)
    # the principal point: whole pixels to the upper left of the middle, about as far as KITTI's
    cx, cy = (w - 1) / 2 - round(0.009 * w), (h - 1) / 2 - round(0.038 * h)
    k = np.array([[0.58 * w, 0, cx], [0, 0.58 * w, cy], [0, 0, 1]])
    rectification = turned(0.01)
    cameras: dict[str, Array | list[float]] = {"corner_dist": [0.0995]}
    for number, place in PLACES.items():
        rotation = np.eye(3) if number == "00" else turned(0.02)
        cameras |= {f"S_{number}": [w, h], f"K_{number}": k}
        cameras[f"D_{number}"] = [0.0] * 5  # the street is drawn without a lens
        cameras |= {f"R_{number}": rotation, f"T_{number}": rotation @ rectification.T @ np.array(place)}
        cameras |= {f"S_rect_{number}": [w, h], f"R_rect_{number}": rectification @ rotation.T}
        cameras[f"P_rect_{number}"] = k @ np.column_stack([np.eye(3), place])
    axes = VIEW_FROM_BODY[:3, :3].numpy()
    velodyne = {"R": axes @ turned(0.015), "T": rng.normal([0, -0.08, -0.27], 0.005)}
    velodyne |= {"delta_f": np.zeros(2), "delta_c": np.zeros(2)}
    imu = {"R": turned(0.015), "T": rng.normal([-0.81, 0.32, -0.8], 0.005)}
    for name, entries in (("cam_to_cam", cameras), ("velo_to_cam", velodyne), ("imu_to_velo", imu)):
        lines = ["calib_time: 01-Jan-2012 12:00:00\n"]
        lines += [f"{key}: {numbers(values, '.6e')}\n" for key, values in entries.items()]
        write_text(folder / f"calib_{name}.txt", "".join(lines))
