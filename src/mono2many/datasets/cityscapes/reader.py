"""Cityscapes as a data set (Cordts et al. 2016): snippets of 30 frames, the 20th of which is annotated.

    leftImg8bit_sequence/train/aachen/aachen_000000_000019_leftImg8bit.png (.jpg); the 20th in leftImg8bit too
    camera/train/aachen/aachen_000000_000019_camera.json        of the annotated frame, valid for its snippet
    disparity/train/aachen/aachen_000000_000019_disparity.png   16 bit: 1 + 256 * pixels, 0 where unmeasured

The lower quarter of every picture is the car's hood: frames and depths come without it.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.data.lists import consecutive, read_list
from mono2many.geometry.camera import Size, intrinsics_matrix, resize_intrinsics
from mono2many.io.depth_files import read_depth_png16
from mono2many.io.images import read_image, resize_image
from mono2many.types import Frame, FrameSequence, InputError, Split

CITYSCAPES = "cityscapes"
SPLITS: tuple[Split, ...] = ("train", "val", "test")
HOOD = 0.25
"""Share of the height that the car's hood takes."""
BEFORE, AFTER = 19, 10
"""Frames of a snippet before and after the annotated one."""
WHOLE: Size = (1024, 2048)
AGAIN = "unpack {}_trainvaltest.zip into {} again"
NAME = re.compile(r"(?:.*[/\\])?([a-z-]+)_(\d{6})_(\d{6})(?:_leftImg8bit(?:\.png|\.jpg)?)?")

FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


@dataclass(frozen=True)
class CityCamera:
    """What a camera file says."""

    intrinsics: Float[Tensor, "3 3"]
    """In pixels of the whole picture."""
    baseline: float
    """Metres between the eyes that disparities were measured with."""
    whole: Size = WHOLE
    """Of disparities, and of pictures as they were recorded."""

    @property
    def kept(self) -> Size:
        """Of the whole picture without the hood."""
        return round(self.whole[0] * (1 - HOOD)), self.whole[1]

    def picture(self, path: Path) -> UInt8[Tensor, "3 H W"]:
        """Without the hood. InputError where it has not the size that the camera file means."""
        image, wanted = read_image(path), self.whole
        if tuple(image.shape[1:]) != wanted:
            raise InputError(
                f"{path}: is {image.shape[2]}x{image.shape[1]}, its camera file is for "
                f"{wanted[1]}x{wanted[0]}; {AGAIN.format('leftImg8bit_sequence', path.parents[3])}"
            )
        return image[:, : self.kept[0]]

    def intrinsics_at(self, size: Size) -> Float[Tensor, "3 3"]:
        """K of a picture without the hood of that size."""
        return resize_intrinsics(self.intrinsics, self.kept, size)

    def depth(self, path: Path) -> Float[Tensor, "H W"]:
        """Of a disparity file, without the hood: metres, NaN where unmeasured. InputError as in `picture`."""
        disparity = read_depth_png16(path) - 1 / 256
        if tuple(disparity.shape) != self.whole:
            raise InputError(
                f"{path}: is {disparity.shape[1]}x{disparity.shape[0]}, its camera file is for "
                f"{self.whole[1]}x{self.whole[0]}; {AGAIN.format('disparity', path.parents[3])}"
            )
        depth = self.baseline * self.intrinsics[0, 0] / disparity[: self.kept[0]]
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
    """Frame number to picture, rising."""

    def __str__(self) -> str:
        return f"{self.city}_{self.sequence}_{self.annotated:06d}"

    def path(self, kind: Literal["camera", "disparity"]) -> Path:
        suffix = "json" if kind == "camera" else "png"
        return self.root / kind / self.split / self.city / f"{self}_{kind}.{suffix}"

    @cached_property
    def camera(self) -> CityCamera:
        return read_camera(self.path("camera"))


