"""Your own footage as a data set: videos, or folders of pictures, each with its camera.

Frames arrive at training size, without lens distortion. A video can only be decoded in order, so its frames
are decoded once and kept as uint8; pictures in folders are opened one by one.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.geometry.camera import Size, resize_intrinsics, undistortion_pixels
from mono2many.geometry.warp import sample
from mono2many.io.camera_file import Camera, camera_from_fov, fit_camera, read_camera
from mono2many.io.images import image_size, list_images, read_image, resize_image
from mono2many.io.videos import probe_video, video_frames
from mono2many.types import Clip, Frame, InputError, Split

FEWEST_FRAMES = 3
"""A target and a neighbour on either side."""
FRAMES_AT_ONCE = 4
"""So many frames share one undistortion, as 12 channels: the fastest number that we measured."""


@dataclass(frozen=True)
class VideoSettings:
    """Which footage, seen through which cameras, at what size."""

    paths: tuple[str, ...]
    """Video files and folders of pictures; each is one clip."""
    cameras: tuple[str, ...] = ()
    """Camera files (JSON): one for all paths, or one per path. `fov:70` instead of a file states a
    horizontal field of view in degrees."""
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
            raise InputError("no footage given; give at least one video file or folder of pictures")
        if self.cameras and self.fov is not None:
            raise InputError("--camera and --fov are both given; keep --camera, which knows more")
        if not self.cameras and self.fov is None:
            raise InputError(
                "the camera of the footage is not known: give --camera FILE.json (width, height, fx, fy, cx, "
                "cy), or --fov DEGREES, the horizontal field of view (a phone: about 65)"
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

    path: Path
    images: tuple[Path, ...]
    """The pictures of a folder, in order; empty for a video."""
    camera: Camera
    """Of the footage's own size."""
    start: int
    stop: int
    """Frames start .. stop - 1 of the file belong to this split."""


class VideoReader:
    """A types.Reader over videos and folders of pictures.

    `split` "train" is all but the end of each clip, "val" and "test" are both the held-out end. Building it
    counts the frames and reads the cameras; `load` (or the first `frame` of a clip) decodes. Call `load`
    before worker processes are started, or each of them decodes for itself.
    InputError where a path, a camera or a clip's length is not right, or memory is too small.
    """

    def __init__(self, settings: VideoSettings, split: Split) -> None:
        self.size: Size = (settings.height, settings.width)
        self.footage = [
            clip for i, path in enumerate(settings.paths) for clip in _footage(settings, i, Path(path), split)
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
        self._check_memory()
        self._decoded: dict[int, UInt8[Tensor, "N 3 H W"]] = {}
        self._undistortion: dict[Camera, Float[Tensor, "h w 2"]] = {}

    @property
    def has_videos(self) -> bool:
        """False where all footage is folders of pictures, which need not be opened in order."""
        return any(not clip.images for clip in self.footage)

    @property
    def clips(self) -> list[Clip]:
        """One per path, in the given order; `frames` is the number of frames in this split."""
        return [Clip(str(clip.path), clip.stop - clip.start) for clip in self.footage]

    def frame(self, clip: int, index: int) -> Frame:
        """Frame `index` (0 = first of the split) at training size, undistorted, with its intrinsics."""
        footage = self.footage[clip]
        assert 0 <= index < footage.stop - footage.start, f"clip {clip} has no frame {index}"
        if footage.images:
            image = self._open(footage, footage.images[footage.start + index])
        else:
            self._decode(clip)
            image = self._decoded[clip][index]
        return Frame(image, self.intrinsics[clip])

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Decodes all videos into memory. `progress(frames done, frames in all)` is called now and then.

        InputError where a video turns out to be damaged.
        """
        videos = [i for i, clip in enumerate(self.footage) if not clip.images]
        total = sum(self.footage[i].stop - self.footage[i].start for i in videos)
        done = 0
        for i in videos:
            before = done

            def report(frames: int, before: int = before) -> None:
                if progress is not None:
                    progress(before + frames, total)

            self._decode(i, report)
            done += self.footage[i].stop - self.footage[i].start

    def _decode(self, clip: int, report: Callable[[int], None] = lambda frames: None) -> None:
        if clip in self._decoded:
            return
        footage = self.footage[clip]
        wanted = footage.stop - footage.start
        kept = torch.empty(wanted, 3, *self.size, dtype=torch.uint8)
        filled = 0
        for frames in _stacks(video_frames(footage.path, footage.start), wanted):
            kept[filled : filled + len(frames)] = self._prepare(footage, frames)
            filled += len(frames)
            report(filled)
        if filled < wanted:
            raise InputError(
                f"{footage.path}: only {footage.start + filled} of its {footage.stop} frames can be decoded; "
                f"convert it: ffmpeg -i {footage.path.name} -c:v libx264 -crf 18 converted.mp4"
            )
        self._decoded[clip] = kept

    def _open(self, footage: Footage, path: Path) -> UInt8[Tensor, "3 H W"]:
        image = read_image(path)
        height, width = image.shape[1:]
        if (height, width) != (footage.camera.height, footage.camera.width):
            raise InputError(
                f"{path}: is {width}x{height}, but the folder's first picture is "
                f"{footage.camera.width}x{footage.camera.height}; keep one camera and size per folder"
            )
        return self._prepare(footage, image[None])[0]

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
        needed = sum(clip.stop - clip.start for clip in videos) * 3 * height * width
        try:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return  # no way to know here
        if needed > 0.8 * memory:
            raise InputError(
                f"{videos[0].path}: needs {needed / 1e9:.1f} GB at {width}x{height}, the machine has "
                f"{memory / 1e9:.1f} GB; train smaller, or write the frames to a folder and give that: "
                f"ffmpeg -i {videos[0].path.name} -q:v 2 frames/%06d.jpg"
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


def _footage(settings: VideoSettings, number: int, path: Path, split: Split) -> list[Footage]:
    """The clip of path `number` in this split; none where nothing is held out."""
    if path.is_dir():
        images = tuple(list_images(path))
        size, frames = image_size(images[0]), len(images)
    else:
        info = probe_video(path)
        images, size, frames = (), (info.height, info.width), info.frames
    start, stop = split_range(frames, settings, split, path)
    if start == stop:
        return []
    return [Footage(path, images, _camera(settings, number, size, path), start, stop)]


def _camera(settings: VideoSettings, number: int, size: Size, path: Path) -> Camera:
    height, width = size
    if not settings.cameras:
        assert settings.fov is not None
        return camera_from_fov(settings.fov, width, height)
    name = settings.cameras[number if len(settings.cameras) > 1 else 0]
    if name.startswith("fov:"):
        try:
            return camera_from_fov(float(name[4:]), width, height)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"--camera {name}: wanted degrees after 'fov:', for example fov:70") from error
    return fit_camera(read_camera(name), size, str(path), name)


def _stacks(frames: Iterator[UInt8[Tensor, "3 h w"]], wanted: int) -> Iterator[UInt8[Tensor, "N 3 h w"]]:
    """The first `wanted` frames in stacks of up to FRAMES_AT_ONCE."""
    stack: list[Tensor] = []
    taken = 0
    while taken < wanted and (frame := next(frames, None)) is not None:
        stack.append(frame)
        taken += 1
        if len(stack) == FRAMES_AT_ONCE:
            yield torch.stack(stack)
            stack = []
    if stack:
        yield torch.stack(stack)
