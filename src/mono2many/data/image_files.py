"""A reader of image files: what KITTI, DDAD, Cityscapes and recordings of one's own have in common."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from mono2many.data.lists import consecutive
from mono2many.geometry.camera import Size
from mono2many.geometry.pyramid import shrink_mask
from mono2many.io.depth_files import read_depth
from mono2many.io.images import read_image, resize_image
from mono2many.types import Frame, FrameSequence, InputError

FRAMES = 2
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


@dataclass(frozen=True, eq=False)
class ImageCamera:
    """What the images of one camera have in common."""

    size: Size
    """Height and width of the files."""
    intrinsics_at: Callable[[Size], Float[Tensor, "3 3"]]
    """K of the image (without the rows cut off) at a size."""
    size_from: str
    """What names the size, and what to do where an image has another: "its calibration; unpack it again"."""
    rows: int | None = None
    """Rows that are kept, where the ego vehicle below is cut off."""
    depth_scale: float = 1.0
    """Units of a depth PNG per metre."""

    @property
    def kept(self) -> Size:
        return self.size if self.rows is None else (self.rows, self.size[1])


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that is read when it is needed."""

    path: Path
    camera: ImageCamera
    world_from_camera: Float[Tensor, "4 4"] | None = None
    depth: Path | None = None
    """A map of the camera's size: metres in .npy, 16 bit in .png."""
    valid_mask: Bool[Tensor, "H W"] | None = None
    """Pixels without the ego vehicle; the images of a camera share one."""

    def image(self) -> UInt8[Tensor, "3 H W"]:
        """Without the ego vehicle. InputError where it is damaged or not of its camera's size."""
        image, (height, width) = read_image(self.path), self.camera.size
        if tuple(image.shape[1:]) != (height, width):
            source, _, remedy = self.camera.size_from.partition("; ")
            found = f"{image.shape[2]}x{image.shape[1]}"
            raise InputError(f"{self.path}: is {found}, {source} says {width}x{height}; {remedy}")
        return image[:, : self.camera.kept[0]]

    def open(self) -> Frame:
        """At its own size."""
        return Frame(self.image(), self.camera.intrinsics_at(self.camera.kept))


class ImageReader:
    """A types.Reader of sequences of image files, at one size. `name`: the data set's."""

    def __init__(
        self,
        name: str,
        sequences: Sequence[tuple[FrameSequence, Sequence[ImageFile]]],
        size: Size,
        resize: Literal["bilinear", "lanczos"] = "bilinear",
    ) -> None:
        self.name, self.size, self.resize = name, size, resize
        self.clips = [sequence for sequence, _ in sequences]
        self.files = [files for _, files in sequences]

    @cached_property
    def _valid_masks(self) -> dict[Tensor | None, Bool[Tensor, "h w"]]:
        """Small ones, by those of the files. Where one has a mask all get one: as batches need."""
        masks = dict.fromkeys(file.valid_mask for files in self.files for file in files)
        if not masks.keys() - {None}:
            return {}
        whole = torch.ones(self.size, dtype=torch.bool)
        return {mask: whole if mask is None else shrink_mask(mask, self.size) for mask in masks}

    def frame(self, clip: int, index: int) -> Frame:
        file = self.files[clip][index]
        depth, pose = None, file.world_from_camera
        if file.depth is not None:
            depth = read_depth(file.depth, file.camera.depth_scale)
            depth = interpolate(depth[None, None], self.size, mode="nearest-exact")[0, 0]
        return Frame(
            resize_image(file.image(), self.size, filter=self.resize),
            file.camera.intrinsics_at(self.size),
            depth,
            world_from_camera=None if pose is None else pose.float(),
            valid_mask=self._valid_masks.get(file.valid_mask),
        )

    def fingerprint(self) -> str:
        text = hashlib.sha256(f"{self.size} {self.resize}".encode())
        for files in self.files:
            for folder in dict.fromkeys(file.path.parent for file in files):
                text.update(str(folder.resolve()).encode())
            for camera in dict.fromkeys(file.camera for file in files):
                k = camera.intrinsics_at(self.size).tolist()
                text.update(f"{camera.size} {camera.rows} {k} {camera.depth_scale}".encode())
            for mask in dict.fromkeys(file.valid_mask for file in files) if self._valid_masks else ():
                text.update(self._valid_masks[mask].numpy().tobytes())
            for file in files:
                stamps = [(p.name, _stamp(p)) for p in (file.path, file.depth) if p is not None]
                pose = None if file.world_from_camera is None else file.world_from_camera.tolist()
                text.update(f"{stamps} {pose}".encode())
        return f"{self.name} {FRAMES} {text.hexdigest()}"


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def opener(files: Mapping[int, ImageFile], number: int, offset: int) -> Callable[[], Frame] | None:
    """What opens frame `number + offset` at its own size; None where it is not there."""
    file = files.get(number + offset)
    return None if file is None else file.open


def runs_around(
    targets: AbstractSet[int], there: AbstractSet[int], offsets: Sequence[int]
) -> list[tuple[range, tuple[int, ...]]]:
    """Runs of consecutive frames of `there` that are targets or lie around one as far as its neighbours at
    `offsets`; of each run the positions of its targets."""
    around = range(min(0, *offsets), max(0, *offsets) + 1)
    near = {target + offset for target in targets for offset in around} & there
    runs = [range(first, last + 1) for first, last in consecutive(sorted(near))]
    return [(run, tuple(i for i, number in enumerate(run) if number in targets)) for run in runs]


def refuse_missing(
    list_name: str, lost: Sequence[object], listed: int, remedy: str, allow_missing: bool
) -> None:
    """InputError where frames of a list are missing, unless that is allowed and some are there."""
    if not lost or (allow_missing and len(lost) < listed):
        return
    others = ", or use the frames that are there: --allow-missing" if len(lost) < listed else ""
    raise InputError(
        f"{list_name}: {len(lost)} of {listed} frames are missing or incomplete ({lost[0]}"
        f"{' ...' if len(lost) > 1 else ''}); {remedy}{others}"
    )