def read_camera(path: Path) -> CityCamera:
    """InputError where the file is missing or lacks something. `size` is ours: of images
    that are not as recorded."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        k = [float(found["intrinsic"][name]) for name in ("fx", "fy", "u0", "v0")]
        baseline = float(found["extrinsic"]["baseline"])
        whole = tuple(map(int, found.get("size", WHOLE)))
        if not (min(k) > 0 and baseline > 0):
            raise ValueError("a number that must be positive is not")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path}: is no camera file with fx, fy, u0, v0 and baseline ({reason}); "
            f"{AGAIN.format('camera', path.parents[3])}"
        ) from error
    return CityCamera(intrinsics_matrix(*k), baseline, whole)  # type: ignore[arg-type]


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
        raise InputError(f"{root}: no such folder; --data wants the one where Cityscapes was unpacked")
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


@dataclass(frozen=True)
class CitySettings:
    """Which frames, at what size."""

    root: Path
    listed: str | None
    """File that names the targets; None: every frame of the split."""
    height: int
    width: int
    offsets: tuple[int, ...] = (-2, 2)
    """Of the neighbours that shall be there too, where they were recorded."""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    allow_missing: bool = False


class CityReader:
    """A types.Reader: each run of consecutive frames in a snippet is a clip, with its own intrinsics."""

    def __init__(self, settings: CitySettings, split: Split) -> None:
        self.settings = s = settings
        named = None if s.listed is None else set(read_city_list(s.listed))
        found: set[str] = set()
        self.runs: list[tuple[Snippet, int, int, tuple[int, ...] | None]] = []
        """Of each clip: its snippet, its first and last frame, its targets."""
        before, after = min(0, *s.offsets), max(0, *s.offsets)
        for snippet in read_snippets(s.root, (split,) if named is None else SPLITS, s.allow_missing):
            names = {n: f"{snippet.city}_{snippet.sequence}_{n:06d}" for n in snippet.files}
            targets = {n for n, name in names.items() if named is None or name in named}
            found |= {names[n] for n in targets}
            near = {n + o for n in targets for o in range(before, after + 1)} & names.keys()
            for first, last in consecutive(sorted(near)):
                inside = tuple(n - first for n in range(first, last + 1) if n in targets)
                self.runs.append((snippet, first, last, inside if named else None))
        lost = sorted((named or set()) - found)
        if lost and (not found or not s.allow_missing):
            raise InputError(
                f"{s.listed}: {len(lost)} of {len(named or ())} frames are not in {s.root} or have no camera "
                f"file ({lost[0]} ...); correct the list, or do with what is there: --allow-missing"
            )
        if not self.runs:
            raise InputError(
                f"{s.root}: no picture in leftImg8bit_sequence/{split} that a camera file is for; unpack "
                "leftImg8bit_sequence_trainvaltest.zip there"
            )

    @cached_property
    def clips(self) -> Sequence[FrameSequence]:
        return [
            FrameSequence(f"{snippet} {a}-{b}", b - a + 1, size=snippet.camera.kept, targets=targets)
            for snippet, a, b, targets in self.runs
        ]

    def frame(self, clip: int, index: int) -> Frame:
        s, (snippet, first, *_) = self.settings, self.runs[clip]
        size, camera = (s.height, s.width), snippet.camera
        image = resize_image(camera.picture(snippet.files[first + index]), size, filter=s.resize)
        return Frame(image, camera.intrinsics_at(size))

    def fingerprint(self) -> str:
        s = self.settings
        text = hashlib.sha256(f"{s.height} {s.width} {s.resize}".encode())
        for snippet, first, last, _ in self.runs:
            stamps = [snippet.files[n].stat() for n in range(first, last + 1)]
            told = [(t.st_size, t.st_mtime_ns) for t in stamps]
            text.update(f"{snippet.files[first].resolve()} {snippet.camera} {told}".encode())
        return f"{CITYSCAPES} {FRAMES} {text.hexdigest()}"


def city_marks(root: Path, listed: str | None) -> list[str]:
    """By which a model's card knows what it was trained on: cities, or the sequences of a list."""
    if listed is not None:
        found = {name.rpartition("_")[0] for name in read_city_list(listed)}
    else:
        found = {snippet.city for snippet in read_snippets(root, ("train",), True) if snippet.files}
    return [f"{CITYSCAPES} {name}" for name in sorted(found)]
