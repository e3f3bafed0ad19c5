"""All measuring of frames: difference, displacement, agreement, brightness, sharpness, cuts.

`measure_pairs` is for sorting footage before training: pairs of grey frames WIDTH pixels wide, N at a time.
`quick_displacement` and `quick_agreement` are cheap enough for every frame of a stream: one pair of
thumbnails, on any device. What the measures are compared with stands in THRESHOLDS. No camera is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.data.augment import GREY
from mono2many.geometry.warp import sample


@dataclass(frozen=True)
class Thresholds:
    """Limits on the measures, with the values of a highway from a car at 25 frames/s, of the procedural
    street and of KITTI.

    Units: difference and brightness in grey values from 0 to 1; displacement (upper quartile) in shares of
    the frame's width; agreement is a correlation; sharpness a ratio to the median of other frames."""

    repeated: float = 0.3 / 255
    """Difference of a frame that repeats the other, at most. Highway 1.3 / 255, copies 0.2 / 255."""
    static: float = 8e-4
    """Displacement of a static camera, at most: half a pixel of 640. Highway 2.4e-3; by `quick_displacement`
    1.3e-3, street 1.3e-2, a static car behind traffic 6.4e-4, noise 6.9e-4."""
    little_motion: float = 0.008
    """Displacement below which neighbours should be further apart. Highway 0.005."""
    good_motion: float = 0.015
    """Displacement to aim at. KITTI and street 0.02."""
    much_motion: float = 0.08
    """Displacement above which neighbours should be closer."""
    same_scene: float = 0.35
    """Agreement below which a cut is possible. Highway, street, KITTI 0.49 and more, cuts 0.31 and less."""
    quick_same_scene: float = 0.4
    """The same of `quick_agreement`. Highway, street, KITTI 0.46 and more, cuts 0.31."""
    other_scene: float = 0.12
    """Agreement below which neighbours are useless, cut or not. KITTI 0.14 and more."""
    cut_jump: float = 1.5
    """Difference of a cut by the median of the pairs around, at least: fast motion lasts, a cut does not."""
    blurred: float = 0.5
    """Sharpness, by the median of the frames around, below which a frame is blurred."""
    soft: float = 0.4
    """Sharpness, by the median of all frames, below which a frame is much softer than usual."""
    brightness_jump: float = 0.06
    """Absolute change of brightness above which the exposure jumped: 15 of 255."""


THRESHOLDS = Thresholds()

WIDTH, SHARPNESS_WIDTH, THUMBNAIL_WIDTH = 320, 640, 64
"""Of the frames that are measured in pairs, for their sharpness and in a stream, in pixels."""
WINDOW, QUICK_WINDOW = 16, 12
"""Sides of the windows that are matched, in pixels of frames and of thumbnails; they overlap by half."""
REACH, QUICK_REACH = 0.12, 3
"""Largest shifts tried: share of the width of the coarsest frames, pixels of thumbnails."""
COARSEST = 20
"""Frames are halved while their smaller side stays above this, in pixels."""
STEPS = 3
"""Gauss-Newton steps on each level."""
TEXTURE = 3e-5
"""Smaller eigenvalue of a window's mean gradient product (grey 0 to 1, per pixel) below which its motion is
not measured: one to two grey levels per pixel in the weaker direction."""
QUICK_SLOPE = 4 / 255
"""Slope of a thumbnail, in grey values per pixel, above which displacement is measured."""


class PairMeasures(NamedTuple):
    """Of N pairs. Displacements are lengths in shares of the frame's width."""

    difference: Float[Tensor, "N"]
    """Mean absolute difference, 0 to 1."""
    shift: Float[Tensor, "N"]
    """Displacement: median over the windows that have texture; 0 where none has."""
    most: Float[Tensor, "N"]
    """Displacement: the same at the upper quartile."""
    agreement: Float[Tensor, "N"]
    """Lower quartile of the windows' correlation after the shift: 1 the same scene, about 0 another."""
    brightness: Float[Tensor, "N"]
    """Mean of the second less the first, -1 to 1."""

    @property
    def repeated(self) -> Bool[Tensor, "N"]:
        """Pairs whose second frame repeats the first."""
        return self.difference < THRESHOLDS.repeated

    @property
    def static(self) -> Bool[Tensor, "N"]:
        """Pairs of different frames between which the camera did not move."""
        return ~self.repeated & (self.most < THRESHOLDS.static)


def size_at_width(height: int, width: int, wanted: int) -> tuple[int, int]:
    """(height, width) of an image that is `wanted` pixels wide, of the same aspect ratio."""
    return max(1, round(height * wanted / width)), wanted


def grey_and_sharpness(image: UInt8[Tensor, "3 H W"]) -> tuple[Float[Tensor, "1 h w"], float]:
    """A frame as `measure_pairs` takes it, and its sharpness."""
    large = shrink(image[None].permute(0, 2, 3, 1).float() @ (torch.tensor(GREY) / 255), SHARPNESS_WIDTH)
    return shrink(large, WIDTH), sharpness(large).item()


def shrink(grey: Float[Tensor, "N H W"], width: int) -> Float[Tensor, "N h w"]:
    """`width` pixels wide, antialiased; smaller images stay as they are."""
    if grey.shape[-1] <= width:
        return grey
    size = size_at_width(grey.shape[-2], grey.shape[-1], width)
    return F.interpolate(grey[:, None], size=size, mode="bilinear", antialias=True)[:, 0]


