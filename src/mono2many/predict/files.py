"""The command `predict`: images, folders and videos in; depth files, images and videos out."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain, count, islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from mono2many.files import telling_progress
from mono2many.io.colour import colour_disparity, robust_range
from mono2many.io.depth_files import write_depth_npy, write_depth_png16
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.metrics.flicker import Steadiness
from mono2many.predict.ahead import ahead
from mono2many.predict.depth_map import DepthMap
from mono2many.predict.inputs import (
    CameraOf,
    Input,
    IntrinsicsOf,
    check_one_size,
    list_inputs,
    through_lens,
)
from mono2many.predict.predictor import Predictor
from mono2many.types import InputError

Item = TypeVar("Item")
Kind = Literal["npy", "png16", "colour", "video", "kitti", "std", "std-colour"]
FOR_IMAGES: tuple[Kind, ...] = ("npy", "png16", "colour")
"""By default."""
STD: tuple[Kind, ...] = ("std", "std-colour")
FOR_VIDEOS: tuple[Kind, ...] = ("video",)
KITTI_SIZE = (352, 1216)
"""Of the maps that KITTI's server takes."""
IMAGE_RATE = 25.0
"""Frames per second of a video made of a folder's images."""
AHEAD = 8
"""Frames that wait for the networks, and predictions that wait to be written."""
EVERY = "*"
"""Of a video whose frames become files, which are not counted beforehand: see `check_outputs`."""
MOST_STD = 0.5
"""Standard deviation of log depth that is the brightest in its images."""
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
    steady: bool = False,
) -> list[Path]:
    """Predict every input and write what `save` names into `out`; returns the files written.

    By default npy, png16 and colour for images, a side-by-side video for videos. A ManyDepth takes a folder
    as a video, and matches each frame of a video with those before it. Raises InputError for an input that is
    missing, of no known kind, or damaged, for kitti where the model is not in metres, for a video of a folder
    whose images differ in size, and for a ManyDepth's video without `camera_of`. A camera that distorts is
    undone first: outputs belong to the undistorted frames.

    steady: see Predictor.stream; a folder is then a video too. Prints how steady each video's depth is.
    InputError for a single image, and without `camera_of`."""
    out, found = Path(out), list_inputs(inputs)
    metric, progress = predictor.card.scale == "metres", Progress(out)
    check_outputs(found, (pair for one in found for pair in outputs_of(one, out, save, metric)))
    _check_wishes(found, save, metric, steady)
    written, options = progress.written, _Options(flip, batch_size, steady, bool({*STD} & {*save}))
    with telling_progress(progress.__str__):
        for one in found:
            frames, fps, times = one.frames()
            images, intrinsics_of = through_lens((image for _, image in frames), camera_of, one.display())
            images = ahead(images, AHEAD)
            if one.images:
                parts = (islice(images, len(run)) for run in one.runs)  # a stream's memory ends with its run
                name = one.path.name if len(one.images) > 1 else None
                alone = options._replace(batch_size=1)
                predicted: Iterator[tuple[Tensor, DepthMap]] = chain.from_iterable(
                    _depth_maps(predictor, part, alone, intrinsics_of, name) for part in parts
                )
                stems, fps = (stem for stem in one.stems), IMAGE_RATE
                kinds = [kind for kind in save or FOR_IMAGES if kind != "video" or one.images != [one.path]]
            else:
                predicted = _depth_maps(predictor, images, options, intrinsics_of, one.path.name)
                stems = (Path(one.name) / f"{number:06d}" for number in count())
                kinds = list(save or FOR_VIDEOS)
            video = VideoWriter(out / f"{one.name}_depth.mp4", fps, times) if "video" in kinds else None
            predicted = progress.counting(one.path.name, ahead(predicted, AHEAD))
            _write(zip(predicted, stems, strict=False), out, kinds, video, written)
    return written


def _check_wishes(found: Sequence[Input], save: Sequence[Kind], metric: bool, steady: bool) -> None:
    """InputError for what these inputs, or a model in this unit, cannot give."""
    single = next((one for one in found if one.images == [one.path]), None)
    if steady and single is not None:
        raise InputError(
            f"--steady: {single.path} is a single image, wanted a video or a folder of its frames"
        )
    if "kitti" in save and not metric:
        raise InputError(
            "--save kitti: KITTI's server takes metres, this model's depth is known up to scale; find out "
            "what its unit is with mono2many scale, or write npy"
        )
    if save and set(save) <= {"video"} and single is not None:
        raise InputError(
            "--save video writes nothing for single images; add npy, png16 or colour, or give their folder"
        )
    if "video" in save:
        for one in found:
            check_one_size(one)


