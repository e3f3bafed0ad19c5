"""Views of a wall ten metres away, put together."""

import pytest
import torch

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.reconstruct.fuse import PosedView, SignedDistance, VoxelAverage, agreeing

K = intrinsics_matrix(40.0, 40.0, 31.5, 23.5)


def view(ahead: float, depth: float, grey: int = 100) -> PosedView:
    pose = torch.eye(4, dtype=torch.float64)
    pose[2, 3] = ahead
    image = torch.full((3, 48, 64), grey, dtype=torch.uint8)
    return PosedView(image, torch.full((48, 64), depth), K, pose, torch.ones(48, 64, dtype=torch.bool))


def test_points_of_a_cube_are_averaged_nearer_ones_with_more_weight() -> None:
    """At 10 m and at 5 m: weights 1 and 4, so the grey values 100 and 200 become 180."""
    fusion = VoxelAverage(100.0)
    fusion.add(view(0.0, 10.0, 100))
    fusion.add(view(5.0, 5.0, 200))
    found = fusion.surface()
    assert found.colours.unique().tolist() == [180]
    torch.testing.assert_close(found.points[:, 2], torch.full((len(found.points),), 10.0))
    assert len(found.triangles) == 0
    assert len(found.points) == 4  # the cubes meet at the axis


def test_a_signed_distance_gives_a_mesh_of_the_wall() -> None:
    fusion = SignedDistance(0.5)
    for ahead in (0.0, 1.0, 2.0, 3.0):
        fusion.add(view(ahead, 10.0 - ahead))
    found = fusion.surface()
    assert (found.points[:, 2] - 10).abs().max() < 0.05
    assert len(found.triangles) > 300  # 16 x 12 m in squares of half a metre, of which two views saw all
    assert found.colours.unique().tolist() == [100]


def test_an_empty_view_changes_nothing() -> None:
    for fusion in (VoxelAverage(0.5), SignedDistance(0.5)):
        one = view(0.0, 10.0)
        fusion.add(one._replace(used=~one.used))
        assert len(fusion.surface().points) == 0


def test_what_moves_and_what_is_far_is_left_out_and_every_view_comes_once() -> None:
    def scene(number: int) -> PosedView:
        """The camera goes half a metre a view towards the wall; a plate in front of it stays at 5 m."""
        one = view(number / 2, 20.0 - number / 2)
        one.depth[20:28, 28:36] = 5.0
        one.depth[0] = 100.0
        return one

    found = list(agreeing((scene(number) for number in range(15)), far=50.0))
    assert [float(one.world_from_camera[2, 3]) for one in found] == [number / 2 for number in range(15)]
    for one in found:
        assert not one.used[20:28, 28:36].any()
        assert not one.used[0].any()
        assert one.used[12:18, 20:44].all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_views_are_compared_with_those_there_are(count: int) -> None:
    found = list(agreeing((view(number / 2, 10.0 - number / 2) for number in range(count)), 50.0))
    assert [bool(one.used[10:38, 14:50].all()) for one in found] == [True] * count
