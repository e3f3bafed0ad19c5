"""The plane of the road, found in predicted depth, and what lies below it.

On a plane y = a x + b z + c (y points down, c is the camera's height) disparity is linear in the pixel: the
ray (x, y, 1) meets it where 1/z = (y - a x - b) / c. So the plane is fitted to disparity, where the errors of
a depth network are about even, and each tolerance is a share of the plane's disparity: no unit is needed.
After Dynamo-Depth (Sun and Hariharan, NeurIPS 2023), whose plane is fitted to points instead.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.geometry.warp import pixel_rays

STRIP = 0.4
"""Share of the image, at its bottom, in which the road is looked for."""
POINTS = 1024
"""About so many pixels of the strip are looked at."""
DRAWS, DRAWN = 100, 5
"""Planes that are tried, and the points that each is fitted to."""
TOLERANCE = 0.1
"""A point is on the plane where its disparity differs by less than this share of the plane's."""
FEWEST = 0.3
"""Share of the strip that must be on the plane."""
STEEPEST = math.radians(15)
"""Between the plane's normal and the camera's y axis."""
BELOW = 0.7
"""A pixel is below the ground where its disparity is less than this share of the plane's there."""


class Ground(NamedTuple):
    """The plane y = a x + b z + c of each image."""

    plane: Float[Tensor, "B 3"]
    """a, b, c in the camera's frame; c in the unit of depth."""
    inliers: Float[Tensor, " B"]
    """Share of the strip's valid pixels that lie on it."""
    found: Bool[Tensor, " B"]
    """Enough of the strip lies on it, below the camera, and it is not steep."""


@torch.no_grad()
def fit_ground(
    disparity: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
    valid_mask: Bool[Tensor, "B H W"] | None = None,
) -> Ground:
    """Fitted to the lowest part of the image by RANSAC (fixed draws), then to its inliers, without gradient.

    disparity: 1/depth; what is not finite and positive is left out. valid_mask: False on the ego vehicle."""
    height, width = disparity.shape[-2:]
    top = math.floor(height * (1 - STRIP))
    stride = max(1, math.isqrt((height - top) * width // POINTS))
    rows = slice(top, height, stride), slice(stride // 2, width, stride)
    rays = pixel_rays(intrinsics.float(), height, width).unflatten(-1, (height, width))
    x, y = (rays[:, axis, *rows].flatten(1) for axis in (0, 1))
    d = disparity.float()[:, *rows].flatten(1)
    valid = d.isfinite() & (d > 0)
    if valid_mask is not None:
        valid &= valid_mask[:, *rows].flatten(1)
    d = torch.where(valid, d, 0)
    equations = torch.stack([x, torch.ones_like(x), d], -1)  # B N 3: y = a x + b + c d

    count = valid.sum(1, keepdim=True)
    order = valid.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # valid points first
    ranks = (_draws(str(disparity.device)) * count.unsqueeze(-1)).long()
    picked = order.gather(1, ranks.flatten(1)).unflatten(1, (DRAWS, DRAWN))
    batch = torch.arange(len(d), device=d.device)[:, None, None]
    planes = _solve(equations[batch, picked], y[batch, picked])  # B DRAWS 3
    on_plane = _on_plane(planes, x, y, d, valid)
    best = on_plane.sum(-1).argmax(1)
    inliers = on_plane[batch[:, 0, 0], best].to(d.dtype)
    plane = _solve(equations * inliers.unsqueeze(-1), y * inliers)
    share = _on_plane(plane[:, None], x, y, d, valid)[:, 0].sum(1) / count[:, 0].clamp(min=1)
    level = plane[:, :2].norm(dim=1) < math.tan(STEEPEST)
    return Ground(plane, share, (share >= FEWEST) & level & (plane[:, 2] > 0))


def ground_disparity(
    ground: Ground, intrinsics: Float[Tensor, "B 3 3"], size: tuple[int, int]
) -> Float[Tensor, "B H W"]:
    """1/depth of the plane at each pixel; 0 above the horizon and where none was found."""
    rays = pixel_rays(intrinsics.float(), *size).unflatten(-1, size)
    disparity = _disparity(ground.plane[:, None, None], rays[:, 0], rays[:, 1])
    return torch.where(ground.found[:, None, None], disparity, 0).nan_to_num(0, 0, 0).clamp(min=0)


def below_ground(disparity: Float[Tensor, "B H W"], plane: Float[Tensor, "B H W"]) -> Bool[Tensor, "B H W"]:
    """Where a prediction lies clearly below the ground (holes). plane: of ground_disparity."""
    return disparity < BELOW * plane


def holes(
    disparity: Float[Tensor, "B H W"], intrinsics: Float[Tensor, "B 3 3"], valid: Bool[Tensor, "B H W"] | None
) -> tuple[Bool[Tensor, "B H W"], Bool[Tensor, " B"]]:
    """Valid pixels below the ground (1/depth, K in pixels), and the images in which one is found; on the CPU,
    whose float64 not every device has."""
    disparity, intrinsics = disparity.cpu(), intrinsics.cpu()
    valid = None if valid is None else valid.cpu()
    ground = fit_ground(disparity, intrinsics, valid)
    plane = ground_disparity(ground, intrinsics, (disparity.shape[1], disparity.shape[2]))
    below = below_ground(disparity, plane)
    return below if valid is None else below & valid, ground.found


def hole_score(
    disparity: Float[Tensor, "B H W"], intrinsics: Float[Tensor, "B 3 3"], valid: Bool[Tensor, "B H W"] | None
) -> Float[Tensor, " B"]:
    """Share of the valid pixels in `holes`; NaN where no ground is found. After the score of PackNet-SG
    (Guizilini et al., ICLR 2020), with this plane."""
    below, found = holes(disparity, intrinsics, valid)
    pixels = below[0].numel() if valid is None else valid.cpu().flatten(1).sum(1)
    return torch.where(found, below.flatten(1).sum(1) / pixels, torch.nan)


def _disparity(
    plane: Float[Tensor, "*#B 3"], x: Float[Tensor, "*#B"], y: Float[Tensor, "*#B"]
) -> Float[Tensor, "..."]:
    return (y - plane[..., 0] * x - plane[..., 1]) / plane[..., 2]


def _on_plane(
    planes: Float[Tensor, "B D 3"],
    x: Float[Tensor, "B N"],
    y: Float[Tensor, "B N"],
    d: Float[Tensor, "B N"],
    valid: Bool[Tensor, "B N"],
) -> Bool[Tensor, "B D N"]:
    expected = _disparity(planes.unsqueeze(2), x.unsqueeze(1), y.unsqueeze(1))
    near = (d.unsqueeze(1) - expected).abs() < TOLERANCE * expected  # never where expected <= 0 or NaN
    return near & valid.unsqueeze(1)


def _solve(equations: Float[Tensor, "*B N 3"], values: Float[Tensor, "*B N"]) -> Float[Tensor, "*B 3"]:
    """Least squares by the normal equations in double precision; NaN or anything where they are singular."""
    a, b = equations.double(), values.double().unsqueeze(-1)
    normal = a.mT @ a
    solution, _ = torch.linalg.solve_ex(normal, a.mT @ b)
    return solution.squeeze(-1).to(equations.dtype)


@lru_cache(maxsize=8)
def _draws(device: str) -> Float[Tensor, "1 D N"]:
    """In [0, 1), the same for every image."""
    return torch.rand(1, DRAWS, DRAWN, generator=torch.Generator().manual_seed(0)).to(device)
