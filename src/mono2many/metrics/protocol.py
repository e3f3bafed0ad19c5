"""How a predicted map becomes a number: size, mask, scale, range. A protocol is a value, quoted by name.

aligned = align(disparity, truth, PROTOCOLS["eigen-80m"])     metres, the pixels that count, the ratio
score(disparity, truth, protocol).metrics.abs_rel             the same and the seven numbers
with_alignment(PROTOCOLS["eigen-80m"], "affine")              another way of aligning, and its name says so
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.metrics.depth import DepthMetrics, depth_metrics
from mono2many.types import InputError


@dataclass(frozen=True)
class Crop:
    """A part of the image, as fractions of its height and width; pixel limits are truncated."""

    top: float
    bottom: float
    left: float
    right: float

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns that lie inside, of an image of `height` x `width` pixels."""
        rows = slice(int(self.top * height), int(self.bottom * height))
        return rows, slice(int(self.left * width), int(self.right * width))


GARG = Crop(top=0.40810811, bottom=0.99189189, left=0.03594771, right=0.96405229)
"""The part of a KITTI image where the LiDAR measures (Garg et al. 2016)."""


Alignment = Literal["median", "none", "least-squares", "affine"]
CITY = Crop(top=256 / 768, bottom=1.0, left=192 / 2048, right=1856 / 2048)
"""The part of a Cityscapes picture, without the car's hood, that counts (Watson et al. 2021)."""
Truth = Literal["given", "lidar-forward", "lidar-z", "improved", "disparity"]


@dataclass(frozen=True)
class Protocol:
    """What is compared, and what is forgiven."""

    name: str
    """Printed beside every number made with it."""
    min_depth: float
    max_depth: float
    """Metres. Truth counts strictly between the two; predictions are clamped to them."""
    crop: Crop | None = None
    align: Alignment | float = "median"
    """Multiply each prediction by median(truth) / median(predicted) of its image, by nothing, by the factor
    that leaves the least squared error, or by a fixed one (5.4 for KITTI models trained on its stereo pair at
    a baseline of 0.1). affine: scale and shift disparity by least squares (Ranftl et al. 2020)."""
    resize: Literal["disparity", "depth"] = "disparity"
    """Which of the two is interpolated to the truth's size."""
    truth_is_bounded: bool = True
    """False: every measured pixel counts, however far; the prediction is clamped all the same."""
    truth: Truth = "given"
    """Where true depth comes from: the data itself, raw laser scans (as the scanner's forward coordinate or
    the camera's z), KITTI's improved depth, or a stereo pair's disparity."""


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("synthetic-80m", 1e-3, 80.0),
        Protocol("synthetic-80m-metric", 1e-3, 80.0, align="none"),
        Protocol("eigen-80m", 1e-3, 80.0, crop=GARG, truth="lidar-forward"),
        Protocol("eigen-80m-z", 1e-3, 80.0, crop=GARG, truth="lidar-z"),
        Protocol("eigen-improved", 1e-3, 80.0, truth_is_bounded=False, truth="improved"),
        Protocol("ddad-200m", 0.0, 200.0, resize="depth", truth="lidar-z"),
        Protocol("rgbd-10m", 0.1, 10.0),
        Protocol("cityscapes-80m", 1e-3, 80.0, crop=CITY, truth="disparity"),
    )
}
"""Eigen et al. 2014 with Garg et al. 2016's crop; Uhrig et al. 2017's improved truth; Guizilini et al.
2020's DDAD. In `synthetic-80m` the sky has no depth (NaN) and does not count."""


def with_alignment(protocol: Protocol, text: str) -> Protocol:
    """The protocol with another alignment (a word of Alignment, or a factor), which its name tells.

    Raises InputError for anything else.
    """
    align: Alignment | float
    if text in get_args(Alignment):
        align = text  # type: ignore[assignment]
    else:
        try:
            align = float(text)
        except ValueError:
            align = math.nan
        if not 0 < align < math.inf:
            raise InputError(
                f"--alignment {text}: wanted {', '.join(get_args(Alignment))} or a factor such as 5.4"
            )
    if align == protocol.align:
        return protocol
    words = text if isinstance(align, str) else f"factor {align:g}"
    return replace(protocol, name=f"{protocol.name}, {words}", align=align)


def metric_protocol(protocol: Protocol) -> Protocol:
    """The protocol for depth in metres, which is not aligned."""
    return PROTOCOLS.get(f"{protocol.name}-metric") or with_alignment(protocol, "none")


@dataclass(frozen=True)
class Aligned:
    """A prediction in the truth's size and unit."""

    depth: Float[Tensor, "H W"]
    """Metres, scaled by `ratio` and clamped."""
    kept: Bool[Tensor, "H W"]
    """The pixels that the protocol counts."""
    ratio: float
    """What the prediction was multiplied by; 1 if it was aligned by more than a factor."""


@dataclass(frozen=True)
class ImageScore:
    """One image, or one region of it."""

    metrics: DepthMetrics
    ratio: float
    """What the prediction was multiplied by; always found on the whole image."""
    pixels: int
    """How many were compared."""


def kept_pixels(truth: Float[Tensor, "H W"], protocol: Protocol, cropped: bool = True) -> Bool[Tensor, "H W"]:
    """Where `truth` (metres; NaN or <= 0 where unmeasured) is measured, in range and, if `cropped`, inside
    the protocol's crop."""
    kept = truth.isfinite() & (truth > 0)
    if protocol.truth_is_bounded:
        kept &= (truth > protocol.min_depth) & (truth < protocol.max_depth)
    if cropped and protocol.crop is not None:
        inside = torch.zeros_like(kept)
        inside[protocol.crop.slices(*truth.shape)] = True
        kept &= inside
    return kept


