"""The anchor: depth stays near that of the model which a training begins with, up to one factor per image.

Photometric error alone destroys a depth that was right: where traffic keeps pace or the camera is static, a
collapsed depth explains the frames as well. One published ablation fine-tunes a foundation model on KITTI
without an anchor from Abs Rel .087 to .458, with |d - d_start| (d the aligned disparity, weight 10) to .0852.
Ours is in log depth, so that near and far count alike.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def log_depth_drift(
    disparity: Float[Tensor, "B H W"],
    start_disparity: Float[Tensor, "B H W"],
    valid: Bool[Tensor, "B H W"] | None = None,
) -> Float[Tensor, "B H W"]:
    """|log disparity - log start disparity - its median over the image|; 0 outside `valid`. Both positive.

    The median (of the valid pixels, the lower one of two) takes out the scale, which is free, and gets no
    gradient: else the pixel that is the median would get that of all others.
    """
    drift = disparity.log() - start_disparity.log()
    compared = drift.detach() if valid is None else drift.detach().masked_fill(~valid, torch.nan)
    factor = compared.flatten(1).nanmedian(1).values.nan_to_num(0)  # 0 where nothing is valid
    error = (drift - factor[:, None, None]).abs()
    return error if valid is None else error.masked_fill(~valid, 0)
