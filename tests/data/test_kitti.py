"""KITTI's reader, on a small tree in the official layout and on the real frames where they are at hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from mono2many.data.cache import cached
from mono2many.data.dataset import ClipDataset
from mono2many.data.image_files import ImageReader
from mono2many.data.marker import MARKER
from mono2many.datasets.kitti import KittiData
from mono2many.datasets.kitti.files import (
    image_path,
    read_calibration,
    read_velodyne,
    velodyne_path,
)
from mono2many.datasets.kitti.reader import kitti_sequences
from mono2many.datasets.kitti.splits import Eye, KittiFrame, split_frames
from mono2many.geometry.lidar import depth_of_points
from mono2many.geometry.pose import rigid, transform
from mono2many.geometry.warp import warp
from mono2many.io.images import read_image
from mono2many.types import InputError

DRIVE = "2011_09_26_drive_0001_sync"
WIDTH, HEIGHT = 124, 38
LINES = {
    "calib_cam_to_cam.txt": {
        "S_rect_02": "124 38",
        "P_rect_02": "70 0 60 4.2 0 72 18 0 0 0 1 0",
        "S_rect_03": "124 38",
        "P_rect_03": "70 0 60 -33.6 0 72 18 0 0 0 1 0",
        "R_rect_00": "1 0 0 0 1 0 0 0 1",
    },
    # x right = -y of the scanner, y down = -z, z forward = x
    "calib_velo_to_cam.txt": {"R": "0 -1 0 0 0 -1 1 0 0", "T": "0 0 -0.27"},
    "calib_imu_to_velo.txt": {"R": "1 0 0 0 1 0 0 0 1", "T": "-0.8 0 0"},
}


def write_calibration(root: Path, date: str, file: str = "", **changed: str | None) -> None:
    for name, lines in LINES.items():
        values = {**lines, **(changed if name == file else {})}
        path = root / date / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "calib_time: now\n" + "".join(f"{k}: {v}\n" for k, v in values.items() if v is not None)
        )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One drive: frames 3 to 9 of the left eye (7 as PNG), 5 and 6 of the right."""
    write_calibration(tmp_path, DRIVE[:10])
    random = np.random.default_rng(0)
    for camera, numbers in (("image_02", range(3, 10)), ("image_03", (5, 6))):
        folder = tmp_path / DRIVE[:10] / DRIVE / camera / "data"
        folder.mkdir(parents=True)
        for number in numbers:
            picture = Image.fromarray(random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
            picture.save(folder / f"{number:010d}.{'png' if number == 7 else 'jpg'}")
    return tmp_path


def open_frames(
    root: Path,
    frames: Sequence[KittiFrame],
    size: tuple[int, int] = (32, 64),
    offsets: tuple[int, ...] = (-1, 1),
    resize: Literal["bilinear", "lanczos"] = "bilinear",
    **settings: object,
) -> ImageReader:
    data = KittiData(str(root), **settings)  # type: ignore[arg-type]
    return ImageReader("kitti", kitti_sequences("kitti_eigen_zhou", frames, data, offsets), size, resize)


def open_tree(root: Path, *numbers: int, eye: Eye = "l", **settings: Any) -> ImageReader:
    return open_frames(root, [KittiFrame(DRIVE, n, eye) for n in numbers], **settings)


def test_targets_with_their_neighbours_are_clips_and_only_targets_are_samples(tree: Path) -> None:
    reader = open_tree(tree, 4, 8)
    assert [(clip.name, clip.frames, clip.targets) for clip in reader.clips] == [
        (f"{DRIVE} l 3-5", 3, (1,)),
        (f"{DRIVE} l 7-9", 3, (1,)),
    ]
    data = ClipDataset(reader, (-1, 1))
    assert data.samples == [(0, 1), (1, 1)]
    assert data.batch([1]).exists.all()


def test_a_drives_first_frame_has_one_neighbour(tree: Path) -> None:
    data = ClipDataset(open_tree(tree, 3), (-1, 1))
    assert data.batch([0]).exists.tolist() == [[True, False, True]]


def test_the_camera_follows_the_picture_and_the_papers_average_is_the_same_everywhere(tree: Path) -> None:
    own = open_tree(tree, 5).frame(0, 1).intrinsics
    sx, sy = 64 / WIDTH, 32 / HEIGHT
    assert own[0].tolist() == pytest.approx([70 * sx, 0, 60.5 * sx - 0.5])
    assert own[1].tolist() == pytest.approx([0, 72 * sy, 18.5 * sy - 0.5])
    papers = open_tree(tree, 5, intrinsics="reference").frame(0, 1).intrinsics
    assert papers[0].tolist() == pytest.approx([0.58 * 64, 0, 32])
    assert papers[1].tolist() == pytest.approx([0, 1.92 * 32, 16])


def test_the_cache_gives_the_same_samples_and_knows_which_are_targets(tree: Path, tmp_path: Path) -> None:
    reader = open_tree(tree, 4, 7, 8)
    kept = cached(reader, tmp_path / "cache")
    assert list(kept.clips) == list(reader.clips)
    plain, packed = ClipDataset(reader, (-1, 1)), ClipDataset(kept, (-1, 1))
    assert plain.samples == packed.samples
    assert torch.equal(plain.batch([0, 1, 2]).frames, packed.batch([0, 1, 2]).frames)
    assert open_tree(tree, 4, 7, 8, resize="lanczos").fingerprint() != reader.fingerprint()


def test_in_stereo_a_sample_is_a_frame_and_what_the_other_eye_saw_then(tree: Path, tmp_path: Path) -> None:
    reader = open_tree(tree, 5, 6, offsets=(0,))
    assert [(clip.name, clip.targets, clip.stereo_partner) for clip in reader.clips] == [
        (f"{DRIVE} l 5-6", (0, 1), (1, pytest.approx(-0.54))),
        (f"{DRIVE} r 5-6", (), (0, pytest.approx(0.54))),
    ]
    plain = ClipDataset(reader, (0,))
    packed = ClipDataset(cached(reader, tmp_path / "cache"), (0,))
    for samples in (plain.batch([0, 1]), packed.batch([0, 1])):
        assert torch.equal(samples.frames[:, 1], torch.stack([reader.frame(1, i).image for i in (0, 1)]))
        assert samples.stereo_x is not None
        assert samples.stereo_x.tolist() == pytest.approx([-0.54, -0.54])  # 4.2 / 70 + 33.6 / 70 metres
    nominal = ClipDataset(open_tree(tree, 6, eye="r", offsets=(0,)), (0,), baseline=0.1)
    partner_x = nominal.batch([0]).stereo_x
    assert partner_x is not None
    assert partner_x.tolist() == pytest.approx([0.1])  # the left eye sees everything further to the right
    also = ClipDataset(open_tree(tree, 5, offsets=(-1, 1, 0)), (-1, 1, 0))
    assert also.batch([0]).exists.tolist() == [[True, False, True, True]]  # no frame 4 on the right
    assert ClipDataset(reader, (-1, 1)).batch([0]).stereo_x is None


def test_a_frame_without_its_other_eye_is_named_and_may_be_left_out(tree: Path) -> None:
    with pytest.raises(InputError, match=r"2 of 3 frames are .*drive_0001_sync 7 l .* --allow-missing"):
        open_tree(tree, 6, 7, 8, offsets=(0,))
    assert len(ClipDataset(open_tree(tree, 6, 7, 8, offsets=(0,), allow_missing=True), (0,))) == 1
    write_calibration(tree, DRIVE[:10], "calib_cam_to_cam.txt", P_rect_03="70 0 60 4.2 0 72 18 0 0 0 1 0")
    with pytest.raises(InputError, match=r"calib_cam_to_cam.txt: P_rect_03 is 0 m to the right of P_rect_02"):
        open_tree(tree, 5, offsets=(0,))


def test_in_stereo_every_frame_of_the_list_counts(tmp_path: Path) -> None:
    frames = split_frames("kitti_eigen_full", "val")
    for frame in frames:
        for eye in ("l", "r"):
            path = image_path(tmp_path, replace(frame, eye=eye))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for date in {frame.date for frame in frames}:
        write_calibration(tmp_path, date)
    reader = open_frames(tmp_path, frames, offsets=(0,))
    assert len(ClipDataset(reader, (0,))) == len(frames) == 1776


def test_missing_frames_are_counted_and_may_be_done_without(tree: Path) -> None:
    with pytest.raises(InputError, match=r"2 of 3 frames .*2011_09_26_drive_0001_sync 30 l .*prepare kitti"):
        open_tree(tree, 5, 30, 31)
    assert len(ClipDataset(open_tree(tree, 5, 30, 31, allow_missing=True), (-1, 1))) == 1
    (tree / MARKER).write_text("{}")
    assert len(ClipDataset(open_tree(tree, 5, 30, 31), (-1, 1))) == 1
    with pytest.raises(InputError, match="2 of 2 frames are missing"):
        open_tree(tree, 30, 31)
    with pytest.raises(InputError, match="no such folder"):
        open_tree(tree / "absent", 5)


def test_a_picture_that_is_cut_short_or_of_another_size_is_named(tree: Path) -> None:
    folder = tree / DRIVE[:10] / DRIVE / "image_02" / "data"
    for name in ("0000000005.jpg", "0000000007.png"):
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=name):
            open_tree(tree, int(name[:10])).frame(0, 1)
    Image.new("RGB", (60, 30)).save(folder / "0000000006.jpg")
    with pytest.raises(InputError, match=r"0000000006.jpg: is 60x30, its calibration says 124x38"):
        open_tree(tree, 6).frame(0, 1)


