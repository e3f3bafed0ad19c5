"""The road's plane against planes that are known."""

import math

import pytest
import torch

from mono2many.geometry.ground import below_ground, fit_ground, ground_disparity
from mono2many.street.reader import StreetSettings, SyntheticReader

K = torch.tensor([[[50.0, 0, 47.5], [0, 50.0, 23.5], [0, 0, 1]]])
SIZE = (64, 96)


def rendered(a: float, b: float, c: float, far: float = 0.01) -> torch.Tensor:
    """Disparity of the plane y = a x + b z + c below its horizon, `far` above, pixel by pixel."""
    d = torch.full((1, *SIZE), far)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x, y = (column - 47.5) / 50, (row - 23.5) / 50
            d[0, row, column] = max(far, (y - a * x - b) / c)
    return d


@pytest.mark.parametrize(("a", "b", "c"), [(0.0, 0.0, 1.5), (0.05, -0.08, 0.02), (-0.1, 0.1, 30.0)])
def test_a_plane_is_found_whatever_its_tilt_and_unit(a: float, b: float, c: float) -> None:
    d = rendered(a, b, c, far=0.001 / c)
    ground = fit_ground(d, K)
    assert ground.found.tolist() == [True]
    torch.testing.assert_close(ground.plane[0], torch.tensor([a, b, c]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ground_disparity(ground, K, SIZE)[0, 40:], d[0, 40:], rtol=1e-3, atol=0)
    assert (ground_disparity(ground, K, SIZE)[0, :10] == 0).all()  # above the horizon


def test_two_fifths_of_outliers_and_noise_do_not_move_it() -> None:
    torch.manual_seed(0)
    d = rendered(0, 0, 1.5) * (1 + 0.03 * torch.randn(1, *SIZE))
    d[:, 30:, 10:48] = 0.5  # a wall
    ground = fit_ground(d, K)
    assert ground.found.all()
    assert float(ground.plane[0, 2]) == pytest.approx(1.5, rel=0.03)


def test_the_ego_vehicle_and_what_is_not_finite_are_left_out() -> None:
    d, valid = rendered(0, 0, 1.5), torch.ones(1, *SIZE, dtype=torch.bool)
    d[:, 50:], valid[:, 50:] = 2.0, False
    d[:, 45, ::2] = torch.nan
    ground = fit_ground(d, K, valid)
    torch.testing.assert_close(ground.plane[0], torch.tensor([0, 0, 1.5]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("case", ["noise", "wall", "steep", "above", "nothing"])
def test_where_there_is_no_road_none_is_found_and_nothing_is_below_it(case: str) -> None:
    torch.manual_seed(0)
    d = {
        "noise": torch.rand(1, *SIZE) * 3 + 0.01,
        "wall": torch.full((1, *SIZE), 0.2),
        "steep": rendered(0.4, 0, 1.5),
        "above": rendered(0, 0, 1.5).flip(1),
        "nothing": torch.full((1, *SIZE), torch.nan),
    }[case]
    ground = fit_ground(d, K)
    assert not ground.found.any()
    plane = ground_disparity(ground, K, SIZE)
    assert (plane == 0).all()
    assert not below_ground(d, plane).any()


def test_a_car_at_infinity_is_below_the_road_and_one_that_stands_on_it_is_not() -> None:
    road = rendered(0, 0, 1.5)
    plane = ground_disparity(fit_ground(road, K), K, SIZE)
    hole, standing = road.clone(), road.clone()
    box = (slice(None), slice(33, 44), slice(40, 60))
    hole[box] = 0.0
    standing[box] = road[0, 43, 0]  # as near as where it touches the road
    assert below_ground(hole, plane).sum().item() == 11 * 20
    assert not below_ground(standing, plane).any()


def test_on_the_streets_exact_depth_the_camera_stands_at_its_height_and_nothing_is_below() -> None:
    reader = SyntheticReader(StreetSettings(scenes=3, frames=3, height=96, width=160), "test")
    for scene in range(3):
        frame = reader.frame(scene, 1)
        assert frame.depth is not None
        assert frame.world_from_camera is not None
        d, k = (1 / frame.depth)[None], frame.intrinsics[None]
        ground = fit_ground(d.nan_to_num(0), k)
        assert ground.found.all()
        normal = math.sqrt(1 + float(ground.plane[0, :2].square().sum()))
        height = -float(frame.world_from_camera[1, 3])  # y points down, the road is at 0
        assert float(ground.plane[0, 2]) / normal == pytest.approx(height, rel=0.05)
        assert below_ground(d, ground_disparity(ground, k, (96, 160))).float().mean() < 0.002