def depth_at_size(
    disparity: Float[Tensor, "h w"], size: tuple[int, int], resize: Literal["disparity", "depth"]
) -> Float[Tensor, "H W"]:
    """Depth at `size` (height, width), in 1 / the disparity's unit; bilinear between half-pixel centres."""

    def resized(x: Tensor) -> Tensor:
        return F.interpolate(x[None, None], size, mode="bilinear", align_corners=False)[0, 0]

    return resized(1 / disparity) if resize == "depth" else 1 / resized(disparity)


def median(values: Float[Tensor, "N"]) -> float:
    """The middle value; of an even number the mean of the middle two (torch's own takes the lower)."""
    lower = upper = values.median()
    if 2 * int((values <= lower).sum()) == values.numel():
        upper = values[values > lower].min()
    return (float(lower) + float(upper)) / 2


NO_RATIO = "too many predicted disparities are 0 (infinitely far): no {} scale exists; check the model's file"


def least_squares_ratio(
    depth: Float[Tensor, "*B N"], truth: Float[Tensor, "*B N"], kept: Bool[Tensor, "*B N"]
) -> Float[Tensor, "*B"]:
    """The factor s with the least sum of (truth - s depth)^2 over the pixels kept."""
    depth, truth = (torch.where(kept, x, 0).double() for x in (depth, truth))
    return (truth * depth).sum(-1) / depth.square().sum(-1)


def affine_depth(
    depth: Float[Tensor, "*B N"], truth: Float[Tensor, "*B N"], kept: Bool[Tensor, "*B N"]
) -> Float[Tensor, "*B N"]:
    """1 / (a / depth + b) with the a and b that fit 1 / truth best over the pixels kept, by least squares;
    infinite where that is no positive disparity (Ranftl et al. 2020, sec. 5)."""
    disparity = 1 / depth.double()
    count = kept.sum(-1, keepdim=True).clamp(min=1)
    x, y = (torch.where(kept, value, 0) for value in (disparity, 1 / truth.double()))
    mean_x, mean_y = x.sum(-1, keepdim=True) / count, y.sum(-1, keepdim=True) / count
    off = torch.where(kept, x - mean_x, 0)
    variance = off.square().sum(-1, keepdim=True)
    a = torch.where(variance > 0, (off * y).sum(-1, keepdim=True) / variance, 0)
    fitted = a * (disparity - mean_x) + mean_y
    return torch.where(fitted > 0, 1 / fitted, torch.inf).to(depth)


def align(disparity: Float[Tensor, "h w"], truth: Float[Tensor, "H W"], protocol: Protocol) -> Aligned | None:
    """Bring a prediction to the truth's size, scale and range; None if no pixel counts.

    `disparity` in 1 / metres or up to scale, not negative (0 is infinitely far); `truth` in metres, NaN or
    <= 0 where unmeasured. Raises InputError if a pixel that counts has no depth (NaN, negative disparity).
    """
    kept = kept_pixels(truth, protocol)
    if not kept.any():
        return None
    depth = depth_at_size(disparity.to(truth), (truth.shape[0], truth.shape[1]), protocol.resize)
    usable = int((depth[kept] > 0).sum())
    if usable < int(kept.sum()):
        raise InputError(
            f"the predicted disparity is negative or not a number at {int(kept.sum()) - usable} of "
            f"{int(kept.sum())} pixels; positive ones were wanted: check the model's file"
        )
    ratio = 1.0
    if protocol.align == "median":
        ratio = median(truth[kept]) / median(depth[kept])
    elif protocol.align == "least-squares":
        ratio = float(least_squares_ratio(depth[kept], truth[kept], kept[kept]))
    elif protocol.align == "affine":
        depth = affine_depth(depth.flatten(), truth.flatten(), kept.flatten()).view_as(depth)
    elif protocol.align != "none":
        ratio = float(protocol.align)
    if not (math.isfinite(ratio) and ratio > 0):
        raise InputError(NO_RATIO.format(protocol.align))
    return Aligned((depth * ratio).clamp(protocol.min_depth, protocol.max_depth), kept, ratio)


def score_region(
    aligned: Aligned, truth: Float[Tensor, "H W"], region: Bool[Tensor, "H W"] | None = None
) -> ImageScore | None:
    """Compare what `align` returned with the same truth, inside `region` if given; None if that is empty."""
    counted = aligned.kept if region is None else aligned.kept & region
    pixels = int(counted.sum())
    if pixels == 0:
        return None
    return ImageScore(depth_metrics(truth[counted], aligned.depth[counted]), aligned.ratio, pixels)


def score(
    disparity: Float[Tensor, "h w"],
    truth: Float[Tensor, "H W"],
    protocol: Protocol,
    region: Bool[Tensor, "H W"] | None = None,
) -> ImageScore | None:
    """The seven numbers of one image under a protocol; None if no pixel counts.

    Shapes, units and errors as in `align`. A region (say, what moves) is scored with the ratio of the
    whole image: its own ratio would hide that it was placed too near or too far.
    """
    aligned = align(disparity, truth, protocol)
    return None if aligned is None else score_region(aligned, truth, region)
