"""The command `predict`: images, folders and videos in; depth files, images and videos out."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.files import telling_progress
from mono2many.geometry.camera import Display
from mono2many.io.colour import colour_disparity, robust_range
from mono2many.io.containers import open_video
from mono2many.io.depth_files import write_depth_npy, write_depth_png16
from mono2many.io.images import image_display, image_folder, read_image, warn_of_few_levels, write_image
from mono2many.io.inputs import IMAGE_SUFFIXES, OTHER_IMAGES, VIDEO_SUFFIXES, expand
from mono2many.io.videos import VideoWriter, probe_video, timed_frames, video_display
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import Predictor
from mono2many.terminal import text_console, track
from mono2many.types import InputError

Item = TypeVar("Item")
Kind = Literal["npy", "png16", "colour", "video", "kitti"]
IntrinsicsOf = Callable[[int, int], Tensor]
"""From height and width of a video's frames to K in their pixels."""
CameraOf = Callable[[Display], IntrinsicsOf]
"""The same for each input, by how its frames are shown."""
FOR_IMAGES: tuple[Kind, ...] = ("npy", "png16", "colour")
"""By default."""
FOR_VIDEOS: tuple[Kind, ...] = ("video",)
KITTI_SIZE = (352, 1216)
"""Of the maps that KITTI's server takes."""
EVERY = "*"
"""Of a video whose frames become files, which are not counted beforehand: see `check_outputs`."""
MEMORY = 0.95
"""Of the running mean that is a video's colour range, so that colours do not flicker."""


class Input(NamedTuple):
    """An image, a folder of images, or a video."""

    name: str
    path: Path
    images: list[Path]
    """Of a folder, or the image itself; empty: it is a video."""
    runs: Sequence[range] = (range(1),)
    """Of the images, those that follow each other."""
    places: Sequence[int] = (0,)
    """Of each image, in the folder."""

    def display(self) -> Display:
        return image_display(self.images[0]) if self.images else video_display(self.path)

    @property
    def stems(self) -> list[Path]:
        """What the outputs' names begin with: of each image, or of the video."""
        if self.images in ([], [self.path]):
            return [Path(self.name)]
        return [Path(self.name) / image.stem for image in self.images]

    def frames(self) -> tuple[Iterator[tuple[float, Tensor]], float]:
        """The frames with their times in seconds (of images: their place in the folder), and how many there
        are in a second. A terminal shows how many are done."""
        if self.images:
            count, fps = len(self.images), 1.0
            frames = ((float(i), read_image(path)) for i, path in zip(self.places, self.images, strict=True))
        else:
            info = probe_video(self.path)
            count, fps = info.frames, info.fps
            timed = enumerate(timed_frames(self.path))
            frames = ((i / fps if time is None else time, image) for i, (time, image) in timed)
        console = text_console(stderr=True)
        quiet = not console.is_terminal
        return iter(track(frames, self.name, count, console=console, hidden=quiet)), fps


def list_inputs(inputs: Sequence[str]) -> list[Input]:
    """Images and folders first, then videos. InputError for what is missing, or neither."""
    found = []
    for name in expand(inputs):
        path, suffix = Path(name), Path(name).suffix.lower()
        if path.is_dir():
            folder = image_folder(path)
            found.append(Input(path.resolve().name, path, folder.images, folder.runs, folder.places))
            warn_of_few_levels(path, folder.images)
        elif not path.exists():
            raise InputError(f"{path}: no such file or folder")
        elif suffix in IMAGE_SUFFIXES:
            found.append(Input(path.stem, path, [path]))
            warn_of_few_levels(path, [path])
        else:
            check_video(path)
            found.append(Input(path.stem, path, []))
    return sorted(found, key=lambda one: not one.images)


def check_video(path: Path) -> None:
    """InputError where a file that is no image by its suffix is no video either."""
    known = " ".join(sorted({*IMAGE_SUFFIXES, *VIDEO_SUFFIXES}))
    if path.suffix.lower() in OTHER_IMAGES and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{path}: images of this kind are not read; convert it to JPEG or PNG")
    try:
        open_video(path).close()
    except InputError as error:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise
        raise InputError(f"{path}: neither an image nor a video; read are {known} and the like") from error


