"""Which images a report shows, and how: input, predicted and true disparity, relative error."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.evaluate.depth import Evaluation, Predict
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

    `evaluation` is what `evaluate_depth` returned for the same four. Both disparities share their colours'
    range, that of the truth. Errors as in `evaluate_depth`.
    """
    ranked = sorted(evaluation.per_image, key=lambda image: image.metrics.abs_rel)
    clip_number = {clip.name: number for number, clip in enumerate(reader.clips)}
    pictures = []
    for rank in chosen_ranks(len(ranked), count):
        result = ranked[rank]
        frame = reader.frame(clip_number[result.clip], result.index)
        assert frame.depth is not None, "an evaluated frame has a depth"
        with torch.no_grad():
            aligned = align(predict(frame.image).detach(), frame.depth, protocol)
        assert aligned is not None, "an evaluated frame has pixels that count"
        prediction, truth, error = paint(aligned.depth, torch.where(aligned.kept, frame.depth, torch.nan))
        pictures.append(
            Picture(
                label=rank_label(rank, len(ranked)),
                caption=f"{result.clip}, frame {result.index}",
                abs_rel=result.metrics.abs_rel,
                image=resize_image(frame.image, (prediction.shape[1], prediction.shape[2])),
                prediction=prediction,
                truth=truth,
                error=error,
            )
        )
    return pictures


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
    thick_depth, thick_truth = thicken(depth, truth)
    painted = (
        colour_disparity(1 / depth, low=low, high=high),
        colour_disparity(1 / thick_truth, low=low, high=high),
        colour_depth_error(thick_depth, thick_truth, limit=ERROR_LIMIT),
    )
    height, width = depth.shape
    size = (height, width) if width <= WIDEST else (round(height * WIDEST / width), WIDEST)
    prediction, true, error = (resize_image(picture, size) for picture in painted)
    return prediction, true, error


def thicken(
    depth: Float[Tensor, "H W"], truth: Float[Tensor, "H W"], dense: float = 0.3
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Where less than a share `dense` of `truth` is known (not NaN), every pixel takes both values of the
    nearest surface measured within two pixels of it; otherwise both unchanged."""
    if truth.isfinite().float().mean() >= dense:
        return depth, truth
    nearness = (1 / truth).nan_to_num(-torch.inf)[None, None]
    where = F.max_pool2d(nearness, 5, stride=1, padding=2, return_indices=True)[1][0, 0]
    return depth.flatten()[where], truth.flatten()[where]
