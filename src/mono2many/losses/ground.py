"""Nothing lies below the road: a prior against holes in objects that keep pace with the camera.

Depth = infinity explains such an object exactly, as its true depth with a motion of its own does. The planes
are of geometry.ground.ground_disparity: 1 / depth of the road, 0 where there is none, without gradient.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.ground import TOLERANCE


def ground_hinge(
    disparity: Float[Tensor, "*B H W"], plane: Float[Tensor, "*B H W"]
) -> Float[Tensor, "*B H W"]:
    """max(0, d_ground - d) / (mean of d over the image): only pixels below the ground pay; the plane is
    lowered by its tolerance.

    After Dynamo-Depth (Sun and Hariharan, NeurIPS 2023), whose tolerance and distance have a unit."""
    below = torch.relu((1 - TOLERANCE) * plane - disparity)
    return below / disparity.detach().mean((-2, -1), keepdim=True)
