"""Scores of many images at once, where truth is measured at few of their pixels (laser scans).

truth = sparse_truth(depth_map)                                        NaN where unmeasured
score_sparse(disparities, truths, PROTOCOLS["eigen-80m"])[0].metrics   the same as protocol.score of each

A prediction is interpolated at measured pixels only; images are padded to the one that has most of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mono2many.metrics.depth import DepthMetrics
from mono2many.metrics.protocol import (
    NO_RATIO,
    Protocol,
    affine_depth,
    least_squares_ratio,
)
from mono2many.types import InputError

RANGES = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0), (80.0, 200.0))
"""Metres of true depth, [low, high), that are also scored apart."""
HOLE = 2
"""A moving pixel is in a hole where its aligned depth is wrong by more than this factor."""


@dataclass(frozen=True)
class SparseTruth:
    """The measured pixels of one image."""

    size: tuple[int, int]
    """Height and width of the image."""
    pixels: Int32[Tensor, "N"]
    """row * width + column, rising."""
    depth: Float[Tensor, "N"]
    """Metres."""
    moving: Bool[Tensor, "N"] | None = None
    """Of objects that move in the world; None where it is not known."""

    def dense(self) -> Float[Tensor, "H W"]:
        """As a map, NaN where unmeasured."""
        depth = torch.full((self.size[0] * self.size[1],), torch.nan)
        depth[self.pixels.long()] = self.depth
        return depth.view(self.size)


def sparse_truth(depth: Float[Tensor, "H W"], moving: Bool[Tensor, "H W"] | None = None) -> SparseTruth:
    """The finite, positive pixels of a map in metres."""
    pixels = (depth.isfinite() & (depth > 0)).flatten().nonzero()[:, 0]
    size, measured = (depth.shape[0], depth.shape[1]), depth.flatten()[pixels].float()
    return SparseTruth(size, pixels.int(), measured, None if moving is None else moving.flatten()[pixels])


@dataclass(frozen=True)
class SparseScore:
    """One image."""

    metrics: DepthMetrics
    ratio: float
    """What the prediction was multiplied by; 1 if it was aligned by more than a factor."""
    pixels: int
    """How many were compared."""
    silog: float
    irmse: float
    """Of KITTI's server (Uhrig et al. 2017): 100 times the standard deviation of ln predicted - ln truth;
    root of the mean (1/truth - 1/predicted)^2 in 1/km."""
    ranges: tuple[tuple[int, DepthMetrics | None], ...]
    """Of each of RANGES: pixels, and metrics with the ratio of the whole image."""
    static: DepthMetrics | None
    moving: DepthMetrics | None
    """With the ratio of the whole image; None without such pixels, or where it is not known what moves."""
    holes: float | None
    """Share of the moving pixels in holes."""


def score_sparse(
    disparities: Float[Tensor, "B h w"] | Sequence[Float[Tensor, "_ _"]],
    truths: Sequence[SparseTruth],
    protocol: Protocol,
    names: Sequence[str] | None = None,
) -> list[SparseScore | None]:
    """The scores of B predictions of any sizes against B images; None where the protocol counts no pixel.

    Units and errors as in protocol.align; InputErrors name the image (`names`, by default its number).
    """
    assert len(disparities) == len(truths), f"{len(disparities)} predictions of {len(truths)} images"
    truth = pad_sequence([t.depth for t in truths], batch_first=True)
    pixels = pad_sequence([t.pixels for t in truths], batch_first=True).long()
    size = torch.tensor([t.size for t in truths])
    kept = _kept(truth, pixels, size, protocol)
    if truth.numel() == 0:
        return [None] * len(truths)
    depth = _depth_at(list(disparities), pixels, size, protocol)
    depth = torch.where(kept, depth, 1.0)  # of what does not count nothing may spread
    truth = torch.where(kept, truth, 1.0)
    count = kept.sum(1)
    wrong = (count - (kept & (depth > 0)).sum(1)).tolist()

    def refuse(image: int, why: str) -> InputError:
        return InputError(f"{names[image] if names is not None else f'image {image}'}: {why}")

    for image in (i for i, pixels_wrong in enumerate(wrong) if pixels_wrong):
        raise refuse(
            image,
            f"the predicted disparity is negative or not a number at {wrong[image]} of {int(count[image])} "
            "pixels; positive ones were wanted: check where it comes from",
        )
    ratio = torch.ones(len(truths), dtype=torch.float64)
    if protocol.align == "median":
        ratio = _median(truth, kept, count) / _median(depth, kept, count)
    elif protocol.align == "least-squares":
        ratio = least_squares_ratio(depth, truth, kept)
    elif protocol.align == "affine":
        depth = affine_depth(depth, truth, kept)
    elif protocol.align != "none":
        ratio *= float(protocol.align)
    for image in ((count > 0) & ~(ratio.isfinite() & (ratio > 0))).nonzero()[:, 0].tolist():
        raise refuse(image, NO_RATIO.format(protocol.align))
    depth = (depth * ratio[:, None].float()).clamp(protocol.min_depth, protocol.max_depth)
    return _scores(truth.double(), depth.double(), kept, *_regions(truths, kept), ratio)


def _regions(
    truths: Sequence[SparseTruth], kept: Bool[Tensor, "B N"]
) -> tuple[Bool[Tensor, "B N"], Bool[Tensor, "B N"]]:
    """The static and the moving ones of the pixels that count; neither where it is not known what moves."""
    known = torch.tensor([t.moving is not None for t in truths])[:, None]
    masks = [torch.zeros(len(t.pixels), dtype=torch.bool) if t.moving is None else t.moving for t in truths]
    moving = pad_sequence(masks, batch_first=True)
    return kept & known & ~moving, kept & moving


def _kept(
    truth: Float[Tensor, "B N"], pixels: Int64[Tensor, "B N"], size: Int64[Tensor, "B 2"], protocol: Protocol
) -> Bool[Tensor, "B N"]:
    """As protocol.kept_pixels; padding has no depth."""
    kept = truth > 0
    if protocol.truth_is_bounded:
        kept &= (truth > protocol.min_depth) & (truth < protocol.max_depth)
    if protocol.crop is not None:
        inside = [protocol.crop.slices(height, width) for height, width in size.tolist()]
        limits = torch.tensor([[r.start, r.stop, c.start, c.stop] for r, c in inside])[:, :, None].unbind(1)
        row, column = pixels // size[:, 1:], pixels % size[:, 1:]
        kept &= (row >= limits[0]) & (row < limits[1]) & (column >= limits[2]) & (column < limits[3])
    return kept


def _depth_at(
    maps: Sequence[Float[Tensor, "_ _"]],
    pixels: Int64[Tensor, "B N"],
    size: Int64[Tensor, "B 2"],
    protocol: Protocol,
) -> Float[Tensor, "B N"]:
    """As protocol.depth_at_size gives at these pixels, float32 and all."""
    values = torch.cat([m.detach().cpu().float().flatten() for m in maps])
    if protocol.resize == "depth":
        values = 1 / values
    own = torch.tensor([m.shape for m in maps])
    first = own.prod(1).cumsum(0) - own.prod(1)
    low, high, share = [], [], []
    for axis, position in enumerate((pixels // size[:, 1:], pixels % size[:, 1:])):
        last = own[:, axis, None] - 1
        scale = (own[:, axis] / size[:, axis])[:, None].double()  # rounded as interpolate's, then exact
        place = (scale * (position + 0.5) - 0.5).float().clamp(min=0)
        low.append(place.long().minimum(last))
        share.append(place - low[-1])
        high.append((low[-1] + (share[-1] > 0)).minimum(last))
    (top, left), (bottom, right), (down, across) = low, high, share
    top, bottom = (first[:, None] + row * own[:, 1:] for row in (top, bottom))
    above, below = (values[row + left] * (1 - across) + values[row + right] * across for row in (top, bottom))
    sampled = above * (1 - down) + below * down
    return sampled if protocol.resize == "depth" else 1 / sampled


def _median(
    values: Float[Tensor, "B N"], kept: Bool[Tensor, "B N"], count: Int64[Tensor, "B"]
) -> Float[Tensor, "B"]:
    """The middle value of each row's kept ones, or the mean of the middle two; as protocol.median."""
    known = torch.where(kept, values, torch.nan)
    lower = known.nanmedian(1, keepdim=True).values  # torch's takes the lower
    above = torch.where(known > lower, known, torch.inf).amin(1)
    even = 2 * (known <= lower).sum(1) == count
    return (lower[:, 0].double() + torch.where(even, above, lower[:, 0])) / 2


