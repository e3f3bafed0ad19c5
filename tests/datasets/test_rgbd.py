"""A folder with measured depth: read in both layouts, trained on, scored, checked, drawn from the street."""

import io
import json
import multiprocessing
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mono2many.cli import main
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.rgbd import RgbdData, RgbdScoring
from mono2many.datasets.rgbd.reader import open_rgbd, recordings
from mono2many.street.tree import StreetTree
from mono2many.street.video import write_recordings
from mono2many.types import InputError


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rgbd") / "street"
    write_recordings(StreetTree(root, 2, 12, 64, 96, workers=0))
    return root


def tum(folder: Path, offset: float = 0.015) -> Path:
    """Four images and depth maps of 4x6 pixels, the third map too late by far."""
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    times = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6]
    for i in range(len(times)):
        Image.fromarray(np.full((4, 6, 3), 10 * i, np.uint8)).save(folder / "rgb" / f"{i}.png")
        depth = np.full((4, 6), 5000 * (i + 1), np.uint16)
        depth[0, 0] = 0
        Image.fromarray(depth).save(folder / "depth" / f"{i}.png")
    rows = [f"{t:.6f} rgb/{i}.png" for i, t in enumerate(times)]
    (folder / "rgb.txt").write_text("# color images\n" + "\n".join(rows) + "\n")
    late = [t + (0.05 if i == 2 else offset) for i, t in enumerate(times)]
    rows = [f"{t:.6f} depth/{i}.png" for i, t in enumerate(late)]
    (folder / "depth.txt").write_text("# depth maps\n" + "\n".join(rows) + "\n")
    rows = [f"{t:.4f} {i} 0 0 0 0 0 1" for i, t in enumerate(times[:3])]
    (folder / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(rows) + "\n")
    camera = {"width": 6, "height": 4, "fx": 5.0, "fy": 5.0, "cx": 2.5, "cy": 1.5}
    (folder / "camera.json").write_text(json.dumps(camera))
    return folder


def test_tums_layout_is_matched_by_time_and_scaled_by_5000(tmp_path: Path) -> None:
    reader = open_rgbd(RgbdData((str(tum(tmp_path)),)), ReadOptions(4, 6), None)
    assert [clip.frames for clip in reader.clips] == [7]
    first, third, last = (reader.frame(0, i) for i in (0, 2, 6))
    assert first.depth is not None
    assert torch.equal(first.depth[1], torch.ones(6))  # 5000 units are a metre
    assert bool(first.depth[0, 0].isnan())
    assert third.depth is None  # 0.05 s away from its image
    assert first.world_from_camera is not None
    assert third.world_from_camera is not None
    assert float(third.world_from_camera[0, 3]) == 2
    assert last.world_from_camera is None
    assert torch.equal(last.image, torch.full((3, 4, 6), 60, dtype=torch.uint8))
    assert torch.equal(first.intrinsics, torch.tensor([[5.0, 0, 2.5], [0, 5, 1.5], [0, 0, 1]]))


def test_without_a_camera_file_tums_own_is_taken(tmp_path: Path) -> None:
    (tum(tmp_path) / "camera.json").unlink()
    camera = recordings(RgbdData((str(tmp_path),)))[tmp_path][0].camera
    assert camera.size == (480, 640)
    assert camera.intrinsics_at(camera.size)[0].tolist() == [525.0, 0, 319.5]


def test_the_street_in_that_layout_has_its_own_depth_and_poses(street: Path) -> None:
    from mono2many.street.reader import StreetSettings, SyntheticReader

    reader = open_rgbd(RgbdData((str(street),)), ReadOptions(64, 96), "train")
    own = SyntheticReader(StreetSettings(2, 12, 64, 96), "train")
    assert [clip.frames for clip in reader.clips] == [9, 9]  # three of twelve are held out
    one, other = reader.frame(1, 4), own.frame(1, 4)
    assert one.depth is not None
    assert other.depth is not None
    assert torch.equal(one.depth.nan_to_num(), other.depth.nan_to_num())
    assert one.world_from_camera is not None
    assert other.world_from_camera is not None
    assert torch.allclose(one.world_from_camera, other.world_from_camera, atol=1e-5)
    assert torch.allclose(one.intrinsics, other.intrinsics, atol=1e-4)


