"""The command `predict`: images, folders and videos in; depth files, images and videos out."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Literal, TypeVar, cast

from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.files import telling_progress
from mono2many.io.colour import colour_disparity, robust_range
from mono2many.io.depth_files import write_depth_png16
from mono2many.io.images import kept_rows
from mono2many.io.videos import VideoWriter
from mono2many.predict.ahead import ahead
from mono2many.predict.depth_map import DepthMap, assumed_intrinsics
from mono2many.predict.depth_map import Kind as FileKind
from mono2many.predict.inputs import (
    CameraOf,
    Input,
    IntrinsicsOf,
    check_one_size,
    list_inputs,
    through_lens,
)
from mono2many.predict.predictor import Predictor
from mono2many.terminal import command
from mono2many.types import InputError

Item = TypeVar("Item")
Kind = Literal["npy", "png16", "colour", "video", "kitti", "ply", "glb"]
FOR_IMAGES: tuple[Kind, ...] = ("npy", "png16", "colour")
"""By default."""
FOR_VIDEOS: tuple[Kind, ...] = ("video",)
IN_SPACE = {"ply", "glb"}
"""Of images; they need the camera."""
KITTI_SIZE = (352, 1216)
"""Of the maps that KITTI's server takes."""
IMAGE_RATE = 25.0
"""Frames per second of a video made of a folder's images."""
AHEAD = 8
"""Frames that wait for the networks, and predictions that wait to be written."""
EVERY = "*"
"""Of a video whose frames become files, which are not counted beforehand: see `check_outputs`."""
MEMORY = 0.95
"""Of the running mean that is a video's colour range, so that colours do not flicker."""


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
    if "video" in (save if one.images else save or FOR_VIDEOS) and one.images != [one.path]:
        yield one.path, out / f"{one.name}_depth.mp4"
    if one.images:
        for image, stem in zip(one.images, one.stems, strict=True):
            for output in depth_files(out / stem, save or FOR_IMAGES, metric).values():
                yield image, output
    elif {*save} - {"video"}:
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
    missing, of no known kind, or damaged, for kitti where the model is not in metres, for a video of a folder
    whose images differ in size, and for a ManyDepth's video without `camera_of`. A camera that distorts is
    undone first: outputs belong to the undistorted frames."""
    out, found = Path(out), list_inputs(inputs)
    metric, progress = predictor.card.scale == "metres", Progress(out)
    check_outputs(found, (pair for one in found for pair in outputs_of(one, out, save, metric)))
    if "kitti" in save and predictor.card.scale != "metres":
        raise InputError(
            "--save kitti: KITTI's server takes metres, this model's depth is known up to scale; find out "
            "what its unit is with mono2many scale, or write npy"
        )
    if IN_SPACE & {*save} and (films := [one.path for one in found if not one.images]):
        raise InputError(
            f"--save ply and glb are of images; of {films[0]} as a whole: {command('reconstruct', films[0])}"
        )
    if save and set(save) <= {"video"} and any(one.images == [one.path] for one in found):
        raise InputError(
            "--save video writes nothing for single images; add npy, png16 or colour, or give their folder"
        )
    if "video" in save:
        for one in found:
            check_one_size(one)
    written = progress.written
    with telling_progress(progress.__str__):
        for one in found:
            frames, fps, times = one.frames()
            images, intrinsics_of = through_lens((image for _, image in frames), camera_of, one.display())
            images = ahead(images, AHEAD)
            if one.images:
                as_video = len(one.images) > 1
                parts = (islice(images, len(run)) for run in one.runs)  # a stream's memory ends with its run
                stems, fps = (stem for stem in one.stems), IMAGE_RATE
                kinds = [kind for kind in save or FOR_IMAGES if kind != "video" or one.images != [one.path]]
                whole = kinds != ["video"]
                predicted: Iterator[tuple[Tensor, Tensor]] = chain.from_iterable(
                    disparities(predictor, part, flip, 1, intrinsics_of, as_video, whole) for part in parts
                )
            else:
                stems = (Path(one.name) / f"{number:06d}" for number in count())
                kinds = list(save or FOR_VIDEOS)
                whole = kinds != ["video"]
                predicted = disparities(predictor, images, flip, batch_size, intrinsics_of, whole=whole)
            made = out / f"{one.name}_depth.mp4"
            video = VideoWriter(made, fps, times, preset="ultrafast") if "video" in kinds else None
            predicted = progress.counting(one.path.name, ahead(predicted, AHEAD))
            write_outputs(
                predictor, zip(predicted, stems, strict=False), out, kinds, video, written, intrinsics_of
            )
    return written


def depth_files(stem: Path, kinds: Sequence[Kind], metric: bool) -> dict[Kind, Path]:
    """STEM_depth.npy, STEM_depth.png (16 bit), STEM_points.ply, STEM_mesh.glb and STEM_disparity.png of one
    image; all but the last are called STEM_depth_metres and so on where that is the unit. kitti/STEM.png, of
    the input's name, is for KITTI's server."""
    unit = "_metres" if metric else ""
    every: dict[Kind, Path] = {
        "npy": stem.with_name(f"{stem.name}_depth{unit}.npy"),
        "png16": stem.with_name(f"{stem.name}_depth{unit}.png"),
        "ply": stem.with_name(f"{stem.name}_points{unit}.ply"),
        "glb": stem.with_name(f"{stem.name}_mesh{unit}.glb"),
        "colour": stem.with_name(f"{stem.name}_disparity.png"),
        "kitti": stem.parent / "kitti" / f"{stem.name}.png",
    }
    return {kind: path for kind, path in every.items() if kind in kinds}


def write_depth(stem: Path, found: DepthMap, kinds: Sequence[Kind]) -> list[Path]:
    """The `depth_files` of one image; returns them."""
    paths = depth_files(stem, kinds, found.scale == "metres")
    if IN_SPACE & {*kinds} and found.intrinsics is None:  # here, so that it is said once
        found = replace(found, intrinsics=assumed_intrinsics(*found.depth.shape))
    for kind, path in paths.items():
        if kind == "kitti":
            height, width = found.depth.shape
            if (height, width) != KITTI_SIZE:
                raise InputError(
                    f"--save kitti: {stem.name} is {width}x{height}; KITTI's server takes 1216x352"
                )
            write_depth_png16(path, found.depth.clamp(1e-3, 80.0))  # a value at every pixel
        else:
            found.save(path, cast(FileKind, kind))
    return list(paths.values())


class SteadyColours:
    """Disparities of a video's frames, one after the other, in colours that do not flicker."""

    def __init__(self) -> None:
        self.range: tuple[float, float] | None = None

    def __call__(self, disparity: Float[Tensor, "H W"]) -> UInt8[Tensor, "3 H W"]:
        low, high = robust_range(disparity)
        if self.range is not None:
            low = MEMORY * self.range[0] + (1 - MEMORY) * low
            high = MEMORY * self.range[1] + (1 - MEMORY) * high
        self.range = low, high
        return colour_disparity(disparity, low, high)


