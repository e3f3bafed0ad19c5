"""What lies below the road pays, worked out on paper."""

import pytest
import torch

from mono2many.geometry.ground import below_ground, fit_ground, ground_disparity
from mono2many.losses.ground import ground_hinge

K = torch.tensor([[[50.0, 0, 47.5], [0, 50.0, 23.5], [0, 0, 1]]])
SIZE = (64, 96)
CAR = (slice(None), slice(33, 44), slice(40, 60))


def road(far: float = 0.01) -> torch.Tensor:
    """Disparity of a level road 1.5 below the camera, and `far` above its horizon."""
    rows = (torch.arange(64.0) - 23.5) / 50 / 1.5
    return rows.clamp(min=far)[None, :, None].expand(1, *SIZE).clone()


def plane_of(disparity: torch.Tensor) -> torch.Tensor:
    return ground_disparity(fit_ground(disparity, K), K, SIZE)


def test_a_car_at_infinity_below_the_horizon_pays_its_gap_and_one_on_the_road_nothing() -> None:
    plane, hole, standing = plane_of(road()), road(), road()
    hole[CAR] = 0.0
    standing[CAR] = road()[0, 43, 0]  # as near as where it touches the road
    assert ground_hinge(road(), plane).sum() == ground_hinge(standing, plane).sum() == 0
    # 0.9 of the plane's disparity, in units of the image's mean disparity
    paid = sum(20 * 0.9 * (row - 23.5) / 50 / 1.5 for row in range(33, 44)) / hole.mean()
    assert ground_hinge(hole, plane).sum().item() == pytest.approx(float(paid), rel=1e-3)


def test_the_unit_of_depth_does_not_matter() -> None:
    hole = road()
    hole[CAR] = 0.001
    torch.testing.assert_close(
        ground_hinge(7 * hole, plane_of(7 * hole)), ground_hinge(hole, plane_of(hole)), rtol=1e-4, atol=1e-6
    )


def test_only_what_is_below_gets_a_gradient() -> None:
    d, plane = road(), plane_of(road())
    d[0, 40, 50] = 0.01
    d.requires_grad_()
    ground_hinge(d, plane).sum().backward()
    assert d.grad is not None
    assert d.grad.nonzero().tolist() == [[0, 40, 50]]
    assert d.grad[0, 40, 50].item() == pytest.approx(-1 / float(d.detach().mean()))


def test_without_ground_nothing_is_paid() -> None:
    d = torch.full((1, *SIZE), 0.2)
    plane = plane_of(d)
    assert plane.sum() == ground_hinge(d, plane).sum() == 0
    assert not below_ground(d, plane).any()
