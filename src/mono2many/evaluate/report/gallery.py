"""Which images a report shows, and how: input, predicted and true disparity, relative error."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.evaluate.depth import ImageResult, Outcome
from mono2many.io.colour import colour_depth_error, colour_disparity, robust_range
from mono2many.io.images import resize_image
from mono2many.metrics.protocol import Protocol, align
from mono2many.metrics.sparse import every_pixel

MAX_WIDTH = 640
"""Pixels. Wider images are reduced, so that the page stays small."""

ERROR_LIMIT = 0.25
"""Relative error at the ends of the colour map."""

DENSE = 0.3
"""Ground truth on a smaller share of the pixels is drawn enlarged."""


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
    shown = [(label, i) for label, i in chosen if scored[i].at(0) is not None]
    maps = outcome.predict([scored[i] for _, i in shown])
    disparities = (disparity for batch in maps for disparity in next(iter(batch.values())))
    items = []
    for (label, i), disparity in zip(shown, disparities, strict=True):
        frame = scored[i]
        images = colour_maps(
            frame.open().image, disparity, frame.ground_truth().dense(), outcome.eval_set.protocol
        )
        items.append(GalleryItem(label, frame.name, per_image[i].metrics.abs_rel, *images))
    return items


def best_and_worst(per_image: Sequence[ImageResult], count: int = 10) -> list[tuple[str, int]]:
    """The images with the smallest and largest Abs Rel, as in `ends`."""
    return ends([image.metrics.abs_rel for image in per_image], count)


def ends(errors: Sequence[float], count: int = 10) -> list[tuple[str, int]]:
    """('Best 1', its index in `errors`), 'Best 2' ..., then 'Worst 1' ...; no image twice, so that of fewer
    than 2 `count` images half are the best."""
    ranked = sorted(range(len(errors)), key=errors.__getitem__)
    half = (len(ranked) + 1) // 2
    best, worst = ranked[:half], ranked[half:][::-1]
    chosen = [(f"Best {rank}", i) for rank, i in enumerate(best[:count], 1)]
    return chosen + [(f"Worst {rank}", i) for rank, i in enumerate(worst[:count], 1)]


def colour_maps(
    image: UInt8[Tensor, "3 _ _"],
    disparity: Float[Tensor, "h w"],
    truth: Float[Tensor, "H W"],
    protocol: Protocol,
) -> list[UInt8[Tensor, "3 _ _"]]:
    """An evaluated image, its two disparities and its error, at the size of `truth` or MAX_WIDTH wide.

    `truth` is depth in metres, NaN where unmeasured; the others may have any size. Both disparities share
    one range of colours, that of the ground truth. Units and errors as in `protocol.align`.
    """
    aligned = align(disparity, every_pixel(truth), protocol)
    assert aligned is not None, "an evaluated image has pixels that count"
    depth, kept = (flat.view(truth.shape) for flat in (aligned.depth, aligned.kept))
    truth = torch.where(kept, truth, torch.nan)
    low, high = robust_range(1 / truth)
    height, width = depth.shape
    size = (height, width) if width <= MAX_WIDTH else (round(height * MAX_WIDTH / width), MAX_WIDTH)
    large_depth, large_truth = enlarge_points(depth, truth, size)
    maps = (
        image,
        colour_disparity(1 / depth, low=low, high=high),
        colour_disparity(1 / large_truth, low=low, high=high),
        colour_depth_error(large_depth, large_truth, limit=ERROR_LIMIT),
    )
    return [resize_image(one, size) for one in maps]


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
