"""What an earlier depth map of a static scene says of the present one."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.geometry.warp import MIN_Z, pixel_rays, warp

ITERATIONS = 2


def reproject_depth(
    depth: Float[Tensor, "B H W"],
    source_depth: Float[Tensor, "B H W"],
    source_from_target: Float[Tensor, "B 4 4"],
    intrinsics: Float[Tensor, "B 3 3"],
) -> tuple[Float[Tensor, "B H W"], Bool[Tensor, "B H W"]]:
    """The depth that the source's map gives each pixel of the target, and the pixels that the source sees
    (elsewhere it is `depth`). The scene is static; depths and translation share a unit.

    depth: the target's own, positive, where the search begins: the pixel's point is projected into the
    source, whose depth there determines how far along the pixel's ray the surface lies; and once more from
    there. 1 / depth is interpolated, which is linear in the image of a plane: exact maps of planes give the
    exact depth."""
    height, width = depth.shape[-2:]
    rays = source_from_target[:, 2:3, :3] @ pixel_rays(intrinsics, height, width)
    slope = rays.view(-1, height, width)  # of the source's z along the target's ray
    offset = source_from_target[:, 2, 3, None, None]
    disparity, seen, found = (1 / source_depth).unsqueeze(1), torch.ones_like(depth, dtype=torch.bool), depth
    for _ in range(ITERATIONS):
        view, in_view = warp(disparity, found, source_from_target, intrinsics, intrinsics)
        reprojected = (1 / view.squeeze(1) - offset) / slope
        seen = seen & in_view & (slope > 0) & (reprojected > MIN_Z) & reprojected.isfinite()
        found = torch.where(seen, reprojected, depth)
    return found, seen
