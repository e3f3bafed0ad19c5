"""Readers of files under damage: whatever stands in a file, a reader returns or raises InputError.

`python tests/test_fuzz.py 10000` tries that many inputs; here a few of each reader, the same ones every time.
"""

import io
import json
import math
import random
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

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
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import (
    ModelCard,
    check_optimiser,
    load_model,
    load_training_state,
    save_model,
)
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.tensors import misfits, not_finite, read_tensors
from mono2many.train.recipes import from_json, recipe
from track_files import track_files

EACH = 10
"""Damaged inputs of each reader in the suite."""
SLOWEST = 20.0
"""Seconds that one may take in the command, on a busy machine."""
DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_0001_sync"
LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")


class Case(NamedTuple):
    """A file that a reader reads."""

    name: str
    """Below the folder of all inputs."""
    read: Callable[[Path], Any]


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def numpy_bytes(array: np.ndarray, **more: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, data=array, **more) if more else np.save(buffer, array)
    return buffer.getvalue()


def zip_bytes(*names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), "K: 1 2 3\n" * 9, method)
    return buffer.getvalue()


def a_dgp_tree() -> dict[str, bytes]:
    pose = {"rotation": {"qw": 1.0}, "translation": {"x": 1.0, "y": 0.5}}

    def datum(key: str, name: str, what: dict[str, Any]) -> dict[str, Any]:
        return {"key": key, "id": {"name": name, "timestamp": "2020-01-01T00:00:00.1Z"}, "datum": what}

    image = {"filename": "a.png", "height": 6, "width": 8, "pose": pose}
    cloud = {"filename": "a.npz", "point_format": ["X", "Y", "Z", "INTENSITY"], "pose": pose}
    scene = {
        "data": [datum("i", "CAM", {"image": image}), datum("l", "LIDAR", {"point_cloud": cloud})],
        "samples": [{"datum_keys": ["i", "l"], "calibration_key": "c"}],
    }
    lens = {"fx": 8.0, "fy": 8.0, "cx": 3.5, "cy": 2.5}
    return {
        "dgp/set.json": json_bytes({"scene_splits": {"0": {"filenames": ["s/scene.json"]}}}),
        "dgp/s/scene.json": json_bytes(scene),
        "dgp/s/calibration/c.json": json_bytes({"names": ["CAM", "LIDAR"], "intrinsics": [lens, {}]}),
        "dgp/s/a.png": encoded(Image.new("RGB", (8, 6)), "PNG"),
        "dgp/s/a.npz": numpy_bytes(np.ones((5, 4)), other=np.ones(3)),
    }


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
    Case("city/camera/train/a/a_000000_000019_camera.json", cityscapes.read_camera),
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


