"""Videos and folders of images as clips: which of their frames belong to a split, and the camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mono2many.files import read_json
from mono2many.geometry.camera import Size
from mono2many.io.camera_file import FOV_GUESS, Camera, camera_from_fov, fit_camera, read_camera
from mono2many.io.images import image_size, list_images
from mono2many.io.videos import probe_video
from mono2many.types import InputError, Split

FEWEST_FRAMES = 3
"""A target and a neighbour on either side."""
LEARN = "learn"
"""Instead of a camera file: training finds the camera."""
LIST, FORMAT, VERSION = ".clips.json", "mono2many-clips", 1
"""Of the lists of clips that `prepare` writes: how their names end, and what stands in them."""


@dataclass(frozen=True)
class VideoSettings:
    """Which footage, taken by which cameras, at what size."""

    paths: tuple[str, ...]
    """Video files and folders of images, each one clip, or lists of clips that `prepare` wrote
    (.clips.json)."""
    cameras: tuple[str, ...] = ()
    """Camera files (JSON): one for all paths, or one per path. `fov:70` instead of a file states a
    horizontal field of view in degrees; `learn` leaves it to training, which starts from `fov`."""
    fov: float | None = None
    """Horizontal field of view in degrees, for all paths, where there is no camera file."""
    height: int = 288
    width: int = 512
    """Size of the frames that the reader gives, in pixels."""
    hold_out: float = 0.1
    """Share of each clip's frames, at its end, that is kept from training (at least 3 frames; 0: none)."""
    hold_out_frames: int | None = None
    """The same as a number of frames; wins over `hold_out`."""
    crop_bottom: float = 0.0
    """Share of the height that is cut off below, before the frames are resized."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("no footage given; give at least one video file or folder of images")
        if self.cameras and self.fov is not None and LEARN not in self.cameras:
            raise InputError("--camera and --fov are both given; keep --camera, which is more exact")
        if not self.cameras and self.fov is None:
            raise InputError(
                "the camera of the footage is not known: give --camera FILE.json (width, height, fx, fy, cx, "
                "cy), --fov DEGREES, the horizontal field of view (a phone: about 65), or --camera learn"
            )
        if len(self.cameras) not in (0, 1, len(self.paths)):
            raise InputError(
                f"--camera: found {len(self.cameras)} cameras for {len(self.paths)} paths; "
                "give one for all, or one per path in the same order"
            )
        if self.height < 1 or self.width < 1:
            raise InputError(f"size {self.width}x{self.height}: both must be positive; try 512x288")
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out {self.hold_out}: wanted a share in [0, 1); try 0.1")
        if self.hold_out_frames is not None and self.hold_out_frames < 0:
            raise InputError(f"--hold-out-frames {self.hold_out_frames}: wanted 0 or more; try 200")


@dataclass(frozen=True)
class Footage:
    """One clip of one split: where it lies and which of its frames belong to the split."""

    name: str
    path: Path
    images: tuple[Path, ...]
    """The images of a folder, in order; empty for a video."""
    camera: Camera
    """Of the footage's own size."""
    number: int
    """Which of the given paths it belongs to: all of a path have one camera."""
    frames: Sequence[int]
    """Numbers of the video's frames that belong to the split, ascending."""
    times: Sequence[float] | None
    """Of each, in seconds; None for images."""


def split_range(frames: int, settings: VideoSettings, split: Split, path: str | Path) -> tuple[int, int]:
    """(start, stop) of the split in a clip of `frames` frames: the held-out part is its end.

    InputError, naming `path`, where a part that is wanted has fewer than three frames.
    """
    held = settings.hold_out_frames
    if held is None:
        held = max(FEWEST_FRAMES, round(frames * settings.hold_out)) if settings.hold_out else 0
    remedy = "give longer footage, or hold out fewer frames (--hold-out, --hold-out-frames)"
    if frames - held < FEWEST_FRAMES:
        raise InputError(
            f"{path}: {frames} frames, {held} of them held out, leave {max(0, frames - held)} to train on, "
            f"wanted at least {FEWEST_FRAMES}; {remedy}"
        )
    if 0 < held < FEWEST_FRAMES:
        raise InputError(
            f"{path}: {held} of {frames} frames are held out, wanted none or at least {FEWEST_FRAMES}; "
            f"give --hold-out-frames {FEWEST_FRAMES}"
        )
    return (0, frames - held) if split == "train" else (frames - held, frames)


