"""TRI's DGP layout: what two real scenes and the street say of themselves, and what may be wrong in them."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mono2many.datasets.base import ReadOptions
from mono2many.datasets.ddad import DdadData
from mono2many.datasets.ddad.dgp import ALL, FRONT, Run, read_runs, scan_depth
from mono2many.datasets.ddad.reader import open_ddad, read_masks
from mono2many.datasets.ddad.street import lens, place, write_dgp_street
from mono2many.io.images import write_image
from mono2many.street.reader import StreetSettings
from mono2many.street.tree import StreetTree, see_through
from mono2many.types import InputError

GAP = 1.5
"""Between the real scenes' samples lies about 1 s, between DDAD's and the street's 0.1 s."""
SETTINGS = StreetSettings(2, 10, 64, 96, 0, step=0.375)
SCENE, CALIBRATION = "000001/scene_street1.json", "000001/calibration/street.json"


def steps(run: Run) -> list[float]:
    places = [frame.world_from_camera[:3, 3] for frame in run]
    return [float((b - a).norm()) for a, b in pairwise(places)]


def test_the_first_real_scene_stands_still_and_the_second_moves_by_its_poses(dgp_scenes: Path) -> None:
    standing, driving = read_runs(dgp_scenes, "train", [FRONT], GAP)
    assert [len(standing), len(driving)] == [3, 3]
    assert steps(standing) == pytest.approx([0, 0], abs=0.01)
    assert steps(driving) == pytest.approx([1.27, 1.27], abs=0.03)
    towards = driving[0].world_from_camera.inverse() @ driving[1].world_from_camera[:, 3]
    assert float(towards[2]) == pytest.approx(1.27, abs=0.03)  # along the optical axis


def test_the_real_cameras_frames_are_found_with_size_calibration_and_a_gap_of_a_second(
    dgp_scenes: Path,
) -> None:
    runs = read_runs(dgp_scenes, "val", [ALL], GAP)
    assert [run[0].camera[-2:] for run in runs] == ["01", "05", "06", "01", "05", "06", "07", "08", "09"]
    for run in runs:
        assert run[0].image.camera.size == (1216, 1936)
        assert run[0].image.open().intrinsics[0, 2] == pytest.approx(1936 / 2, rel=0.1)
        assert [b.seconds - a.seconds for a, b in pairwise(run)] == pytest.approx([1.0, 1.0], abs=0.3)
    assert [len(run) for run in read_runs(dgp_scenes, "val", [FRONT], 0.15)] == [1] * 6


def test_the_real_scans_fall_into_all_nine_views_on_the_ground_below_the_horizon(dgp_scenes: Path) -> None:
    for run in read_runs(dgp_scenes, "train", [ALL], GAP, max_lag=0.25):
        depth = scan_depth(run[0])
        v, u = depth.isfinite().nonzero().unbind(1)
        assert len(v) > 4000
        assert torch.histc(u.float(), 4, 0, 1936).min() > 400  # over all of the width
        assert (v > 1216 / 3).float().mean() > 0.9  # no scan of the sky
        # level ground: the nearer, the lower in the picture
        near, far = depth[v, u] < 8, depth[v, u] > 40
        assert v[near].float().median() > v[far].float().median() + 100


def test_the_streets_scan_is_the_depth_that_each_camera_sees_at_the_scans_time(dgp_street: Path) -> None:
    for run in read_runs(dgp_street, "val", [ALL], 0.15, max_lag=0.06):
        assert len(run) == 5
        assert steps(run) == pytest.approx([0.75] * 4, rel=0.3)  # two steps of the street
        scan, name = scan_depth(run[2]), run[2].camera
        street, index, pose = place(SETTINGS, 1, 2, name)
        _, depth = see_through(street, lens(SETTINGS, name), (64, 96), pose, index)
        there = scan.isfinite()
        assert there.float().mean() > 0.2
        error = np.abs(scan[there].numpy() / depth[there.numpy()] - 1)
        assert np.nanmedian(error) < 0.02  # a pixel is up to 1 / 64 of the picture high
        assert (error < 0.05).mean() > 0.7  # the rest: edges, and what moved within 0.05 s


def test_a_finished_street_stays_and_too_few_frames_are_refused(dgp_street: Path, tmp_path: Path) -> None:
    assert write_dgp_street(StreetTree(dgp_street, 2, 5, 64, 96)) == dgp_street
    with pytest.raises(InputError, match=r"--frames must lie in 3 \.\. 90, got 2; try 3"):
        write_dgp_street(StreetTree(tmp_path / "street", frames=2))


