"""Frames of videos and of folders of images at training size, without lens distortion.

A video can only be decoded in order: `stream` runs through it once, for the cache; without a cache its frames
are kept in memory. Images in folders are opened one by one.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, islice, repeat
from pathlib import Path

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from mono2many.datasets.base import ReadOptions
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.clips import (
    Footage,
    camera_of,
    check_cameras,
    checked_size,
    clips_of,
    mask_of,
)
from mono2many.geometry.camera import Size, resize_intrinsics
from mono2many.geometry.pyramid import shrink_mask
from mono2many.io.camera_file import Camera
from mono2many.io.images import kept_rows, read_image, resize_image
from mono2many.io.masks import undistort_mask
from mono2many.io.undistort import Undistortion
from mono2many.io.videos import video_frames
from mono2many.types import Frame, FrameSequence, InputError, Split

FRAMES_AT_ONCE = 4
"""So many frames share one undistortion, as 12 channels: the fastest number that we measured."""
FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


class VideoReader:
    """A types.Reader over videos and folders of images.

    `split` "train" is all but the end of each clip, "val" and "test" are both the held-out end. Building it
    counts the frames and reads the cameras; `stream`, `load` or the first `frame` of a video decodes. Without
    a cache call `load` before worker processes are started, or each of them decodes for itself. InputError
    where a path, a camera or a clip's length is not right, or memory is too small."""

    def __init__(self, settings: VideoData, options: ReadOptions, split: Split) -> None:
        check_cameras(settings)
        self.size: Size = (options.height, options.width)
        self.crop_bottom = options.crop_bottom
        self.footage, self.cameras, self.clips = list[Footage](), list[Camera](), list[FrameSequence]()
        self._undistortion: dict[Camera, Undistortion] = {}
        masks: dict[int, Bool[Tensor, "H W"] | None] = {}
        for number, path in enumerate(settings.data):
            for clip in clips_of(settings, Path(path), split):
                self.footage.append(clip)
                self.cameras.append(camera_of(settings, number, clip))
                if number not in masks:
                    masks[number] = self._mask(mask_of(settings, number, clip), self.cameras[-1])
                about = clip.times, number, clip.size, clip.display.pixel_aspect
                self.clips.append(FrameSequence(clip.name, len(clip.frames), *about))
        if not self.footage:
            raise InputError(f"no frames are held out for '{split}'; give --hold-out 0.1")
        self.intrinsics = [
            resize_intrinsics(c.intrinsics, (kept_rows(c.height, self.crop_bottom), c.width), self.size)
            for c in self.cameras
        ]
        self._decoded: dict[int, UInt8[Tensor, "N 3 H W"]] = {}
        self.masks = dict[int, Bool[Tensor, "H W"]]()
        if any(mask is not None for mask in masks.values()):  # then all get one: as batches need
            whole = torch.ones(self.size, dtype=torch.bool)
            self.masks = {number: whole if mask is None else mask for number, mask in masks.items()}
        """Pixels that losses and scores use, by the path's number; empty: all."""

    @property
    def paths(self) -> list[Path]:
        """The video or folder of each clip."""
        return [clip.path for clip in self.footage]

    def fingerprint(self) -> str:
        files = dict.fromkeys(file for clip in self.footage for file in (clip.images or (clip.path,)))
        stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
        seen = zip(self.cameras, self.clips, self.footage, strict=True)
        clips = [(camera, clip.camera, list(footage.frames)) for camera, clip, footage in seen]
        text = f"{self.size} {self.crop_bottom} {clips} {stamps}"  # long where there are many images
        for number, mask in self.masks.items():
            text += f" {number} {hashlib.sha256(mask.numpy().tobytes()).hexdigest()}"
        return f"video {FRAMES} {hashlib.sha256(text.encode()).hexdigest()}"

    def frame(self, clip: int, index: int) -> Frame:
        """Frame `index` (0 = first of the split) at training size, undistorted, with its intrinsics."""
        assert 0 <= index < len(self.footage[clip].frames), f"clip {clip} has no frame {index}"
        if self.footage[clip].images:
            return next(self.stream([(clip, index)]))
        if clip not in self._decoded:
            self.load()
        return self._frame(clip, self._decoded[clip][index])

    def load(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Decodes all videos into memory. progress(frames done, frames in all). InputError where memory is
        too small or a video turns out to be damaged."""
        videos = [(c, len(clip.frames)) for c, clip in enumerate(self.footage) if not clip.images]
        places = [(c, i) for c, frames in videos for i in range(frames)]
        self._check_memory(len(places))
        kept = {c: torch.empty(frames, 3, *self.size, dtype=torch.uint8) for c, frames in videos}
        for done, ((c, i), frame) in enumerate(zip(places, self.stream(places), strict=True), 1):
            kept[c][i] = frame.image
            progress(done, len(places))
        self._decoded = kept

    def stream(self, places: Sequence[tuple[int, int]]) -> Iterator[Frame]:
        """The frames at these (clip, index), one after the other. A video is decoded once for as long as
        its frames follow each other."""
        for _, run in groupby(places, lambda place: self.clips[place[0]].camera):
            clips, indices = zip(*run, strict=True)
            footage, camera = self.footage[clips[0]], self.cameras[clips[0]]  # of one path: the same for all
            numbers = [self.footage[clip].frames[index] for clip, index in zip(clips, indices, strict=True)]
            paths = [footage.images[number] if footage.images else footage.path for number in numbers]
            raw = map(read_image, paths) if footage.images else numbered_frames(footage.path, numbers)
            checked = map(checked_size, raw, repeat(footage.size), paths)
            clip_of = iter(clips)
            while group := list(islice(checked, FRAMES_AT_ONCE)):
                for image in self._prepare(camera, torch.stack(group)):
                    yield self._frame(next(clip_of), image)

    def _frame(self, clip: int, image: UInt8[Tensor, "3 H W"]) -> Frame:
        return Frame(image, self.intrinsics[clip], valid_mask=self.masks.get(self.clips[clip].camera))

    def _prepare(self, camera: Camera, frames: UInt8[Tensor, "N 3 h w"]) -> UInt8[Tensor, "N 3 H W"]:
        """Undistorted at full size, cropped, then resized."""
        frames = self._lens(camera).frames(frames)
        return resize_image(frames[..., : kept_rows(camera.height, self.crop_bottom), :], self.size)

    def _mask(self, mask: Bool[Tensor, "h w"] | None, camera: Camera) -> Bool[Tensor, "H W"] | None:
        """As a frame is prepared; True where all that a pixel shows is."""
        if mask is None:
            return None
        used = undistort_mask(mask, camera)
        return shrink_mask(used[: kept_rows(camera.height, self.crop_bottom)], self.size)

    def _lens(self, camera: Camera) -> Undistortion:
        if camera not in self._undistortion:
            self._undistortion[camera] = Undistortion(camera)
        return self._undistortion[camera]

    def _check_memory(self, frames: int) -> None:
        """Refuses, before anything is decoded, what would not fit into the machine's memory."""
        height, width = self.size
        needed, memory = frames * 3 * height * width, float("inf")
        with suppress(AttributeError, ValueError, OSError):  # not known everywhere
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > 0.8 * memory:
            raise InputError(
                f"{self.footage[0].path}: {frames} frames of {width}x{height} need {needed / 1e9:.1f} GB, "
                f"the machine has {memory / 1e9:.1f} GB; use the cache (--cache on), or train smaller"
            )


def numbered_frames(video: Path, numbers: Sequence[int]) -> Iterator[UInt8[Tensor, "3 h w"]]:
    """These frames of a video, decoded in one run while the numbers rise."""
    frames: Iterator[Tensor] = iter(())
    following = numbers[0] + 1
    for number in numbers:
        if number < following:
            frames, following = video_frames(video, number), number
        frame = next(islice(frames, number - following, None), None)
        if frame is None:
            raise InputError(
                f"{video}: ends before frame {number}, which was counted; convert it with ffmpeg"
            )
        following = number + 1
        yield frame