def _scores(
    truth: Float[Tensor, "B N"],
    depth: Float[Tensor, "B N"],
    kept: Bool[Tensor, "B N"],
    static: Bool[Tensor, "B N"],
    moving: Bool[Tensor, "B N"],
    ratio: Float[Tensor, "B"],
) -> list[SparseScore | None]:
    """The formulas of metrics.depth as sums over masks: all kept pixels, each range, static, moving ones."""
    difference, logs = truth - depth, truth.log() - depth.log()
    larger = torch.maximum(truth / depth, depth / truth)
    terms = torch.stack(
        [
            difference.abs() / truth,
            difference.square() / truth,
            difference.square(),
            logs.square(),
            *((larger < 1.25**k).double() for k in (1, 2, 3)),
            logs,
            (1000 / truth - 1000 / depth).square(),
            (larger > HOLE).double(),
        ],
        1,
    )
    ranges = [kept & (truth >= low) & (truth < high) for low, high in RANGES]
    weights = torch.stack([kept, *ranges, static, moving], 1).double()
    count = weights.sum(2)
    means = weights @ terms.mT / count[..., None].clamp(min=1)  # B R 10
    silog = (means[:, 0, 3] - means[:, 0, 7].square()).clamp(min=0).sqrt() * 100
    irmse, holes = means[:, 0, 8].sqrt(), means[:, -1, 9]
    means[:, :, 2:4] = means[:, :, 2:4].sqrt()
    columns = (means[..., :7], count.long(), ratio, silog, irmse, holes)
    return [_score(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _score(
    means: list[list[float]], counts: list[int], ratio: float, silog: float, irmse: float, holes: float
) -> SparseScore | None:
    """Of one image; the rows of means and counts are those of the masks in _scores."""
    metrics = [DepthMetrics(*row) if n else None for row, n in zip(means, counts, strict=True)]
    whole, *ranges, static, moving = metrics
    if whole is None:
        return None
    parts = tuple(zip(counts[1:-2], ranges, strict=True))
    share = None if moving is None else holes
    return SparseScore(whole, ratio, counts[0], silog, irmse, parts, static, moving, share)
