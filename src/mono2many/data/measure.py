"""Cheap figures of neighbouring pictures: how far things moved, whether both show the same scene, how sharp.

Grey pictures, N at a time. Nothing here knows depth or a camera: it is for sorting footage before training.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.data.augment import GREY
from mono2many.geometry.warp import sample

WIDTH = 320
"""Motion is measured on pictures of this width: a shift of 0.1 % is a third of a pixel."""
WINDOW, STRIDE = 16, 8
"""One displacement per window of pixels, and how far apart the windows are."""
COARSEST = 20
"""Pictures are halved while their smaller side stays above this."""
REACH = 0.12
"""Shifts up to this share of the width are tried on the coarsest pictures."""
STEPS = 3
"""Gauss-Newton steps on each level."""
TEXTURE = 3e-5
"""Smaller eigenvalue of a window's mean gradient product (grey 0 to 1, per pixel) below which its motion is
not told: one to two grey levels per pixel in the weaker direction."""


@dataclass(frozen=True)
class PairMeasures:
    """Of N pairs. Shifts are lengths in shares of the picture's width."""

    difference: Float[Tensor, "N"]
    """Mean absolute difference, 0 to 1."""
    shift: Float[Tensor, "N"]
    """Median over the windows that have texture; 0 where none has."""
    most: Float[Tensor, "N"]
    """The same at the upper quartile."""
    agreement: Float[Tensor, "N"]
    """Lower quartile of the windows' correlation after the shift: 1 the same scene, about 0 another."""
    brightness: Float[Tensor, "N"]
    """Mean of the second less the first, -1 to 1."""


def to_grey(images: UInt8[Tensor, "N 3 H W"], width: int = WIDTH) -> Float[Tensor, "N h w"]:
    """Grey, 0 to 1, `width` pixels wide (never enlarged), at the pictures' own aspect ratio."""
    weights = torch.tensor(GREY) / 255
    grey = (images.permute(0, 2, 3, 1).float() @ weights)[:, None]
    return shrink(grey[:, 0], width)


def shrink(grey: Float[Tensor, "N H W"], width: int = WIDTH) -> Float[Tensor, "N h w"]:
    """`width` pixels wide, antialiased; smaller pictures stay as they are."""
    if grey.shape[-1] <= width:
        return grey
    size = (max(1, round(grey.shape[-2] * width / grey.shape[-1])), width)
    return F.interpolate(grey[:, None], size=size, mode="bilinear", antialias=True)[:, 0]


def sharpness(grey: Float[Tensor, "N H W"]) -> Float[Tensor, "N"]:
    """Variance of the Laplacian: falls where fine detail is lost. Depends on what the picture shows."""
    across = grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    down = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]
    return (across + down - 4 * grey[:, 1:-1, 1:-1]).flatten(1).var(1)


def measure_pairs(first: Float[Tensor, "N H W"], second: Float[Tensor, "N H W"]) -> PairMeasures:
    """What changed from the first to the second picture of each pair, both at most WIDTH wide."""
    flow, correlation, textured = displacement(first, second)
    lengths = flow.norm(dim=1).masked_fill(~textured, torch.nan).flatten(1) / first.shape[-1]
    shift, most = lengths.nanquantile(torch.tensor([0.5, 0.75]), 1)
    matching = correlation.masked_fill(~textured, torch.nan).flatten(1).nanquantile(0.25, 1)
    return PairMeasures(
        difference=(second - first).abs().mean((1, 2)),
        shift=shift.nan_to_num(0.0),
        most=most.nan_to_num(0.0),
        agreement=matching.nan_to_num(0.0),
        brightness=second.mean((1, 2)) - first.mean((1, 2)),
    )


