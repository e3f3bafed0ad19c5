"""Where the cost volume of ManyDepth's student agrees with its teacher; elsewhere the teacher supervises.

The cost volume is wrong where things move or have no texture; the teacher looks at one frame and does not
have it. Watson et al. 2021, sec. 3.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from mono2many.losses.processes import mean_over_processes


def consistency_mask(
    lowest_cost_depth: Float[Tensor, "B h w"],
    valid: Bool[Tensor, "B h w"],
    teacher_depth: Float[Tensor, "B H W"],
) -> Bool[Tensor, "B H W"]:
    """Pixels whose cell is `valid` and whose depth of least cost is less than twice the teacher's and more
    than half of it."""
    best = lowest_cost_depth.masked_fill(~valid, 0)  # 0 is not more than half of any depth
    best = at_size(best, (teacher_depth.shape[-2], teacher_depth.shape[-1]))
    return (best < 2 * teacher_depth) & (teacher_depth < 2 * best)


def at_size(cells: Shaped[Tensor, "B h w"], size: tuple[int, int]) -> Shaped[Tensor, "B H W"]:
    """Each pixel's cell."""
    whole = cells.unsqueeze(1)
    whole = whole if whole.is_floating_point() else whole.float()
    return F.interpolate(whole, size, mode="nearest").squeeze(1).to(cells.dtype)


def consistency(
    depth: Float[Tensor, "*N B H W"],
    teacher_depth: Float[Tensor, "*N B H W"],
    consistent: Bool[Tensor, "B H W"],
    relative: bool = False,
) -> Float[Tensor, "*N B H W"]:
    """|depth - the teacher's|, 0 where it is `consistent`; the teacher gets no gradient. relative: divided by
    the teacher's depth, so that its unit does not matter (not in the paper)."""
    teacher_depth = teacher_depth.detach()
    difference = (depth - teacher_depth).abs()
    difference = difference / teacher_depth if relative else difference
    return difference.masked_fill(consistent, 0)


def running_range(
    nearest: Float[Tensor, ""],
    farthest: Float[Tensor, ""],
    teacher_depth: Float[Tensor, "B H W"],
    momentum: float = 0.99,
    min_depth: float = 0.1,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The cost volume's adaptive range after one more batch: running averages of 0.9 times the images' mean
    least depth, not below `min_depth`, and of 1.1 times their mean greatest."""
    low, high = teacher_depth.detach().flatten(1).aminmax(dim=1)
    low, high = mean_over_processes(low.mean()), mean_over_processes(high.mean())
    near, far = (0.9 * low).clamp(min=min_depth), 1.1 * high
    return torch.lerp(near, nearest, momentum), torch.lerp(far, farthest, momentum)


def volume_augmentation(draw: Float[Tensor, "B"]) -> tuple[Bool[Tensor, "B"], Bool[Tensor, "B"]]:
    """(static, empty) from uniform draws in [0, 1): a quarter of the samples gets its own frame to match, as
    if the camera stood still, and a quarter no frame, so that neither surprises at test time."""
    return draw < 0.25, (draw >= 0.25) & (draw < 0.5)
