"""DDAD as a data set (Guizilini et al. 2020): the runs of its cameras, and what hides the view."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from mono2many.datasets.ddad.dgp import DgpFrame, read_runs
from mono2many.geometry.camera import Size, resize_intrinsics
from mono2many.geometry.pose import invert
from mono2many.geometry.pyramid import shrink_mask
from mono2many.io.images import read_image, resize_image
from mono2many.types import Frame, FrameSequence, InputError, Split

MOST_HIDDEN = 0.6
"""Share of a picture beyond which a mask is probably the wrong way round."""


@dataclass(frozen=True)
class DdadSettings:
    """Which frames, at what size."""

    path: Path
    """The data set's folder or JSON."""
    cameras: tuple[str, ...]
    max_gap: float
    """Seconds between neighbours."""
    masks: str | None
    """Folder of the cameras' masks."""
    height: int
    width: int
    resize: Literal["bilinear", "lanczos"] = "bilinear"


class DdadReader:
    """A types.Reader: each run of a camera is a clip, its world the place of the run's first frame."""

    def __init__(self, settings: DdadSettings, split: Split) -> None:
        s = self.settings = settings
        self.runs = read_runs(s.path, split, s.cameras, s.max_gap)
        frames = [run[0] for run in self.runs]
        self.masks = read_masks(s.masks, frames)
        size = (s.height, s.width)
        self._valid_masks = {name: shrink_mask(mask, size) for name, mask in self.masks.items()}

    @cached_property
    def clips(self) -> Sequence[FrameSequence]:
        cameras = sorted({run[0].camera for run in self.runs})
        return [
            FrameSequence(
                f"{run[0]} to {run[-1].image.stem}",
                len(run),
                tuple(frame.seconds - run[0].seconds for frame in run),
                cameras.index(run[0].camera),
                run[0].size,
            )
            for run in self.runs
        ]

    def frame(self, clip: int, index: int) -> Frame:
        frame, s = self.runs[clip][index], self.settings
        size = (s.height, s.width)
        valid_mask = self._valid_masks.get(frame.camera)
        if self.masks and valid_mask is None:
            valid_mask = torch.ones(size, dtype=torch.bool)
        return Frame(
            resize_image(read_picture(frame), size, filter=s.resize),
            resize_intrinsics(frame.intrinsics, frame.size, size),
            world_from_camera=(
                invert(self.runs[clip][0].world_from_camera) @ frame.world_from_camera
            ).float(),
            valid_mask=valid_mask,
        )

    def fingerprint(self) -> str:
        s = self.settings
        text = hashlib.sha256(f"{s.height} {s.width} {s.resize}".encode())
        for run in self.runs:
            for f in run:
                about = f.image.stat()
                told = (f.intrinsics.tolist(), f.world_from_camera.tolist(), about.st_size, about.st_mtime_ns)
                text.update(f"{f.image.resolve()} {told}".encode())
        for name, mask in self._valid_masks.items():
            text.update(name.encode() + mask.numpy().tobytes())
        return f"ddad {FRAMES} {text.hexdigest()}"


FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


def read_picture(frame: DgpFrame) -> Tensor:
    """RGB, 3 H W. InputError where it has not the size that its scene says."""
    image = read_image(frame.image)
    if tuple(image.shape[1:]) != frame.size:
        raise InputError(
            f"{frame.image}: is {image.shape[2]}x{image.shape[1]}, its scene says "
            f"{frame.size[1]}x{frame.size[0]}; unpack the data set again"
        )
    return image


def read_masks(folder: str | None, frames: Iterable[DgpFrame]) -> dict[str, Bool[Tensor, "H W"]]:
    """FOLDER/CAMERA.png of these frames' cameras, where there is one: False where it is dark, which is where
    the camera sees its own car. InputError where no camera has one, or one does not fit."""
    masks: dict[str, Tensor] = {}
    sizes: dict[str, Size] = {frame.camera: frame.size for frame in frames}
    for camera, size in sizes.items() if folder is not None else ():
        path = Path(str(folder)) / f"{camera}.png"
        if not path.exists():
            continue
        mask = read_image(path)[0] >= 128
        if tuple(mask.shape) != size:
            raise InputError(
                f"--masks: {path} is {mask.shape[1]}x{mask.shape[0]}, the camera's pictures are "
                f"{size[1]}x{size[0]}; give a mask of that size"
            )
        hidden = 1 - float(mask.float().mean())
        if hidden > MOST_HIDDEN:
            raise InputError(
                f"--masks: {path} hides {hidden:.0%} of the picture; wanted black where the camera sees its "
                "own car and white elsewhere: turn it round"
            )
        masks[camera] = mask
    if folder is not None and not masks:
        raise InputError(f"--masks {folder}: holds none of {', '.join(f'{c}.png' for c in sorted(sizes))}")
    return masks


def scene_mark(scene: str) -> str:
    """By which a model's card knows a scene that it was trained on."""
    return f"ddad {scene}"
