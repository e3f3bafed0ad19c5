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
    pixels = (projected[:, :2] / z[:, None]).round() - 1
    return _nearest(pixels, ahead[:, 0] if value == "forward" else z, size)


def depth_of_points(
    points: Float[Tensor, "N 3"], intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]
) -> Float[Tensor, "H W"]:
    """Depth map of `size` (height, width), float32, of points in a camera's own frame (x right, y down, z
    ahead, metres); NaN where none falls. Each goes to the pixel it is nearest to, the nearest point wins."""
    ahead = points[points[:, 2] > 0].double()
    projected = ahead @ intrinsics.double().T
    return _nearest((projected[:, :2] / projected[:, 2:]).round(), ahead[:, 2], size)


def _nearest(pixels: Float[Tensor, "N 2"], depth: Float[Tensor, "N"], size: tuple[int, int]) -> Tensor:
    """The least depth of the points that fall into each pixel."""
    height, width = size
    column, row = pixels.unbind(1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = (row * width + column)[inside].long()
    nearest = torch.full((height * width,), torch.inf, dtype=torch.float64, device=depth.device)
    nearest.scatter_reduce_(0, place, depth[inside], "amin")
    # a nearest point that is behind the camera leaves its pixel unmeasured, as in the reference
    return torch.where(nearest.isfinite() & (nearest > 0), nearest, torch.nan).reshape(size).float()
