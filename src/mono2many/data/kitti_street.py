"""The embedded street in KITTI raw's official layout: all that works on KITTI can be tried without KITTI.

Camera 2 drives along the street, camera 3 is 0.54 m to its right, a laser scanner and an inertial unit sit
where KITTI's do, each a little turned. All is drawn with the numbers that stand in the calibration files.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mono2many.data import kitti_files
from mono2many.data.kitti_files import CAMERAS, EARTH, MARKER, Calibration, drive_folder
from mono2many.data.kitti_splits import KittiFrame, split_frames
from mono2many.data.synthetic import StreetSettings, build_street, camera, draw
from mono2many.data.synthetic_noise import Array
from mono2many.data.synthetic_render import View
from mono2many.data.synthetic_scene import Street
from mono2many.geometry.pose import rotation_from_axis_angle
from mono2many.io.depth_files import write_depth_png16
from mono2many.io.images import write_image
from mono2many.types import InputError, Split

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
BEAMS, STEP, REACH = np.radians(np.linspace(2, -24.8, 64)), np.radians(0.2), 100.0
"""The scanner's elevations and its step to the side (radians); how far it sees (m)."""
LOST, ANNOTATED = 0.1, 0.22
"""Shares of the laser points that do not return, of the pixels that have improved depth."""
LATITUDE, LONGITUDE, ALTITUDE = 49.0, 8.4, 115.0
"""Of each drive's first frame, degrees and metres. A street begins towards the east."""
VIEW_FROM_BODY = torch.tensor([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]).double()
"""From x forward, y left, z up to x right, y down, z forward; a street's world is of the latter kind."""


