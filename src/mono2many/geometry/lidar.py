"""A laser scan seen by a camera: one depth per pixel that a point falls into."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


def project_lidar(
    points: Float[Tensor, "N _"],
    image_from_lidar: Float[Tensor, "3 4"],
    size: tuple[int, int],
    value: Literal["forward", "z"] = "forward",
) -> Float[Tensor, "H W"]:
    """Depth map of `size` (height, width) in metres, float32, NaN where no point falls.

    points: x forward, y left, z up in metres (further columns are not read). image_from_lidar takes them to
    (u z, v z, z). A pixel holds the nearest of its points. `value`: the scanner's forward coordinate, which
    the tables of KITTI's eigen split use, or the camera's z.

    Geiger et al.'s development kit counts pixels from 1: column round(u) - 1, row round(v) - 1, half to even
    (Eigen et al. 2014's evaluation, as everyone computes it).
    """
    ahead = points[points[:, 0] >= 0, :3].double()
    projection = image_from_lidar.double()
    projected = ahead @ projection[:, :3].T + projection[:, 3]
    z = projected[:, 2]
    column, row = (projected[:, :2] / z[:, None]).round().sub(1).unbind(1)
    height, width = size
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    depth = (ahead[:, 0] if value == "forward" else z)[inside]
    pixel = (row * width + column)[inside].long()
    nearest = torch.full((height * width,), torch.inf, dtype=torch.float64, device=points.device)
    nearest.scatter_reduce_(0, pixel, depth, "amin")
    # a nearest point that is behind the camera leaves its pixel unmeasured, as in the reference
    return torch.where(nearest.isfinite() & (nearest > 0), nearest, torch.nan).reshape(size).float()
