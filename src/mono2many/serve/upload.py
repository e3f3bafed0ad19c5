"""One uploaded image or video: checked against the limits, predicted, and written as the page shows it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from mono2many.geometry.camera import intrinsics_from_fov
from mono2many.io.containers import best_track, open_video
from mono2many.io.depth_files import write_depth_npy
from mono2many.io.images import IMAGE_SUFFIXES, image_size, read_image, write_image
from mono2many.io.surfaces import write_glb
from mono2many.io.videos import USUAL_RATE, VideoWriter, timed_frames
from mono2many.predict.depth_map import DepthMap
from mono2many.predict.files import write_depth, write_outputs
from mono2many.predict.inputs import check_video
from mono2many.predict.predictor import Predictor
from mono2many.predict.video import Options, predict_frames
from mono2many.serve.limits import Limits
from mono2many.types import InputError, Scale

WIDEST = 1280
"""Columns of a video's frames, which are shrunk to that, and of an image's depth that the page reads."""

READ_WIDTH = 160
"""Columns, at most, of the depth of a video's frames that the page reads."""

HowFar = Callable[[int, int], None]
"""Frames done, and their number (0: the file does not say)."""


class FrameDepths(NamedTuple):
    """Depth of a video's frames, as the page reads it."""

    path: Path
    """float32, row by row, frame after frame."""
    rows: int
    columns: int
    times: list[float]
    """Of each frame in the video that is written, seconds."""


@dataclass(frozen=True)
class Result:
    """The files made of an upload, in one folder. Of a video, its first frame is shown and can be turned."""

    width: int
    height: int
    scale: Scale
    original: Path
    """The image as JPEG."""
    colour: Path
    shown: Path
    """Depth of each `step`-th pixel of each `step`-th row (.npy)."""
    step: int
    scene: Path
    """GLB."""
    distance: float
    """Of its middle from the camera."""
    video: Path | None
    downloads: list[Path]
    note: str
    """On a video: how many frames were predicted."""
    frames: FrameDepths | None


def predict_upload(
    predictor: Predictor, upload: Path, folder: Path, fov: float, limits: Limits, how_far: HowFar
) -> Result:
    """fov: horizontal field of view in degrees, for 3D and for a ManyDepth's matching. InputError where the
    upload is no image or video that can be read, or exceeds the limits."""
    if not upload.exists():
        raise InputError(f"{upload.name}: was removed after {limits.keep_minutes:g} minutes; upload it again")
    if upload.stat().st_size > limits.max_megabytes * 1e6:
        size = upload.stat().st_size / 1e6
        raise InputError(f"{upload.name}: has {size:.1f} MB; this page takes up to {limits.max_megabytes:g}")
    video, note, frames = None, "", None
    if upload.suffix.lower() in IMAGE_SUFFIXES:
        limits.check_pixels(upload.name, *image_size(upload))
        image = read_image(upload)
        disparity = predictor.disparity(image[None])[0]
    else:
        video = folder / f"{upload.stem}_depth.mp4"
        image, frames, note = _predict_video(predictor, upload, video, fov, limits, how_far)
        disparity = predictor.disparity(image[None])[0]  # which no earlier frame changes
    height, width = disparity.shape
    k = intrinsics_from_fov(fov, width, height)
    prediction = DepthMap(1 / disparity, disparity, predictor.card.scale, image, k)
    step = -(-width // WIDEST)
    original, shown, scene = folder / "original.jpg", folder / "shown.npy", folder / "scene.glb"
    write_image(original, image)
    write_depth_npy(shown, prediction.depth[::step, ::step])
    surface = prediction.surface(mesh=True)
    write_glb(scene, surface)
    distance = float((surface.points.amin(0) + surface.points.amax(0)).norm()) / 2
    downloads = write_depth(folder / upload.stem, prediction, ("npy", "png16", "colour"))
    colour = downloads[-1]
    downloads += [scene] if video is None else [scene, video]
    files = original, colour, shown, step, scene, distance, video, downloads
    return Result(width, height, predictor.card.scale, *files, note, frames)


def _predict_video(
    predictor: Predictor, upload: Path, target: Path, fov: float, limits: Limits, how_far: HowFar
) -> tuple[UInt8[Tensor, "3 H W"], FrameDepths, str]:
    """Writes the video of frames beside disparities; returns the first frame, the depths of all, and a
    note."""
    check_video(upload)
    with open_video(upload) as container:
        stream = best_track(container)
        limits.check_pixels(upload.name, stream.height, stream.width)
        total, rate = stream.frames, float(stream.average_rate or USUAL_RATE)
    end, times, cut = monotonic() + limits.max_seconds, list[float](), list[int]()

    def frames() -> Iterator[Tensor]:
        begin = 0.0
        for time, image in timed_frames(upload, WIDEST):
            if monotonic() > end and times:
                cut.append(len(times))
                return
            begin = begin if times or time is None else time
            after, since = times[-1] + 1 / rate if times else 0.0, (time or 0.0) - begin
            times.append(since if times and since > times[-1] else after)
            how_far(len(times), total)
            yield image

    def intrinsics_of(height: int, width: int) -> Tensor:
        return intrinsics_from_fov(fov, width, height)

    pairs = predict_frames(predictor, frames(), Options(full_size=False), intrinsics_of, upload.name)
    first = next(pairs, None)
    if first is None:
        raise InputError(f"{upload.name}: the video holds no frame that can be decoded")
    step = -(-first[1].depth.shape[1] // READ_WIDTH)
    rows, columns = first[1].depth[::step, ::step].shape
    depths = FrameDepths(target.with_name("frames.bin"), rows, columns, times)
    outputs = zip(_storing(chain([first], pairs), depths.path, step), repeat(Path()), strict=False)
    writer = VideoWriter(target, rate, times, preset="ultrafast")
    write_outputs(outputs, target.parent, ["video"], writer, [])
    note = f"{len(times)} frames; below: the first"
    if cut:
        of = f" of {total}" if total else ""
        note = f"the first {len(times)} frames{of}: this page computes {limits.max_seconds:g} s at most"
    return first[0], depths, note


def _storing(
    pairs: Iterable[tuple[Tensor, DepthMap]], path: Path, step: int
) -> Iterator[tuple[Tensor, DepthMap]]:
    """The same, while every `step`-th pixel of every `step`-th row of depth is written."""
    with path.open("wb") as file:
        for image, found in pairs:
            file.write(found.depth[::step, ::step].numpy().tobytes())
            yield image, found
