"""TRI's DGP layout, in which DDAD comes (Guizilini et al. 2020), read from its JSON.

dataset.json -> scene_splits "0" train, "1" val -> scene JSONs -> samples -> datums: an image or a scan, each
with its own time and pose; a sample's calibration is a file of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.image_files import ImageCamera, ImageFile
from mono2many.files import LARGEST, UNREADABLE, entries, entry, explained, read_json
from mono2many.geometry.camera import LONGEST_SIDE, Size, plausible_intrinsics, resize_intrinsics
from mono2many.geometry.lidar import depth_of_points
from mono2many.geometry.pose import invert, rigid, rotation_from_quaternion, transform
from mono2many.types import InputError, Split

FRONT = "CAMERA_01"
ALL = "all"
"""Instead of a camera's name: every one that there is."""
AGAIN = "unpack the data set again, or take the scene out of its JSON"
FARTHEST = 1e7
"""Metres from the origin of a scene's world, at most."""


@dataclass(frozen=True)
class Scan:
    """A laser scan as a file, with the time and the pose of its scanner."""

    path: Path
    seconds: float
    columns: tuple[int, ...]
    """Where x, y, z stand in a row."""
    world_from_lidar: Float[Tensor, "4 4"]


@dataclass(frozen=True)
class DgpFrame:
    """An image of one camera with what its scene says of it. Poses in float64, metres."""

    scene: str
    """The scene's JSON, as the data set's names it."""
    camera: str
    seconds: float
    """Since any moment that all share."""
    image: ImageFile
    world_from_camera: Float[Tensor, "4 4"]
    scan: Scan | None
    """Of the same sample."""

    def __str__(self) -> str:
        return f"{Path(self.scene).parent} {self.camera} {self.image.path.stem}"


Run = list[DgpFrame]
"""Frames of one camera in one scene that follow each other."""


