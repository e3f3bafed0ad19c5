"""Sequences with measured depth: their two layouts, and how they are split and scored."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mono2many.data.image_files import ImageCamera, ImageFile, ImageReader
from mono2many.data.lists import split_range
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.rgbd import RgbdData, RgbdScoring
from mono2many.evaluate.frames import EvalFrame, EvalSet, reader_frames
from mono2many.geometry.camera import resize_intrinsics
from mono2many.io.camera_file import Camera, read_camera
from mono2many.io.images import list_images
from mono2many.io.timed_files import nearest_in_time, read_timed_files
from mono2many.io.trajectories import read_tum_poses
from mono2many.metrics.protocol import Protocol
from mono2many.models.checkpoint import ModelCard
from mono2many.types import FrameSequence, InputError, Split

SLACK = 0.02
"""Seconds by which the time of a depth map or pose may differ from its image's."""
TUM = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
"""What TUM recommends for its registered depth, where there is no camera.json."""


def recordings(s: RgbdData) -> dict[Path, list[ImageFile]]:
    """Of each folder its images in order. Raises InputError where files are missing or do not belong
    together."""
    inside = [p for root in s.sources for p in (root, *sorted(root.glob("*/")))]
    folders = [p for p in inside if (p / "rgb.txt").exists() or (p / "images").is_dir()]
    if not folders:
        raise InputError(f"{s.data[0]}: no images/ with depth/ and no rgb.txt with depth.txt; see --data")
    return {folder: _recording(folder, s.depth_scale) for folder in folders}


def _recording(folder: Path, scale: float | None) -> list[ImageFile]:
    tum = (folder / "rgb.txt").exists()
    known = tum and not (folder / "camera.json").exists()
    lens = TUM if known else read_camera(folder / "camera.json")
    if lens.is_distorted:
        raise InputError(f"{folder}: the camera distorts; undistort images and depth, and give their camera")
    path = folder / ("groundtruth.txt" if tum else "trajectory.txt")
    seconds, poses = map(list, read_tum_poses(path) if path.exists() else ((), ()))
    if tum:
        times, images = read_timed_files(folder / "rgb.txt")
        depth = nearest_in_time(times, *read_timed_files(folder / "depth.txt"), SLACK)
        poses = nearest_in_time(times, [float(t) for t in seconds], poses, SLACK)
    else:
        images = list_images(folder / "images")
        maps = {file.stem: file for kind in ("*.png", "*.npy") for file in (folder / "depth").glob(kind)}
        if len(poses) not in (0, len(images)) or not maps:
            raise InputError(
                f"{folder}: {len(images)} images, {len(maps)} depth maps, {len(poses)} poses; wanted maps of "
                "the images' names, and as many poses as images or none"
            )
        depth = [maps.get(image.stem) for image in images]
        poses = poses or [None] * len(images)
    size = (lens.height, lens.width)
    camera = ImageCamera(
        size,
        partial(resize_intrinsics, lens.intrinsics, size),
        "its camera file; correct the camera file",
        depth_scale=scale or (5000.0 if tum else 1000.0),
    )
    return [ImageFile(i, camera, pose, d) for i, pose, d in zip(images, poses, depth, strict=True)]


def open_rgbd(s: RgbdData, options: ReadOptions, split: Split | None) -> ImageReader:
    """The end of each recording is held out of training; split None: all frames. Raises InputError for
    recordings that are too short to be split."""
    sequences = []
    for number, (folder, files) in enumerate(recordings(s).items()):
        if split is not None:
            files = [files[i] for i in split_range(len(files), s.hold_out, None, split, str(folder))]
        about = FrameSequence(str(folder), len(files), camera=number, size=files[0].camera.size)
        sequences.append((about, files))
    return ImageReader("rgbd", sequences, options.size, options.resize)


def rgbd_eval_set(s: RgbdScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """The held-out frames, or all, at their own size. Of all, those of sequences trained on are known."""
    sizes = {files[0].camera.size for files in recordings(s).values()}
    if len(sizes) > 1:
        raise InputError(f"{s.data[0]}: images of {len(sizes)} sizes; score sequences of one size at a time")
    frames = reader_frames(open_rgbd(s, ReadOptions(*sizes.pop()), None if s.whole else "test"))
    seen = partial(trained_on, frames) if s.whole else frozenset
    synthetic = any(map(marked_synthetic, s.sources))
    return EvalSet("rgbd", frames, len(frames), protocol, synthetic, keys_of=seen)


def trained_on(frames: Sequence[EvalFrame], known: Sequence[str]) -> set[Any]:
    """Keys of the frames whose sequence is among the marks on a model's card."""
    return {frame.key for frame in frames if mark_of(frame.sequence) in known}


def mark_of(name: str) -> str:
    """By which a model's card knows a sequence: its folder's name and that of the folder around it."""
    return f"rgbd {'/'.join(Path(name).resolve().parts[-2:])}"


def marks(s: RgbdData) -> list[str]:
    return [mark_of(str(folder)) for folder in recordings(s)]
