"""Cityscapes as a data set (Cordts et al. 2016): snippets of 30 frames, the 20th of which is annotated.

    leftImg8bit_sequence/train/aachen/aachen_000000_000019_leftImg8bit.png (.jpg); the 20th in leftImg8bit too
    camera/train/aachen/aachen_000000_000019_camera.json        of the annotated frame, valid for its snippet
    disparity/train/aachen/aachen_000000_000019_disparity.png   16 bit: 1 + 256 * pixels, 0 where unmeasured

The lower quarter of every image is the car's hood: frames and depths come without it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.image_files import (
    ImageCamera,
    ImageFile,
    ImageReader,
    opener,
    refuse_missing,
    runs_around,
)
from mono2many.data.lists import read_list
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.cityscapes import EGO_VEHICLE, CityData, CityScoring, CityTraining
from mono2many.evaluate.frames import EvalFrame, EvalSet
from mono2many.files import UNREADABLE, brief, entries, entry, explained, read_json
from mono2many.geometry.camera import LONGEST_SIDE, Size, plausible_intrinsics, resize_intrinsics
from mono2many.io.depth_files import read_depth_png16
from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.models.checkpoint import ModelCard
from mono2many.types import FrameSequence, InputError, Split

CITYSCAPES = "cityscapes"
SPLITS: tuple[Split, ...] = ("train", "val", "test")
HOOD = EGO_VEHICLE
BEFORE, AFTER = 19, 10
"""Frames of a snippet before and after the annotated one."""
WHOLE: Size = (1024, 2048)
AGAIN = "unpack {}_trainvaltest.zip into {} again"
NAME = re.compile(r"(?:.*[/\\])?([a-z-]+)_(\d{6})_(\d{6})(?:_leftImg8bit(?:\.png|\.jpe?g)?)?")


@dataclass(frozen=True)
class CityCamera:
    """What a camera file says."""

    intrinsics: Float[Tensor, "3 3"]
    """In pixels of the whole image."""
    baseline: float
    """Metres between the eyes that disparities were measured with."""
    whole: Size = WHOLE
    """Of disparities, and of images as they were recorded."""

    @cached_property
    def images(self) -> ImageCamera:
        """Without the hood."""
        rows, width = round(self.whole[0] * (1 - HOOD)), self.whole[1]
        intrinsics_at = partial(resize_intrinsics, self.intrinsics, (rows, width))
        remedy = "unpack leftImg8bit_sequence_trainvaltest.zip again"
        return ImageCamera(self.whole, intrinsics_at, f"its camera file; {remedy}", rows)

    def depth(self, path: Path) -> Float[Tensor, "H W"]:
        """Of a disparity file, without the hood: metres, NaN where unmeasured. InputError: another size."""
        disparity = read_depth_png16(path) - 1 / 256
        if tuple(disparity.shape) != self.whole:
            raise InputError(
                f"{path}: is {disparity.shape[1]}x{disparity.shape[0]}, its camera file says "
                f"{self.whole[1]}x{self.whole[0]}; {AGAIN.format('disparity', path.parents[3])}"
            )
        depth = self.baseline * self.intrinsics[0, 0] / disparity[: self.images.kept[0]]
        return torch.where(depth.isfinite(), depth, torch.nan)


@dataclass(frozen=True)
class Snippet:
    """What is there of the frames around an annotated one."""

    root: Path
    split: Split
    city: str
    sequence: str
    annotated: int
    files: dict[int, Path]
    """By frame number."""

    def __str__(self) -> str:
        return self.name_of(self.annotated)

    def name_of(self, number: int) -> str:
        return f"{self.city}_{self.sequence}_{number:06d}"

    def path(self, kind: Literal["camera", "disparity"]) -> Path:
        suffix = "json" if kind == "camera" else "png"
        return self.root / kind / self.split / self.city / f"{self}_{kind}.{suffix}"

    @cached_property
    def camera(self) -> CityCamera:
        return read_camera(self.path("camera"))

    def images(self) -> dict[int, ImageFile]:
        """By frame number."""
        return {number: ImageFile(path, self.camera.images) for number, path in self.files.items()}


def read_camera(path: Path) -> CityCamera:
    """InputError where the file is missing or lacks something. `size` is ours: of images
    that are not as recorded."""
    again = AGAIN.format("camera", path.parents[3])
    problem = f"{path}: is no camera file with fx, fy, u0, v0 and baseline"
    with explained(problem, again, UNREADABLE):
        found = read_json(path, again)
        size = entries({"size": list(WHOLE), **found}, "size", int, 1, LONGEST_SIDE)
        if len(size) != 2:
            raise ValueError(f"key 'size' is {brief(size)}, wanted height and width")
        height, width = size
        k = [entry(entry(found, "intrinsic", dict), name, float) for name in ("fx", "fy", "u0", "v0")]
        baseline = entry(entry(found, "extrinsic", dict), "baseline", float, 0.01, 10)
        return CityCamera(plausible_intrinsics(k, (height, width)), baseline, (height, width))


def read_snippets(root: Path, splits: Sequence[Split], allow_missing: bool = False) -> list[Snippet]:
    """Of every camera file of these splits, in order. InputError where there is none, and where pictures lie
    in no snippet, unless that is allowed."""
    snippets: list[Snippet] = []
    alone: list[Path] = []
    for split in splits:
        every: dict[tuple[str, str], dict[int, Path]] = {}
        for kind in ("leftImg8bit", "leftImg8bit_sequence"):
            for path in sorted((root / kind / split).glob("*/*_leftImg8bit.*")):
                if found := NAME.fullmatch(path.name):
                    every.setdefault((found[1], found[2]), {})[int(found[3])] = path
        for path in sorted((root / "camera" / split).glob("*/*_camera.json")):
            if found := NAME.fullmatch(path.name.removesuffix("_camera.json")):
                here, number = every.get((found[1], found[2]), {}), int(found[3])
                window = range(number - BEFORE, number + AFTER + 1)
                files = {n: here.pop(n) for n in window if n in here}
                snippets.append(Snippet(root, split, found[1], found[2], number, files))
        alone += [path for files in every.values() for path in files.values()]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --data needs the one where Cityscapes was unpacked")
    if not snippets:
        raise InputError(
            f"{root}: no camera file of Cityscapes in camera/{' or '.join(splits)}; unpack "
            "camera_trainvaltest.zip and leftImg8bit_sequence_trainvaltest.zip there, or name their folder: "
            "--data"
        )
    if alone and not allow_missing:
        raise InputError(
            f"{alone[0]} and {len(alone) - 1} more pictures have no camera file; "
            f"{AGAIN.format('camera', root)}, or leave these out: --allow-missing"
        )
    return snippets


def read_city_list(path: str | Path) -> list[str]:
    """A list of one's own: `aachen_000000_000019` in each line, or a picture's path."""

    def parse(line: str) -> str | None:
        found = NAME.fullmatch(line)
        return None if found is None else "_".join(found.groups())

    return read_list(path, parse, "aachen_000000_000019")


def open_cityscapes(s: CityData, options: ReadOptions, split: Split) -> ImageReader:
    """Each run of consecutive frames in a snippet is a clip, with its own intrinsics. InputError: see
    read_snippets; and where frames of a list are missing."""
    lists = s.split_files if isinstance(s, CityTraining) else ()
    listed = lists[0 if split == "train" else -1] if lists else None
    names = None if listed is None else read_city_list(listed)
    wanted, found = set(names or ()), set[str]()
    sequences = []
    for snippet in read_snippets(s.root, (split,) if names is None else SPLITS, s.allow_missing):
        numbers = {snippet.name_of(number): number for number in snippet.files}
        here = numbers.keys() if names is None else numbers.keys() & wanted
        found |= here
        targets = {numbers[name] for name in here}
        for run, positions in runs_around(targets, snippet.files.keys(), options.offsets):
            about = FrameSequence(
                f"{snippet} {run[0]}-{run[-1]}",
                len(run),
                size=snippet.camera.images.kept,
                targets=None if names is None else positions,
            )
            images = snippet.images()
            sequences.append((about, [images[number] for number in run]))
    lost = sorted(wanted - found)
    refuse_missing(
        f"{listed}", lost, len(wanted), f"wanted image and camera file in {s.root}", s.allow_missing
    )
    if not sequences:
        raise InputError(
            f"{s.root}: no image in leftImg8bit_sequence/{split} that a camera file is for; unpack "
            "leftImg8bit_sequence_trainvaltest.zip there"
        )
    return ImageReader(CITYSCAPES, sequences, options.size, options.resize)


def marks(s: CityTraining) -> list[str]:
    """By which a model's card knows what it was trained on: cities, or the sequences of a list."""
    if s.split_files:
        found = {name.rpartition("_")[0] for name in read_city_list(s.split_files[0])}
    else:
        found = {snippet.city for snippet in read_snippets(s.root, ("train",), True) if snippet.files}
    return [f"{CITYSCAPES} {name}" for name in sorted(found)]


