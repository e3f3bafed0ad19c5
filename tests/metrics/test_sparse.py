"""Batches of sparse truth against metrics.protocol, image by image."""

from dataclasses import astuple, replace
from math import log

import pytest
import torch
from torch import Tensor

from mono2many.metrics.protocol import PROTOCOLS, Protocol, align, score, score_region, with_alignment
from mono2many.metrics.published import RESULTS
from mono2many.metrics.sparse import RANGES, score_sparse, sparse_truth
from mono2many.types import InputError

EIGEN = PROTOCOLS["eigen-80m"]
NAN = float("nan")


def truth(height: int, width: int, share: float) -> Tensor:
    """Depths up to 100 m in some pixels."""
    depth = torch.rand(height, width) * 99 + 1
    return depth.where(torch.rand(height, width) < share, torch.tensor(NAN))


def server_metrics(truth: Tensor, predicted: Tensor) -> tuple[float, float]:
    """SILog and iRMSE of one image, plainly."""
    logs = predicted.double().log() - truth.double().log()
    inverse = 1000 / truth.double() - 1000 / predicted.double()
    return 100 * float(logs.std(correction=0)), float(inverse.square().mean().sqrt())


def test_the_servers_silog_forgives_a_common_factor_and_irmse_counts_per_kilometre() -> None:
    depth, plain = torch.tensor([[10.0, 20.0]]), replace(with_alignment(EIGEN, "none"), crop=None)
    # twice too far: ln 2 everywhere has no spread; 100 - 50 and 50 - 25 per kilometre
    (far,) = score_sparse([1 / (2 * depth)], [sparse_truth(depth)], plain)
    assert far is not None
    assert (far.silog, far.irmse) == pytest.approx((0, ((50**2 + 25**2) / 2) ** 0.5), abs=1e-4)
    # ln 1.1 and -ln 1.1: the spread is ln 1.1
    (bent,) = score_sparse([1 / (depth * torch.tensor([1.1, 1 / 1.1]))], [sparse_truth(depth)], plain)
    assert bent is not None
    assert bent.silog == pytest.approx(100 * log(1.1), rel=1e-5)


@pytest.mark.parametrize(
    "protocol",
    [
        with_alignment(PROTOCOLS["eigen-80m"], "5.4"),
        *(PROTOCOLS[name] for name in ("eigen-80m", "eigen-improved", "ddad-200m")),
        *(with_alignment(EIGEN, text) for text in ("none", "least-squares", "affine")),
    ],
    ids=lambda protocol: protocol.name,
)
def test_a_batch_of_images_of_any_size_scores_as_each_of_them_alone(protocol: Protocol) -> None:
    truths = [truth(75, 248, 0.05), truth(74, 245, 0.5), truth(40, 50, 0.2), torch.full((8, 9), NAN)]
    # smaller, larger and of equal size; nearer at the bottom
    disparities = [torch.rand(h, w) * 0.2 + 0.02 for h, w in ((48, 160), (100, 300), (40, 50), (4, 4))]
    scores = score_sparse(disparities, [sparse_truth(t) for t in truths], protocol)
    assert scores[3] is None
    for disparity, depth, found in zip(disparities[:3], truths[:3], scores[:3], strict=True):
        alone = score(disparity, depth, protocol)
        aligned = align(disparity, depth, protocol)
        assert alone is not None
        assert aligned is not None
        assert found is not None
        assert (found.pixels, found.ratio) == (alone.pixels, pytest.approx(alone.ratio, rel=1e-6))
        assert astuple(found.metrics) == pytest.approx(astuple(alone.metrics), rel=1e-6)
        silog, irmse = server_metrics(depth[aligned.kept], aligned.depth[aligned.kept])
        assert (found.silog, found.irmse) == pytest.approx((silog, irmse), rel=1e-5)
        assert found.static is found.moving is found.holes is None
        for (low, high), (pixels, metrics) in zip(RANGES, found.ranges, strict=True):
            part = score_region(aligned, depth, (depth >= low) & (depth < high))
            if part is None or metrics is None:  # what lies beyond the protocol's farthest
                assert part is metrics is None
                assert pixels == 0
                assert low >= protocol.max_depth
                continue
            assert pixels == part.pixels
            assert astuple(metrics) == pytest.approx(astuple(part.metrics), rel=1e-6)


