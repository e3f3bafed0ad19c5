"""The one file that knows the pixel convention: centres at integers, (0, 0) top left, x before y.

points_target = backproject(depth, K_target)            where each target pixel is in space
pixels, z     = project(transform(source_from_target, points_target), K_source)
view, inside  = sample(source, pixels)                  what the source shows there
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.pose import transform

MIN_Z = 1e-3
"""A point nearer than this to the source camera's plane, or behind it, is not seen."""


def pixel_rays(
    intrinsics: Float[Tensor, "B 3 3"], height: int, width: int
) -> Float[Tensor, "B 3 {height}*{width}"]:
    """K^-1 (x, y, 1) of every pixel, row after row: multiply by depth for the point in space."""
    x = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype)
    y = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype)
    column, row = torch.meshgrid(x, y, indexing="xy")
    pixels = torch.stack([column, row, torch.ones_like(row)]).reshape(3, -1)
    return torch.linalg.inv(intrinsics) @ pixels


def backproject(
    depth: Float[Tensor, "B H W"], intrinsics: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B 3 H*W"]:
    """The point in space that each pixel shows, in the camera's own frame, in depth's unit."""
    return pixel_rays(intrinsics, *depth.shape[-2:]) * depth.flatten(-2).unsqueeze(-2)


def project(
    points: Float[Tensor, "B 3 N"], intrinsics: Float[Tensor, "B 3 3"]
) -> tuple[Float[Tensor, "B N 2"], Float[Tensor, "B N"]]:
    """Pixel (x, y) and depth z of points in the camera's frame. Divides by z + 1e-7."""
    projected = intrinsics @ points
    z = projected[:, 2]
    return (projected[:, :2] / (z.unsqueeze(1) + 1e-7)).transpose(1, 2), z


def sample(
    image: Float[Tensor, "B C h w"], pixels: Float[Tensor, "B H W 2"], padding: str = "border"
) -> tuple[Float[Tensor, "B C H W"], Bool[Tensor, "B H W"]]:
    """Bilinear value of `image` at `pixels` (x, y), and where they lie inside [0, w-1] x [0, h-1].

    The only caller of grid_sample: align_corners=True, so that pixel centres are integers.
    """
    height, width = image.shape[-2:]
    size = pixels.new_tensor([width - 1, height - 1])
    inside = ((pixels >= 0) & (pixels <= size)).all(-1)
    # grid_sample reads outside its memory where a coordinate is not a number (seen on the CPU)
    grid = (pixels * (2 / size) - 1).nan_to_num(nan=-2.0)
    view = F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=True)
    return view, inside


def warp(
    source: Float[Tensor, "B C h w"],
    depth: Float[Tensor, "B H W"],
    source_from_target: Float[Tensor, "B 4 4"],
    intrinsics: Float[Tensor, "B 3 3"],
    source_intrinsics: Float[Tensor, "B 3 3"],
) -> tuple[Float[Tensor, "B C H W"], Bool[Tensor, "B H W"]]:
    """The source image as the target's camera would see it, and the pixels that the source does see.

    Seen: in front of the source camera (z > 1e-3) and inside its image. Outside, the border repeats.
    Zhou et al. 2017, sec. 3.2; Godard et al. 2019, eq. 2.
    """
    points_source = transform(source_from_target, backproject(depth, intrinsics))
    pixels, z = project(points_source, source_intrinsics)
    view, inside = sample(source, pixels.unflatten(1, depth.shape[-2:]))
    return view, inside & (z.unflatten(1, depth.shape[-2:]) > MIN_Z)