def check_outputs(inputs: Sequence[Input], outputs: Iterable[tuple[Path, Path]]) -> None:
    """InputError where an output, each given after its input, is one of the inputs, or another's output. A
    path that ends in EVERY stands for all that a folder gets."""
    made, every, outputs = dict[Path, Path](), dict[Path, Path](), list(outputs)
    every = {output.parent: source for source, output in outputs if output.name == EVERY}
    own = {_identity(path) for one in inputs for path in one.images or [one.path]}
    own |= {_identity(folder) for folder in {path.parent for one in inputs for path in one.images}}
    for source, output in outputs:
        name = output.parent if output.name == EVERY else output
        if (found := _identity(name)) is not None and found in own:
            raise InputError(
                f"{name} is an input that the output of {source} would replace: give another --out"
            )
        shared = every.get(output.parent, every.get(output.parent.parent, source))  # of kitti/
        other = made.get(output, source if shared == source else shared)
        if output in made or other != source:
            raise InputError(
                f"{other} and {source} would both be written as {output}: predict them one by one, with an "
                "--out for each"
            )
        made[output] = source


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file or folder; None where it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def outputs_of(one: Input, out: Path, save: Sequence[Kind], metric: bool) -> Iterator[tuple[Path, Path]]:
    """What `predict_files` writes of an input, each after the file that it comes from."""
    if one.images:
        for image, stem in zip(one.images, one.stems, strict=True):
            for output in depth_files(out / stem, save or FOR_IMAGES, metric).values():
                yield image, output
        return
    if "video" in (save or FOR_VIDEOS):
        yield one.path, out / f"{one.name}_depth.mp4"
    if {*save} - {"video"}:
        yield one.path, out / one.name / EVERY


class Progress:
    """How far predict came."""

    def __init__(self, out: Path) -> None:
        self.out, self.at, self.frames = out, "", 0
        self.written: list[Path] = []
        """Complete files."""

    def counting(self, name: str, frames: Iterable[Item]) -> Iterator[Item]:
        """The same, noting that they are of `name`."""
        self.at, self.frames = name, 0
        for item in frames:
            yield item
            self.frames += 1

    def __str__(self) -> str:
        if not self.at or (not self.frames and not self.written):
            return ""
        files = "1 complete file" if len(self.written) == 1 else f"{len(self.written)} complete files"
        return f"came to frame {self.frames} of {self.at}, {files} in {self.out}"


def predict_files(
    predictor: Predictor,
    inputs: Sequence[str],
    out: str | Path,
    save: Sequence[Kind] = (),
    flip: bool = False,
    batch_size: int = 4,
    camera_of: CameraOf | None = None,
) -> list[Path]:
    """Predict every input and write what `save` names into `out`; returns the files written.

    By default npy, png16 and colour for images, a side-by-side video for videos. A ManyDepth takes a folder
    as a video, and matches each frame of a video with those before it. Raises InputError for an input that is
    missing, of no known kind, or damaged, for kitti where the model is not in metres, and for a ManyDepth's
    video without `camera_of`."""
    out, found = Path(out), list_inputs(inputs)
    metric, progress = predictor.card.scale == "metres", Progress(out)
    check_outputs(found, (pair for one in found for pair in outputs_of(one, out, save, metric)))
    if "kitti" in save and predictor.card.scale != "metres":
        raise InputError(
            "--save kitti: KITTI's server wants metres, this model's depth is known up to scale; find out "
            "what its unit is with mono2many scale, or write npy"
        )
    if save and not set(save) & {*FOR_IMAGES, "kitti"} and any(one.images for one in found):
        raise InputError(f"--save {' '.join(save)} writes nothing for images; add npy, png16 or colour")
    written = progress.written
    with telling_progress(progress.__str__):
        for one in found:
            frames, fps = one.frames()
            images = (image for _, image in frames)
            intrinsics_of = None if camera_of is None else camera_of(one.display())
            if one.images:
                as_video = len(one.images) > 1
                parts = (islice(images, len(run)) for run in one.runs)  # a stream's memory ends with its run
                predicted: Iterator[tuple[Tensor, Tensor]] = chain.from_iterable(
                    _disparities(predictor, part, flip, 1, intrinsics_of, as_video) for part in parts
                )
                predicted = progress.counting(one.path.name, predicted)
                for stem, (_, disparity) in zip(one.stems, predicted, strict=True):
                    written += write_depth(out / stem, disparity, predictor, save or FOR_IMAGES)
            else:
                predicted = _disparities(predictor, images, flip, batch_size, intrinsics_of)
                predicted = progress.counting(one.path.name, predicted)
                _write_video(predictor, predicted, out / one.name, fps, save or FOR_VIDEOS, written)
    return written


