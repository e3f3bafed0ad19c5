"""The command `predict`: images, folders and videos in; depth files, images and videos out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from mono2many.io.colour import colour_disparity, robust_range, side_by_side
from mono2many.io.depth_files import KITTI_SIZE, write_depth_npy, write_depth_png16, write_kitti_png
from mono2many.io.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES, list_images, read_image, write_image
from mono2many.io.videos import VideoWriter, probe_video, video_frames
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import Predictor
from mono2many.types import InputError

Kind = Literal["npy", "png16", "colour", "video", "kitti"]
Camera = Callable[[int, int], Tensor]
"""From height and width of a video's frames to K in their pixels."""
FOR_IMAGES: tuple[Kind, ...] = ("npy", "png16", "colour")
"""By default."""
FOR_VIDEOS: tuple[Kind, ...] = ("video",)
STEADY = 0.95
"""A video's colour range is a running mean with this memory, so that colours do not flicker."""


def predict_files(
    predictor: Predictor,
    inputs: Sequence[str],
    out: str | Path,
    save: Sequence[Kind] = (),
    flip: bool = False,
    batch_size: int = 4,
    console: Console | None = None,
    intrinsics_of: Camera | None = None,
) -> list[Path]:
    """Predict every input and write what `save` names into `out`; returns the files written.

    By default npy, png16 and colour for images, a side-by-side video for videos. A ManyDepth takes a folder
    as a video, and matches each frame of a video with those before it. Raises InputError for an input that is
    missing, of no known kind, or damaged, for kitti where the model is not in metres, and for a ManyDepth's
    video without `intrinsics_of`.
    """
    out = Path(out)
    folders, videos = sorted_inputs(inputs)
    images = [image for folder in folders for image in folder]
    targets = [target for _, target in images] + [Path(path.stem) for path in videos]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise InputError(
            f"two inputs would both be written as {out / twice}_...; give them another --out each"
        )
    if "kitti" in save and predictor.card.scale != "metres":
        raise InputError(
            "--save kitti: KITTI's server wants metres, this model's depth is known up to scale; find out "
            "what its unit is with mono2many scale, or write npy"
        )
    if images and save and not set(save) & {*FOR_IMAGES, "kitti"}:
        raise InputError(f"--save {' '.join(save)} writes nothing for images; add npy, png16 or colour")
    written: list[Path] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = console or Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        if images:
            task = bar.add_task("images", total=len(images))
            for folder in folders:
                opened = (read_image(path) for path, _ in folder)
                found = _disparities(predictor, opened, flip, 1, intrinsics_of, len(folder) > 1)
                for (_, target), (image, disparity) in zip(folder, found, strict=True):
                    written += write_depth(out / target, image, disparity, predictor, save or FOR_IMAGES)
                    bar.advance(task)
        for path in videos:
            info = probe_video(path)
            task = bar.add_task(path.name, total=info.frames)
            stem = out / path.stem
            frames = _disparities(predictor, video_frames(path), flip, batch_size, intrinsics_of)
            for part in _write_video(predictor, frames, stem, info.fps, save or FOR_VIDEOS):
                written += part
                bar.advance(task)
    return list(dict.fromkeys(written))