def cityscapes_eval_set(s: CityScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """The frames of a split or of one's own list, checked against the files: without a card stored
    predictions are scored, which need no images. InputError where none is there, and where frames of a list
    are missing, unless that is allowed."""
    own = s.split_files[0] if s.split_files else None
    splits = (s.split,) if own is None else SPLITS
    snippets = {str(snippet): snippet for snippet in read_snippets(s.root, splits, True)}
    names = list(snippets) if own is None else read_city_list(own)
    frames, lost = list[EvalFrame](), list[str]()
    for position, name in enumerate(names):
        x = snippets.get(name)
        there = x is not None and x.path("disparity").exists()
        if x is None or not there or (card is not None and x.annotated not in x.files):
            lost.append(name)
            continue
        at, truth = partial(opener, x.images(), x.annotated), partial(_depth, x)
        frames.append(EvalFrame(position, name, name, x.annotated, name, at, truth))
    zips = ("disparity", "camera", "leftImg8bit_sequence")
    remedy = f"unpack {', '.join(f'{kind}_trainvaltest.zip' for kind in zips)} in {s.root}"
    refuse_missing(own or s.split, lost, len(names), remedy, s.allow_missing or own is None)
    note = f"{len(frames)} of {len(names)} frames are there with their disparities; only these count"
    return EvalSet(
        CITYSCAPES,
        frames,
        len(names),
        protocol,
        marked_synthetic(s.root),
        note if lost else "",
        keys_of=partial(_trained_on, names),
    )


def _trained_on(names: Sequence[str], marks: Sequence[str]) -> set[str]:
    """The frames of these names whose city or sequence a model was trained on."""
    known = {name: (f"{CITYSCAPES} {name.split('_')[0]}", f"{CITYSCAPES} {name[:-7]}") for name in names}
    return {name for name, of_name in known.items() if not set(of_name).isdisjoint(marks)}


def _depth(snippet: Snippet) -> SparseTruth:
    return sparse_truth(snippet.camera.depth(snippet.path("disparity")))