def write_inputs(folder: Path) -> None:
    """Every file of CASES, as it should be."""
    picture = Image.fromarray(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3))
    city = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 9.0, "fy": 9.0, "u0": 4.0, "v0": 3.0}}
    clips = [{"frames": [0, 1, 2], "times": None}]
    listed = {"format": "mono2many-clips", "version": 1, "film": "frames", "height": 6, "width": 8}
    eyes = "".join(f"S_rect_{n}: 8 6\nP_rect_{n}: 9 0 4 -3 0 9 3 0 0 0 1 0\n" for n in ("02", "03"))
    rigid = "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0.1 0\n"
    pose = "1 0 0 {} 0 1 0 0 0 0 1 0\n"
    index: dict[str, Any] = {"version": 2, "fingerprint": "video 1", "clips": [{"name": "a", "frames": 2}]}
    row = np.zeros((2, 3, 4, 4), np.uint8)
    entry = f"{cache.name_of(index)}/"
    layer = torch.nn.Linear(2, 3)
    optimiser = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    saved = {"model": layer.state_dict(), "optimiser": optimiser.state_dict(), "step": 1, "best": 0.5}
    for name in ("step.pt", "weights.pth"):
        torch.save(saved if name == "step.pt" else layer.state_dict(), folder / name)
    many = ManyArchitecture(**asdict(LIGHT), hypotheses=4)
    save_model(folder / "mono", MonoDepth(LIGHT), ModelCard(LIGHT, 32, 64, seen=("a", "b")))
    save_model(folder / "many", ManyDepth(many), ModelCard(many, 32, 64, sizes=((32, 64), (64, 64))))
    files = {
        "camera.json": json_bytes(
            {
                "width": 8,
                "height": 6,
                "fx": 8.0,
                "fy": 8.0,
                "cx": 4.0,
                "cy": 3.0,
                "distortion": [0.1, 0, 0, 0],
            }
        ),
        "a.clips.json": json_bytes({**listed, "clips": clips}),
        "run.json": json_bytes({"settings": asdict(recipe("default"))}),
        **a_dgp_tree(),
        "city/camera/train/a/a_000000_000019_camera.json": json_bytes({**city, "size": [6, 8]}),
        "city.txt": b"aachen_000000_000019\n",
        f"{DATE}/calib_cam_to_cam.txt": f"calib_time: now\nR_rect_00: 1 0 0 0 1 0 0 0 1\n{eyes}".encode(),
        f"{DATE}/calib_velo_to_cam.txt": rigid.encode(),
        f"{DATE}/calib_imu_to_velo.txt": rigid.encode(),
        "scan.bin": np.array([[9, 1, 2, 0.5]] * 4, np.float32).tobytes(),
        "sequences/09/calib.txt": "".join(f"P{n}: 9 0 4 -3 0 9 3 0 0 0 1 0\n" for n in range(4)).encode(),
        "poses/09.txt": "".join(pose.format(x) for x in range(3)).encode(),
        "list.txt": f"{DRIVE} 0000000012 l\n{DRIVE} 13 r\n".encode(),
        "seen.txt": f"{DATE}_drive_0001_sync l 1-15,17\nddad a.json\n".encode(),
        "tum.txt": b"# time\n0.1 0 0 0 0 0 0 1\n0.2 1 0 0 0 0 0 1\n",
        "rgb.txt": b"# time\n0.1 rgb/1.png\n0.2 rgb/2.png\n",
        "speed.csv": b"time,speed,frame\n0,1.5,0\n1,2.5,10\n",
        **track_files(folder),
        "image.png": encoded(picture, "PNG"),
        "image.jpg": encoded(picture.resize((64, 48)), "JPEG"),
        "image.tif": encoded(picture, "TIFF"),
        "image.bmp": encoded(picture, "BMP"),
        "image.webp": encoded(picture, "WEBP"),
        "depth.png": encoded(Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8)), "PNG"),
        "depth.npy": numpy_bytes(np.ones((6, 8), np.float32)),
        "predictions.npy": numpy_bytes(np.ones((3, 6, 8), np.float32)),
        f"{DATE}_calib.zip": zip_bytes(f"{DATE}/calib_cam_to_cam.txt", f"{DATE}/other.txt"),
        entry + "image.npy": numpy_bytes(row),
    }
    files |= {
        f"{place}/{n}.png": encoded(picture, "PNG")
        for n in ("000000", "000001", "000002")
        for place in ("frames", "sequences/09/image_2")
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    image = folder / entry / "image.npy"
    index["files"] = {"image": (image.stat().st_size, cache._digest(image))}
    (folder / entry / "index.json").write_bytes(json_bytes(index))
    (folder / "entry").symlink_to(entry)


VALUES = [
    None,
    True,
    0,
    -1,
    1,
    0.5,
    1e300,
    -1e300,
    10**12,
    10**400,
    3e10,
    float("nan"),
    float("inf"),
    "",
    "a",
]
VALUES += ["/etc/passwd", "hf-hub:a/b", "\ud800", "b" * 5000, "0", [], {}, [[]], {"a": 1}, [1, 2, 3], [None]]
WORDS = [
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e300",
    b"9" * 400,
    b"",
    b" ",
    b"\t",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b"#",
]
WORDS += ["²".encode(), b"a", b"1-99999999999", b"--", b",", b"l", b":"]


def changed_json(data: bytes, chance: random.Random) -> bytes:
    """With one value replaced, removed or added."""
    root = json.loads(data)
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        places += [(inside, key) for key in keys]
        waiting += [inside[key] for key in keys if isinstance(inside[key], dict | list)]
    inside, key = chance.choice(places)
    what = chance.random()
    if what < 0.15:
        del inside[key]
    elif what < 0.2 and isinstance(inside, dict):
        inside["surprise"] = chance.choice(VALUES)
    else:
        inside[key] = chance.choice(VALUES)
    return json.dumps(root).encode()


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """Cut, with bytes changed, removed, repeated, or a word replaced."""
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 4, 30))
    kind = chance.randrange(6)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + length :]
    if kind == 2:
        return data[:at] + data[at : at + length] * chance.choice((2, 50)) + data[at + length :]
    if kind == 3:
        return data[:at] + chance.choice(WORDS) + data[at:]
    if kind == 4:
        words = data.split(b" ")
        words[chance.randrange(len(words))] = chance.choice(WORDS)
        return b" ".join(words)
    return data[:at] + chance.randbytes(length) + data[at + length :]


