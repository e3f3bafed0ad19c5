"""Scores at measured pixels against plain formulas on whole maps."""

from dataclasses import astuple, replace
from math import log

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mono2many.metrics.depth import DepthMetrics, depth_metrics
from mono2many.metrics.protocol import PROTOCOLS, RANGES, Protocol, median, score, with_alignment
from mono2many.metrics.published import RESULTS
from mono2many.metrics.sparse import sparse_truth

EIGEN = PROTOCOLS["eigen-80m"]
NAN = float("nan")


def truth(height: int, width: int, share: float) -> Tensor:
    """Depths up to 100 m in some pixels."""
    depth = torch.rand(height, width) * 99 + 1
    return depth.where(torch.rand(height, width) < share, torch.tensor(NAN))


def aligned_map(disparity: Tensor, truth: Tensor, protocol: Protocol) -> tuple[Tensor, Tensor, float]:
    """Depth of the whole map, the pixels that count, the ratio: with F.interpolate, the plain twin."""
    kept = truth.isfinite()
    if protocol.truth_is_bounded:
        kept &= (truth > protocol.min_depth) & (truth < protocol.max_depth)
    if protocol.crop is not None:
        inside = torch.zeros_like(kept)
        inside[protocol.crop.slices(*truth.shape)] = True
        kept &= inside
    by_depth = protocol.resize == "depth"
    resized = F.interpolate(
        (1 / disparity if by_depth else disparity)[None, None], truth.shape, mode="bilinear"
    )
    depth, ratio = (resized if by_depth else 1 / resized)[0, 0], 1.0
    found, true = depth[kept].double(), truth[kept].double()
    if protocol.align == "median":
        ratio = median(true) / median(found)
    elif protocol.align == "least-squares":
        ratio = float(torch.linalg.lstsq(found[:, None], true[:, None]).solution)
    elif protocol.align == "affine":
        columns = torch.stack([1 / found, torch.ones_like(found)], 1)
        a, b = torch.linalg.lstsq(columns, 1 / true[:, None]).solution
        fitted = a / depth + b
        depth = torch.where(fitted > 0, 1 / fitted, torch.inf)
    elif protocol.align != "none":
        ratio = float(protocol.align)
    return (ratio * depth).clamp(protocol.min_depth, protocol.max_depth), kept, ratio


def same(found: DepthMetrics | None, wanted: DepthMetrics | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return astuple(found) == pytest.approx(astuple(wanted), rel=2e-6)


@pytest.mark.parametrize(
    "protocol",
    [
        with_alignment(PROTOCOLS["eigen-80m"], "5.4"),
        *(PROTOCOLS[name] for name in ("eigen-80m", "eigen-improved", "ddad-200m")),
        *(with_alignment(EIGEN, text) for text in ("none", "least-squares", "affine")),
    ],
    ids=lambda protocol: protocol.name,
)
def test_measured_pixels_score_as_in_the_whole_map(protocol: Protocol) -> None:
    # smaller, larger and of equal size
    for size, share, own in (
        ((75, 248), 0.05, (48, 160)),
        ((74, 245), 0.5, (100, 300)),
        ((40, 50), 1, (40, 50)),
    ):
        depth, disparity = truth(*size, share), torch.rand(own) * 0.2 + 0.02
        moving = torch.rand(size) < 0.3
        found = score(disparity, sparse_truth(depth, moving), protocol)
        predicted, kept, ratio = aligned_map(disparity, depth, protocol)
        assert found is not None

        def wanted(
            region: Tensor, true: Tensor = depth, predicted: Tensor = predicted
        ) -> DepthMetrics | None:
            return depth_metrics(true[region], predicted[region])

        assert (found.pixels, found.ratio) == (int(kept.sum()), pytest.approx(ratio, rel=1e-6))
        assert same(found.metrics, wanted(kept))
        assert same(found.regions["moving"].metrics, wanted(kept & moving))
        assert same(found.regions["static"].metrics, wanted(kept & ~moving))
        for (low, high), (pixels, metrics) in zip(RANGES, found.ranges, strict=True):
            region = kept & (depth >= low) & (depth < high)
            assert pixels == int(region.sum())
            assert same(metrics, wanted(region))
        wrong = (predicted / depth)[kept & moving]
        assert found.holes == pytest.approx(float(((wrong > 2) | (wrong < 0.5)).double().mean()), abs=1e-3)
        logs = predicted[kept].double().log() - depth[kept].double().log()
        inverse = 1000 / depth[kept].double() - 1000 / predicted[kept].double()
        server = 100 * float(logs.std(correction=0)), float(inverse.square().mean().sqrt())
        assert (found.silog, found.irmse) == pytest.approx(server, rel=1e-5)


def test_the_servers_silog_forgives_a_common_factor_and_irmse_counts_per_kilometre() -> None:
    depth, plain = torch.tensor([[10.0, 20.0]]), replace(with_alignment(EIGEN, "none"), crop=None)
    # twice too far: ln 2 everywhere has no spread; 100 - 50 and 50 - 25 per kilometre
    far = score(1 / (2 * depth), depth, plain)
    assert far is not None
    assert (far.silog, far.irmse) == pytest.approx((0, ((50**2 + 25**2) / 2) ** 0.5), abs=1e-4)
    # ln 1.1 and -ln 1.1: the spread is ln 1.1
    bent = score(1 / (depth * torch.tensor([1.1, 1 / 1.1])), depth, plain)
    assert bent is not None
    assert bent.silog == pytest.approx(100 * log(1.1), rel=1e-5)


def test_nothing_is_said_of_motion_where_it_is_not_known_or_nothing_moves() -> None:
    depth = truth(40, 50, 0.2)
    disparity, nothing = torch.rand(40, 50) * 0.2 + 0.02, torch.zeros(40, 50, dtype=torch.bool)
    unknown, still = (
        score(disparity, sparse_truth(depth, m), PROTOCOLS["synthetic-80m"]) for m in (None, nothing)
    )
    assert unknown is not None
    assert (unknown.regions, unknown.holes) == ({}, None)
    assert still is not None
    assert (list(still.regions), still.holes) == (["static"], None)
    assert still.regions["static"].metrics == still.metrics


def test_a_map_is_its_measured_pixels_and_back() -> None:
    depth = torch.tensor([[NAN, 2.0, 0.0], [3.0, NAN, -1.0]])
    sparse = sparse_truth(depth)
    assert (sparse.size, sparse.pixels.tolist(), sparse.depth.tolist()) == ((2, 3), [1, 3], [2.0, 3.0])
    torch.testing.assert_close(sparse.dense(), depth.where(depth > 0, torch.tensor(NAN)), equal_nan=True)


def test_published_rows_have_seven_numbers_of_a_protocol_that_exists() -> None:
    for row in RESULTS:
        errors, shares = row.values[:4], row.values[4:]
        assert row.protocol in PROTOCOLS
        assert len(row.values) == 7
        assert all(value is None or 0.5 < value < 1 for value in shares)
        assert errors[0] is not None
        assert 0 < errors[0] < 0.3
