"""Drift of log depth from the start's, on maps small enough to work out on paper."""

import math

import torch

from mono2many.losses.anchor import log_depth_drift

START = torch.tensor([[[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]]])


def test_nothing_has_drifted_at_the_start_and_another_scale_costs_nothing() -> None:
    assert log_depth_drift(START, START).eq(0).all()
    torch.testing.assert_close(log_depth_drift(7 * START, START), torch.zeros(1, 2, 3))


def test_one_pixel_twice_as_near_has_drifted_by_log_2_and_the_others_not_at_all() -> None:
    disparity = 3 * START
    disparity[0, 0, 1] *= 2
    expected = torch.tensor([[[0.0, math.log(2), 0.0], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(log_depth_drift(disparity, START), expected)


def test_every_image_has_a_scale_of_its_own() -> None:
    both = torch.cat([START, START])
    drift = log_depth_drift(both * torch.tensor([2.0, 0.5])[:, None, None], both)
    torch.testing.assert_close(drift, torch.zeros(2, 2, 3))


def test_a_drift_is_pulled_back_and_the_median_gets_no_gradient() -> None:
    disparity = START.clone()
    disparity[0, 0] *= torch.tensor([2.0, 1.0, 0.5])
    disparity.requires_grad_()
    log_depth_drift(disparity, START).sum().backward()
    # d |log d| / dd = +- 1 / d for the pixels that drifted (disparities 2 and 2), 0 for the rest
    assert torch.equal(disparity.grad, torch.tensor([[[0.5, 0.0, -0.5], [0.0, 0.0, 0.0]]]))


def test_invalid_pixels_neither_drift_nor_choose_the_scale() -> None:
    disparity = START.clone()
    disparity[0, 1] = torch.tensor([5.0, 6.0, 1e-6])  # three of six
    valid = torch.tensor([[[True] * 3, [False] * 3]])
    disparity.requires_grad_()
    drift = log_depth_drift(2 * disparity, START, valid)
    drift.sum().backward()
    torch.testing.assert_close(drift.detach(), torch.zeros(1, 2, 3))
    assert disparity.grad is not None
    assert disparity.grad[0, 1].eq(0).all()


def test_an_image_without_a_valid_pixel_costs_nothing_and_has_finite_gradients() -> None:
    disparity = START.clone().requires_grad_()
    drift = log_depth_drift(disparity, START, torch.zeros(1, 2, 3, dtype=torch.bool))
    drift.sum().backward()
    assert drift.eq(0).all()
    assert disparity.grad is not None
    assert disparity.grad.eq(0).all()
