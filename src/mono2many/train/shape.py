"""Figures of predicted depth that show a collapse of parts of the image, which no mean shows."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.evaluate.photometric import Prediction
from mono2many.geometry.ground import hole_score

INVISIBLE = 0.1
"""Pixels; depth whose parallax is smaller cannot be told from infinity."""


class DepthShape(NamedTuple):
    """Of the validation images."""

    far: float
    """Share of the pixels beyond what the predicted motion can show."""
    far_below: float
    """The same of the lower half, where there is no sky."""
    ground: float
    """Disparity of the lowest tenth over that just below the middle: a road has 3, a wall 1."""
    holes: float
    """Share of the pixels below the plane of the road, of images in which one is found; NaN: of none."""


@torch.no_grad()
def shape_figures(prediction: Prediction) -> Float[Tensor, "B 4"]:
    """The figures of DepthShape of each image.

    Parallax is |f t_xy - (p - c) t_z| / depth; its numerator is taken at the median over the pixels p, so
    that the surroundings of the focus of expansion do not count as far."""
    batch, depth = prediction.batch, prediction.depth.float()
    height, width = depth.shape[-2:]
    k, t = batch.intrinsics, prediction.source_from_target[:, :, :3, 3]
    x, y = torch.arange(width, device=depth.device), torch.arange(height, device=depth.device)
    across = (k[:, 0, :1] * t[..., 0])[..., None] - (x - k[:, 0, 2:]).unsqueeze(1) * t[..., 2:]
    down = (k[:, 1, 1:2] * t[..., 1])[..., None] - (y - k[:, 1, 2:]).unsqueeze(1) * t[..., 2:]
    reach = torch.hypot(across.unsqueeze(-2), down.unsqueeze(-1)).flatten(2).median(-1).values
    reach = (reach * batch.source_exists).amax(1)[:, None, None]

    valid = torch.ones_like(depth, dtype=torch.bool) if batch.valid_mask is None else batch.valid_mask
    far = torch.where(valid, (depth * INVISIBLE > reach).float(), torch.nan)
    disparity = torch.where(valid, 1 / depth, torch.nan)

    def rows(top: float, bottom: float) -> Tensor:
        return disparity[:, int(top * height) : int(bottom * height)].flatten(1).nanmedian(1).values

    below = far[:, height // 2 :].flatten(1).nanmean(1)
    whole = far.flatten(1).nanmean(1)
    return torch.stack([whole, below, rows(0.9, 1.0) / rows(0.55, 0.65), hole_score(1 / depth, k, valid)], 1)


def depth_shape(figures: list[Tensor]) -> DepthShape:
    """The typical one of the images: means of the shares, the median of the gradient."""
    every = torch.cat(figures).cpu()
    far, below, _, holes = every.nanmean(0).tolist()
    return DepthShape(far, below, float(every[:, 2].nanmedian()), holes)
