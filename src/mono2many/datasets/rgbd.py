"""A folder of one's own with measured depth, or a sequence of TUM RGB-D (Sturm et al. 2012) as unpacked.

images/0001.jpg  depth/0001.png (16 bit; or .npy, metres)  camera.json  trajectory.txt (or none)
rgb.txt  depth.txt  groundtruth.txt (or none)              TUM's: matched by time
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mono2many.datasets.base import (
    Dataset,
    DatasetSettings,
    EvalFrame,
    EvalSet,
    Protocol,
    Reader,
    ReadOptions,
    Recording,
    Split,
    TestListOptions,
)
from mono2many.errors import InputError

SLACK = 0.02
"""Seconds by which the time of a depth map or pose may differ from its image's."""
TUM = {"width": 640, "height": 480, "fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5}
"""The camera that TUM recommends for its registered depth, where there is no camera.json."""


@dataclass(frozen=True)
class RgbdData(DatasetSettings):
    """Which folders."""

    data: tuple[str, ...] = ("dataset",)
    """Folders, each a sequence, or a folder of such folders."""
    depth_scale: float | None = None
    """Units of a depth PNG per metre; default: 1000 (millimetres), 5000 of TUM's."""
    hold_out: float = 0.1
    """Share of the frames at the end of each sequence kept for validation and scores."""

    def __post_init__(self) -> None:
        if not 0 < self.hold_out < 1:
            raise InputError(f"--hold-out is a share between 0 and 1, got {self.hold_out}; try 0.1")

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(map(Path, self.data))


@dataclass(frozen=True)
class RgbdScoring(TestListOptions, RgbdData):
    """How they are scored."""

    whole: bool = False
    """Score all frames, not the held-out ones only: of folders that no training has seen."""

    def __post_init__(self) -> None:
        RgbdData.__post_init__(self)
        TestListOptions.__post_init__(self)


def recordings(s: RgbdData) -> list[Recording]:
    inside = [p for root in s.sources for p in (root, *sorted(root.glob("*/")))]
    folders = [p for p in inside if (p / "rgb.txt").exists() or (p / "images").is_dir()]
    if not folders:
        raise InputError(f"{s.data[0]}: no images/ with depth/ and no rgb.txt with depth.txt; see --data")
    return [open_recording(folder, s.depth_scale) for folder in folders]


def open_recording(folder: Path, scale: float | None) -> Recording:
    """Raises InputError where files are missing or do not belong together."""
    from mono2many.data.recordings import Recording
    from mono2many.io.camera_file import Camera, read_camera
    from mono2many.io.images import list_images
    from mono2many.io.timed_files import nearest_in_time, read_timed_files
    from mono2many.io.trajectories import read_tum_poses

    tum = (folder / "rgb.txt").exists()
    known = tum and not (folder / "camera.json").exists()
    camera = Camera(**TUM) if known else read_camera(folder / "camera.json")  # type: ignore[arg-type]
    path = folder / ("groundtruth.txt" if tum else "trajectory.txt")
    times_and_poses = read_tum_poses(path) if path.exists() else ((), ())
    seconds, poses = map(list, times_and_poses)
    if tum:
        times, images = read_timed_files(folder / "rgb.txt")
        depth = nearest_in_time(times, *read_timed_files(folder / "depth.txt"), SLACK)
        posed = nearest_in_time(times, [float(t) for t in seconds], poses, SLACK)
        return Recording(str(folder), camera, images, depth, posed, scale or 5000.0)
    images = list_images(folder / "images")
    maps = {file.stem: file for kind in ("*.png", "*.npy") for file in (folder / "depth").glob(kind)}
    if len(poses) not in (0, len(images)) or camera.distortion or not maps:
        raise InputError(
            f"{folder}: {len(images)} images, {len(maps)} depth maps, {len(poses)} poses; wanted maps of the "
            "images' names, as many poses as images or none, and a camera without distortion"
        )
    depth = [maps.get(image.stem) for image in images]
    return Recording(str(folder), camera, images, depth, poses or [None] * len(images), scale or 1000.0)


def open_rgbd(s: RgbdData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.data.recordings import RecordingReader

    return RecordingReader(recordings(s), split, s.hold_out, (options.height, options.width), options.resize)


def test_list(s: RgbdScoring, protocol: Protocol, card: Any) -> EvalSet:
    """The held-out frames, or all, at their own size. Of all, those of sequences trained on are known."""
    from mono2many.data.recordings import RecordingReader
    from mono2many.evaluate.frames import EvalSet, reader_frames

    found = recordings(s)
    sizes = {recording.size for recording in found}
    if len(sizes) > 1:
        raise InputError(f"{s.data[0]}: images of {len(sizes)} sizes; score sequences of one size at a time")
    split: Split | None = None if s.whole else "test"
    frames = reader_frames(RecordingReader(found, split, s.hold_out, sizes.pop(), "bilinear"))
    seen = partial(trained_on, frames) if s.whole else frozenset
    return EvalSet("rgbd", frames, len(frames), protocol, RGBD.synthetic(s), keys_of=seen)


def trained_on(frames: Sequence[EvalFrame], known: Sequence[str]) -> set[Any]:
    """Keys of the frames whose sequence is among the marks on a model's card."""
    return {frame.key for frame in frames if mark_of(frame.sequence) in known}


def mark_of(name: str) -> str:
    """By which a model's card knows a sequence: its folder's name and that of the folder around it."""
    return f"rgbd {'/'.join(Path(name).resolve().parts[-2:])}"


def write_street(*arguments: Any) -> Path:
    from mono2many.street.video import write_recordings

    return write_recordings(*arguments)


RGBD = Dataset(
    name="rgbd",
    summary="your own images with measured depth, or TUM RGB-D",
    settings=RgbdData,
    training=RgbdData,
    scoring=RgbdScoring,
    open=open_rgbd,
    protocols=("rgbd-10m",),
    test_list=test_list,
    marks=lambda settings: [mark_of(recording.name) for recording in recordings(settings)],
    layout="rgbd",
    layout_holds="images with depth maps, a camera file and a trajectory",
    write_street=write_street,
)
