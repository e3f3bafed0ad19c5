"""Your own footage as a data set: videos, or folders of images, each with its camera.

Frames arrive at training size, without lens distortion. A video can only be decoded in order: `stream` runs
through it once, for the cache; without a cache its frames are kept in memory. Images in folders are opened
one by one.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.data.footage import Footage, VideoSettings, find_clips
from mono2many.geometry.camera import Size, resize_intrinsics, undistortion_pixels
from mono2many.geometry.warp import sample
from mono2many.io.camera_file import Camera
from mono2many.io.images import read_image, resize_image
from mono2many.io.videos import video_frames
from mono2many.types import Frame, FrameSequence, InputError, Split

FRAMES_AT_ONCE = 4
"""So many frames share one undistortion, as 12 channels: the fastest number that we measured."""

FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


class VideoReader:
    """A types.Reader over videos and folders of images.

    `split` "train" is all but the end of each clip, "val" and "test" are both the held-out end. Building it
    counts the frames and reads the cameras; `stream`, `load` or the first `frame` of a clip decodes. Without
    a cache call `load` before worker processes are started, or each of them decodes for itself.
    InputError where a path, a camera or a clip's length is not right, or memory is too small.
    """

    def __init__(self, settings: VideoSettings, split: Split) -> None:
        self.size: Size = (settings.height, settings.width)
        self.footage = [
            clip
            for i, path in enumerate(settings.paths)
            for clip in find_clips(settings, i, Path(path), split)
        ]
        if not self.footage:
            raise InputError(
                f"no frames are held out for '{split}'; give --hold-out 0.1 or --hold-out-frames 200"
            )
        self.crop_bottom = settings.crop_bottom
        self.intrinsics = [
            resize_intrinsics(
                clip.camera.intrinsics,
                (kept_rows(clip.camera.height, self.crop_bottom), clip.camera.width),
                self.size,
            )
            for clip in self.footage
        ]
        self._decoded: dict[int, UInt8[Tensor, "N 3 H W"]] = {}
        self._undistortion: dict[Camera, Float[Tensor, "h w 2"]] = {}

    @property
    def has_videos(self) -> bool:
        """False where all footage is folders of images, which need not be opened in order."""
        return any(not clip.images for clip in self.footage)

    @property
    def clips(self) -> list[FrameSequence]:
        """In the order of the paths; `frames` is the number of frames in this split."""
        return [
            FrameSequence(
                clip.name,
                len(clip.frames),
                None if clip.times is None else tuple(clip.times),
                clip.number,
                (clip.camera.height, clip.camera.width),
            )
            for clip in self.footage
        ]

    def fingerprint(self) -> str:
        files = dict.fromkeys(file for clip in self.footage for file in (clip.images or (clip.path,)))
        stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
        clips = [(c.camera, c.number, list(c.frames)) for c in self.footage]
        text = f"{self.size} {self.crop_bottom} {clips} {stamps}"  # long where there are many images
        return f"video {FRAMES} {hashlib.sha256(text.encode()).hexdigest()}"

    def frame(self, clip: int, index: int) -> Frame:
        """Frame `index` (0 = first of the split) at training size, undistorted, with its intrinsics."""
        footage = self.footage[clip]
        assert 0 <= index < len(footage.frames), f"clip {clip} has no frame {index}"
        if footage.images:
            return next(self.stream([(clip, index)]))
        if clip not in self._decoded:
            self.load(clips=[i for i, other in enumerate(self.footage) if other.number == footage.number])
        return Frame(self._decoded[clip][index], self.intrinsics[clip])

    def load(
        self, progress: Callable[[int, int], None] | None = None, clips: Sequence[int] | None = None
    ) -> None:
        """Decodes all videos (or these clips of them) into memory. `progress(frames done, frames in all)` is
        called now and then.

        InputError where memory is too small or a video turns out to be damaged.
        """
        if clips is None:
            clips = [i for i, clip in enumerate(self.footage) if not clip.images]
        self._check_memory()
        places = [(c, i) for c in clips for i in range(len(self.footage[c].frames))]
        kept = {c: torch.empty(len(self.footage[c].frames), 3, *self.size, dtype=torch.uint8) for c in clips}
        for done, (place, frame) in enumerate(zip(places, self.stream(places), strict=True)):
            kept[place[0]][place[1]] = frame.image
            if progress is not None:
                progress(done + 1, len(places))
        self._decoded |= kept

    def stream(self, places: Sequence[tuple[int, int]]) -> Iterator[Frame]:
        """The frames at these (clip, index), one after the other. A video is decoded once for as long as
        its frames follow each other."""
        for _, run in groupby(places, lambda place: self.footage[place[0]].number):
            clips, indices = zip(*run, strict=True)
            footage = self.footage[clips[0]]  # clips of one path have one video and one camera
            numbers = [self.footage[clip].frames[index] for clip, index in zip(clips, indices, strict=True)]
            paths = [footage.images[number] if footage.images else footage.path for number in numbers]
            raw = map(read_image, paths) if footage.images else _numbered_frames(footage.path, numbers)
            checked = (_checked(image, footage.camera, path) for image, path in zip(raw, paths, strict=True))
            for group in _in_groups(zip(checked, clips, strict=True), FRAMES_AT_ONCE):
                stack = torch.stack([image for image, _ in group])
                for image, (_, clip) in zip(self._prepare(footage, stack), group, strict=True):
                    yield Frame(image, self.intrinsics[clip])

    def _prepare(self, footage: Footage, frames: UInt8[Tensor, "N 3 h w"]) -> UInt8[Tensor, "N 3 H W"]:
        """Undistorted at full size, cropped, then resized."""
        camera = footage.camera
        if any(camera.distortion):
            if camera not in self._undistortion:
                self._undistortion[camera] = undistortion_pixels(
                    camera.intrinsics, camera.distortion, camera.height, camera.width
                )
            frames = undistort(frames, self._undistortion[camera])
        return resize_image(frames[..., : kept_rows(camera.height, self.crop_bottom), :], self.size)

    def _check_memory(self) -> None:
        """Refuses, before anything is decoded, what would not fit into the machine's memory."""
        height, width = self.size
        videos = [clip for clip in self.footage if not clip.images]
        needed = sum(len(clip.frames) for clip in videos) * 3 * height * width
        try:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return  # no way to know here
        if needed > 0.8 * memory:
            raise InputError(
                f"{videos[0].path}: needs {needed / 1e9:.1f} GB at {width}x{height}, the machine has "
                f"{memory / 1e9:.1f} GB; use the cache (--cache on), or train smaller"
            )


