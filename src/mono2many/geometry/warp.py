"""The one file that knows the pixel convention: centres at integers, (0, 0) top left, x before y.

points_target = backproject(depth, K_target)            where each target pixel is in space
pixels, z     = project(transform(source_from_target, points_target), K_source)
view, inside  = sample(source, pixels)                  what the source shows there
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import inverse_intrinsics, pixel_axes
from mono2many.geometry.precision import full_precision, in_full_precision

MIN_Z = 1e-3
"""A point nearer than this to the source camera's plane, or behind it, is not seen."""


@in_full_precision
def pixel_rays(
    intrinsics: Float[Tensor, "B 3 3"], height: int, width: int
) -> Float[Tensor, "B 3 {height}*{width}"]:
    """K^-1 (x, y, 1) of every pixel, row after row: multiply by depth for the point in space."""
    column, row = torch.meshgrid(*pixel_axes((height, width), intrinsics), indexing="xy")
    pixels = torch.stack([column, row, torch.ones_like(row)]).reshape(3, -1)
    return inverse_intrinsics(intrinsics) @ pixels


def backproject(
    depth: Float[Tensor, "B H W"], intrinsics: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B 3 H*W"]:
    """The point in space that each pixel shows, in the camera's own frame, in depth's unit."""
    return pixel_rays(intrinsics, *depth.shape[-2:]) * depth.flatten(-2).unsqueeze(-2)


@in_full_precision
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
    x, y = pixels.unbind(-1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = _grid(pixels, height, width)
    view = F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=True)
    return view, inside


@in_full_precision
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
    homography = source_intrinsics @ source_from_target[:, :3, :3] @ inverse_intrinsics(intrinsics)
    translation = source_intrinsics @ source_from_target[:, :3, 3:]
    if torch.compiler.is_compiling():
        return _plain_warp(source, depth, homography, translation)
    view, in_view = _Warp.apply(source, depth, homography, translation)
    return view, in_view


def _plain_warp(
    source: Tensor, depth: Tensor, homography: Tensor, translation: Tensor
) -> tuple[Tensor, Tensor]:
    """The same without a gradient of its own, for compilers."""
    usable = depth.isfinite()
    axes = pixel_axes((depth.shape[-2], depth.shape[-1]), depth)
    rays = _rotated_rays(homography, *axes) * torch.where(usable, depth, 0).unsqueeze(1)
    points = rays + translation.unsqueeze(-1)
    divisor = torch.where(usable, _divisor(points[:, 2]), torch.inf)
    pixels = torch.where(usable.unsqueeze(1), points[:, :2] / divisor.unsqueeze(1), -1.0)
    view, inside = sample(source, pixels.permute(0, 2, 3, 1))
    return view, inside & (points[:, 2] > MIN_Z) & usable


class _Warp(torch.autograd.Function):
    """sample(source, project(transform(backproject(depth)))) with its gradient written out, on a CPU image
    after image: what is computed on the way fits its cache. Autograd would keep each of these maps.
    `homography` and `translation` take pixels times depth to the source's pixels times z."""

    @staticmethod
    def forward(
        ctx: Any, source: Tensor, depth: Tensor, homography: Tensor, translation: Tensor
    ) -> tuple[Tensor, Tensor]:
        view = source.new_empty(*source.shape[:2], *depth.shape[1:])
        usable = depth.isfinite()  # else one pixel's NaN would reach the gradient of the whole motion
        depth = torch.where(usable, depth, 0)
        in_view = torch.empty_like(usable)
        axes, projected = pixel_axes((depth.shape[-2], depth.shape[-1]), depth), []
        for at in _pieces(depth):
            points = _rotated_rays(homography[at], *axes).mul_(depth[at].unsqueeze(1))
            points.add_(translation[at].unsqueeze(-1))
            z = points[:, 2]
            pixels = points[:, :2].div_(_divisor(z).unsqueeze(1))
            view[at], inside = sample(source[at], pixels.permute(0, 2, 3, 1))
            in_view[at] = inside & (z > MIN_Z) & usable[at]
            projected.append(points)
        ctx.save_for_backward(source, depth, usable, homography, *projected)
        ctx.mark_non_differentiable(in_view)
        return view, in_view

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        source, depth, usable, homography, *projected = ctx.saved_tensors
        height, width = source.shape[-2:]
        x, y = pixel_axes((depth.shape[-2], depth.shape[-1]), depth)
        trained = ctx.needs_input_grad[0]
        by_source = torch.empty_like(source) if trained else None
        by_depth, by_homography = torch.empty_like(depth), torch.empty_like(homography)
        by_translation = torch.empty_like(homography[:, :, :1])
        for at, points in zip(_pieces(depth), projected, strict=True):
            pixels, z = points[:, :2], _divisor(points[:, 2])
            grid = _grid(pixels.permute(0, 2, 3, 1), height, width)
            # autograd's own operator: through grid_sample it would sample again, or keep every view
            by_image, by_grid = torch.ops.aten.grid_sampler_2d_backward(
                gradients[0][at], source[at], grid, 0, 1, True, [trained, True]
            )  # bilinear, border, align_corners
            if by_source is not None:
                by_source[at] = by_image
            by_points = torch.empty_like(points)
            torch.mul(by_grid[..., 0], 2 / (width - 1), out=by_points[:, 0])
            torch.mul(by_grid[..., 1], 2 / (height - 1), out=by_points[:, 1])
            by_points[:, :2].div_(torch.where(usable[at], z, torch.inf).unsqueeze(1))
            torch.sum(by_points[:, :2] * pixels, 1, out=by_points[:, 2]).neg_()
            by_translation[at] = by_points.sum((2, 3)).unsqueeze(-1)
            torch.sum(_rotated_rays(homography[at], x, y).mul_(by_points), 1, out=by_depth[at])
            by_points.mul_(depth[at].unsqueeze(1))
            rows = by_points.sum(3)
            with full_precision(depth):
                by_homography[at] = torch.stack([by_points.sum(2) @ x, rows @ y, rows.sum(2)], 2)
        return by_source, by_depth, by_homography, by_translation


def _divisor(z: Tensor) -> Tensor:
    """z + 1e-7, never zero."""
    shifted = z + 1e-7
    return torch.where(shifted == 0, 1e-7, shifted)


def _pieces(depth: Tensor) -> list[slice]:
    return [slice(i, i + 1) for i in range(len(depth))] if depth.device.type == "cpu" else [slice(None)]


def _rotated_rays(homography: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """homography (x, y, 1) of every pixel, B 3 H W."""
    by_row = homography[:, :, 1:2] * y + homography[:, :, 2:]
    return by_row.unsqueeze(3) + (homography[:, :, :1] * x).unsqueeze(2)


def _grid(pixels: Tensor, height: int, width: int) -> Tensor:
    """grid_sample's coordinates. It reads outside its memory where one is not a number (seen on the CPU)."""
    x, y = pixels.unbind(-1)
    grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1]).nan_to_num(nan=-2.0)
    return grid.movedim(0, -1)
