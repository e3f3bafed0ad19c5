"""A reader of recordings: image files of one camera, each with depth and pose where they were measured."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from mono2many.data.lists import split_range
from mono2many.geometry.camera import resize_intrinsics
from mono2many.io.camera_file import Camera
from mono2many.io.depth_files import read_depth
from mono2many.io.images import read_image, resize_image
from mono2many.types import Frame, FrameSequence, InputError, Split

FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


@dataclass(frozen=True)
class Recording:
    """One sequence of a camera without distortion."""

    name: str
    camera: Camera
    images: Sequence[Path]
    depth: Sequence[Path | None]
    """Of each image: a map of the camera's size, metres in .npy, 16 bit in .png."""
    poses: Sequence[Float[Tensor, "4 4"] | None]
    """world_from_camera of each image, metres."""
    scale: float
    """Units of a depth PNG per metre."""

    @property
    def size(self) -> tuple[int, int]:
        return self.camera.height, self.camera.width


class RecordingReader:
    """A types.Reader. The end of each recording is held out of training; split None: all frames. Raises
    InputError for recordings that are too short to be split."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        split: Split | None,
        hold_out: float,
        size: tuple[int, int],
        resize: Literal["bilinear", "lanczos"] = "bilinear",
    ) -> None:
        self.recordings, self.size, self.resize = recordings, size, resize
        self.parts: list[range] = []
        for recording in recordings:
            every = len(recording.images)
            part = range(every)
            if split is not None:
                part = split_range(every, hold_out, None, split, recording.name)
            self.parts.append(part)

    @cached_property
    def clips(self) -> Sequence[FrameSequence]:
        return [
            FrameSequence(recording.name, len(part), camera=number, size=recording.size)
            for number, (recording, part) in enumerate(zip(self.recordings, self.parts, strict=True))
        ]

    def frame(self, clip: int, index: int) -> Frame:
        recording, at = self.recordings[clip], self.parts[clip][index]
        path, pose = recording.depth[at], recording.poses[at]
        image = read_image(recording.images[at])
        if tuple(image.shape[1:]) != recording.size:
            raise InputError(
                f"{recording.images[at]}: is {image.shape[2]}x{image.shape[1]}, its camera file says "
                f"{recording.size[1]}x{recording.size[0]}; correct the camera file"
            )
        depth = None
        if path is not None:
            depth = read_depth(path, recording.scale)
            depth = interpolate(depth[None, None], self.size, mode="nearest-exact")[0, 0]
        return Frame(
            resize_image(image, self.size, filter=self.resize),
            resize_intrinsics(recording.camera.intrinsics, recording.size, self.size),
            depth,
            world_from_camera=None if pose is None else pose.float(),
        )

    def fingerprint(self) -> str:
        text = hashlib.sha256(f"{self.size} {self.resize} {self.parts}".encode())
        for recording in self.recordings:
            files = [path for path in (*recording.images, *recording.depth) if path is not None]
            stamps = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files]
            poses = [None if pose is None else pose.tolist() for pose in recording.poses]
            text.update(f"{recording.name} {recording.camera} {recording.scale} {stamps} {poses}".encode())
        return f"recordings {FRAMES} {text.hexdigest()}"