def kept_rows(height: int, crop_bottom: float) -> int:
    """How many of `height` rows are left when that share is cut off below."""
    return max(1, round(height * (1 - crop_bottom)))


def undistort(frames: UInt8[Tensor, "N 3 h w"], pixels: Float[Tensor, "h w 2"]) -> UInt8[Tensor, "N 3 h w"]:
    """The frames as a pinhole camera would have taken them; `pixels` from geometry.camera's
    undistortion_pixels. Where the lens saw nothing, the border repeats.
    """
    view, _ = sample(frames.flatten(0, 1)[None].float(), pixels[None])
    return view[0].round_().to(torch.uint8).unflatten(0, (-1, 3))


def _numbered_frames(video: Path, numbers: Sequence[int]) -> Iterator[UInt8[Tensor, "3 h w"]]:
    """These frames of a video, decoded in one run while the numbers rise."""
    frames: Iterator[Tensor] = iter(())
    following = numbers[0] + 1
    for number in numbers:
        if number < following:
            frames, following = video_frames(video, number), number
        frame = next(islice(frames, number - following, None), None)
        if frame is None:
            raise InputError(
                f"{video}: ends before frame {number}, which was counted; "
                f"convert it: ffmpeg -i {video.name} -c:v libx264 -crf 18 converted.mp4"
            )
        following = number + 1
        yield frame


def _checked(image: UInt8[Tensor, "3 h w"], camera: Camera, path: Path) -> UInt8[Tensor, "3 h w"]:
    height, width = image.shape[1:]
    if (height, width) != (camera.height, camera.width):
        raise InputError(
            f"{path}: is {width}x{height}, but what comes before it is {camera.width}x{camera.height}; "
            "keep one camera and one image size per path of --data"
        )
    return image


T = TypeVar("T")


def _in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """As they come, `size` at a time; the last group may be smaller."""
    items = iter(items)
    while group := list(islice(items, size)):
        yield group