def sharpness(grey: Float[Tensor, "N H W"]) -> Float[Tensor, "N"]:
    """Variance of the Laplacian: falls where fine detail is lost. Depends on what the frame shows."""
    across = grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    down = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]
    return (across + down - 4 * grey[:, 1:-1, 1:-1]).flatten(1).var(1)


def find_blurred(sharp: Sequence[float]) -> list[int]:
    """Positions whose sharpness is far below the median of the 12 before and 12 after."""
    around = [median(sharp[max(0, i - 12) : i + 13]) for i in range(len(sharp))]
    return [i for i, usual in enumerate(around) if sharp[i] < THRESHOLDS.blurred * usual]


def find_cuts(difference: Sequence[float], agreement: Sequence[float]) -> list[int]:
    """Numbers of the frames that show another scene than the frame before, with which both compare."""
    found = []
    for i in range(1, len(difference)):
        around = [*difference[max(1, i - 4) : i], *difference[i + 1 : i + 5]]
        usual = median([value for value in around if value > THRESHOLDS.repeated] or [0.0])
        if agreement[i] < THRESHOLDS.same_scene and difference[i] > THRESHOLDS.cut_jump * usual:
            found.append(i)
    return found


def measure_pairs(first: Float[Tensor, "N H W"], second: Float[Tensor, "N H W"]) -> PairMeasures:
    """What changed from the first to the second frame of each pair, both at most WIDTH wide."""
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

    All shifts are tried on the coarsest frames; then least squares on the brightness gradient, window by
    window, from coarse to fine (Lucas and Kanade 1981). The frames lose their local mean first, so that a
    change of exposure is no motion."""
    levels = [torch.stack([first, second], 1)]
    while min(levels[-1].shape[-2:]) >= 2 * COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2))
    flow = _best_shifts(*_without_local_mean(levels[-1], 9).split(1, 1))
    for pair in reversed(levels):
        flow = _resized(flow, pair) * (pair.shape[-1] / flow.shape[-1])
        a, b = _without_local_mean(pair, 9).split(1, 1)
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


def thumbnail(image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 1 h w"]:
    """Mean of the channels, THUMBNAIL_WIDTH pixels wide."""
    size = size_at_width(image.shape[-2], image.shape[-1], THUMBNAIL_WIDTH)
    return F.interpolate(image.mean(1, keepdim=True), size, mode="area")


def quick_displacement(first: Float[Tensor, "1 1 h w"], second: Float[Tensor, "1 1 h w"]) -> float:
    """Displacement of two thumbnails, at the upper quartile of their steep pixels, as a share of the width:
    the change in grey over the slope, a change of exposure aside. 0 where there are no slopes."""
    second = second * (first.mean() / second.mean().clamp(min=1e-3))
    mean = (first + second)[0, 0] / 2
    across = (mean[1:-1, 2:] - mean[1:-1, :-2]) / 2
    down = (mean[2:, 1:-1] - mean[:-2, 1:-1]) / 2
    slope = torch.hypot(across, down)
    change = (second - first)[0, 0, 1:-1, 1:-1]
    moved = ((change - change.median()).abs() / slope)[slope > QUICK_SLOPE]
    return float(moved.quantile(0.75)) / first.shape[-1] if len(moved) else 0.0


def quick_agreement(first: Float[Tensor, "1 1 h w"], second: Float[Tensor, "1 1 h w"]) -> float:
    """Lower quartile, over windows with texture, of two thumbnails' correlation at the best shift of the
    second: 1 the same scene, about 0.25 another. 1 where there is no texture."""
    a, b = (_without_local_mean(x, 5) for x in (first, second))
    views = F.unfold(F.pad(b, (QUICK_REACH,) * 4), 2 * QUICK_REACH + 1).unflatten(2, a.shape[-2:])
    product, own, other = (_windows(x, QUICK_WINDOW, 0) for x in (a * views, a * a, views * views))
    best = (product / ((own * other).sqrt() + 1e-6)).amax(1)
    textured = torch.maximum(own, _windows(b * b, QUICK_WINDOW, 0))[:, 0] > 1e-4
    return float(best[textured].quantile(0.25)) if textured.any() else 1.0


def _without_local_mean(images: Float[Tensor, "N C H W"], side: int) -> Float[Tensor, "N C H W"]:
    """Less the mean of the `side` x `side` pixels around each."""
    return images - F.avg_pool2d(images, side, 1, side // 2, count_include_pad=False)


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
    penalty = 1 + 0.1 * torch.hypot(x, y) / reach
    best = (_windows(errors) * penalty[:, None, None]).argmin(1)
    return _resized(torch.stack([x[best], y[best]], 1), first)


def _windows(
    values: Float[Tensor, "N C H W"], side: int = WINDOW, padding: int = WINDOW // 4
) -> Float[Tensor, "N C h w"]:
    """Means over windows that overlap by half."""
    return F.avg_pool2d(values, side, side // 2, padding, ceil_mode=True, count_include_pad=False)


def _resized(values: Float[Tensor, "N C h w"], like: Float[Tensor, "N D H W"]) -> Float[Tensor, "N C H W"]:
    return F.interpolate(values, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _shifted(
    image: Float[Tensor, "N 1 H W"], flow: Float[Tensor, "N 2 H W"]
) -> tuple[Float[Tensor, "N 1 H W"], Float[Tensor, "N 1 H W"]]:
    """The image sampled at every pixel plus `flow`, and 1 where that lies inside it."""
    rows, columns = (torch.arange(side, dtype=image.dtype) for side in image.shape[-2:])
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    view, inside = sample(image, pixels + flow.permute(0, 2, 3, 1))
    return view, inside[:, None].to(image.dtype)
