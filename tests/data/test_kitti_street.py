"""The street in KITTI's layout: what its files say of each other, and that the lists find their frames."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mono2many.data.marker import MARKER
from mono2many.datasets.kitti.files import (
    EARTH,
    Calibration,
    image_path,
    improved_path,
    oxts_path,
    read_calibration,
    read_velodyne,
    velodyne_path,
)
from mono2many.datasets.kitti.splits import KittiFrame, split_frames
from mono2many.datasets.kitti.street import DRIVES, see, write_frame, write_kitti_street
from mono2many.geometry.pose import rigid, rotation_from_axis_angle
from mono2many.io.depth_files import read_depth_png16
from mono2many.io.images import read_image
from mono2many.street.reader import StreetSettings, build_street, camera
from mono2many.street.tree import StreetTree
from mono2many.types import InputError

SIZE = (2, 12, 64, 160, 3)
"""Drives, frames, height, width, seed."""
SETTINGS = StreetSettings(len(DRIVES), *SIZE[1:])
FRAMES = [KittiFrame("2011_09_26_drive_0011_sync", 5), KittiFrame("2011_09_30_drive_0016_sync", 11)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by another program, where no shape is checked: that slows the painters down tenfold."""
    root = tmp_path_factory.mktemp("kitti") / "street"
    code = (
        "import sys; from pathlib import Path; from mono2many.datasets.kitti.street import *; told = [];"
        f"write_kitti_street(StreetTree(Path(sys.argv[1]), *{SIZE}, lambda *done: told.append(done)));"
        "assert told == [(i, 24) for i in range(1, 25)], told"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)
    return root


def read_oxts(tree: Path, frame: KittiFrame) -> Tensor:
    """Latitude, longitude (degrees), altitude (m), roll, pitch, yaw (radians), velocities (m/s) ..., as the
    data's own dataformat.txt lists them."""
    return torch.from_numpy(np.loadtxt(oxts_path(tree, frame)))


def world_from_imu(oxts: Tensor, latitude: float) -> Tensor:
    """East, north, up in metres, by the Mercator projection at `latitude` (degrees, of the first frame), with
    rotation z (yaw), y (pitch), x (roll)."""
    lat, lon, up, roll, pitch, yaw = oxts[:6]
    about_z, about_y, about_x = (
        rotation_from_axis_angle(angle * axis)
        for angle, axis in zip((yaw, pitch, roll), torch.eye(3).double().flip(0), strict=True)
    )
    scale = EARTH * np.cos(np.radians(latitude))
    north = torch.log(torch.tan(np.pi / 4 + lat.deg2rad() / 2))
    place = torch.stack([scale * lon.deg2rad(), scale * north, up])
    return rigid(about_z @ about_y @ about_x, place)


def world_from_left(frame: KittiFrame, number: int) -> Tensor:
    street = build_street(SETTINGS, DRIVES[frame.drive], list(DRIVES).index(frame.drive))
    return torch.from_numpy(camera(street, SETTINGS, number).world_from_camera)


def seen(tree: Path, frame: KittiFrame, eye: str = "l") -> tuple[np.ndarray, np.ndarray, Calibration]:
    """The exact picture and depth of an eye."""
    street = build_street(SETTINGS, DRIVES[frame.drive], list(DRIVES).index(frame.drive))
    calibration = read_calibration(tree, frame.date)
    pose = world_from_left(frame, frame.number)
    return *see(street, calibration, eye, pose, frame.number), calibration