@pytest.mark.parametrize(
    ("file", "key", "value", "said"),
    [
        ("calib_cam_to_cam.txt", "P_rect_02", None, "key P_rect_02 is missing"),
        ("calib_cam_to_cam.txt", "R_rect_00", "1 0 0 0 nan 0 0 0 1", "key R_rect_00 is .* 9 finite"),
        ("calib_velo_to_cam.txt", "T", "0 0", "key T is '0 0', wanted 3"),
        ("calib_velo_to_cam.txt", "R", "a b c", "key R is 'a b c'"),
    ],
)
def test_a_calibration_without_a_number_is_named(
    tree: Path, file: str, key: str, value: str | None, said: str
) -> None:
    write_calibration(tree, DRIVE[:10], file, **{key: value})
    with pytest.raises(InputError, match=f"{file}: {said}"):
        open_tree(tree, 5)


def test_a_scan_that_is_cut_short_or_absent_is_named(tmp_path: Path) -> None:
    scan = tmp_path / "0000000001.bin"
    np.array([[0, 1, 2, 0.5], [4, 5, 6, 1]], np.float32).tofile(scan)
    assert read_velodyne(scan).tolist() == [[0, 1, 2, 0.5], [4, 5, 6, 1]]
    scan.write_bytes(scan.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"0000000001.bin: 29 bytes"):
        read_velodyne(scan)
    with pytest.raises(InputError, match="cannot be read"):
        read_velodyne(tmp_path / "2.bin")


