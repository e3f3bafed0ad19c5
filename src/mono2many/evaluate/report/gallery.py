"""Which images a report shows, and how: input, predicted and true disparity, relative error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.evaluate.depth import ImageResult, Outcome
from mono2many.io.colour import colour_depth_error, colour_disparity, robust_range
from mono2many.io.images import resize_image
from mono2many.metrics.protocol import Protocol, align

MAX_WIDTH = 640
"""Pixels. Wider images are reduced, so that the page stays small."""

ERROR_LIMIT = 0.25
"""Relative error at the ends of the colour map."""

DENSE = 0.3
"""Ground truth on a smaller share of the pixels is drawn enlarged."""


class Legend(NamedTuple):
    """A colour map's two ends in words, and CSS colours from one to the other."""

    low: str
    colours: str
    high: str


DISPARITY_LEGEND = Legend("far", "#000004,#3b0f70,#8c2981,#de4968,#fe9f6d,#fcfdbf", "near")  # magma
ERROR_LEGEND = Legend(  # coolwarm
    f"{ERROR_LIMIT:.0%} too near", "#3b4cc0,#8db0fe,#dddddd,#f49a7b,#b40426", f"{ERROR_LIMIT:.0%} too far"
)


@dataclass(frozen=True)
class GalleryItem:
    """One evaluated image and its maps, all RGB and of one size."""

    label: str
    """Why it is shown, for example 'Worst'."""
    caption: str
    """Which it is."""
    abs_rel: float
    image: UInt8[Tensor, "3 H W"]
    prediction: UInt8[Tensor, "3 H W"]
    truth: UInt8[Tensor, "3 H W"]
    error: UInt8[Tensor, "3 H W"]


def gallery(outcome: Outcome, chosen: Sequence[tuple[str, int]]) -> list[GalleryItem]:
    """Images of the main row, predicted again, as far as their files are there.

    chosen: labels and indices in its per_image. Errors as in `score_frames`.
    """
    scored, per_image = outcome.scored_frames(), outcome.rows[outcome.main].per_image
    shown = [(label, i, opened) for label, i in chosen if (opened := scored[i].at(0)) is not None]
    frames = [scored[i] for _, i, _ in shown]
    maps = (disparity for batch in outcome.predict(frames) for disparity in next(iter(batch.values())))
    protocol, items = outcome.eval_set.protocol, []
    for (label, i, opened), disparity in zip(shown, maps, strict=True):
        truth, abs_rel = outcome.ground_truth([scored[i]])[0].dense(), per_image[i].metrics.abs_rel
        image, name = opened().image, scored[i].name
        items.append(gallery_item(label, name, abs_rel, image, disparity, truth, protocol))
    return items


def best_median_worst(per_image: Sequence[ImageResult]) -> list[tuple[str, int]]:
    """('Best', its index in `per_image`), 'Median', 'Worst'; of two images no median."""
    ranked = _by_error(per_image)
    if len(ranked) == 1:
        return [("The only image", 0)]
    chosen = [("Best", ranked[0]), ("Worst", ranked[-1])]
    if len(ranked) > 2:
        chosen.insert(1, ("Median", ranked[round((len(ranked) - 1) / 2)]))
    return chosen


def best_and_worst(per_image: Sequence[ImageResult], count: int = 10) -> list[tuple[str, int]]:
    """('Best 1', its index in `per_image`), 'Best 2' ..., then 'Worst 1' ...; no image twice, so that of
    fewer than 2 `count` images half are the best."""
    ranked = _by_error(per_image)
    half = (len(ranked) + 1) // 2
    best, worst = ranked[:half], ranked[half:]
    worst.reverse()
    chosen = [(f"Best {rank}", i) for rank, i in enumerate(best[:count], 1)]
    return chosen + [(f"Worst {rank}", i) for rank, i in enumerate(worst[:count], 1)]


def _by_error(per_image: Sequence[ImageResult]) -> list[int]:
    """Indices in `per_image`, the smallest Abs Rel first."""
    return sorted(range(len(per_image)), key=lambda i: per_image[i].metrics.abs_rel)


def gallery_item(
    label: str,
    caption: str,
    abs_rel: float,
    image: UInt8[Tensor, "3 _ _"],
    disparity: Float[Tensor, "h w"],
    truth: Float[Tensor, "H W"],
    protocol: Protocol,
) -> GalleryItem:
    """Colour the maps of an evaluated image, at the size of `truth` or MAX_WIDTH wide.

    `truth` is depth in metres, NaN where unmeasured; the others may have any size. Both disparities share
    one range of colours, that of the ground truth. Units and errors as in `protocol.align`.
    """
    aligned = align(disparity.detach(), truth, protocol)
    assert aligned is not None, "an evaluated image has pixels that count"
    depth, truth = aligned.depth, torch.where(aligned.kept, truth, torch.nan)
    low, high = robust_range(1 / truth)
    height, width = depth.shape
    size = (height, width) if width <= MAX_WIDTH else (round(height * MAX_WIDTH / width), MAX_WIDTH)
    large_depth, large_truth = enlarge_points(depth, truth, size)
    return GalleryItem(
        label,
        caption,
        abs_rel,
        image=resize_image(image, size),
        prediction=resize_image(colour_disparity(1 / depth, low=low, high=high), size),
        truth=resize_image(colour_disparity(1 / large_truth, low=low, high=high), size),
        error=resize_image(colour_depth_error(large_depth, large_truth, limit=ERROR_LIMIT), size),
    )


def enlarge_points(
    depth: Float[Tensor, "H W"], truth: Float[Tensor, "H W"], size: tuple[int, int]
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Make sparse ground truth (LiDAR) visible: single points would be lost in the reduced image.

    Both are returned at `size`, where each pixel takes the values of the nearest surface measured in it or in
    one of its eight neighbours. Unchanged if a share DENSE of `truth` or more is measured (not NaN).
    """
    if truth.isfinite().float().mean() >= DENSE:
        return depth, truth
    nearness = (1 / truth).nan_to_num(-torch.inf)[None, None]
    nearest, of_pixel = F.adaptive_max_pool2d(nearness, size, return_indices=True)
    _, of_neighbours = F.max_pool2d(nearest, 3, stride=1, padding=1, return_indices=True)
    index = of_pixel.flatten()[of_neighbours[0, 0]]
    return depth.flatten()[index], truth.flatten()[index]
