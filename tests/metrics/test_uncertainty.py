"""Uncertainty against errors that are known."""

import math

import pytest
import torch

from mono2many.metrics.uncertainty import ause, ause_of_random, calibration_error, sparsification

ERROR = torch.arange(1.0, 101.0)  # mean 50.5


def test_the_error_itself_is_the_best_order_and_its_negative_the_worst() -> None:
    assert ause(ERROR, ERROR) == 0
    assert ause(ERROR, -ERROR) > ause_of_random(ERROR) > 0


def test_the_area_of_a_linear_error() -> None:
    # with a share q left out, the worst leave a mean of 0.5 + 50 (1 - q); q = 0, 0.02 ... 0.98, mean 0.49
    assert sparsification(ERROR, ERROR)[[0, 25]].tolist() == [50.5, 25.5]
    assert ause_of_random(ERROR) == pytest.approx(50 * 0.49)
    assert ause(ERROR, -ERROR) == pytest.approx(2 * 50 * 0.49)  # as much above the mean as the best is below


def test_one_pixel_has_one_order() -> None:
    assert ause(torch.tensor([2.0]), torch.tensor([1.0])) == 0


def test_right_standard_deviations_are_calibrated() -> None:
    rng = torch.Generator().manual_seed(0)
    std = 0.05 + torch.rand(50_000, generator=rng)
    error = std * torch.randn(50_000, generator=rng)
    assert calibration_error(error, std) < 0.005
    # of twice the deviation: the share within z is that within 2 z
    p = torch.arange(1, 20, dtype=torch.float64) / 20
    wider = torch.erf(2 * torch.erfinv(p))
    assert calibration_error(error, 2 * std) == pytest.approx(float((wider - p).abs().mean()), abs=0.005)
    assert calibration_error(torch.ones(9), torch.full((9,), 1e-9)) == pytest.approx(0.5)
    assert not math.isnan(calibration_error(torch.zeros(3), torch.ones(3)))