def depth_files(stem: Path, kinds: Sequence[Kind], metric: bool) -> dict[Kind, Path]:
    """STEM_depth.npy, STEM_depth.png (16 bit) and STEM_disparity.png of one image; the first two are called
    STEM_depth_metres where that is the unit. kitti/STEM.png, of the input's name, is for KITTI's server.
    STEM_std.npy and .png are the standard deviation of log depth."""
    depth = f"{stem.name}_depth{'_metres' if metric else ''}"
    every: dict[Kind, Path] = {
        "npy": stem.with_name(f"{depth}.npy"),
        "png16": stem.with_name(f"{depth}.png"),
        "colour": stem.with_name(f"{stem.name}_disparity.png"),
        "kitti": stem.parent / "kitti" / f"{stem.name}.png",
        "std": stem.with_name(f"{stem.name}_std.npy"),
        "std-colour": stem.with_name(f"{stem.name}_std.png"),
    }
    return {kind: path for kind, path in every.items() if kind in kinds}


def write_depth(stem: Path, prediction: DepthMap, kinds: Sequence[Kind]) -> list[Path]:
    """The `depth_files` of one image; returns them."""
    depth, disparity, scale, std = prediction.depth, prediction.disparity, prediction.scale, prediction.std
    metric = scale == "metres"
    paths = depth_files(stem, kinds, metric)
    if "npy" in paths:
        write_depth_npy(paths["npy"], depth)
    if "png16" in paths:
        write_depth_png16(paths["png16"], depth, 256.0 if metric else None, scale)
    if std is not None and "std" in paths:
        write_depth_npy(paths["std"], std)
    if std is not None and "std-colour" in paths:
        write_image(paths["std-colour"], colour_disparity(std, 0.0, MOST_STD))
    if "colour" in paths:
        write_image(paths["colour"], colour_disparity(disparity))
    if "kitti" in paths:
        height, width = disparity.shape
        if (height, width) != KITTI_SIZE:
            raise InputError(f"--save kitti: {stem.name} is {width}x{height}; KITTI's server takes 1216x352")
        write_depth_png16(paths["kitti"], depth.clamp(1e-3, 80.0))  # a value at every pixel
    return list(paths.values())


class _Options(NamedTuple):
    flip: bool
    batch_size: int
    steady: bool
    std: bool


def _depth_maps(
    predictor: Predictor,
    frames: Iterator[UInt8[Tensor, "3 _ _"]],
    options: _Options,
    intrinsics_of: IntrinsicsOf | None,
    video: str | None,
) -> Iterator[tuple[Tensor, DepthMap]]:
    """Each frame with its prediction. video: its name; None: the frames do not follow each other."""
    flip, batch_size, steady, std = options
    follows = predictor.matches or steady or (std and intrinsics_of is not None)
    if not follows or video is None:
        while batch := list(islice(frames, batch_size)):
            yield from zip(batch, predictor.depth_maps(batch, flip, std), strict=True)
        return
    stream = None
    for image in frames:
        if stream is None:
            k = None if intrinsics_of is None else intrinsics_of(image.shape[1], image.shape[2])
            stream = predictor.stream(k, flip, steady, std)
        yield image, stream(image)
    if steady and stream is not None and stream.follower is not None:
        print(f"{video}: {compare(stream.follower.before.read(), stream.follower.after.read())}")


def compare(before: Steadiness, after: Steadiness) -> str:
    """The line of --steady."""
    if math.isnan(after.flicker):
        return "no two frames of one scene: nothing to hold steady"
    return (
        f"flicker {100 * before.flicker:.2f} % of depth, steady {100 * after.flicker:.2f} %; "
        f"scale drift {100 * before.drift:.2f} %, steady {100 * after.drift:.2f} %"
    )


def _write(
    frames: Iterable[tuple[tuple[Tensor, DepthMap], Path]],
    out: Path,
    kinds: Sequence[Kind],
    video: VideoWriter | None,
    written: list[Path],
) -> None:
    """The files of an input's frames, by their stems in `out`, and the video of frames and disparities; each
    is added to `written` when it is there."""
    low = high = None
    before = len(written)
    with video or nullcontext():
        for (image, prediction), stem in frames:
            if video is not None:
                first, last = robust_range(prediction.disparity)
                low = first if low is None else MEMORY * low + (1 - MEMORY) * first
                high = last if high is None else MEMORY * high + (1 - MEMORY) * last
                shown = image, colour_disparity(prediction.disparity, low, high)
                video.write(torch.cat([one.movedim(0, 2) for one in shown], 1).movedim(2, 0))
            written += write_depth(out / stem, prediction, kinds)
    if video is not None:
        written.insert(before, video.path)
