from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mono2many.metrics.protocol import (
    GARG,
    PROTOCOLS,
    Aligned,
    Protocol,
    median,
    score,
    with_alignment,
)
from mono2many.metrics.protocol import align as protocol_align
from mono2many.metrics.sparse import every_pixel, sparse_truth
from mono2many.types import InputError

SYNTHETIC = PROTOCOLS["synthetic-80m"]
NAN = float("nan")


def kept(truth: Tensor, protocol: Protocol) -> Tensor:
    return protocol.counts(every_pixel(truth)).view(truth.shape)


def align(disparity: Tensor, truth: Tensor, protocol: Protocol) -> Aligned | None:
    """Of all pixels of a map."""
    return protocol_align(disparity, every_pixel(truth), protocol)


def test_half_the_truth_has_no_error_under_median_scaling_and_the_ratio_is_two() -> None:
    truth = torch.rand(6, 8) * 50 + 1
    result = score(1 / (truth / 2), truth, SYNTHETIC)
    assert result is not None
    assert result.ratio == pytest.approx(2)
    assert result.pixels == 48
    assert result.metrics.abs_rel == pytest.approx(0, abs=1e-6)
    assert result.metrics.a1 == 1


def test_half_the_truth_is_half_wrong_without_alignment() -> None:
    truth = torch.rand(6, 8) * 50 + 1
    result = score(2 / truth, truth, replace(SYNTHETIC, align="none"))
    assert result is not None
    assert result.ratio == 1
    assert result.metrics.abs_rel == pytest.approx(0.5)


def test_a_fixed_factor_multiplies_the_prediction() -> None:
    # disparity 0.5 is a depth of 2, times 5.4 is 10.8
    result = score(
        torch.full((2, 2), 0.5),
        torch.full((2, 2), 10.8),
        replace(PROTOCOLS["eigen-80m"], align=5.4, crop=None),
    )
    assert result is not None
    assert result.ratio == 5.4
    assert result.metrics.abs_rel == pytest.approx(0, abs=1e-6)


