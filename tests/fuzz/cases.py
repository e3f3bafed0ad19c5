"""Which reader reads which of the files, and what it does with it beyond opening."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from rich.console import Console

from fuzz.inputs import CITY, DATE
from mono2many.data import cache, cache_entries
from mono2many.datasets.cityscapes import reader as cityscapes
from mono2many.datasets.ddad import dgp
from mono2many.datasets.kitti import files as kitti
from mono2many.datasets.kitti import prepare, splits
from mono2many.datasets.kitti.command import PrepareKittiConfig
from mono2many.datasets.kitti_odometry.reader import open_sequence
from mono2many.datasets.video.clips import listed_clips
from mono2many.errors import InputError
from mono2many.evaluate.frames import EvalSet
from mono2many.evaluate.predictors import from_file
from mono2many.io import camera_file, depth_files, gps_tracks, images, speed_file, timed_files, trajectories
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.models.checkpoint import check_optimiser, load_model, load_training_state
from mono2many.models.tensors import misfits, not_finite, read_tensors
from mono2many.train.recipes import from_json


class Case(NamedTuple):
    """A file that a reader reads."""

    name: str
    """Below the folder of all inputs."""
    read: Callable[[Path], Any]


def read_dgp(path: Path) -> None:
    root = path.parents[path.parts[::-1].index("dgp") - 1]
    for run in dgp.read_runs(root / "set.json", "train", ["all"], 1.0):
        for frame in run:
            if frame.scan is not None and frame.scan.path.exists():
                dgp.scan_depth(frame)


def read_checkpoint(path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    state = load_training_state(path)
    try:
        not_finite(state["model"]) or misfits(layer.state_dict(), state["model"])
        check_optimiser(state["optimiser"], torch.optim.Adam(layer.parameters(), fused=True))
    except ValueError as error:
        raise InputError(str(error)) from error


def read_image(path: Path) -> None:
    """The size out of the header is that of the image."""
    size = images.image_size(path)
    assert images.read_image(path).shape[1:] == size


def read_predictions(path: Path) -> None:
    eval_set = EvalSet("list", [], 3, PROTOCOLS["eigen-80m"])
    from_file(str(path), eval_set, 2)


def unpack(path: Path) -> None:
    with TemporaryDirectory() as folder:
        prepare.unpack(path, Path(folder), PrepareKittiConfig(workers=1), Console(quiet=True))


def read_cache(path: Path) -> None:
    cache.damage(path.parent)
    cache_entries._frames(path.parent)
    if cache.damage(path.parent, every_byte=False) is None:
        cache.CachedReader(path.parent)


def read_run(path: Path) -> None:
    from_json(path)
    from_json(path, lenient=True)


CASES = [
    Case("camera.json", camera_file.read_camera),
    Case("a.clips.json", listed_clips),
    Case("mono/config.json", lambda path: load_model(path.parent)),
    Case("many/config.json", lambda path: load_model(path.parent)),
    Case("mono/model.safetensors", lambda path: load_model(path.parent)),
    Case("run.json", read_run),
    *(
        Case(f"dgp/{name}", read_dgp)
        for name in ("set.json", "s/scene.json", "s/calibration/c.json", "s/a.npz")
    ),
    Case(CITY, cityscapes.read_camera),
    Case("city.txt", cityscapes.read_city_list),
    *(
        Case(f"{DATE}/calib_{name}.txt", lambda path: kitti.read_calibration(path.parents[1], DATE))
        for name in ("cam_to_cam", "velo_to_cam", "imu_to_velo")
    ),
    Case("scan.bin", kitti.read_velodyne),
    Case("sequences/09/calib.txt", lambda path: open_sequence(path.parents[2], "09")),
    Case("poses/09.txt", lambda path: open_sequence(path.parents[1], "09")),
    Case("list.txt", splits.read_split_file),
    Case("seen.txt", lambda path: splits.seen_frames(path.read_text(errors="replace").splitlines())),
    Case("tum.txt", trajectories.read_tum_poses),
    Case("rgb.txt", timed_files.read_timed_files),
    Case("speed.csv", speed_file.read_speed),
    *(Case(f"track.{kind}", gps_tracks.table_of_file) for kind in ("gpx", "nmea", "srt")),
    Case("gpmd.mp4", gps_tracks.find_track),
    *(Case(f"image.{kind}", read_image) for kind in ("png", "jpg", "tif", "bmp", "webp")),
    Case("depth.png", lambda path: depth_files.read_depth(path, 256.0)),
    Case("depth.npy", lambda path: depth_files.read_depth(path, 256.0)),
    Case("predictions.npy", read_predictions),
    Case(f"{DATE}_calib.zip", unpack),
    Case("step.pt", read_checkpoint),
    Case("weights.pth", lambda path: not_finite(read_tensors(path, "", ""))),
    Case("entry/index.json", read_cache),
    Case("entry/image.npy", read_cache),
]