@pytest.mark.parametrize("protocol", [PROTOCOLS["synthetic-80m"], EIGEN], ids=lambda p: p.name)
def test_static_and_moving_pixels_and_holes_score_as_in_each_image_alone(protocol: Protocol) -> None:
    truths = [truth(75, 248, 0.5), truth(74, 245, 1), truth(40, 50, 0.2), truth(40, 50, 0.2)]
    masks = [torch.rand(t.shape) < 0.3 for t in truths[:2]] + [torch.zeros(40, 50, dtype=torch.bool), None]
    disparities = [torch.rand(h, w) * 0.2 + 0.02 for h, w in ((48, 160), (74, 245), (40, 50), (40, 50))]
    sparse = [sparse_truth(t, moving) for t, moving in zip(truths, masks, strict=True)]
    scores = score_sparse(disparities, sparse, protocol)
    for disparity, depth, moving, found in zip(disparities, truths, masks, scores, strict=True):
        aligned = align(disparity, depth, protocol)
        assert aligned is not None
        assert found is not None
        if moving is None:
            assert found.static is found.moving is found.holes is None
            continue
        static, of_moving = (score_region(aligned, depth, mask) for mask in (~moving, moving))
        assert static is not None
        assert found.static is not None
        assert astuple(found.static) == pytest.approx(astuple(static.metrics), rel=1e-6)
        if of_moving is None or found.moving is None:
            assert of_moving is found.moving is found.holes is None
            continue
        assert astuple(found.moving) == pytest.approx(astuple(of_moving.metrics), rel=1e-6)
        inside = aligned.kept & moving
        ratio = aligned.depth[inside] / depth[inside]
        assert found.holes == pytest.approx(float(((ratio > 2) | (ratio < 0.5)).float().mean()), rel=1e-6)
    assert [found is not None and found.moving is not None for found in scores] == [True, True, False, False]


def test_images_without_any_truth_have_no_score() -> None:
    nothing = sparse_truth(torch.full((3, 4), NAN))
    assert score_sparse(torch.ones(2, 3, 4), [nothing, nothing], EIGEN) == [None, None]


def test_a_map_is_its_measured_pixels_and_back() -> None:
    depth = torch.tensor([[NAN, 2.0, 0.0], [3.0, NAN, -1.0]])
    sparse = sparse_truth(depth)
    assert (sparse.size, sparse.pixels.tolist(), sparse.depth.tolist()) == ((2, 3), [1, 3], [2.0, 3.0])
    torch.testing.assert_close(sparse.dense(), depth.where(depth > 0, torch.tensor(NAN)), equal_nan=True)


@pytest.mark.parametrize("bad", [NAN, -1.0])
def test_a_prediction_without_depth_where_it_counts_is_refused_by_its_number(bad: float) -> None:
    protocol = replace(EIGEN, crop=None)
    truths = [sparse_truth(torch.full((2, 2), 10.0))] * 3
    disparities = torch.ones(3, 2, 2)
    disparities[1, 0, 1] = disparities[2, 0, 0] = bad
    with pytest.raises(InputError, match=r"^image 1: .* at 1 of 4 pixels"):
        score_sparse(disparities, truths, protocol)
    sky = sparse_truth(torch.tensor([[10.0, NAN], [10.0, 10.0]]))
    with pytest.raises(InputError, match=r"^frame c: "):
        score_sparse(disparities, [truths[0], sky, truths[0]], protocol, ["frame a", "frame b", "frame c"])


def test_published_rows_have_seven_numbers_of_a_protocol_that_exists() -> None:
    for row in RESULTS:
        errors, shares = row.values[:4], row.values[4:]
        assert row.protocol in PROTOCOLS
        assert len(row.values) == 7
        assert all(value is None or 0.5 < value < 1 for value in shares)
        assert errors[0] is not None
        assert 0 < errors[0] < 0.3