def write_kitti_street(
    root: Path,
    drives: int = 10,
    frames: int = 72,
    height: int = 192,
    width: int = 640,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> Path:
    """Write the first `drives` of DRIVES, `frames` of each, below `root`, which it returns. MARKER says what
    lies there. A tree that was written with the same arguments stays as it is.

    progress(frames done, frames in all); workers: processes that draw (0: this one).
    InputError where anything else lies in `root`, or it cannot be written.
    """
    for name, value, least, most in (("drives", drives, 2, len(DRIVES)), ("frames", frames, FEWEST, MOST)):
        if not least <= value <= most:
            near = min(max(value, least), most)
            raise InputError(f"--{name} must lie in {least} .. {most}, got {value}; try {near}")
    settings = StreetSettings(len(DRIVES), frames, height, width, seed)
    names = list(DRIVES)[:drives]
    about = {
        "what": "an embedded street of mono2many in the layout of KITTI raw; nothing in it is KITTI's",
        "drives": {name: [0, frames - 1] for name in names},
        "size": [height, width],
        "seed": seed,
    }

    def fill(part: Path) -> Dataset[Exception | None]:
        calibrations = {}
        for date in {name[:10] for name in names}:
            _write_calibration(part / date, height, width)
            calibrations[date] = kitti_files.read_calibration(part, date)
        for name in names:
            _write_times(drive_folder(part, KittiFrame(name, 0)), frames)
        every = [KittiFrame(name, number) for name in names for number in range(frames)]
        return _Frames(part, settings, calibrations, every)

    return write_tree(root, about, fill, drives * frames, progress, workers)


def write_tree(
    root: Path,
    about: dict[str, object],
    fill: Callable[[Path], Dataset[Exception | None]],
    total: int,
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> Path:
    """Write a tree whole or not at all, with a MARKER that says `about`; one that is there already stays.

    fill(folder) writes the small files and gives the `total` jobs, each of which writes files and gives None
    or its mistake. InputError where anything else lies in `root`, or it cannot be written.
    """
    if _is_written(root, about):
        return root
    place = root.resolve()
    part = place.with_name(f".{place.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        jobs = fill(part)
        for done, mistake in enumerate(DataLoader(jobs, batch_size=None, num_workers=workers), 1):
            if mistake is not None:
                raise mistake
            if progress is not None:
                progress(done, total)
        (part / MARKER).write_text(json.dumps({**about, "version": version("mono2many")}, indent=2) + "\n")
        if place.exists():
            place.rmdir()
        part.rename(place)
    except OSError as error:
        raise InputError(
            f"{root}: the street cannot be written ({error.strerror or error}); free some space or give "
            "another folder with --out"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def _is_written(root: Path, about: dict[str, object]) -> bool:
    """Whether this very tree lies there. InputError where something else does."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MARKER).read_text(encoding="utf-8"))
        different = [key for key, value in about.items() if found[key] != value]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{root}: is not empty and holds no synthetic street; give a new folder with --out"
        ) from None
    if different:
        raise InputError(
            f"{root}: holds a synthetic street of other {', '.join(different)}; delete it, or give a new "
            "folder with --out"
        )
    return True


@dataclass(frozen=True)
class _Frames(Dataset[Exception | None]):
    """Item i writes the files of frame i. It gives None, or the mistake: a loader would wrap a raised one
    into text."""

    root: Path
    settings: StreetSettings
    calibrations: dict[str, Calibration]
    frames: Sequence[KittiFrame]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, item: int) -> Exception | None:
        try:
            self.write(self.frames[item])
        except (InputError, OSError) as mistake:
            return mistake
        return None

    def write(self, frame: KittiFrame) -> None:
        settings, number, calibration = self.settings, frame.number, self.calibrations[frame.date]
        scene = list(DRIVES).index(frame.drive)
        street = build_street(settings, DRIVES[frame.drive], scene)
        rng = np.random.default_rng([settings.seed, scene, number])
        poses = [
            torch.from_numpy(camera(street, settings, i).world_from_camera)
            for i in (number, number - 1, number + 1, 0)
        ]
        depths = {}
        for eye, name in CAMERAS.items():
            image, depths[eye] = see(street, calibration, eye, poses[0], number)
            path = drive_folder(self.root, frame) / name / "data" / f"{number:010d}.jpg"
            write_image(path, torch.from_numpy(image))
        points = scan(street, calibration, poses[0], number, rng)
        _made(kitti_files.velodyne_path(self.root, frame)).write_bytes(points.astype("<f4").tobytes())
        assert calibration.velodyne_from_imu is not None
        left_from_imu = calibration.eye_from_velodyne("l") @ calibration.velodyne_from_imu
        oxts = _oxts(*(VIEW_FROM_BODY.T @ pose @ left_from_imu for pose in poses))
        _made(kitti_files.oxts_path(self.root, frame)).write_text(oxts)
        if frame in split_frames("kitti_eigen_benchmark", "test"):
            depth = depths["l"]
            low = np.arange(len(depth))[:, None] >= len(depth) / 3
            kept = low & (depth < REACH) & (rng.random(depth.shape) < ANNOTATED)
            folder = self.root / "data_depth_annotated/train" / frame.drive / "proj_depth/groundtruth"
            path = folder / CAMERAS["l"] / f"{number:010d}.png"
            write_depth_png16(path, torch.from_numpy(np.where(kept, depth, np.nan)))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def see(
    street: Street, calibration: Calibration, eye: str, world_from_left: Float[Tensor, "4 4"], index: int
) -> tuple[NDArray[np.uint8], Array]:
    """An eye's picture (3 H W) and its exact depth (H W, metres, NaN in the sky). A view's principal point is
    its middle, a camera's lies to the upper left: more is drawn, and cut off there."""
    height, width = calibration.sizes[eye]
    (focal, _, cx, shift), (_, _, cy, _) = calibration.projections[eye][:2].tolist()
    left_from_eye = torch.eye(4).double()
    left_from_eye[0, 3] = (calibration.projections["l"][0, 3] - shift) / focal
    tall, wide = (round(2 * (size - 1 - c)) + 1 for size, c in ((height, cy), (width, cx)))
    picture = draw(street, View(tall, wide, focal, (world_from_left @ left_from_eye).numpy()), index)
    return picture.image[:, -height:, -width:].copy(), picture.depth[-height:, -width:].copy()


def scan(
    street: Street,
    calibration: Calibration,
    world_from_left: Float[Tensor, "4 4"],
    index: int,
    rng: np.random.Generator,
) -> Array:
    """N 4: x forward, y left, z up, metres, and the surface's brightness as reflectance.

    Rays are cast from the scanner itself, through pixels of a picture of its own: a column is a step, and a
    beam meets in each the pixel nearest to it, less than STEP / 2 away. What no camera sees is left out.
    """
    height, width = calibration.sizes["l"]
    (focal, _, cx, _), (_, _, cy, _) = calibration.projections["l"][:2].tolist()
    per = 1 / np.tan(STEP)
    # 0.05: the scanner's turn, and what the right eye sees beside the left one
    down, side = (round(per * ((size - c) / focal + 0.05)) for size, c in ((height, cy), (width, cx)))
    world_from_view = world_from_left @ calibration.eye_from_velodyne("l") @ VIEW_FROM_BODY.T
    picture = draw(street, View(2 * down + 1, 2 * side + 1, per, world_from_view.numpy()), index)
    x = np.arange(-side, side + 1) / per
    rows = np.rint(down - per * np.tan(BEAMS)[:, None] * np.hypot(1, x)).astype(int)
    beam, column = np.nonzero(rows <= 2 * down)
    row = rows[beam, column]
    z = picture.depth[row, column].astype(np.float64)
    points = np.stack([z, -z * x[column], -z * (row - down) / per], 1)
    reflectance = picture.image[:, row, column].mean(0) / 255
    # the sky's distance is no number, and so not below REACH
    kept = (np.linalg.norm(points, axis=1) < REACH) & (rng.random(len(z)) >= LOST)
    return np.column_stack([points, reflectance])[kept]


def _oxts(
    now: Float[Tensor, "4 4"],
    before: Float[Tensor, "4 4"],
    after: Float[Tensor, "4 4"],
    first: Float[Tensor, "4 4"],
) -> str:
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
    vectors = (
        level_from_enu @ velocity,
        r.T @ felt,
        level_from_enu @ felt,
        rates,
        level_from_enu @ r @ rates,
    )
    numbers = torch.cat([place, torch.stack([roll, pitch, yaw]), velocity[[1, 0]], *vectors]).tolist()
    # accuracies (m, m/s), then the receiver's state and its satellites
    return " ".join(f"{number:.14g}" for number in numbers) + " 0.05 0.02 4 9 6 6 6\n"


def _write_times(folder: Path, frames: int) -> None:
    date, hour = folder.parent.name.replace("_", "-"), 9 + list(DRIVES).index(folder.name)
    lines = [f"{date} {hour:02d}:00:{i // 10:02d}.{i % 10}00000000\n" for i in range(frames)]
    for part in (*CAMERAS.values(), "velodyne_points", "oxts"):
        _made(folder / part / "timestamps.txt").write_text("".join(lines))


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
    velodyne = {
        "R": VIEW_FROM_BODY[:3, :3].numpy() @ turned(0.015),
        "T": rng.normal([0, -0.08, -0.27], 0.005),
    }
    imu = {"R": turned(0.015), "T": rng.normal([-0.81, 0.32, -0.8], 0.005)}
    velodyne |= {"delta_f": np.zeros(2), "delta_c": np.zeros(2)}
    for name, entries in (("cam_to_cam", cameras), ("velo_to_cam", velodyne), ("imu_to_velo", imu)):
        lines = ["calib_time: 01-Jan-2012 12:00:00"]
        lines += [
            f"{key}: {' '.join(f'{v:.6e}' for v in np.ravel(values))}" for key, values in entries.items()
        ]
        _made(folder / f"calib_{name}.txt").write_text("\n".join(lines) + "\n")