def find_clips(settings: VideoSettings, number: int, path: Path, split: Split) -> list[Footage]:
    """The clips of path `number` in this split; none where nothing is held out."""
    if path.name.endswith(LIST):
        return _listed(settings, number, path, split)
    if path.is_dir():
        images, times = tuple(list_images(path)), None
        size, frames = image_size(images[0]), len(images)
    else:
        info = probe_video(path)
        images, size, frames = (), (info.height, info.width), info.frames
        times = [i / info.fps for i in range(frames)] if info.fps else None
    start, stop = split_range(frames, settings, split, path)
    if start == stop:
        return []
    times = times[start:stop] if times else None
    camera = _camera(settings, number, size, path)
    return [Footage(str(path), path, images, camera, number, range(start, stop), times)]


def _listed(settings: VideoSettings, number: int, path: Path, split: Split) -> list[Footage]:
    """The clips of a list that `prepare` wrote. Those too short to be split are for training, where one is
    longer."""
    again = "write the list again with `mono2many prepare`"
    values = read_json(path, f"check --data, or {again}")
    try:
        if (values["format"], values["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {values['format']!r}, version {values['version']!r}")
        video, size = path.parent / values["film"], (int(values["height"]), int(values["width"]))
        listed = [([int(i) for i in clip["frames"]], clip.get("times")) for clip in values["clips"]]
        if not listed or not all(frames for frames, _ in listed):
            raise ValueError("nothing is listed")
        if any(a >= b for frames, _ in listed for a, b in pairwise([-1, *frames])):
            raise ValueError("frames that are not in order")
        if any(times is not None and len(times) != len(frames) for frames, times in listed):
            raise ValueError("not as many times as frames")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not a list of clips as it should be ({error!r}); {again}") from error
    images = _listed_images(path, video, max(frames[-1] for frames, _ in listed), values.get("bytes"), again)
    camera = _camera(settings, number, size, video)
    found: list[Footage] = []
    too_short: list[InputError] = []
    for i, (frames, times) in enumerate(listed):
        try:
            start, stop = split_range(len(frames), settings, split, f"{path}, clip {i}")
        except InputError as error:
            too_short.append(error)
            start, stop = 0, len(frames) if split == "train" else 0
        if start < stop:
            name = f"{video.name}#{i}"
            part = times[start:stop] if times else None
            found.append(Footage(name, video, images, camera, number, frames[start:stop], part))
    if len(too_short) == len(listed):
        raise too_short[-1]
    return found


def _listed_images(path: Path, video: Path, last: int, size: Any, again: str) -> tuple[Path, ...]:
    """Of the folder that a list names; none for a video. InputError where the list does not fit."""
    if video.is_dir():
        images = tuple(list_images(video))
        if last >= len(images):
            raise InputError(f"{path}: names image {last + 1} of {video}, which has {len(images)}; {again}")
        return images
    if not video.is_file():
        raise InputError(f"{path}: its video {video} is missing; bring it back, or {again}")
    if video.stat().st_size != size:
        raise InputError(
            f"{path}: {video} has {video.stat().st_size} bytes, had {size} when the list was written; {again}"
        )
    return ()


def _camera(settings: VideoSettings, number: int, size: Size, path: Path) -> Camera:
    height, width = size
    name = settings.cameras[number if len(settings.cameras) > 1 else 0] if settings.cameras else LEARN
    if name == LEARN:
        return camera_from_fov(FOV_GUESS if settings.fov is None else settings.fov, width, height)
    if name.startswith("fov:"):
        try:
            return camera_from_fov(float(name[4:]), width, height)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"--camera {name}: wanted degrees after 'fov:', for example fov:70") from error
    return fit_camera(read_camera(name), size, str(path), name)