def test_it_is_trained_on_checked_and_scored(street: Path, tmp_path: Path) -> None:
    from mono2many.datasets.choice import DataConfig
    from mono2many.evaluate.check import check
    from mono2many.evaluate.settings import CheckConfig

    size = "--height 64 --width 96 --batch-size 2 --steps 2 --val-every 2 --workers 0"
    places = f"--data {street} --cache-dir {tmp_path} --out {tmp_path}"
    line = f"train --recipe scratch --datatype rgbd {places} {size}"
    main(line.split())
    figures = tmp_path / "figures.json"
    main(["evaluate", "--model", str(tmp_path / "mono"), "--json", str(figures)])
    found = json.loads(figures.read_text())
    row = found["rows"]["model"]
    assert row["protocol"] == "rgbd-10m"
    assert row["images"] == 6  # the held-out ends
    assert found["synthetic"]
    whole = ["evaluate", "--model", str(tmp_path / "mono"), "--whole", "--json", str(figures)]
    with pytest.raises(SystemExit):  # most of these frames were trained on
        main(whole)
    main([*whole, "--allow-contaminated"])
    assert json.loads(figures.read_text())["contaminated"] == 24
    main(["evaluate", "--model", "starter", "--datatype", "rgbd", "--data", str(street), *whole[3:]])
    assert json.loads(figures.read_text())["rows"]["model"]["images"] == 24
    said = io.StringIO()
    config = CheckConfig(DataConfig("rgbd"), RgbdData((str(street),)), height=64, width=96)
    assert isinstance(check(config, Console(file=said, width=120)), bool)
    assert "overlap" in said.getvalue()


def test_what_is_wrong_is_named(street: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images/ with depth/ and no rgb.txt"):
        recordings(RgbdData((str(tmp_path),)))
    folder = tum(tmp_path / "tum")
    (folder / "depth.txt").write_text("now depth/0.png\n")
    with pytest.raises(InputError, match=r"depth.txt: wanted lines `timestamp file`"):
        recordings(RgbdScoring((str(folder),)))
    own = street / "street_00"
    lines = (own / "trajectory.txt").read_text().splitlines()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("images", "depth", "camera.json"):
        (copy / name).symlink_to(own / name)
    (copy / "trajectory.txt").write_text("\n".join(lines[:5]) + "\n")
    with pytest.raises(InputError, match="12 images, 12 depth maps, 5 poses"):
        recordings(RgbdData((str(copy),)))


def test_a_camera_that_distorts_is_refused_in_either_layout(street: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    for name in ("images", "depth", "camera.json"):
        (tmp_path / "own" / name).symlink_to(street / "street_00" / name)
    for folder in (tum(tmp_path / "tum"), tmp_path / "own"):
        path = folder / "camera.json"
        values = json.loads(path.read_text()) | {"distortion": [-0.2, 0.1, 0, 0, 0]}
        path.unlink()
        path.write_text(json.dumps(values))
        with pytest.raises(InputError, match="the camera distorts; undistort images and depth"):
            recordings(RgbdData((str(folder),)))


def test_a_street_that_is_stopped_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:  # while the next ones are waited for
        if done == 1:
            threading.Timer(0.02, signal.raise_signal, (signal.SIGINT,)).start()

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    with pytest.raises(KeyboardInterrupt):
        write_recordings(StreetTree(tmp_path / "tree", 8, 6, 64, 96, progress=stop, workers=1))
    assert multiprocessing.active_children() == []
    assert list(tmp_path.iterdir()) == []
