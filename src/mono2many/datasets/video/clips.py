"""Videos and folders of images as clips: which of their frames belong to a split, and the camera."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from jaxtyping import Bool, UInt8
from torch import Tensor

from mono2many.data.lists import split_range
from mono2many.datasets.video import VideoData
from mono2many.files import UNREADABLE, brief, entries, entry, explained, read_json
from mono2many.geometry.camera import AS_STORED, LONGEST_SIDE, Display, Size
from mono2many.io.camera_file import Camera, camera_for
from mono2many.io.images import (
    image_display,
    image_folder,
    image_size,
    list_images,
    warn_of_few_levels,
)
from mono2many.io.inputs import IMAGE_SUFFIXES
from mono2many.io.masks import read_mask
from mono2many.io.videos import probe_video, video_display
from mono2many.types import InputError, Split

LIST, FORMAT, VERSION = ".clips.json", "mono2many-clips", 1
"""Of the lists of clips that `prepare video` writes: how their names end, and what stands in them."""
AGAIN = "write the list again with `mono2many prepare video`"


@dataclass(frozen=True)
class Footage:
    """One clip: where it lies and which of its frames are meant."""

    name: str
    path: Path
    images: tuple[Path, ...]
    """The images of a folder, in order; empty for a video."""
    size: Size
    """Height and width of its frames, as they are shown."""
    frames: Sequence[int]
    """Numbers of the video's frames, ascending."""
    times: tuple[float, ...] | None
    """Of each, in seconds; None: unknown, as of images."""
    display: Display = AS_STORED
    mask: Path | None = None
    """Of what is fixed to the camera, as `read_mask` takes it."""


def check_cameras(s: VideoData) -> None:
    """InputError where the flags do not give each path its camera."""
    if not s.data:
        raise InputError("--datatype video needs --data: one or more video files or folders of images")
    if not s.camera and s.fov is None:
        raise InputError(
            "the camera of the footage is not known: give --camera FILE.json (width, height, fx, fy, cx, "
            "cy), --fov DEGREES, the horizontal field of view (a phone: about 65, held upright 40), or "
            "--camera learn"
        )
    if s.camera and s.fov is not None and not s.learns_camera:
        raise InputError("--camera and --fov are both given; keep --camera, which is more exact")
    if len(s.camera) not in (0, 1, len(s.data)):
        raise InputError(
            f"--camera: found {len(s.camera)} cameras for {len(s.data)} paths; give one for all, or one per "
            "path in the same order"
        )
    if len(s.mask) not in (0, 1, len(s.data)):
        raise InputError(
            f"--mask: found {len(s.mask)} masks for {len(s.data)} paths; give one for all, or one per path "
            "in the same order (`none`: use all pixels)"
        )


def camera_of(s: VideoData, number: int, clip: Footage) -> Camera:
    """Of the clips of path `number` of --data, for their size."""
    file = None
    if s.camera and not s.learns_camera:
        file = s.camera[number if len(s.camera) > 1 else 0]
    return camera_for(file, s.fov, clip.size, str(clip.path), clip.display)


def mask_of(s: VideoData, number: int, clip: Footage) -> Bool[Tensor, "H W"] | None:
    """Of the clips of path `number` of --data, at their size; None: all pixels are used."""
    if not s.mask:
        remedy = f"bring it back, {AGAIN}, or use all pixels: --mask none"
        return None if clip.mask is None else read_mask(clip.mask, clip.size, remedy)
    name = s.mask[number if len(s.mask) > 1 else 0]
    return None if name == "none" else read_mask(Path(name), clip.size, "give another PNG with --mask")