def changed_zip(data: bytes, chance: random.Random) -> bytes:
    name = chance.choice(
        ("", ".", "/", "..", "a/../b", "\\", f"{DATE}/calib_cam_to_cam.txt", DATE, f"{DATE}/", "²")
    )
    method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED))
    return zip_bytes(name, f"{DATE}/calib_velo_to_cam.txt", method=method)


def damaged(name: str, data: bytes, chance: random.Random) -> bytes:
    what = chance.random()
    if name.endswith(".json") and what < 0.8:
        return changed_json(data, chance)
    if name.endswith(".json") and what < 0.83:
        return b"[" * chance.choice((60, 100_000))
    if name.endswith(".zip") and what < 0.6:
        data = changed_zip(data, chance)
        return data if what < 0.3 else changed_bytes(data, chance)
    return changed_bytes(data, chance)


def outcome(case: Case, path: Path, data: bytes, slowest: float = math.inf) -> str:
    """What a reader does with this content, where it does not return nor raise InputError in one line."""
    path.write_bytes(data)
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error" if case.name == "speed.csv" else "ignore")
            case.read(path)
    except InputError as error:
        if "\n" in str(error):
            return f"more than one line: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - begin
    return "" if seconds < slowest else f"took {seconds:.0f} s"


def fuzz(case: Case, folder: Path, seeds: range, slowest: float = math.inf) -> list[str]:
    """What went wrong, with the seed and the beginning of the input."""
    path, wrong = folder / case.name, []
    whole = path.read_bytes()
    try:
        assert outcome(case, path, whole) == ""
        for seed in seeds:
            data = damaged(case.name, whole, random.Random(f"{case.name} {seed}"))
            if found := outcome(case, path, data, slowest):
                wrong.append(f"{case.name} {seed}: {found[:300]} ({data[:200]!r})")
    finally:
        path.write_bytes(whole)
    return wrong


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_file_is_read_or_refused_in_one_line(inputs: Path, case: Case) -> None:
    case.read(inputs / case.name)  # whole, it is read
    assert fuzz(case, inputs, range(EACH)) == []


def with_value(data: bytes, place: str, value: Any) -> bytes:
    """A JSON object whose value at a place such as `clips.0.times` is another."""
    root = inside = json.loads(data)
    *outer, last = [int(word) if word.isdigit() else word for word in place.split(".")]
    for key in outer:
        inside = inside[key]
    inside[last] = value
    return json.dumps(root).encode()