def test_a_scan_of_five_floats_a_point_is_refused(tmp_path: Path) -> None:
    """x, y, z, reflectance, ring: 16 points have as many bytes as 20 points of four floats."""
    scan, chance = tmp_path / "0000000001.bin", np.random.default_rng(0)
    points = np.column_stack([chance.uniform(-50, 50, (16, 3)), chance.random(16), np.arange(16)])
    points.astype(np.float32).tofile(scan)
    with pytest.raises(InputError, match=r"reflectances lie between .*four float32 a point"):
        read_velodyne(scan)


def test_one_camera_is_trained_on_without_the_others_calibration(tree: Path) -> None:
    path = tree / DRIVE[:10] / "calib_cam_to_cam.txt"
    lines = [line for line in path.read_text().splitlines() if "_03" not in line]
    assert len(lines) < len(path.read_text().splitlines())
    path.write_text("\n".join(lines))
    assert len(open_tree(tree, 5).clips) == 1
    with pytest.raises(InputError, match="key S_rect_03 is missing"):
        open_tree(tree, 5, eye="r")
    with pytest.raises(InputError, match="key S_rect_03 is missing"):
        open_tree(tree, 5, offsets=(0,))


def test_calibration_may_lack_blanks_or_have_tabs_and_images_may_end_in_jpeg(tree: Path) -> None:
    path = tree / DRIVE[:10] / "calib_cam_to_cam.txt"
    before = open_tree(tree, 5).frame(0, 1)
    path.write_text(path.read_text().replace(": ", ":").replace(" ", "\t"))
    image = tree / DRIVE[:10] / DRIVE / "image_02" / "data" / f"{5:010d}.jpg"
    image.rename(image.with_suffix(".jpeg"))
    after = open_tree(tree, 5).frame(0, 1)
    assert torch.equal(after.intrinsics, before.intrinsics)
    assert torch.equal(after.image, before.image)
    assert image_path(tree, KittiFrame(DRIVE, 5)) == image.with_suffix(".jpeg")


