"""Supervision by exact depth: what costs nothing, and what costs how much."""

import math

import pytest
import torch
from starter_loss import (
    depth_residual,
    residual_gradient,
    supervised_objective,
    too_near,
)


def plane(*values: float) -> torch.Tensor:
    """1 1 W"""
    return torch.tensor([[values]])


def test_depth_that_is_right_up_to_scale_costs_its_scale_only() -> None:
    depth = torch.rand(2, 8, 16) * 20 + 2
    loss, parts = supervised_objective(1 / (3 * depth), depth, torch.full((2,), 80.0), scale_weight=0.1)
    assert parts["residual"] < 1e-6
    assert parts["gradients"] < 1e-6
    assert loss == pytest.approx(0.1 * math.log(3), rel=1e-4)


def test_the_residual_is_the_log_ratio_without_its_mean() -> None:
    depth, disparity = plane(1.0, 1.0, float("nan")), plane(1.0, math.exp(-1), 7.0)
    found = depth_residual(disparity, depth, depth.isfinite())
    assert found.offset.tolist() == pytest.approx([0.5])
    assert found.residual.flatten().tolist() == pytest.approx([-0.5, 0.5, 0.0])


def test_gradients_compare_neighbours_that_are_both_known() -> None:
    residual, known = plane(0.0, 1.0, 5.0, 2.0), plane(1, 1, 0, 1) > 0
    assert residual_gradient(residual, known, 1) == pytest.approx(1.0)  # only the first pair
    everywhere = torch.ones_like(known)
    assert residual_gradient(residual, everywhere, 1) == pytest.approx((1 + 4 + 3) / 3)
    assert residual_gradient(residual, everywhere, 2) == pytest.approx(5.0)  # 0 and 5
    upright = residual.transpose(1, 2)
    assert residual_gradient(upright, torch.ones_like(upright) > 0, 1) == pytest.approx((1 + 4 + 3) / 3)


def test_sky_pays_where_it_is_nearer_than_the_reach() -> None:
    disparity, far = plane(1 / 40, 1 / 200, 1 / 2), plane(1, 1, 0) > 0
    assert too_near(disparity, torch.tensor([80.0]), far) == pytest.approx(math.log(2) / 2)


def test_what_is_beyond_the_reach_counts_as_sky() -> None:
    depth = plane(10.0, 10.0, 300.0)
    _, parts = supervised_objective(plane(0.1, 0.1, 1 / 90), depth, torch.tensor([80.0]))
    assert [float(part) for part in parts.values()] == pytest.approx([0, 0, 0, 0], abs=1e-6)


def test_an_image_without_known_depth_gives_finite_gradients() -> None:
    disparity = torch.rand(1, 4, 4).add(0.1).requires_grad_()
    loss, _ = supervised_objective(disparity, torch.full((1, 4, 4), math.nan), torch.tensor([80.0]))
    loss.backward()
    assert disparity.grad is not None
    assert disparity.grad.isfinite().all()