CITY = "city/camera/train/a/a_000000_000019_camera.json"
CALIBRATION, LENS = f"{DATE}/calib_cam_to_cam.txt", "dgp/s/calibration/c.json"
WRONG_VALUES = [
    (CITY, "size", [1, 2, 3], r"key 'size' is \[1, 2, 3\], wanted height and width"),
    (CITY, "size", [96], "key 'size' is"),
    (CITY, "intrinsic.fx", "9.0", "key 'fx' is '9.0', wanted a number"),
    ("a.clips.json", "clips.0.times", [0, 10**400, 1], "key 'times' is .*wanted finite numbers"),
    ("a.clips.json", "width", 0, "key 'width' is 0, wanted a whole number from 1"),
    ("a.clips.json", "clips.0.frames", [0, 1, "2"], "key 'frames': item 2 is '2', wanted a whole number"),
    ("mono/config.json", "factor", 0, "factor must be from 1e-09 to 1e"),
    ("mono/config.json", "architecture.max_depth", {"a": 1}, "key max_depth must be float, got {'a': 1}"),
    ("mono/config.json", "crop_bottom", "/etc/passwd", "key crop_bottom must be float"),
    ("mono/config.json", "architecture.cameras", 10**13, "cameras must be from 0 to 10000"),
    ("mono/config.json", "architecture.encoder", "hf-hub:a/b", "is no name of a timm model"),
    ("mono/config.json", "architecture.scales", True, "key scales must be int, got True"),
    ("mono/config.json", "height", 64 * 10**9, "must be multiples of 32 up to"),
    ("many/config.json", "architecture.hypotheses", 10**12, "hypotheses must be from 2 to 1024"),
    ("many/config.json", "architecture.matching", [0], "matching must be different numbers of frames"),
    ("run.json", "settings.optim.batch_size", 2.5, "batch_size must be int, got 2.5"),
    (LENS, "intrinsics.0.fx", 10**400, "key 'fx' is inf, wanted finite numbers"),
    (LENS, "intrinsics.0.fx", 1e300, r"a focal length fx of 1e\+300 pixels"),
    (LENS, "intrinsics.0.fy", None, "key 'fy' is None, wanted a number"),
    ("dgp/set.json", "scene_splits", {"0": [None]}, "key 'filenames' is missing, wanted a list"),
    ("camera.json", "fx", float("nan"), "key 'fx' is nan, wanted finite numbers"),
]
WRONG_CONTENT = [
    ("camera.json", b"[1]", "it holds a list, wanted an object"),
    ("camera.json", b'{"a":' * 90 + b"1" + b"}" * 90, "nested too deeply"),
    ("camera.json", b"[" * 10**6, "nested too deeply"),
    ("camera.json", b'{"fx": 1, "fx": 2}', "key 'fx' occurs twice"),
    ("camera.json", '{"fx": 1}'.encode("utf-16"), "codec can't decode byte 0xff"),
    ("dgp/s/a.npz", numpy_bytes(np.zeros((3, 4))), "cannot be read as a laser scan"),
    ("depth.png", encoded(Image.new("RGB", (4, 4)), "PNG"), "wanted a depth map of 16-bit grey"),
    (CALIBRATION, b"S_rect_02: -5 -5\nP_rect_02: 9 0 4 -3 0 9 3 0 0 0 1 0\n", "an image of -5x-5 pixels"),
    ("sequences/09/calib.txt", b"P2: " + b"0 " * 12, "key P2 cannot be a camera's .*fx of 0 pixels"),
    ("speed.csv", b"#", "cannot be read as CSV"),
    ("list.txt", f"{DRIVE} {'9' * 1500} l".encode(), "line 1: found"),
    ("seen.txt", f"{DATE}_drive_0001_sync l 0-30000000000".encode(), "key 'seen' holds"),
    (f"{DATE}_calib.zip", zip_bytes(".", CALIBRATION), "its member '.' would land outside"),
    (f"{DATE}_calib.zip", zip_bytes(CALIBRATION)[12:], r"damaged \(Invalid argument\)"),
    ("scan.bin", np.ones((4, 5), np.float32).tobytes() + b"\0\0\xa0\x41" * 4, "wanted 0 to 1: not x y z"),
]


@pytest.mark.parametrize(("name", "place", "value", "said"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_key(
    inputs: Path, name: str, place: str, value: Any, said: str
) -> None:
    refused(inputs, name, with_value((inputs / name).read_bytes(), place, value), said)


@pytest.mark.parametrize(("name", "data", "said"), WRONG_CONTENT, ids=lambda x: str(x)[:40])
def test_wrong_content_is_refused_with_what_was_found(
    inputs: Path, name: str, data: bytes, said: str
) -> None:
    refused(inputs, name, data, said)


def refused(inputs: Path, name: str, data: bytes, said: str) -> None:
    path, case = inputs / name, next(case for case in CASES if case.name == name)
    whole = path.read_bytes()
    path.write_bytes(data)
    try:
        with pytest.raises(InputError, match=said):
            case.read(path)
    finally:
        path.write_bytes(whole)


if __name__ == "__main__":
    total = int(sys.argv[1])
    only = sys.argv[2:]
    with TemporaryDirectory() as place:
        write_inputs(Path(place))
        bad = 0
        for one in [c for c in CASES if not only or c.name in only]:
            started = time.perf_counter()
            one.read(Path(place) / one.name)
            for line in fuzz(one, Path(place), range(total // len(CASES) + 1), SLOWEST):
                bad += 1
                print(line)
            print(f"{one.name}: {time.perf_counter() - started:.1f} s", flush=True)
    print(f"{total} inputs, {bad} neither read nor refused")