def test_real_frames_and_their_calibration(kitti_raw: Path) -> None:
    root = kitti_raw
    frames = [KittiFrame("2011_09_26_drive_0002_sync", n, "r") for n in (3, 6)]
    reader = open_frames(root, frames, (192, 640))
    assert [(c.frames, c.targets, c.size) for c in reader.clips] == [(6, (1, 4), (375, 1242))]
    calibration = read_calibration(root, "2011_09_26")
    assert float(reader.frame(0, 5).intrinsics[0, 0]) == pytest.approx(721.5377 * 640 / 1242, rel=1e-6)
    points = read_velodyne(velodyne_path(root, frames[0]))
    assert 100_000 < len(points) < 130_000
    baseline = calibration.projections
    assert float(baseline["l"][0, 3] - baseline["r"][0, 3]) / 721.5377 == pytest.approx(0.5327, abs=1e-3)


@pytest.mark.parametrize(("eye", "other"), ["lr", "rl"])
def test_real_eyes_agree_where_the_laser_says_how_far_things_are(
    kitti_raw: Path, eye: str, other: str
) -> None:
    """The other eye's picture, warped by the scanner's depth and the rig, is nearer to this eye's than it is
    un-warped, by far; with the wrong sign it is further away. Means over 18,000 pixels that all three see."""
    frame = KittiFrame("2011_09_26_drive_0002_sync", 3, eye)  # type: ignore[arg-type]
    reader = open_frames(kitti_raw, [frame], (192, 640), (0,))
    x = ClipDataset(reader, (0,)).stereo_x(0)
    assert x is not None
    assert abs(x) == pytest.approx(0.5327, abs=1e-4)
    calibration = read_calibration(kitti_raw, frame.date)
    scan = read_velodyne(velodyne_path(kitti_raw, frame))[:, :3].double()
    points = transform(calibration.eye_from_velodyne(eye), scan.T).T
    k = calibration.intrinsics(eye)
    depth = depth_of_points(points, k, calibration.sizes[eye])[None]
    target, source = (
        read_image(image_path(kitti_raw, replace(frame, eye=e)))[None] / 255  # type: ignore[arg-type]
        for e in (eye, other)
    )
    errors, counts = [], depth.isfinite()
    for shift in (x, 0.0, -x):
        moved = rigid(torch.eye(3), torch.tensor([shift, 0, 0]))[None]
        view, seen = warp(source, depth.nan_to_num(1), moved, k[None], calibration.intrinsics(other)[None])
        errors.append((view - target).abs().mean(1))
        counts = counts & seen
    warped, still, wrong = (float(error[counts].mean()) for error in errors)
    assert int(counts.sum()) > 17_000
    assert warped < 0.05
    assert 0.1 < still < wrong
