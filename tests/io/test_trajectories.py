"""Pose files there and back, and what is refused."""

from pathlib import Path

import pytest
import torch

from mono2many.io.trajectories import draw_trajectories, read_kitti_poses, read_tum_poses, write_poses
from mono2many.types import InputError


def quarter_turn() -> torch.Tensor:
    """At the origin; then 1, 2, 3 away and turned by 90 degrees about y: z looks along x."""
    poses = torch.eye(4).double().repeat(2, 1, 1)
    poses[1, :3] = torch.tensor([[0.0, 0, 1, 1], [0, 1, 0, 2], [-1, 0, 0, 3]])
    return poses


def test_kittis_file_holds_twelve_numbers_a_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "09.txt"
    write_poses(path, quarter_turn(), "kitti", [0.0, 0.1])
    numbers = [float(word) for word in path.read_text().splitlines()[1].split()]
    assert numbers == [0, 0, 1, 1, 0, 1, 0, 2, -1, 0, 0, 3]
    torch.testing.assert_close(read_kitti_poses(path), quarter_turn())


def test_tums_file_holds_seconds_place_and_quaternion(tmp_path: Path) -> None:
    path = tmp_path / "a.tum"
    write_poses(path, quarter_turn(), "tum", [0.0, 0.1])
    numbers = [float(word) for word in path.read_text().splitlines()[1].split()]
    assert numbers == pytest.approx([0.1, 1, 2, 3, 0, 0.5**0.5, 0, 0.5**0.5])  # x y z w of 90 degrees
    times, poses = read_tum_poses(path)
    assert times.tolist() == [0, 0.1]
    torch.testing.assert_close(poses, quarter_turn())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3\n", "found lines of 3 numbers.*wanted lines of 12 finite numbers"),
        ("1 0 0 0 0 1 0 0 0 0 nan 0\n", "not finite"),
        ("1 0 0 0 0 1 0 0 0 0 1 0\n1 2\n", "columns changed from 12 to 2"),
        ("2 0 0 0 0 1 0 0 0 0 1 0\n", "the first three columns of pose 0 are no rotation"),
        ("", "could not convert string"),
    ],
)
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(InputError, match=said) as mistake:
        read_kitti_poses(tmp_path / "x.txt")
    assert "\n" not in str(mistake.value)
    assert "x.txt" in str(mistake.value)


def test_a_quaternion_of_nothing_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tum").write_text("# a comment\n0 1 2 3 0 0 0 0\n")
    with pytest.raises(InputError, match="quaternion of pose 0 is zero"):
        read_tum_poses(tmp_path / "x.tum")
    with pytest.raises(InputError, match="No such file"):
        read_kitti_poses(tmp_path / "none.txt")


def test_trajectories_are_drawn_into_a_png(tmp_path: Path) -> None:
    draw_trajectories(
        tmp_path / "a" / "t.png", {"09": {"true": quarter_turn(), "found": quarter_turn()}}, "m"
    )
    assert (tmp_path / "a" / "t.png").read_bytes()[:4] == b"\x89PNG"