def write_depth(
    stem: Path,
    image: UInt8[Tensor, "3 H W"],
    disparity: Float[Tensor, "H W"],
    predictor: Predictor,
    kinds: Sequence[Kind],
) -> list[Path]:
    """STEM_depth.npy, STEM_depth.png (16 bit) and STEM_disparity.png of one image; the first two are called
    STEM_depth_metres where that is the unit. kitti/STEM.png, of the input's name, is for KITTI's server."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    metric = predictor.card.scale == "metres"
    name = f"{stem.name}_depth{'_metres' if metric else ''}"
    if "npy" in kinds:
        written.append(stem.with_name(f"{name}.npy"))
        write_depth_npy(written[-1], 1 / disparity)
    if "png16" in kinds:
        written.append(stem.with_name(f"{name}.png"))
        write_depth_png16(written[-1], 1 / disparity, 256.0 if metric else None, predictor.card.scale)
    if "colour" in kinds:
        written.append(stem.with_name(f"{stem.name}_disparity.png"))
        write_image(written[-1], colour_disparity(disparity))
    if "kitti" in kinds:
        if tuple(disparity.shape) != KITTI_SIZE:
            raise InputError(
                f"--save kitti: {stem.name} is {disparity.shape[1]}x{disparity.shape[0]}; KITTI's server "
                "wants maps of its own test images, 1216x352"
            )
        written.append(stem.parent / "kitti" / f"{stem.name}.png")
        write_kitti_png(written[-1], disparity)
    return written


def _disparities(
    predictor: Predictor,
    frames: Iterable[UInt8[Tensor, "3 _ _"]],
    flip: bool,
    batch_size: int,
    intrinsics_of: Camera | None,
    is_video: bool = True,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each frame with its disparity."""
    if isinstance(predictor.model, MonoDepth) or not is_video:
        for batch in _stacked(frames, batch_size):
            yield from zip(batch, predictor.disparity(batch, flip), strict=True)
        return
    stream = None
    for image in frames:
        if stream is None:
            size = (image.shape[1], image.shape[2])
            stream = predictor.stream(None if intrinsics_of is None else intrinsics_of(*size), flip)
        yield image, stream.disparity(image)


def _write_video(
    predictor: Predictor,
    frames: Iterable[tuple[Tensor, Tensor]],
    stem: Path,
    fps: float,
    kinds: Sequence[Kind],
) -> Iterator[list[Path]]:
    """Files written, frame by frame."""
    per_frame = [kind for kind in kinds if kind != "video"]
    if "video" not in kinds:
        yield from _stills(frames, predictor, stem, per_frame)
        return
    stem.parent.mkdir(parents=True, exist_ok=True)
    video = stem.with_name(f"{stem.name}_depth.mp4")
    low = high = None
    with VideoWriter(video, fps) as writer:
        for number, (image, disparity) in enumerate(frames):
            first, last = robust_range(disparity)
            low = first if low is None else STEADY * low + (1 - STEADY) * first
            high = last if high is None else STEADY * high + (1 - STEADY) * last
            writer.write(side_by_side(image, colour_disparity(disparity, low=low, high=high)))
            here = stem / f"{number:06d}"
            yield [video, *(write_depth(here, image, disparity, predictor, per_frame) if per_frame else [])]


def _stills(
    frames: Iterable[tuple[Tensor, Tensor]], predictor: Predictor, stem: Path, kinds: Sequence[Kind]
) -> Iterator[list[Path]]:
    for number, (image, disparity) in enumerate(frames):
        yield write_depth(stem / f"{number:06d}", image, disparity, predictor, kinds)


def _stacked(frames: Iterable[Tensor], size: int) -> Iterator[UInt8[Tensor, "B 3 H W"]]:
    stack: list[Tensor] = []
    for frame in frames:
        stack.append(frame)
        if len(stack) == size:
            yield torch.stack(stack)
            stack = []
    if stack:
        yield torch.stack(stack)


def sorted_inputs(inputs: Sequence[str]) -> tuple[list[list[tuple[Path, Path]]], list[Path]]:
    """Images with the stem of their outputs (a folder's images, together, keep its name), and videos."""
    images: list[list[tuple[Path, Path]]] = []
    videos: list[Path] = []
    for name in inputs:
        path = Path(name).expanduser()
        if path.is_dir():
            images.append([(image, Path(path.resolve().name) / image.stem) for image in list_images(path)])
        elif not path.exists():
            raise InputError(f"{path}: no such file or folder")
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            images.append([(path, Path(path.stem))])
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            videos.append(path)
        else:
            known = " ".join(sorted({*IMAGE_SUFFIXES, *VIDEO_SUFFIXES}))
            raise InputError(f"{path}: neither an image nor a video by its ending; known are {known}")
    return images, videos