def depth_files(stem: Path, kinds: Sequence[Kind], metric: bool) -> dict[Kind, Path]:
    """STEM_depth.npy, STEM_depth.png (16 bit) and STEM_disparity.png of one image; the first two are called
    STEM_depth_metres where that is the unit. kitti/STEM.png, of the input's name, is for KITTI's server."""
    depth = f"{stem.name}_depth{'_metres' if metric else ''}"
    every: dict[Kind, Path] = {
        "npy": stem.with_name(f"{depth}.npy"),
        "png16": stem.with_name(f"{depth}.png"),
        "colour": stem.with_name(f"{stem.name}_disparity.png"),
        "kitti": stem.parent / "kitti" / f"{stem.name}.png",
    }
    return {kind: path for kind, path in every.items() if kind in kinds}


def write_depth(
    stem: Path, disparity: Float[Tensor, "H W"], predictor: Predictor, kinds: Sequence[Kind]
) -> list[Path]:
    """The `depth_files` of one image; returns them."""
    metric = predictor.card.scale == "metres"
    paths = depth_files(stem, kinds, metric)
    if "npy" in paths:
        write_depth_npy(paths["npy"], 1 / disparity)
    if "png16" in paths:
        write_depth_png16(paths["png16"], 1 / disparity, 256.0 if metric else None, predictor.card.scale)
    if "colour" in paths:
        write_image(paths["colour"], colour_disparity(disparity))
    if "kitti" in paths:
        height, width = disparity.shape
        if (height, width) != KITTI_SIZE:
            raise InputError(
                f"--save kitti: {stem.name} is {width}x{height}; KITTI's server wants its own, 1216x352"
            )
        write_depth_png16(paths["kitti"], (1 / disparity).clamp(1e-3, 80.0))  # a value at every pixel
    return list(paths.values())


def _disparities(
    predictor: Predictor,
    frames: Iterator[UInt8[Tensor, "3 _ _"]],
    flip: bool,
    batch_size: int,
    intrinsics_of: IntrinsicsOf | None,
    video: bool = True,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each frame with its disparity."""
    if isinstance(predictor.model, MonoDepth) or not video:
        while batch := list(islice(frames, batch_size)):
            stack = torch.stack(batch)
            yield from zip(stack, predictor.disparity(stack, flip), strict=True)
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
    written: list[Path],
) -> None:
    """The files of a video's frames with their disparities; each is added to `written` when it is there."""
    per_frame = [kind for kind in kinds if kind != "video"]
    path = stem.with_name(f"{stem.name}_depth.mp4")
    low = high = None
    before = len(written)
    with VideoWriter(path, fps) if "video" in kinds else nullcontext() as writer:
        for number, (image, disparity) in enumerate(frames):
            if writer is not None:
                first, last = robust_range(disparity)
                low = first if low is None else MEMORY * low + (1 - MEMORY) * first
                high = last if high is None else MEMORY * high + (1 - MEMORY) * last
                writer.write(torch.cat([image, colour_disparity(disparity, low, high)], 2))
            written += write_depth(stem / f"{number:06d}", disparity, predictor, per_frame)
    if writer is not None:
        written.insert(before, path)
