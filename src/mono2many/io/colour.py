"""Numbers as colours, for people to look at: disparity and errors."""

from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int32, UInt8
from torch import Tensor


def colour_disparity(
    disparity: Float[Tensor, "H W"], low: float | None = None, high: float | None = None
) -> UInt8[Tensor, "3 H W"]:
    """Near is bright, far is dark; black where disparity is not finite. `low` and `high` (disparity's unit)
    get the palette's ends; by default those of `robust_range`. For a video give both, or the colours flicker.
    """
    if low is None or high is None:
        low, high = robust_range(disparity)
    return _paint((disparity - low) / max(high - low, 1e-12), disparity.isfinite(), "magma")


def robust_range(values: Float[Tensor, "*shape"]) -> tuple[float, float]:
    """1st and 98th percentile of the finite values, so that a few wild pixels do not darken the rest; (0, 1)
    where there is none. Of a large image about 25,000 pixels, evenly spaced, are used."""
    some = values.detach().flatten()[:: max(1, values.numel() // 25_000)].float()
    finite = some[some.isfinite()]
    if not finite.numel():
        finite = values[values.isfinite()].detach().float()
    if not finite.numel():
        return 0.0, 1.0
    low, high = torch.quantile(finite, finite.new_tensor([1.0, 98.0]) / 100).tolist()
    return low, high


def colour_depth_error(
    predicted: Float[Tensor, "H W"], truth: Float[Tensor, "H W"], limit: float = 0.25
) -> UInt8[Tensor, "3 H W"]:
    """Relative error (predicted - truth) / truth: blue is too near, red too far, pale is right; the ends of
    the palette are at -limit and +limit. Black where either is not finite. Both in the same unit."""
    error = (predicted - truth) / truth
    known = truth.isfinite() & (truth > 0) & predicted.isfinite()
    return _paint(error / (2 * limit) + 0.5, known, "coolwarm")


def _paint(unit: Float[Tensor, "H W"], known: Bool[Tensor, "H W"], palette: str) -> UInt8[Tensor, "3 H W"]:
    """0 .. 1 to the palette's 256 colours (clipped beyond), black where not known; on the host, channels last
    in memory, as encoders like them."""
    index = unit.detach().nan_to_num(0.0).clamp(0, 1).mul(255).round().int()
    index = torch.where(known, index, 256).flatten().cpu()
    packed = _palette(palette).index_select(0, index).view(torch.uint8)  # four bytes at a time are fastest
    return packed.view(*unit.shape, 4)[..., :3].permute(2, 0, 1)


@lru_cache
def _palette(name: str) -> Int32[Tensor, "257"]:
    """Red, green, blue and a byte that is not used; the last one is black."""
    from matplotlib import colormaps  # slow to import, and only images in colour need it

    colours = torch.from_numpy(colormaps[name].resampled(256)(range(256), bytes=True).copy())
    return torch.cat([colours, torch.zeros_like(colours[:1])]).view(torch.int32).flatten()
