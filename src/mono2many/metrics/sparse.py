"""True depth where it is measured: at few pixels of a laser scan's image, at nearly all of a drawn one's."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor


@dataclass(frozen=True)
class SparseTruth:
    """The measured pixels of one image."""

    size: tuple[int, int]
    """Height and width of the image."""
    pixels: Int32[Tensor, "N"]
    """row * width + column, rising."""
    depth: Float[Tensor, "N"]
    """Metres."""
    moving: Bool[Tensor, "N"] | None = None
    """Of objects that move in the world; None where it is not known."""
    co_moving: Bool[Tensor, "N"] | None = None
    """Those of them whose velocity in the world is nearly the camera's; None where it is not known."""

    @property
    def regions(self) -> dict[str, Bool[Tensor, "N"]]:
        """What is scored apart, as far as it is known what moves. Moving includes co-moving."""
        if self.moving is None:
            return {}
        known = {"static": ~self.moving, "moving": self.moving}
        return known if self.co_moving is None else {**known, "co-moving": self.co_moving}

    def dense(self) -> Float[Tensor, "H W"]:
        """As a map, NaN where unmeasured."""
        depth = torch.full((self.size[0] * self.size[1],), torch.nan)
        depth[self.pixels.long()] = self.depth
        return depth.view(self.size)


def sparse_truth(
    depth: Float[Tensor, "H W"],
    moving: Bool[Tensor, "H W"] | None = None,
    co_moving: Bool[Tensor, "H W"] | None = None,
) -> SparseTruth:
    """The finite, positive pixels of a map in metres."""
    pixels = (depth.isfinite() & (depth > 0)).flatten().nonzero()[:, 0]
    size, measured = (depth.shape[0], depth.shape[1]), depth.flatten()[pixels].float()
    masks = (None if mask is None else mask.flatten()[pixels] for mask in (moving, co_moving))
    return SparseTruth(size, pixels.int(), measured, *masks)


def every_pixel(depth: Float[Tensor, "H W"]) -> SparseTruth:
    """All pixels of a map, measured or not."""
    size = (depth.shape[0], depth.shape[1])
    return SparseTruth(size, torch.arange(depth.numel(), dtype=torch.int32), depth.flatten().float())


def sample_depth(
    disparity: Float[Tensor, "h w"], truth: SparseTruth, resize: Literal["disparity", "depth"]
) -> Float[Tensor, "N"]:
    """1 / disparity at the measured pixels: what F.interpolate of the whole map (bilinear, between half-pixel
    centres), or of its inverse (resize "depth"), gives there."""
    values = disparity.detach().cpu().float()
    if resize == "depth":
        values = 1 / values
    width = truth.size[1]
    low, high, share = [], [], []
    for axis, position in enumerate((truth.pixels // width, truth.pixels % width)):
        last = values.shape[axis] - 1
        scale = float(torch.tensor(values.shape[axis]) / truth.size[axis])  # rounded as interpolate's
        place = (scale * (position.double() + 0.5) - 0.5).float().clamp(min=0)
        low.append(place.long().clamp(max=last))
        share.append(place - low[-1])
        high.append((low[-1] + (share[-1] > 0)).clamp(max=last))
    (top, left), (bottom, right), (down, across) = low, high, share
    above, below = (values[row, left] * (1 - across) + values[row, right] * across for row in (top, bottom))
    sampled = above * (1 - down) + below * down
    return sampled if resize == "depth" else 1 / sampled
