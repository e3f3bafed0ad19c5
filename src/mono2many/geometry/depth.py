"""Words for distance: sigmoid (raw output in 0 .. 1), disparity = 1 / depth, depth = z along the axis."""

from jaxtyping import Float
from torch import Tensor

Limit = float | Float[Tensor, ""]
"""Nearest or farthest depth."""


def disparity_from_sigmoid(
    sigmoid: Float[Tensor, "*shape"], min_depth: Limit, max_depth: Limit
) -> Float[Tensor, "*shape"]:
    """Affine map of (0, 1) onto (1 / max_depth, 1 / min_depth) (Godard et al. 2019, sec. 3.3)."""
    low, high = 1 / max_depth, 1 / min_depth
    return low + (high - low) * sigmoid


def depth_from_sigmoid(
    sigmoid: Float[Tensor, "*shape"], min_depth: Limit, max_depth: Limit
) -> Float[Tensor, "*shape"]:
    """1 / disparity: from max_depth (sigmoid 0) to min_depth (sigmoid 1)."""
    return 1 / disparity_from_sigmoid(sigmoid, min_depth, max_depth)
