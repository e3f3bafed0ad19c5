"""Predict an image and its mirror image, and blend: papers mark such results "pp" for post-processing."""

from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.evaluate.depth import Predict


def with_mirror(predict: Predict) -> Predict:
    """The same prediction function, blended with what it says about the mirrored image; twice the time."""
    return partial(_predict_blended, predict)


def _predict_blended(predict: Predict, image: UInt8[Tensor, "3 H W"]) -> Float[Tensor, "h w"]:
    return blend_mirrored(predict(image), predict(image.flip(-1)).flip(-1))


def blend_mirrored(
    plain: Float[Tensor, "*batch h w"], unmirrored: Float[Tensor, "*batch h w"]
) -> Float[Tensor, "*batch h w"]:
    """Disparities of an image and of its mirror image (already mirrored back), blended.

    The mean of both in the middle; the outer 5 % of columns on the left are the mirrored one's and on the
    right the plain one's, fading over the next 5 %: the side where a stereo-trained network sees what the
    other eye does not (Godard et al. 2017, sec. 3.4).
    """
    x = torch.linspace(0, 1, plain.shape[-1], dtype=plain.dtype, device=plain.device)
    left = 1 - (20 * (x - 0.05)).clamp(0, 1)
    right = left.flip(-1)
    return right * plain + left * unmirrored + (1 - left - right) * (plain + unmirrored) / 2
