"""Which images a report shows, and how: input, predicted and true disparity, relative error."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.evaluate.depth import Evaluation, ImageResult, Predict
from mono2many.io.colour import colour_depth_error, colour_disparity, robust_range
from mono2many.io.images import resize_image
from mono2many.metrics.protocol import Protocol, align
from mono2many.types import Reader

WIDEST = 640
"""Pixels. Wider pictures are shrunk, so that the page stays small."""

ERROR_LIMIT = 0.25
"""Relative error at the ends of the palette."""

MAP_LEGEND = ("far", "#000004,#3b0f70,#8c2981,#de4968,#fe9f6d,#fcfdbf", "near")
ERROR_LEGEND = (
    f"{ERROR_LIMIT:.0%} too near",
    "#3b4cc0,#8db0fe,#dddddd,#f49a7b,#b40426",
    f"{ERROR_LIMIT:.0%} too far",
)
"""The palettes' names for their two ends, and colours from one to the other (magma and coolwarm)."""


@dataclass(frozen=True)
class Picture:
    """One image of the gallery; all four pictures have the same size, RGB."""

    label: str
    """Why it is shown, for example 'Worst'."""
    caption: str
    """Which it is."""
    abs_rel: float
    image: UInt8[Tensor, "3 H W"]
    prediction: UInt8[Tensor, "3 H W"]
    truth: UInt8[Tensor, "3 H W"]
    error: UInt8[Tensor, "3 H W"]


def gallery(
    predict: Predict, reader: Reader, protocol: Protocol, evaluation: Evaluation, count: int = 3
) -> list[Picture]:
    """Predict again, and paint, `count` images evenly spread from the best to the worst Abs Rel.

    `evaluation` is what `evaluate_depth` returned for the same four. Errors as in `evaluate_depth`.
    """
    ranked = sorted(evaluation.per_image, key=lambda image: image.metrics.abs_rel)
    clip_number = {clip.name: number for number, clip in enumerate(reader.clips)}
    pictures = []
    for rank in chosen_ranks(len(ranked), count):
        result = ranked[rank]
        place = (clip_number[result.clip], result.index)
        frame = reader.frame(*place)
        assert frame.depth is not None, "an evaluated frame has a depth"
        with torch.no_grad():
            disparity = predict(frame, place)
        label, caption = rank_label(rank, len(ranked)), f"{result.clip}, frame {result.index}"
        pictures.append(
            picture(label, caption, result.metrics.abs_rel, frame.image, disparity, frame.depth, protocol)
        )
    return pictures


def picture(
    label: str,
    caption: str,
    abs_rel: float,
    image: UInt8[Tensor, "3 _ _"],
    disparity: Float[Tensor, "h w"],
    truth: Float[Tensor, "H W"],
    protocol: Protocol,
) -> Picture:
    """Paint an evaluated image, whatever predicted it, of any sizes. Both disparities share their colours'
    range, that of the truth. Units and errors as in `protocol.align`."""
    aligned = align(disparity.detach(), truth, protocol)
    assert aligned is not None, "an evaluated image has pixels that count"
    prediction, true, error = paint(aligned.depth, torch.where(aligned.kept, truth, torch.nan))
    size = (prediction.shape[1], prediction.shape[2])
    return Picture(label, caption, abs_rel, resize_image(image, size), prediction, true, error)


def best_and_worst(per_image: Sequence[ImageResult], count: int = 10) -> list[tuple[str, int]]:
    """('Best 1', its place in `per_image`), 'Best 2' ..., then 'Worst 1' ...; no image twice, so that of
    fewer than 2 `count` images half are the best."""
    ranked = sorted(range(len(per_image)), key=lambda i: per_image[i].metrics.abs_rel)
    half = min(count, (len(ranked) + 1) // 2)
    groups = (("Best", ranked[:half]), ("Worst", ranked[half:][::-1][:count]))
    return [(f"{name} {place}", i) for name, group in groups for place, i in enumerate(group, 1)]


def chosen_ranks(images: int, count: int) -> list[int]:
    """Up to `count` ranks from 0 (best) to images - 1 (worst), evenly spread: best, median, worst of 3."""
    if count == 1:
        return [median_rank(images)]
    return sorted({round(i * (images - 1) / (count - 1)) for i in range(count)})


def median_rank(images: int) -> int:
    """The rank in the middle."""
    return round((images - 1) / 2)


def rank_label(rank: int, images: int) -> str:
    """'Best', 'Median', 'Worst', or the rank in words."""
    names = {0: "Best", images - 1: "Worst", median_rank(images): "Median"}
    if images < 3:
        names = {0: "Best" if images == 2 else "The only image", 1: "Worst"}
    return names.get(rank, f"Rank {rank + 1} of {images}")


def paint(
    depth: Float[Tensor, "H W"], truth: Float[Tensor, "H W"]
) -> tuple[UInt8[Tensor, "3 h w"], UInt8[Tensor, "3 h w"], UInt8[Tensor, "3 h w"]]:
    """Predicted disparity, true disparity and relative error as pictures, at most 640 wide.

    Metres, `truth` NaN where it does not count. LiDAR points are drawn larger than they are: one pixel of
    KITTI's truth would not be seen.
    """
    low, high = robust_range(1 / truth)
    height, width = depth.shape
    size = (height, width) if width <= WIDEST else (round(height * WIDEST / width), WIDEST)
    thick_depth, thick_truth = thicken(depth, truth, size)
    painted = (
        colour_disparity(1 / depth, low=low, high=high),
        colour_disparity(1 / thick_truth, low=low, high=high),
        colour_depth_error(thick_depth, thick_truth, limit=ERROR_LIMIT),
    )
    prediction, true, error = (resize_image(picture, size) for picture in painted)
    return prediction, true, error


def thicken(
    depth: Float[Tensor, "H W"], truth: Float[Tensor, "H W"], size: tuple[int, int], dense: float = 0.3
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Where less than a share `dense` of `truth` is known (not NaN): both at `size`, where every pixel has
    the values of the nearest surface measured in it or beside it. Otherwise both unchanged."""
    if truth.isfinite().float().mean() >= dense:
        return depth, truth
    beside = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
    for pool in (partial(F.adaptive_max_pool2d, output_size=size), beside):
        nearness = (1 / truth).nan_to_num(-torch.inf)[None, None]
        where = pool(nearness, return_indices=True)[1][0, 0]
        depth, truth = depth.flatten()[where], truth.flatten()[where]
    return depth, truth