def test_a_reader_begins_each_clip_at_its_first_frame_and_masks_what_the_camera_sees_of_its_car(
    dgp_street: Path, tmp_path: Path
) -> None:
    mask = torch.full((3, 64, 96), 255, dtype=torch.uint8)
    mask[:, 59:] = 0  # the rows of 2 of the small picture's pixels, one of them by half
    write_image(tmp_path / f"{FRONT}.png", mask)
    settings = DdadData(str(dgp_street), (FRONT, "CAMERA_05"), masks=str(tmp_path))
    reader = open_ddad(settings, ReadOptions(32, 48), "val")
    assert [(clip.frames, clip.camera) for clip in reader.clips] == [(5, 0), (5, 1)]
    first, front = reader.frame(0, 0), read_runs(dgp_street, "val", [FRONT], 0.15)[0][0]
    assert first.world_from_camera is not None
    torch.testing.assert_close(first.world_from_camera, torch.eye(4), rtol=0, atol=1e-5)
    assert first.valid_mask is not None
    assert first.valid_mask.all(1).tolist() == [True] * 29 + [False] * 3
    other = reader.frame(1, 0).valid_mask  # has no mask
    assert other is not None
    assert other.all()
    assert first.intrinsics[0, 0] == front.image.open().intrinsics[0, 0] / 2
    write_image(tmp_path / f"{FRONT}.png", 255 - mask)
    with pytest.raises(InputError, match=r"CAMERA_01.png hides 92% .* turn it round"):
        read_masks(str(tmp_path), [front])
    with pytest.raises(InputError, match=r"--masks .*: holds none of CAMERA_01.png"):
        read_masks(str(dgp_street), [front])


def drop(root: Path, file: str, change: Callable[[Any], None]) -> None:
    content = json.loads((root / file).read_text())
    change(content)
    (root / file).write_text(json.dumps(content))


def without_camera(calibration: Any) -> None:
    del calibration["names"][0], calibration["intrinsics"][0], calibration["extrinsics"][0]


def late(scene: Any) -> None:
    scan = next(datum for datum in scene["data"] if datum["id"]["name"] == "LIDAR")
    scan["id"]["timestamp"] = "2026-03-01T09:00:01Z"


def test_what_is_wrong_in_a_data_set_is_told_in_one_line_with_its_file(
    dgp_street: Path, tmp_path: Path
) -> None:
    changes: dict[str, tuple[Callable[[Path], object], str]] = {
        "picture": (
            lambda root: (root / "000001/rgb/CAMERA_01/000002.jpg").unlink(),
            r"rgb/CAMERA_01/000002.jpg: no such file, .*scene_street1.json names it; unpack",
        ),
        "scan": (
            lambda root: (root / "000001/point_cloud/LIDAR/000002.npz").unlink(),
            r"LIDAR/000002.npz: no such file, .*names it",
        ),
        "scene": (
            lambda root: (root / SCENE).unlink(),
            r"scene_street1.json: cannot be read as JSON \(No such file",
        ),
        "calibration": (
            lambda root: drop(root, CALIBRATION, without_camera),
            r"street.json: CAMERA_01 has no usable calibration \(key 'CAMERA_01' is missing.*; leave it out",
        ),
        "time": (
            lambda root: drop(root, SCENE, late),
            r"CAMERA_01 \(000000.jpg\) and its sample's scan are 1.000 s apart, more than --max-lag 0.25",
        ),
        "pose": (
            lambda root: drop(root, SCENE, lambda scene: scene["data"][0]["datum"]["image"].pop("pose")),
            r"scene_street1.json: not a scene as DGP writes it \(key 'pose' is missing",
        ),
        "datum": (
            lambda root: drop(root, SCENE, lambda scene: scene["data"].pop()),
            r"scene_street1.json: not a scene as DGP writes it \(key '000004LIDAR' is missing",
        ),
        "split": (
            lambda root: drop(root, "ddad.json", lambda data: data["scene_splits"].pop("1")),
            r'ddad.json: scene_splits "1" \(val\) names no scene',
        ),
        "json": (lambda root: (root / "ddad.json").unlink(), r"0 of \d JSON files here have scene_splits"),
    }
    for name, (change, words) in changes.items():
        root = shutil.copytree(dgp_street, tmp_path / name)
        change(root)
        with pytest.raises(InputError, match=words) as told:
            read_runs(root, "val", [FRONT], 0.15, 0.25)
        assert "\n" not in str(told.value)
    with pytest.raises(InputError, match=r"--cameras CAMERA_99: no scene .* there are CAMERA_01, "):
        read_runs(dgp_street, "val", ["CAMERA_99"], 0.15)


def test_a_scan_that_is_no_scan_is_told(dgp_street: Path, tmp_path: Path) -> None:
    root = shutil.copytree(dgp_street, tmp_path / "ddad")
    (root / "000001/point_cloud/LIDAR/000000.npz").write_bytes(b"no scan")
    frame = read_runs(root, "val", [FRONT], 0.15)[0][0]
    with pytest.raises(InputError, match=r"000000.npz: cannot be read as a laser scan \("):
        scan_depth(frame)
