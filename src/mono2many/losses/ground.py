"""Nothing lies below the road: a prior against cars that keep pace with the camera becoming holes."""

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.ground import TOLERANCE


def ground_hinge(disparity: Float[Tensor, "B H W"], plane: Float[Tensor, "B H W"]) -> Float[Tensor, " B"]:
    """Mean over the image of max(0, d_ground - d), with the plane lowered by its tolerance: only pixels below
    the ground pay. plane: of geometry.ground.ground_disparity, without gradient, 0 where there is no ground.

    After Dynamo-Depth (Sun & Hariharan, NeurIPS 2023), in disparity and with a tolerance without unit."""
    return torch.relu((1 - TOLERANCE) * plane - disparity).mean((1, 2))
