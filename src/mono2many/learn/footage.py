"""The videos of `learn`: what is refused before they are decoded, and what its report draws of them."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from mono2many.datasets.video import VideoData
from mono2many.datasets.video.clips import (
    Footage,
    camera_of,
    check_cameras,
    listed_clips,
    mask_of,
    whole,
)
from mono2many.evaluate.report.gallery import MAX_WIDTH
from mono2many.io.images import read_image, resize_image
from mono2many.io.inputs import name_of
from mono2many.io.videos import video_display, video_frames
from mono2many.train.recipes import recipe

MASKED = torch.tensor([255.0, 0.0, 0.0])
"""Colour of what a mask leaves out."""
FULL = 0.8
"""Share of a row that an ego vehicle hides where the row is cut off."""


def check_flags(inputs: Sequence[str], flags: Mapping[str, Any]) -> None:
    """InputError for flags of the training that do not fit the videos. Decodes one frame of each."""
    flags = dict(flags)
    config = recipe(flags.pop("recipe"), "video", data=tuple(inputs), **flags)
    settings = cast(VideoData, config.dataset)
    check_cameras(settings)
    for number, path in enumerate(map(Path, inputs)):
        for clip in whole(path) if path.is_dir() else _first_frame(path):
            camera_of(settings, number, clip)
            mask_of(settings, number, clip)


def _first_frame(path: Path) -> list[Footage]:
    """Of a video, as a clip; none where it has no frame, which the preparation says."""
    sizes = [(frame.shape[1], frame.shape[2]) for frame in islice(video_frames(path), 1)]
    return [Footage(str(path), path, (), size, range(1), None, video_display(path)) for size in sizes]


def masks_drawn(
    inputs: Sequence[str], lists: Sequence[str], mask: Sequence[str]
) -> dict[str, UInt8[Tensor, "3 _ _"]]:
    """Of each video that has a mask the first frame, and by how much of it is left out."""
    settings, drawn = VideoData(tuple(lists), ("learn",), mask=tuple(mask)), {}
    for number, (name, path) in enumerate(zip(inputs, settings.data, strict=True)):
        clip = listed_clips(Path(path))[0]
        if (used := mask_of(settings, number, clip)) is None:
            continue
        first = clip.frames[0]
        image = read_image(clip.images[first]) if clip.images else next(video_frames(clip.path, first))
        hidden = 1 - float(used.float().mean())
        drawn[f"mask, {name_of(name)}: {hidden:.1%} of the pixels, red, are left out"] = mask_drawn(
            image, used
        )
    return drawn


def bottom_of(path: Path) -> float:
    """Of the mask of a list of clips the share of the height, at the bottom, that `bottom_band` finds."""
    clip = listed_clips(path)[0]
    used = mask_of(VideoData((str(path),), ("learn",)), 0, clip)
    return 0.0 if used is None else bottom_band(used)


def bottom_band(used: Bool[Tensor, "H W"]) -> float:
    """Share of the rows, from the lowest one up, of which each is masked over at least FULL of the width."""
    hidden = (~used).float().mean(1).flip(0) >= FULL
    rows = len(hidden) if bool(hidden.all()) else int(hidden.int().argmin())
    return round(rows / len(hidden), 4)


def mask_file(path: str, number: int, mask: Sequence[str]) -> Path | None:
    """Of the video of this list: the one that is given, or found; None: all pixels are used."""
    if not mask:
        return listed_clips(Path(path))[0].mask
    name = mask[number if len(mask) > 1 else 0]
    return None if name == "none" else Path(name)


def mask_drawn(image: UInt8[Tensor, "3 H W"], used: Bool[Tensor, "H W"]) -> UInt8[Tensor, "3 _ _"]:
    """The image, half covered by MASKED where it is not used, MAX_WIDTH wide at most."""
    mixed = (0.5 * image + 0.5 * MASKED[:, None, None]).round().to(torch.uint8)
    height, width = used.shape
    scale = min(1.0, MAX_WIDTH / width)
    return resize_image(torch.where(used, image, mixed), (round(height * scale), round(width * scale)))
