"""Edge-aware smoothness: depth changes where the image does."""

from jaxtyping import Float
from torch import Tensor


def edge_aware_smoothness(
    sigmoid: Float[Tensor, "B H W"], image: Float[Tensor, "B 3 H W"]
) -> tuple[Float[Tensor, "B H W-1"], Float[Tensor, "B H-1 W"]]:
    """|dx d*| exp(-|dx I|) and |dy d*| exp(-|dy I|), d* = sigmoid / (its mean over the image + 1e-7).

    Godard et al. 2019, eq. 5; the reference applies it to the raw head output, and so do we.
    """
    normalised = sigmoid / (sigmoid.mean((-2, -1), keepdim=True) + 1e-7)
    across = (normalised[..., 1:] - normalised[..., :-1]).abs()
    down = (normalised[..., 1:, :] - normalised[..., :-1, :]).abs()
    edge_across = (image[..., 1:] - image[..., :-1]).abs().mean(-3)
    edge_down = (image[..., 1:, :] - image[..., :-1, :]).abs().mean(-3)
    return across * (-edge_across).exp(), down * (-edge_down).exp()