def depth_at(depth: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Between four pixels: 1 / depth of a plane is linear in the pixel."""
    x, y = np.floor(u).astype(int), np.floor(v).astype(int)
    a, b = u - x, v - y
    near = 1 / depth
    top = (1 - a) * near[y, x] + a * near[y, x + 1]
    bottom = (1 - a) * near[y + 1, x] + a * near[y + 1, x + 1]
    return 1 / ((1 - b) * top + b * bottom)


@pytest.mark.parametrize("frame", FRAMES)
def test_the_scanner_measures_the_depth_that_the_left_camera_sees(tree: Path, frame: KittiFrame) -> None:
    _, depth, calibration = seen(tree, frame)
    points = read_velodyne(velodyne_path(tree, frame)).double().numpy()
    chain = calibration.projections["l"] @ calibration.rectification @ calibration.camera_from_velodyne
    u, v, z = chain.numpy() @ np.column_stack([points[:, :3], np.ones(len(points))]).T
    u, v = u / z, v / z
    inside = (u >= 0) & (u < depth.shape[1] - 1) & (v >= 0) & (v < depth.shape[0] - 1)
    assert inside.sum() > 10_000
    error = np.abs(depth_at(depth, u[inside], v[inside]) / z[inside] - 1)
    assert np.nanmedian(error) < 1e-5
    assert (error < 1e-3).mean() > 0.8  # the rest: edges, leaves, what one of them hides from the other
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    assert -25 < elevation.min() < -12
    assert 1.8 < elevation.max() < 2.2


@pytest.mark.parametrize("frame", FRAMES)
def test_a_point_lies_focal_times_baseline_over_depth_further_left_in_the_right_eye(
    tree: Path, frame: KittiFrame
) -> None:
    _, left, calibration = seen(tree, frame)
    _, right, _ = seen(tree, frame, "r")
    projections = calibration.projections
    focal, baseline = float(projections["l"][0, 0]), 0.54
    torch.testing.assert_close(
        projections["l"][:, 3] - projections["r"][:, 3],
        torch.tensor([focal * baseline, 0, 0]).double(),
        rtol=1e-6,
        atol=1e-6,
    )
    v, u = np.nonzero(left[:-1] > 0)
    z = left[v, u]
    there = u - focal * baseline / z
    inside = there >= 0
    found = depth_at(right, there[inside], v[inside].astype(float))
    error = np.abs(found / z[inside] - 1)
    assert np.nanmedian(error) < 1e-5
    assert (error < 1e-3).mean() > 0.8


def test_the_files_show_what_the_eyes_see_in_the_size_of_their_date(tree: Path) -> None:
    for frame, size in zip(FRAMES, [(64, 160), (63, 158)], strict=True):
        for eye in ("l", "r"):
            image, _, calibration = seen(tree, frame, eye)
            assert calibration.sizes[eye] == size == image.shape[1:]
            stored = read_image(image_path(tree, KittiFrame(frame.drive, frame.number, eye)))
            assert (
                np.abs(stored.numpy().astype(float) - image).mean() < 6
            )  # of 255: JPEG, colours at half size


@pytest.mark.parametrize("frame", FRAMES)
def test_positions_and_speeds_are_those_of_the_camera(tree: Path, frame: KittiFrame) -> None:
    _, _, calibration = seen(tree, frame)
    files = [read_oxts(tree, KittiFrame(frame.drive, i)) for i in range(SIZE[1])]
    translation = torch.eye(4).double()
    translation[:3, 3] = calibration.projections["l"][:, :3].inverse() @ calibration.projections["l"][:, 3]
    left_from_imu = translation @ calibration.rectification @ calibration.camera_from_velodyne
    assert calibration.velodyne_from_imu is not None
    left_from_imu = left_from_imu @ calibration.velodyne_from_imu
    imu = [world_from_imu(file, float(files[0][0])) for file in files]
    for i in (1, 8):
        by_files = left_from_imu @ imu[0].inverse() @ imu[i] @ left_from_imu.inverse()
        exact = world_from_left(frame, 0).inverse() @ world_from_left(frame, i)
        torch.testing.assert_close(by_files, exact, rtol=0, atol=1e-4)
    velocity = (imu[6] - imu[4])[:3, 3] / 0.2  # east, north, up; 0.1 s from frame to frame
    torch.testing.assert_close(files[5][[7, 6, 10]], velocity, rtol=0, atol=1e-3)
    forward = velocity @ imu[5][:3, 0]
    assert abs(float(files[5][8] / forward) - 1) < 5e-3  # level, while the car nods
    step = (world_from_left(frame, 6) - world_from_left(frame, 5))[:3, 3].norm()
    assert abs(float(files[5][8] / (10 * step)) - 1) < 0.03


def test_improved_depth_is_exact_scattered_and_there_for_its_list_alone(tree: Path) -> None:
    listed = {f for f in split_frames("kitti_eigen_benchmark", "test") if oxts_path(tree, f).exists()}
    assert FRAMES[1] in listed
    files = list((tree / "data_depth_annotated").rglob("*.png"))
    assert len(files) == len(listed)
    found = read_depth_png16(improved_path(tree, FRAMES[1])).numpy()
    _, depth, _ = seen(tree, FRAMES[1])
    measured = ~np.isnan(found)
    assert not measured[:21].any()
    assert 0.15 < measured[21:].mean() < 0.3
    assert np.abs(found - depth)[measured].max() <= 1 / 512 + 1e-5


def test_every_list_finds_frames_with_what_it_needs(tree: Path) -> None:
    trained: set[KittiFrame] = set()
    for name in ("kitti_eigen_zhou", "kitti_eigen_full", "kitti_benchmark"):
        for part in ("train", "val"):
            near = {f for f in split_frames(name, part) if f.drive in DRIVES and f.number < SIZE[1]}
            trained |= near if name == "kitti_benchmark" else set()
            for eye in ("l", "r"):
                around = [
                    [KittiFrame(f.drive, f.number + k, f.eye) for k in (-1, 0, 1)]
                    for f in near
                    if f.eye == eye
                ]
                assert any(all(image_path(tree, f).exists() for f in frames) for frames in around)
    there = {f for f in split_frames("kitti_eigen", "test") if image_path(tree, f).exists()}
    assert all(velodyne_path(tree, f).exists() for f in there)
    assert sorted(f.number for f in there & trained) == [11]
    assert sorted(f.number for f in there - trained) == [0]


def test_a_finished_tree_stays_and_nothing_is_mixed_with_other_files(tree: Path, tmp_path: Path) -> None:
    before = (tree / MARKER).stat().st_mtime_ns
    assert write_kitti_street(StreetTree(tree, *SIZE)) == tree
    assert (tree / MARKER).stat().st_mtime_ns == before
    with pytest.raises(InputError, match="of other seed; delete it, or give a new folder"):
        write_kitti_street(StreetTree(tree, *SIZE[:4], seed=4))
    (tmp_path / "2011_09_26").mkdir()
    with pytest.raises(InputError, match="holds no synthetic street; give a new folder with --out"):
        write_kitti_street(StreetTree(tmp_path, *SIZE))
    assert [path.name for path in tmp_path.iterdir()] == ["2011_09_26"]


def test_a_frame_depends_on_its_number_alone(tree: Path, tmp_path: Path) -> None:
    dates = {frame.date: read_calibration(tree, frame.date) for frame in FRAMES}
    write_frame(tmp_path, SETTINGS, dates, FRAMES[1])
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 5  # two eyes, scan, position, improved depth
    assert all((tree / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--frames must lie in 12 \.\. 90, got 5; try 12"):
        write_kitti_street(StreetTree(tmp_path / "street", frames=5))