def disparities(
    predictor: Predictor,
    frames: Iterator[UInt8[Tensor, "3 _ _"]],
    flip: bool,
    batch_size: int,
    intrinsics_of: IntrinsicsOf | None,
    video: bool = True,
    whole: bool = True,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each frame with its disparity: at the frame's size, or at the model's if not `whole`."""
    if not predictor.matches or not video:
        while batch := list(islice(frames, batch_size)):
            found = predictor.from_inputs(predictor.inputs(batch), flip)
            yield from zip(batch, _sized(predictor, found, batch[0], whole), strict=True)
        return
    stream = None
    for image in frames:
        if stream is None:
            size = (image.shape[1], image.shape[2])
            stream = predictor.stream(None if intrinsics_of is None else intrinsics_of(*size), flip)
        yield image, _sized(predictor, stream.at_model_size(image), image, whole)[0]


def _sized(
    predictor: Predictor, disparity: Float[Tensor, "B h w"], image: UInt8[Tensor, "3 H W"], whole: bool
) -> Float[Tensor, "B _ _"]:
    """For the whole image, on the CPU: at its size, or as fine as the model's."""
    height, width = image.shape[1:]
    if not whole:
        rows = kept_rows(height, predictor.card.crop_bottom)
        height, width = round(disparity.shape[1] * height / rows), disparity.shape[2]
    return predictor.at_size(disparity, (height, width)).cpu()


def write_outputs(
    predictor: Predictor,
    frames: Iterable[tuple[tuple[Tensor, Tensor], Path]],
    out: Path,
    kinds: Sequence[Kind],
    video: VideoWriter | None,
    written: list[Path],
    intrinsics_of: IntrinsicsOf | None,
) -> None:
    """The files of an input's frames, by their stems in `out`, and the video of frames and disparities; each
    is added to `written` when it is there."""
    before, colours = len(written), SteadyColours()
    with video or nullcontext():
        for (image, disparity), stem in frames:
            if video is not None:
                video.write(image, colours(disparity))
            if {*kinds} != {"video"}:
                k = None if intrinsics_of is None else intrinsics_of(*image.shape[1:])
                written += write_depth(out / stem, predictor.depth_map(disparity, image, k), kinds)
    if video is not None:
        written.insert(before, video.path)