def displacement(
    first: Float[Tensor, "N H W"], second: Float[Tensor, "N H W"]
) -> tuple[Float[Tensor, "N 2 h w"], Float[Tensor, "N h w"], Bool[Tensor, "N h w"]]:
    """(x, y) in pixels that each window moved, how well it then correlates, and which windows have texture.

    All shifts are tried on the coarsest pictures; then least squares on the brightness gradient, window by
    window, from coarse to fine (Lucas and Kanade 1981). The pictures lose their local mean first, so that a
    change of exposure is no motion.
    """
    levels = [torch.stack([first, second], 1)]
    while min(levels[-1].shape[-2:]) >= 2 * COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    flow = _best_shifts(*_details(levels[-1]))
    for pair in reversed(levels):
        flow = _resized(flow, pair) * (pair.shape[-1] / flow.shape[-1])
        a, b = _details(pair)
        padded = F.pad(a, (1, 1, 1, 1), mode="replicate")
        dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        xx, xy, yy = _windows(torch.cat([dx * dx, dx * dy, dy * dy], 1)).unbind(1)
        # a window without texture follows its surroundings at the coarser level
        determinant = (xx + TEXTURE) * (yy + TEXTURE) - xy * xy
        for _ in range(STEPS):
            warped, inside = _shifted(b, flow)
            error = (a - warped) * inside
            x, y = _windows(torch.cat([dx * error, dy * error], 1)).unbind(1)
            step = torch.stack([(yy + TEXTURE) * x - xy * y, (xx + TEXTURE) * y - xy * x], 1)
            flow = flow + _resized((step / determinant[:, None]).clamp(-2, 2), pair)
    warped, inside = _shifted(b, flow)
    a = a * inside
    correlation = _windows(a * warped)[:, 0] / (
        (_windows(a * a) * _windows(warped * warped * inside))[:, 0].sqrt() + TEXTURE
    )
    smaller = (xx + yy) / 2 - ((xx - yy).square() / 4 + xy * xy).sqrt()
    return _windows(flow), correlation, smaller > TEXTURE


def _details(pair: Float[Tensor, "N 2 H W"]) -> tuple[Float[Tensor, "N 1 H W"], Float[Tensor, "N 1 H W"]]:
    """Both pictures less their local mean."""
    first, second = (pair - F.avg_pool2d(pair, 9, 1, 4, count_include_pad=False)).split(1, 1)
    return first, second


def _best_shifts(
    first: Float[Tensor, "N 1 H W"], second: Float[Tensor, "N 1 H W"]
) -> Float[Tensor, "N 2 H W"]:
    """Of all whole shifts within REACH, the one that explains each window best; the smaller one of equals."""
    height, width = first.shape[-2:]
    reach = round(REACH * width)
    side = 2 * reach + 1
    candidates = F.unfold(F.pad(second, (reach,) * 4, mode="replicate"), side, stride=1)
    errors = (candidates.unflatten(2, (height, width)) - first).abs()
    offsets = torch.arange(side, dtype=first.dtype) - reach
    y, x = (offset.flatten() for offset in torch.meshgrid(offsets, offsets, indexing="ij"))
    dearer = 1 + 0.1 * torch.hypot(x, y) / reach
    best = (_windows(errors) * dearer[:, None, None]).argmin(1)
    return _resized(torch.stack([x[best], y[best]], 1), first)


def _windows(values: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
    """Means over overlapping windows."""
    padding = (WINDOW - STRIDE) // 2
    return F.avg_pool2d(values, WINDOW, STRIDE, padding, ceil_mode=True, count_include_pad=False)


def _resized(values: Float[Tensor, "N C h w"], like: Float[Tensor, "N D H W"]) -> Float[Tensor, "N C H W"]:
    return F.interpolate(values, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _shifted(
    image: Float[Tensor, "N 1 H W"], flow: Float[Tensor, "N 2 H W"]
) -> tuple[Float[Tensor, "N 1 H W"], Float[Tensor, "N 1 H W"]]:
    """The image at every pixel's place plus `flow`, and 1 where that lies inside it."""
    rows, columns = (torch.arange(side, dtype=image.dtype) for side in image.shape[-2:])
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    view, inside = sample(image, pixels + flow.permute(0, 2, 3, 1))
    return view, inside[:, None].to(image.dtype)
