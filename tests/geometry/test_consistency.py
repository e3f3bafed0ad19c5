"""Views of a wall ten metres away, from there and a metre nearer."""

import torch

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.consistency import agreeing_depth

K = intrinsics_matrix(20.0, 20.0, 15.5, 7.5)
AHEAD = torch.eye(4)
AHEAD[2, 3] = -1.0
"""other_from_target: points come a metre nearer."""


def wall(depth: float) -> torch.Tensor:
    return torch.full((16, 32), depth)


def inner(values: torch.Tensor) -> torch.Tensor:
    """What a camera a metre nearer still sees: 9 / 10 of each side."""
    return values[2:-2, 3:-3]


def test_a_wall_a_metre_nearer_is_a_metre_nearer() -> None:
    depth, count = agreeing_depth(wall(10.0), wall(9.0)[None], AHEAD[None], K, 0.01)
    torch.testing.assert_close(depth, wall(10.0))
    assert bool((inner(count) == 1).all())
    assert int(count[0, 0]) == 0  # outside the other's image


def test_what_has_moved_finds_no_agreement_and_keeps_its_depth() -> None:
    now = wall(9.0)
    now[:, 16:22] = 6.0
    depth, count = agreeing_depth(wall(10.0), now[None], AHEAD[None], K, 0.05)
    assert int(count[8, 18]) == 0
    assert float(depth[8, 18]) == 10.0
    assert int(count[8, 6]) == 1


def test_a_view_in_another_scale_agrees_and_has_its_share_of_the_mean() -> None:
    """It says 9.9 m from a metre nearer, which is 10.9 m: the mean of that and of 10 m."""
    depth, count = agreeing_depth(wall(10.0), 1.1 * wall(9.0)[None], AHEAD[None], K, 0.01)
    assert bool((inner(count) == 1).all())
    torch.testing.assert_close(inner(depth), inner(wall(10.45)))


def test_points_behind_the_other_camera_are_not_seen() -> None:
    beyond = AHEAD.clone()
    beyond[2, 3] = -11.0
    depth, count = agreeing_depth(wall(10.0), wall(1.0)[None], beyond[None], K, 10.0)
    assert int(count.sum()) == 0
    torch.testing.assert_close(depth, wall(10.0))