def clips_of(s: VideoData, path: Path, split: Split) -> list[Footage]:
    """The clips of a path in this split; none where nothing is held out. Of several clips, those that are too
    short to be split are for training."""
    clips = listed_clips(path) if path.name.endswith(LIST) else whole(path)
    found, too_short = [], list[InputError]()
    for clip in clips:
        count = len(clip.frames)
        try:
            part = split_range(count, s.hold_out, s.hold_out_frames, split, clip.name)
        except InputError as error:
            too_short.append(error)
            part = range(count if split == "train" else 0)
        if part:
            inside = slice(part.start, part.stop)
            times = None if clip.times is None else clip.times[inside]
            found.append(replace(clip, frames=clip.frames[inside], times=times))
    if len(too_short) == len(clips):
        raise too_short[-1]
    return found


def whole(path: Path) -> list[Footage]:
    """All of a video or a folder of images, of which those that follow each other are a clip."""
    if path.is_dir():
        folder = image_folder(path)
        images, size = tuple(folder.images), image_size(folder.images[0])
        display = image_display(images[0])
        warn_of_few_levels(path, images)
        names = [str(path)] if len(folder.runs) == 1 else [f"{path}#{i}" for i in range(len(folder.runs))]
        return [
            Footage(name, path, images, size, run, None, display)
            for name, run in zip(names, folder.runs, strict=True)
        ]
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path}: is one image; --data needs videos or folders of images: give its folder")
    info = probe_video(path)
    times = info.since_first or tuple(i / info.fps for i in range(info.frames))
    size = (info.height, info.width)
    return [Footage(str(path), path, (), size, range(info.frames), times, video_display(path))]


def listed_clips(path: Path) -> list[Footage]:
    """The clips of a list that `prepare video` wrote."""
    values = read_json(path, f"check --data, or {AGAIN}")
    with explained(f"{path}: is no list of clips as it should be", AGAIN, UNREADABLE):
        if (values["format"], values["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {brief(values['format'])}, version {brief(values['version'])}")
        video = Path(os.path.normpath(path.parent.resolve() / entry(values, "film", str)))
        height, width = (entry(values, side, int, 1, LONGEST_SIDE) for side in ("height", "width"))
        clips = []
        for clip in entries(values, "clips", dict):
            frames, times = entries(clip, "frames", int, 0, 1e9), None
            if clip.get("times") is not None:
                times = entries(clip, "times", float, -1e9, 1e9)
            if not frames or any(a >= b for a, b in pairwise(frames)):
                raise ValueError("frames that are not in order")
            if times is not None and (len(times) != len(frames) or any(a > b for a, b in pairwise(times))):
                raise ValueError("times that are not in order, or not as many as frames")
            clips.append((frames, times))
        last = max(frames[-1] for frames, _ in clips)
        mask = None if values.get("mask") is None else path.parent / entry(values, "mask", str)
        images = tuple(list_images(video)) if video.is_dir() else ()
    if images and last >= len(images):
        raise InputError(f"{path}: names image {last + 1} of {video}, which has {len(images)}; {AGAIN}")
    if not images and not video.is_file():
        raise InputError(f"{path}: its video {video} is missing; bring it back, or {AGAIN}")
    if not images and video.stat().st_size != values.get("bytes"):
        raise InputError(
            f"{path}: {video} has {video.stat().st_size} bytes, had {values.get('bytes')} when the list was "
            f"written; {AGAIN}"
        )
    display = image_display(images[0]) if images else video_display(video)
    return [
        Footage(
            f"{video.name}#{i}",
            video,
            images,
            (height, width),
            frames,
            None if times is None else tuple(times),
            display,
            mask,
        )
        for i, (frames, times) in enumerate(clips)
    ]


def checked_size(image: UInt8[Tensor, "3 h w"], size: Size, path: Path) -> UInt8[Tensor, "3 h w"]:
    """The image; InputError where its height and width are not `size`, those of its clip."""
    height, width = image.shape[1:]
    if (height, width) != size:
        raise InputError(
            f"{path}: is {width}x{height}, but what comes before it is {size[1]}x{size[0]}; keep one camera "
            "and one image size per path of --data"
        )
    return image
