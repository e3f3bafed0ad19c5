"""The command `predict`: images, folders and videos in; depth files, images and videos out."""

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
from mono2many.io.depth_files import write_depth_npy, write_depth_png16
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.predict.ahead import ahead
from mono2many.predict.depth_map import DepthMap, assumed_intrinsics
from mono2many.predict.depth_map import Kind as FileKind
from mono2many.predict.inputs import (
    CameraOf,
    Input,
    check_one_size,
    list_inputs,
    through_lens,
)
from mono2many.predict.outputs import EVERY, Progress, check_outputs
from mono2many.predict.predictor import Predictor
from mono2many.predict.video import Options, predict_frames
from mono2many.terminal import command
from mono2many.types import InputError

Item = TypeVar("Item")
Kind = Literal["npy", "png16", "colour", "video", "kitti", "ply", "glb", "std", "std-colour"]
FOR_IMAGES: tuple[Kind, ...] = ("npy", "png16", "colour")
"""By default."""
FOR_VIDEOS: tuple[Kind, ...] = ("video",)
IN_SPACE = {"ply", "glb"}
"""Of images; they need the camera."""
STD = {"std", "std-colour"}
KITTI_SIZE = (352, 1216)
"""Of the maps that KITTI's server takes."""
IMAGE_RATE = 25.0
"""Frames per second of a video made of a folder's images."""
AHEAD = 8
"""Frames that wait for the networks, and predictions that wait to be written."""
MOST_STD = 0.5
"""Standard deviation of log depth that is the brightest in its images."""
MEMORY = 0.95
"""Of the running mean that is a video's colour range, so that colours do not flicker."""


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
    _check_requests(found, save, metric, steady)
    written, options = progress.written, Options(flip, batch_size, steady, bool(STD & {*save}))
    with telling_progress(progress.__str__):
        for one in found:
            frames, fps, times = one.frames()
            images, intrinsics_of = through_lens((image for _, image in frames), camera_of, one.display())
            images = ahead(images, AHEAD)
            if one.images:
                parts: Iterator[Iterator[Tensor]] = (
                    islice(images, len(run)) for run in one.runs
                )  # a stream's memory ends with its run
                kinds = [kind for kind in save or FOR_IMAGES if kind != "video" or one.images != [one.path]]
                name, its = one.path.name if len(one.images) > 1 else None, options._replace(batch_size=1)
                stems, fps = (stem for stem in one.stems), IMAGE_RATE
            else:
                parts, kinds = iter([images]), list(save or FOR_VIDEOS)
                name, its = one.path.name, options
                stems = (Path(one.name) / f"{number:06d}" for number in count())
            its = its._replace(full_size=kinds != ["video"])
            predicted: Iterator[tuple[Tensor, DepthMap]] = chain.from_iterable(
                predict_frames(predictor, part, its, intrinsics_of, name) for part in parts
            )
            made = out / f"{one.name}_depth.mp4"
            video = VideoWriter(made, fps, times, preset="ultrafast") if "video" in kinds else None
            predicted = progress.counting(one.path.name, ahead(predicted, AHEAD))
            write_outputs(zip(predicted, stems, strict=False), out, kinds, video, written)
    return written


def _check_requests(found: Sequence[Input], save: Sequence[Kind], metric: bool, steady: bool) -> None:
    """InputError for what these inputs, or a model in this unit, cannot give."""
    single = next((one.path for one in found if one.images == [one.path]), None)
    if steady and single is not None:
        raise InputError(f"--steady: {single} is a single image, wanted a video or a folder of its frames")
    if "kitti" in save and not metric:
        raise InputError(
            "--save kitti: KITTI's server takes metres, this model's depth is known up to scale; find out "
            "what its unit is with mono2many scale, or write npy"
        )
    if IN_SPACE & {*save} and (films := [one.path for one in found if not one.images]):
        raise InputError(
            f"--save ply and glb are of images; of {films[0]} as a whole: {command('reconstruct', films[0])}"
        )
    if save and set(save) <= {"video"} and single is not None:
        raise InputError(
            "--save video writes nothing for single images; add npy, png16 or colour, or give their folder"
        )
    if "video" in save:
        for one in found:
            check_one_size(one)


def depth_files(stem: Path, kinds: Sequence[Kind], metric: bool) -> dict[Kind, Path]:
    """STEM_depth.npy, STEM_depth.png (16 bit), STEM_points.ply, STEM_mesh.glb and STEM_disparity.png of one
    image; all but the last are called STEM_depth_metres and so on where that is the unit. kitti/STEM.png, of
    the input's name, is for KITTI's server. STEM_std.npy and .png: standard deviation of log depth."""
    unit = "_metres" if metric else ""
    every: dict[Kind, Path] = {
        "npy": stem.with_name(f"{stem.name}_depth{unit}.npy"),
        "png16": stem.with_name(f"{stem.name}_depth{unit}.png"),
        "ply": stem.with_name(f"{stem.name}_points{unit}.ply"),
        "glb": stem.with_name(f"{stem.name}_mesh{unit}.glb"),
        "colour": stem.with_name(f"{stem.name}_disparity.png"),
        "kitti": stem.parent / "kitti" / f"{stem.name}.png",
        "std": stem.with_name(f"{stem.name}_std.npy"),
        "std-colour": stem.with_name(f"{stem.name}_std.png"),
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
        elif kind in STD:
            assert found.std is not None
            if kind == "std":
                write_depth_npy(path, found.std)
            else:
                write_image(path, colour_disparity(found.std, 0.0, MOST_STD))
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


def write_outputs(
    frames: Iterable[tuple[tuple[Tensor, DepthMap], Path]],
    out: Path,
    kinds: Sequence[Kind],
    video: VideoWriter | None,
    written: list[Path],
) -> None:
    """The files of an input's frames, by their stems in `out`, and the video of frames and disparities; each
    is added to `written` when it is there."""
    before, colours = len(written), SteadyColours()
    with video or nullcontext():
        for (image, prediction), stem in frames:
            if video is not None:
                video.write(image, colours(prediction.disparity))
            written += write_depth(out / stem, prediction, kinds)
    if video is not None:
        written.insert(before, video.path)
