"""A ManyDepth looked at in four ways: with its neighbours, without, as if it stood, and its teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mono2many.evaluate.depth import MODEL, SINGLE, STATIC, TEACHER, Place, Predict
from mono2many.geometry.camera import mirror_intrinsics
from mono2many.models.many import ManyDepth
from mono2many.predict.predictor import Predictor, blend_mirrored
from mono2many.types import Frame, Reader


@dataclass(frozen=True)
class Views:
    """A frame and those that it is matched with, as the networks want them."""

    image: Float[Tensor, "3 h w"]
    matching: Float[Tensor, "F 3 h w"]
    """Black where there is none."""
    exists: Bool[Tensor, "F"]
    intrinsics: Float[Tensor, "3 3"]


def views(
    predictor: Predictor,
    image: UInt8[Tensor, "3 H W"],
    matching: Sequence[UInt8[Tensor, "3 H W"] | None],
    intrinsics: Float[Tensor, "3 3"],
) -> Views:
    """Of pictures of one size and K in their pixels; None where a neighbour is missing."""
    black = torch.zeros_like(image)
    first, *others = predictor.inputs([image, *(black if m is None else m for m in matching)])
    exists = torch.tensor([m is not None for m in matching], device=predictor.device)
    return Views(first, torch.stack(others), exists, predictor.camera(intrinsics, image.shape[-2:]))


@torch.inference_mode()
def look(predictor: Predictor, frames: Sequence[Views], flip: bool) -> dict[str, Float[Tensor, "B h w"]]:
    """Disparities at the model's size and on its device, in the unit that `card.scale` names.

    SINGLE: matched with nothing. STATIC: matched with the frame itself, moved as the neighbour was. flip: as
    in Predictor.disparity.
    """
    many = predictor.model
    assert isinstance(many, ManyDepth)
    image, matching, exists, k = (
        torch.stack([getattr(frame, name) for frame in frames]) for name in Views.__dataclass_fields__
    )

    def each(image: Tensor, matching: Tensor, k: Tensor) -> list[Tensor]:
        standing = image[:, None].expand_as(matching)
        motion = many.motion(image, matching, k)
        return [
            many.disparity(image, matching, exists, k, None, motion),
            many.single(image),
            many.disparity(image, matching, exists, k, standing, motion),
            many.teacher(image),
        ]

    found = each(image, matching, k)
    if flip:
        mirrored = each(image.flip(-1), matching.flip(-1), mirror_intrinsics(k, image.shape[-1]))
        found = [blend_mirrored(a, b.flip(-1)) for a, b in zip(found, mirrored, strict=True)]
    return {row: x / predictor.unit for row, x in zip((MODEL, SINGLE, STATIC, TEACHER), found, strict=True)}


def predictions(predictor: Predictor, reader: Reader, flip: bool) -> dict[str, Predict]:
    """Functions for evaluate_each: one of a MonoDepth, four of a ManyDepth, which open what they match."""
    many = predictor.model
    if not isinstance(many, ManyDepth):
        return {MODEL: lambda frame, place: predictor.disparity(frame.image.unsqueeze(0), flip)[0]}
    latest: dict[Place, Mapping[str, Tensor]] = {}

    def predict(row: str, frame: Frame, place: Place) -> Tensor:
        if place not in latest:
            beside = neighbours(place, many.architecture.matching, reader)
            others = [None if other is None else reader.frame(*other).image for other in beside]
            seen = views(predictor, frame.image, others, frame.intrinsics)
            latest.clear()
            latest[place] = look(predictor, [seen], flip)
        return predictor.at_size(latest[place][row], frame.image.shape[-2:])[0].cpu()

    return {row: partial(predict, row) for row in (MODEL, SINGLE, STATIC, TEACHER)}


def neighbours(place: Place, offsets: Sequence[int], reader: Reader) -> list[Place | None]:
    """Where the frames to match are; None where one was never recorded."""
    (clip, index), count = place, reader.clips[place[0]].frames
    return [(clip, index + o) if 0 <= index + o < count else None for o in offsets]
