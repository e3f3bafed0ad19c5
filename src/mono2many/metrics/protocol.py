"""How a predicted map becomes numbers: mask, size, alignment, range. A protocol is a value, quoted by name.

score(disparity, truth, PROTOCOLS["eigen-80m"]).metrics.abs_rel     truth: a map, or its measured pixels
with_alignment(PROTOCOLS["eigen-80m"], "affine")                    another way of aligning, named so
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.metrics.depth import DepthMetrics, depth_metrics
from mono2many.metrics.sparse import SparseTruth, sample_depth, sparse_truth
from mono2many.types import InputError

RANGES = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0), (80.0, 200.0))
"""Metres of true depth, [low, high), that are also scored apart."""
HOLE = 2
"""A moving pixel is in a hole where its aligned depth is wrong by more than this factor, either way; a
pixel is too far where its aligned depth is more than this factor times the true one."""


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

    def in_range(self, truth: Float[Tensor, "*N"]) -> Bool[Tensor, "*N"]:
        """Depths in metres that count, wherever they lie; NaN or <= 0 where unmeasured."""
        measured = truth.isfinite() & (truth > 0)
        if not self.truth_is_bounded:
            return measured
        return measured & (truth > self.min_depth) & (truth < self.max_depth)

    def counts(self, truth: SparseTruth) -> Bool[Tensor, "N"]:
        """The pixels that are in range and inside the crop."""
        kept = self.in_range(truth.depth)
        if self.crop is not None:
            rows, columns = self.crop.slices(*truth.size)
            row, column = truth.pixels // truth.size[1], truth.pixels % truth.size[1]
            kept &= (row >= rows.start) & (row < rows.stop)
            kept &= (column >= columns.start) & (column < columns.stop)
        return kept


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
    """A prediction at the measured pixels of an image, in metres."""

    depth: Float[Tensor, "N"]
    """Scaled by `ratio` and clamped."""
    kept: Bool[Tensor, "N"]
    """The pixels that the protocol counts."""
    ratio: float
    """What the prediction was multiplied by; 1 if it was aligned by more than a factor."""
    correlation: float
    """Of the predicted disparity, before it is aligned, with 1 / truth; NaN of a constant. It has the sign of
    the slope that affine alignment finds."""


@dataclass(frozen=True)
class RegionScore:
    """A region of one image."""

    metrics: DepthMetrics
    too_far: float
    """Share of its pixels that are too far: see HOLE."""


@dataclass(frozen=True)
class ImageScore:
    """One image; all of it with the ratio of the whole."""

    metrics: DepthMetrics
    ratio: float
    """As Aligned.ratio."""
    correlation: float
    """As Aligned.correlation."""
    pixels: int
    """How many were compared."""
    silog: float
    irmse: float
    """Of KITTI's server (Uhrig et al. 2017): 100 times the standard deviation of ln predicted - ln truth;
    root of the mean (1/truth - 1/predicted)^2 in 1/km."""
    ranges: tuple[tuple[int, DepthMetrics | None], ...]
    """Of each of RANGES: pixels, and metrics."""
    regions: dict[str, RegionScore]
    """Of SparseTruth.regions, those that have pixels."""
    holes: float | None
    """Share of the moving pixels in holes."""


def median(values: Float[Tensor, "N"]) -> float:
    """The middle value; of an even number the mean of the middle two (torch's own takes the lower)."""
    lower = upper = values.median()
    if 2 * int((values <= lower).sum()) == values.numel():
        upper = values[values > lower].min()
    return (float(lower) + float(upper)) / 2


def least_squares_ratio(depth: Float[Tensor, "N"], truth: Float[Tensor, "N"]) -> float:
    """The factor s with the least sum of (truth - s depth)^2."""
    depth, truth = depth.double(), truth.double()
    return float((truth * depth).sum() / depth.square().sum())


def affine_depth(
    depth: Float[Tensor, "N"], truth: Float[Tensor, "N"], kept: Bool[Tensor, "N"]
) -> Float[Tensor, "N"]:
    """1 / (a / depth + b) with the a and b that fit 1 / truth best over the pixels kept, by least squares;
    infinite where that is no positive disparity (Ranftl et al. 2020, sec. 5)."""
    disparity = 1 / depth.double()
    x, y = disparity[kept], 1 / truth[kept].double()
    off = x - x.mean()
    variance = off.square().sum()
    a = (off * y).sum() / variance if variance > 0 else 0.0
    fitted = a * (disparity - x.mean()) + y.mean()
    return torch.where(fitted > 0, 1 / fitted, torch.inf).to(depth)


def align(disparity: Float[Tensor, "h w"], truth: SparseTruth, protocol: Protocol) -> Aligned | None:
    """Bring a prediction to the truth's pixels, scale and range; None if no pixel counts.

    `disparity` in 1 / metres or up to scale, of any size, not negative (0 is infinitely far). Raises
    InputError if a pixel that counts has no depth (NaN, negative disparity).
    """
    kept = protocol.counts(truth)
    pixels = int(kept.sum())
    if pixels == 0:
        return None
    depth = sample_depth(disparity, truth, protocol.resize)
    wrong = pixels - int((depth[kept] > 0).sum())
    if wrong:
        raise InputError(
            f"the predicted disparity is negative or not a number at {wrong} of {pixels} pixels; positive "
            "ones were wanted: check where it comes from"
        )
    disparities = torch.stack([1 / depth[kept].double(), 1 / truth.depth[kept].double()])
    correlation = float(torch.corrcoef(disparities)[0, 1]) if pixels > 1 else math.nan
    ratio = 1.0
    if protocol.align == "median":
        ratio = median(truth.depth[kept]) / median(depth[kept])
    elif protocol.align == "least-squares":
        ratio = least_squares_ratio(depth[kept], truth.depth[kept])
    elif protocol.align == "affine":
        depth = affine_depth(depth, truth.depth, kept)
    elif protocol.align != "none":
        ratio = float(protocol.align)
    if not 0 < ratio < math.inf:
        raise InputError(
            f"too many predicted disparities are 0 (infinitely far): no {protocol.align} scale exists; check "
            "where they come from"
        )
    aligned = (depth * ratio).clamp(protocol.min_depth, protocol.max_depth)
    return Aligned(aligned, kept, ratio, correlation)


def score(
    disparity: Float[Tensor, "h w"], truth: Float[Tensor, "H W"] | SparseTruth, protocol: Protocol
) -> ImageScore | None:
    """The numbers of one image under a protocol; None if no pixel counts.

    truth: metres, a map that is NaN or <= 0 where unmeasured, or its measured pixels. Units and errors as in
    `align`. What lies in one range or moves is scored with the ratio of the whole image: its own ratio would
    hide that it was placed too near or too far.
    """
    if isinstance(truth, Tensor):
        truth = sparse_truth(truth)
    aligned = align(disparity, truth, protocol)
    if aligned is None:
        return None
    kept = aligned.kept
    depth, true = aligned.depth[kept].double(), truth.depth[kept].double()
    metrics = depth_metrics(true, depth)
    assert metrics is not None
    within = [(true >= low) & (true < high) for low, high in RANGES]
    masks = {name: mask[kept] for name, mask in truth.regions.items()}
    too_far = depth > HOLE * true
    regions = {
        name: RegionScore(found, float(too_far[mask].double().mean()))
        for name, mask in masks.items()
        if (found := depth_metrics(true[mask], depth[mask])) is not None
    }
    holes = None
    if "moving" in regions:
        wrong = torch.maximum(true / depth, depth / true)[masks["moving"]] > HOLE
        holes = float(wrong.double().mean())
    return ImageScore(
        metrics,
        aligned.ratio,
        aligned.correlation,
        len(true),
        silog=100 * float((true.log() - depth.log()).std(correction=0)),
        irmse=float((1000 / true - 1000 / depth).square().mean().sqrt()),
        ranges=tuple((int(part.sum()), depth_metrics(true[part], depth[part])) for part in within),
        regions=regions,
        holes=holes,
    )
