"""The frames on which an export is compared with its model."""

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.commands.export import ExportConfig
from mono2many.models.checkpoint import ModelCard
from mono2many.predict.inputs import camera_source, list_inputs, through_lens
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import InputError

PIXELS = 160 * 512
"""Of a frame of the street, at most."""


class Footage(NamedTuple):
    """Frames of one size, of a stream one after the other."""

    frames: Sequence[UInt8[Tensor, "3 H W"]]
    intrinsics: Float[Tensor, "3 3"] | None
    """In pixels of the frames."""


def count_frames(footage: Sequence[Footage]) -> int:
    return sum(len(one.frames) for one in footage)


def read_footage(config: ExportConfig, card: ModelCard, matches: bool, count: int) -> list[Footage]:
    """About `count` frames of --frames, spread over each video, or for a ManyDepth (`matches`) its first;
    by default of the street, in the shape of the model's images."""
    if not config.frames:
        height = (config.height or card.height) / (1 - card.crop_bottom)
        return [_of_the_street(count, height, config.width or card.width)]
    camera_of = camera_source(config.camera, config.fov)
    if matches and camera_of is None:
        raise InputError("--frames of a ManyDepth need the camera: add --camera FILE.json or --fov DEGREES")
    found, inputs = list[Footage](), list_inputs(config.frames)
    each = -(-count // len(inputs))
    for one in inputs:
        images, intrinsics_of = through_lens(
            (image for _, image in one.frames().frames), camera_of, one.display()
        )
        kept = list(islice(images, each)) if matches else _spread(images, each)
        if kept:
            height, width = kept[0].shape[-2:]
            found.append(Footage(kept, None if intrinsics_of is None else intrinsics_of(height, width)))
    if count_frames(found) < 2:
        raise InputError("--frames: fewer than 2 frames to compare on; name a video or more images")
    return found


def _of_the_street(count: int, height: float, width: int) -> Footage:
    scale = min(1.0, math.sqrt(PIXELS / (height * width)))
    settings = StreetSettings(1, count, round(scale * height), round(scale * width), variety="wide")
    reader = SyntheticReader(settings, "test")
    frames = [reader.frame(0, i) for i in range(count)]
    return Footage([frame.image for frame in frames], frames[0].intrinsics)


def halves(footage: Sequence[Footage], matches: bool) -> tuple[list[Footage], list[Footage]]:
    """Half to calibrate with, half to compare on: every other frame, or for a ManyDepth (`matches`) the first
    and the second half of each video. InputError where a half is empty."""
    if not matches:
        apart = [one._replace(frames=[frame]) for one in footage for frame in one.frames]
        return apart[::2], apart[1::2]
    cut = [(one, len(one.frames) // 2) for one in footage]
    first = [one._replace(frames=one.frames[:at]) for one, at in cut if at]
    if not first:
        raise InputError("--frames: int8 of a ManyDepth is calibrated on a video of 2 frames or more")
    return first, [one._replace(frames=one.frames[at:]) for one, at in cut]


def _spread(frames: Iterable[Tensor], count: int) -> list[Tensor]:
    """At most `count` of them, evenly spread, without knowing how many there are."""
    kept, every = list[Tensor](), 1
    for number, frame in enumerate(frames):
        if number % every == 0:
            kept.append(frame)
        if len(kept) == 2 * count:
            kept, every = kept[::2], 2 * every
    return kept[:: max(1, len(kept) // count)][:count]
