import torch

from mono2many.geometry.lidar import project_lidar

# A camera half a metre ahead of the scanner: right = -y, down = -z, z = x - 0.5; focal length 10
TO_IMAGE = torch.tensor([[20.0, -10.0, 0.0, -10.0], [10.0, 0.0, -10.0, -5.0], [1.0, 0.0, 0.0, -0.5]]).double()
SIZE = (16, 40)


def measured(points: list[list[float]], value: str = "forward") -> dict[tuple[int, int], float]:
    """(row, column) -> depth of the pixels that have one."""
    depth = project_lidar(torch.tensor(points), TO_IMAGE, SIZE, value)  # type: ignore[arg-type]
    return {(r, c): float(depth[r, c]) for r, c in depth.isfinite().nonzero().tolist()}


def test_a_point_straight_ahead_lies_one_pixel_before_the_centre_as_pixels_are_counted_from_one() -> None:
    assert measured([[2.5, 0.0, 0.0]]) == {(9, 19): 2.5}
    assert measured([[2.5, 0.0, 0.0]], "z") == {(9, 19): 2.0}


def test_half_a_pixel_is_rounded_to_the_even_one() -> None:
    # z = 2.5: 1/8 m to the right is half a pixel, u = 20.5 -> 20; 3/8 m: u = 21.5 -> 22; less one
    assert measured([[3.0, -0.125, 0.0], [3.0, -0.375, 0.0]]) == {(9, 19): 3.0, (9, 21): 3.0}


def test_of_several_points_in_a_pixel_the_nearest_is_kept() -> None:
    assert measured([[8.5, 0.0, 0.0], [2.5, 0.0, 0.0], [4.5, 0.0, 0.0]]) == {(9, 19): 2.5}


def test_points_behind_or_beside_the_picture_are_not_seen() -> None:
    # u = 0.4 rounds to 0, a column before the first; u = 41 is column 40 of 0 .. 39
    assert measured([[-2.5, 0.0, 0.0], [2.5, 3.92, 0.0], [2.5, -4.2, 0.0]]) == {}
    assert measured([[2.5, 3.8, 0.0], [2.5, -4.0, 0.0]]) == {(9, 0): 2.5, (9, 39): 2.5}


def test_a_scan_is_projected_as_one_point_after_the_other() -> None:
    points = torch.rand(500, 4) * torch.tensor([30.0, 20.0, 4.0, 1.0]) - torch.tensor([2.0, 10.0, 2.0, 0.0])
    nearest: dict[tuple[int, int], float] = {}
    for x, y, z, _ in points.double().tolist():
        u, v, w = (TO_IMAGE @ torch.tensor([x, y, z, 1.0]).double()).tolist()
        row, column = round(v / w) - 1, round(u / w) - 1
        if x >= 0 and 0 <= row < SIZE[0] and 0 <= column < SIZE[1]:
            nearest[row, column] = min(x, nearest.get((row, column), torch.inf))
    found = measured(points.tolist())
    assert found.keys() == nearest.keys()
    assert len(found) > 100
    assert all(abs(found[pixel] - nearest[pixel]) < 1e-5 for pixel in found)