def scene_files(path: Path, split: Split) -> tuple[Path, list[str]]:
    """The folder of a data set and the names of a split's scenes in it (val, where test is asked for).

    path: the data set's JSON, or the folder that it lies in. InputError where there is none, or no split.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; --data needs the data set's folder or its JSON")
    here = sorted(path.glob("*.json")) if path.is_dir() else [path]
    with explained(f"{path}: cannot be read", AGAIN):
        found = [p for p in here if b'"scene_splits"' in p.read_bytes()]
    if len(found) != 1:
        raise InputError(
            f"{path}: {len(found)} of {len(here)} JSON files here have scene_splits, wanted one; name the "
            "data set's folder or its own JSON: --data ddad.json"
        )
    key = "0" if split == "train" else "1"
    with explained(f"{found[0]}: not a data set as DGP writes it", AGAIN, UNREADABLE):
        splits = entry(read_json(found[0], AGAIN), "scene_splits", dict)
        names = entries(splits[key], "filenames", str) if key in splits else []
    if not names:
        raise InputError(f'{found[0]}: scene_splits "{key}" ({split}) names no scene; wanted one or more')
    return found[0].parent, names


def read_runs(
    path: Path, split: Split, cameras: Sequence[str], max_gap: float, max_lag: float | None = None
) -> list[Run]:
    """The runs of these cameras (ALL: of every one) in a split's scenes; a run ends where the next frame is
    more than `max_gap` seconds away.

    max_lag: every sample needs a scan, at most so many seconds from its picture; None: scans may be
    missing. InputError for names of unknown cameras and whatever is missing, of files or in the JSON.
    """
    root, names = scene_files(path, split)
    scenes = [_read_scene(root, name, cameras) for name in names]
    known = sorted({name for there, _ in scenes for name in there})
    wanted = known if ALL in cameras else cameras
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise InputError(
            f"--cameras {' '.join(unknown)}: no scene of {path} has it; there are {', '.join(known)}"
        )
    runs: list[Run] = []
    for _, frames in scenes:
        for camera in wanted:
            own = sorted((f for f in frames if f.camera == camera), key=lambda f: f.seconds)
            runs += [[f] for f in own[:1]]
            for before, frame in pairwise(own):
                if frame.seconds - before.seconds > max_gap:
                    runs.append([])
                runs[-1].append(frame)
    for run in runs:
        for frame in run:
            _check_files(root, frame, max_lag)
    return runs


def scan_depth(frame: DgpFrame) -> Float[Tensor, "H W"]:
    """The sample's scan as the camera sees it: from the scanner's pose to the world to the camera's, each at
    its own time. Metres, NaN where nothing was measured. InputError where the file is no scan."""
    scan = frame.scan
    assert scan is not None, "asked for where there is one"
    problem = f"{scan.path}: cannot be read as a laser scan"
    with explained(problem, AGAIN, UNREADABLE), np.load(scan.path, allow_pickle=False) as file:
        if any(member.file_size > LARGEST for member in file.zip.infolist()):
            raise ValueError(f"it unpacks to more than {LARGEST >> 20} MiB")
        rows = torch.from_numpy(file["data"][:, list(scan.columns)].astype(np.float64))
    camera_from_lidar = invert(frame.world_from_camera) @ scan.world_from_lidar
    points = transform(camera_from_lidar, rows[rows.isfinite().all(1)].T).T
    size = frame.image.camera.size
    return depth_of_points(points, frame.image.camera.intrinsics_at(size), size)


def _check_files(root: Path, frame: DgpFrame, max_lag: float | None) -> None:
    scene, needed = root / frame.scene, [frame.image.path]
    if max_lag is not None:
        if frame.scan is None:
            raise InputError(f"{scene}: a sample of {frame.camera} has no scan; {AGAIN}")
        needed.append(frame.scan.path)
        lag = abs(frame.scan.seconds - frame.seconds)
        if lag > max_lag:
            raise InputError(
                f"{scene}: {frame.camera} ({frame.image.path.name}) and its sample's scan are {lag:.3f} s "
                f"apart, more than --max-lag {max_lag:g}: raise it, or {AGAIN}"
            )
    for file in needed:
        if not file.exists():
            raise InputError(f"{file}: no such file, {scene} names it; {AGAIN}")


def _read_scene(root: Path, name: str, cameras: Sequence[str]) -> tuple[set[str], list[DgpFrame]]:
    """The cameras that a scene has, and the frames of those asked for."""
    path, frames, there = root / name, [], set()
    raw, read_lens = read_json(path, AGAIN), lru_cache(partial(_read_lens, path.parent / "calibration"))
    with explained(f"{path}: not a scene as DGP writes it", AGAIN, UNREADABLE):
        data = {entry(datum, "key", str): datum for datum in entries(raw, "data", dict)}
        for sample in entries(raw, "samples", dict):
            datums = [entry(data, key, dict) for key in entries(sample, "datum_keys", str)]
            images = [datum for datum in datums if "image" in datum["datum"]]
            scan = next((_scan(path.parent, d) for d in datums if "point_cloud" in d["datum"]), None)
            there |= {datum["id"]["name"] for datum in images}
            for datum in images:
                camera, image = entry(datum["id"], "name", str), entry(datum["datum"], "image", dict)
                if camera in cameras or ALL in cameras:
                    height, width = (entry(image, side, int, 1, LONGEST_SIDE) for side in ("height", "width"))
                    lens = read_lens(entry(sample, "calibration_key", str), camera, (height, width))
                    file = ImageFile(path.parent / entry(image, "filename", str), lens)
                    frames.append(DgpFrame(name, camera, _seconds(datum), file, _pose(image), scan))
    return there, frames


def _read_lens(folder: Path, key: str, camera: str, size: Size) -> ImageCamera:
    """Of a camera in a calibration."""
    path = folder / f"{key}.json"
    wrong = f"{path}: {camera} has no usable calibration"
    with explained(wrong, f"leave it out of --cameras, or {AGAIN}", UNREADABLE):
        file = read_json(path, AGAIN)
        cameras = zip(entries(file, "names", str), entries(file, "intrinsics", dict), strict=True)
        k = entry(dict(cameras), camera, dict)
        intrinsics = plausible_intrinsics([entry(k, key, float) for key in ("fx", "fy", "cx", "cy")], size)
    return ImageCamera(size, partial(resize_intrinsics, intrinsics, size), f"its scene; {AGAIN}")


def _scan(folder: Path, datum: Mapping[str, Any]) -> Scan:
    cloud = datum["datum"]["point_cloud"]
    columns = tuple(entries(cloud, "point_format", str).index(axis) for axis in "XYZ")
    return Scan(folder / entry(cloud, "filename", str), _seconds(datum), columns, _pose(cloud))


def _seconds(datum: Mapping[str, Any]) -> float:
    then = datetime.fromisoformat(entry(datum["id"], "timestamp", str))
    return (then - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds()


def _pose(datum: Mapping[str, Any]) -> Float[Tensor, "4 4"]:
    """world_from_sensor. JSON of protocol buffers may leave zeros out."""
    turn, place = (entry(entry(datum, "pose", dict), key, dict) for key in ("rotation", "translation"))
    numbers = [entry({f"q{axis}": 0.0, **turn}, f"q{axis}", float, -2, 2) for axis in "xyzw"]
    quaternion = torch.tensor(numbers, dtype=torch.float64)
    metres = [entry({axis: 0.0, **place}, axis, float, -FARTHEST, FARTHEST) for axis in "xyz"]
    translation = torch.tensor(metres, dtype=torch.float64)
    if not 0.9 < quaternion.norm() < 1.1:
        raise ValueError(f"a rotation {turn}")
    return rigid(rotation_from_quaternion(quaternion), translation)