def test_gargs_crop_of_a_kitti_image_is_rows_153_to_370_and_columns_44_to_1196() -> None:
    # 375 * 0.40810811 = 153.04, 375 * 0.99189189 = 371.96;
    # 1242 * 0.03594771 = 44.65, 1242 * 0.96405229 = 1197.35; the ends are not inside.
    assert GARG.slices(375, 1242) == (slice(153, 371), slice(44, 1197))
    rows, columns = torch.nonzero(kept(torch.full((375, 1242), 10.0), PROTOCOLS["eigen-80m"]), as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == (153, 370)
    assert (int(columns.min()), int(columns.max())) == (44, 1196)
    assert rows.numel() == 218 * 1153


def test_only_measured_depths_strictly_inside_the_range_count() -> None:
    truth = torch.tensor([[NAN, 0.0, -1.0, 1e-3], [5.0, 79.9, 80.0, float("inf")]])
    expected = torch.tensor([[False, False, False, False], [True, True, False, False]])
    assert kept(truth, SYNTHETIC).equal(expected)


def test_the_improved_truth_counts_every_measured_pixel_and_clamps_the_prediction() -> None:
    protocol = PROTOCOLS["eigen-improved"]
    truth = torch.tensor([[0.0, 40.0, 100.0]])
    assert kept(truth, protocol).tolist() == [[False, True, True]]
    result = score(1 / torch.tensor([[1.0, 40.0, 100.0]]), truth, protocol)
    assert result is not None
    assert result.metrics.abs_rel == pytest.approx((0 + 20 / 100) / 2)


def test_a_prediction_is_clamped_after_scaling() -> None:
    truth = torch.tensor([[10.0, 10.0, 10.0]])
    result = align(1 / torch.tensor([[1.0, 1.0, 1000.0]]), truth, SYNTHETIC)
    assert result is not None
    torch.testing.assert_close(result.depth, torch.tensor([10.0, 10.0, 80.0]))


def test_an_image_without_truth_has_no_score() -> None:
    assert score(torch.ones(2, 2), torch.full((4, 4), NAN), SYNTHETIC) is None


def test_what_moves_is_scored_with_the_ratio_of_the_whole_image() -> None:
    truth = torch.full((3, 3), 10.0)
    predicted = truth.clone()
    predicted[0] = 20.0  # a third of the image, so the median stays 10
    moving = torch.zeros(3, 3, dtype=torch.bool)
    moving[0] = True
    result = score(1 / predicted, sparse_truth(truth, moving), SYNTHETIC)
    assert result is not None
    moved = result.regions["moving"].metrics
    assert (result.ratio, result.pixels, moved.abs_rel) == pytest.approx((1, 9, 1))


def test_a_hole_is_wrong_either_way_and_too_far_one_way_only() -> None:
    truth = torch.full((4, 5), 10.0)
    predicted, moving, pacing = truth.clone(), torch.zeros(4, 5).bool(), torch.zeros(4, 5).bool()
    predicted[0] = torch.tensor([79.0, 21.0, 19.0, 6.0, 4.0])  # the median stays 10
    moving[0], pacing[0, :3] = True, True
    result = score(1 / predicted, sparse_truth(truth, moving, pacing), SYNTHETIC)
    assert result is not None
    assert list(result.regions) == ["static", "moving", "co-moving"]
    assert result.holes == pytest.approx(3 / 5)
    too_far = [region.too_far for region in result.regions.values()]
    assert too_far == pytest.approx([0, 2 / 5, 2 / 3])
    assert result.regions["co-moving"].metrics.abs_rel == pytest.approx((6.9 + 1.1 + 0.9) / 3)


def test_the_median_of_an_even_number_is_halfway_between_the_middle_two() -> None:
    assert median(torch.tensor([4.0, 1.0, 2.0, 100.0])) == 3
    assert median(torch.tensor([5.0, 1.0, 2.0])) == 2
    assert median(torch.tensor([2.0, 1.0, 2.0, 9.0])) == 2
    assert median(torch.tensor([3.0])) == 3


def test_disparity_or_depth_is_what_gets_interpolated() -> None:
    # Twice as wide: the second pixel lies a quarter of the way from the first value to the second.
    disparity = torch.tensor([[1.0, 0.5]])
    truth = torch.full((1, 4), 1.5)
    by_disparity = align(disparity, truth, Protocol("a", 1e-3, 80.0, align="none"))
    by_depth = align(disparity, truth, Protocol("b", 1e-3, 80.0, align="none", resize="depth"))
    assert by_disparity is not None
    assert by_depth is not None
    torch.testing.assert_close(by_disparity.depth, torch.tensor([1, 1 / 0.875, 1 / 0.625, 2]))
    torch.testing.assert_close(by_depth.depth, torch.tensor([1, 1.25, 1.75, 2]))


@pytest.mark.parametrize("bad", [NAN, -1.0])
def test_a_prediction_without_depth_where_it_counts_is_refused(bad: float) -> None:
    disparity = torch.tensor([[1.0, bad], [1.0, 1.0]])
    with pytest.raises(InputError, match="1 of 4 pixels"):
        align(disparity, torch.ones(2, 2), SYNTHETIC)
    sky = torch.tensor([[1.0, NAN], [1.0, 1.0]])
    assert align(disparity, sky, SYNTHETIC) is not None


def test_infinitely_far_is_the_far_end_of_the_range() -> None:
    truth = torch.tensor([[10.0, 10.0, 40.0]])
    result = align(torch.tensor([[0.1, 0.1, 0.0]]), truth, SYNTHETIC)
    assert result is not None
    assert result.depth[2] == 80
    with pytest.raises(InputError, match="median"):
        align(torch.zeros(1, 3), truth, SYNTHETIC)


def test_protocols_are_found_by_their_own_name() -> None:
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert PROTOCOLS["ddad-200m"].resize == "depth"


def test_least_squares_finds_the_factor_even_where_the_median_is_led_astray() -> None:
    truth = torch.tensor([[10.0, 20.0, 30.0]])
    predicted = torch.tensor([[5.0, 15.0, 15.0]])  # medians 20 and 15
    result = align(1 / predicted, truth, with_alignment(SYNTHETIC, "least-squares"))
    assert result is not None
    assert result.ratio == pytest.approx((50 + 300 + 450) / (25 + 225 + 225))


def test_affine_alignment_undoes_any_scale_and_shift_of_disparity() -> None:
    truth = torch.rand(6, 8) * 50 + 2
    affine = with_alignment(SYNTHETIC, "affine")
    result = score(3 / truth + 0.2, truth, affine)
    assert result is not None
    assert result.ratio == 1
    assert result.metrics.abs_rel == pytest.approx(0, abs=1e-5)
    disparity = torch.rand(6, 8)
    solution = torch.linalg.lstsq(
        torch.stack([disparity.flatten(), torch.ones(48)], 1).double(), (1 / truth).view(-1, 1).double()
    ).solution
    fitted = solution[0] * disparity.double() + solution[1]
    aligned = align(disparity, truth, affine)
    assert aligned is not None
    expected = torch.where(fitted > 0, 1 / fitted, 80).clamp(max=80).float()
    torch.testing.assert_close(aligned.depth, expected.flatten(), rtol=1e-5, atol=0)


def test_a_disparity_that_affine_alignment_makes_negative_is_the_far_end() -> None:
    # fitted through (0, 0.01) and (1, 0.21); the third, unmeasured, would be at 0.01 - 0.2
    disparity = torch.tensor([[1.0, 2.0, 0.0]])
    truth = torch.tensor([[1 / 0.01, 1 / 0.21, NAN]])
    result = align(disparity, truth, replace(with_alignment(SYNTHETIC, "affine"), max_depth=120.0))
    assert result is not None
    torch.testing.assert_close(result.depth, torch.tensor([100.0, 1 / 0.21, 120.0]))


def test_another_alignment_stands_in_the_protocols_name() -> None:
    eigen = PROTOCOLS["eigen-80m"]
    assert with_alignment(eigen, "median") is eigen
    assert with_alignment(eigen, "affine").name == "eigen-80m, affine"
    other = with_alignment(eigen, "5.4")
    assert (other.name, other.align, other.truth) == ("eigen-80m, factor 5.4", 5.4, "lidar-forward")
    for bad in ("mean", "-1", "nan", "inf"):
        with pytest.raises(InputError, match="--alignment"):
            with_alignment(eigen, bad)
