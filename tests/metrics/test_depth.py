from dataclasses import astuple
from math import log

import pytest
import torch

from mono2many.metrics.depth import DepthMetrics, depth_metrics, mean_metrics


def measured(truth: torch.Tensor, predicted: torch.Tensor) -> DepthMetrics:
    found = depth_metrics(truth, predicted)
    assert found is not None
    return found


def test_the_metrics_are_those_of_the_reference_program(parity: dict[str, torch.Tensor]) -> None:
    ours = measured(parity["metric_gt"], parity["metric_pred"])
    torch.testing.assert_close(
        torch.tensor(astuple(ours)), parity["metric_values"].float(), rtol=1e-5, atol=0
    )


def test_twice_too_far_at_two_and_right_at_four() -> None:
    ours = measured(torch.tensor([2.0, 4.0]), torch.tensor([4.0, 4.0]))
    # errors 2 and 0: relative 1 and 0, squared over truth 2 and 0, squared 4 and 0; 2 > 1.25^3 = 1.953
    assert astuple(ours) == pytest.approx((0.5, 1.0, 2**0.5, log(2) / 2**0.5, 0.5, 0.5, 0.5))


def test_the_truth_has_no_error() -> None:
    depth = torch.tensor([0.5, 7.0, 79.0])
    assert astuple(measured(depth, depth)) == (0, 0, 0, 0, 1, 1, 1)


def test_exactly_a_quarter_too_far_is_not_within_a1() -> None:
    ours = measured(torch.tensor([4.0]), torch.tensor([5.0]))
    assert (ours.a1, ours.a2) == (0, 1)


def test_too_near_and_too_far_by_the_same_factor_fail_the_same_thresholds() -> None:
    truth = torch.tensor([10.0])
    near, far = measured(truth, truth / 1.5), measured(truth, truth * 1.5)
    assert (near.a1, near.a2, near.a3) == (far.a1, far.a2, far.a3) == (0, 1, 1)
    assert near.rmse_log == pytest.approx(far.rmse_log)


def test_every_image_counts_the_same_in_the_mean() -> None:
    first = DepthMetrics(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
    second = DepthMetrics(1.0, 2.0, 4.0, 0.5, 0.0, 0.5, 1.0)
    assert mean_metrics([first, second]) == DepthMetrics(0.5, 1.0, 2.0, 0.25, 0.5, 0.75, 1.0)
