"""Which source explains a pixel, and whether its warped view does so better than the un-warped one.

The same two ways of combining serve the warped sources and the un-warped ones.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def minimum_over_sources(
    errors: Float[Tensor, "*N B S H W"], source_valid: Bool[Tensor, "*N B S H W"]
) -> tuple[Float[Tensor, "*N B H W"], Bool[Tensor, "*N B H W"]]:
    """Error of the best valid source (0 where none is), and where any is.

    Minimum reprojection: a pixel occluded in one neighbour is compared with the other (Godard et al. 2019,
    sec. 3.1).
    """
    best = errors.masked_fill(~source_valid, torch.inf).amin(-3)
    any_valid = source_valid.any(-3)
    return best.masked_fill(~any_valid, 0), any_valid


def average_over_sources(
    errors: Float[Tensor, "*N B S H W"], source_valid: Bool[Tensor, "*N B S H W"]
) -> tuple[Float[Tensor, "*N B H W"], Bool[Tensor, "*N B H W"]]:
    """Mean error of the valid sources (0 where none is), and where any is: the papers' ablation."""
    number = source_valid.sum(-3)
    return errors.masked_fill(~source_valid, 0).sum(-3) / number.clamp(min=1), number > 0


def auto_mask(
    warped: Float[Tensor, "*N B H W"],
    any_valid: Bool[Tensor, "*N B H W"],
    identity_error: Float[Tensor, "B H W"],
    identity_valid: Bool[Tensor, "B H W"],
) -> Bool[Tensor, "*N B H W"]:
    """Auto-mask: pixels with a valid source whose reprojection error is below the identity
    reprojection error. Objects that move with the camera fail it (Godard et al. 2019, sec. 3.2)."""
    return any_valid & ((warped < identity_error) | ~identity_valid)
