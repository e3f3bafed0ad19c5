"""Which source explains a pixel, and whether it does so better than standing still.

The same two ways of combining serve the warped sources and the un-warped ones.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def minimum_over_sources(
    errors: Float[Tensor, "B S H W"], counts: Bool[Tensor, "B S H W"]
) -> tuple[Float[Tensor, "B H W"], Bool[Tensor, "B H W"]]:
    """Error of the best source that counts (0 where none does), and where any does.

    Minimum reprojection: a pixel hidden in one neighbour is judged by the other (Godard et al. 2019,
    sec. 3.1).
    """
    best = errors.masked_fill(~counts, torch.inf).min(1).values
    known = counts.any(1)
    return best.masked_fill(~known, 0), known


def average_over_sources(
    errors: Float[Tensor, "B S H W"], counts: Bool[Tensor, "B S H W"]
) -> tuple[Float[Tensor, "B H W"], Bool[Tensor, "B H W"]]:
    """Mean error of the sources that count (0 where none does), and where any does: the papers' ablation."""
    number = counts.sum(1)
    return errors.masked_fill(~counts, 0).sum(1) / number.clamp(min=1), number > 0


def beats_standing_still(
    warped: Float[Tensor, "B H W"],
    seen: Bool[Tensor, "B H W"],
    still: Float[Tensor, "B H W"],
    still_known: Bool[Tensor, "B H W"],
) -> Bool[Tensor, "B H W"]:
    """Auto-mask: pixels that some source sees and that the warped view explains better than the un-warped
    one. Objects that move with the camera fail it (Godard et al. 2019, sec. 3.2)."""
    return seen & ((warped < still) | ~still_known)
