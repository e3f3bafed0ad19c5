"""The lists of frames: counts and order of the field's own files (RECIPES), and lists of one's own."""

import hashlib
from pathlib import Path

import pytest

from mono2many.datasets.kitti.splits import (
    KittiFrame,
    pack,
    read_split_file,
    seen_frames,
    split_frames,
    unpack,
)
from mono2many.types import InputError, Split

COUNTS = {
    ("kitti_eigen_zhou", "train"): (39_810, "110f3f6154f7"),
    ("kitti_eigen_zhou", "val"): (4_424, "be4f836337bb"),
    ("kitti_eigen_full", "train"): (45_200, "a6121aa21fa5"),
    ("kitti_eigen_full", "val"): (1_776, "54bce4e8b84a"),
    ("kitti_benchmark", "train"): (72_084, "8fd074dced57"),
    ("kitti_benchmark", "val"): (6_060, "755bf5542410"),
    ("kitti_eigen", "test"): (697, "eb9bb29c11aa"),
    ("kitti_eigen_benchmark", "test"): (652, "0ad3e3d98bcd"),
}


@pytest.mark.parametrize(("name", "part"), COUNTS)
def test_a_list_has_as_many_frames_as_the_fields_own_and_none_twice(name: str, part: Split) -> None:
    frames = split_frames(name, part)
    assert len(frames) == len(set(frames)) == COUNTS[name, part][0]
    text = "\n".join(map(str, frames))  # in order
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == COUNTS[name, part][1]


def test_the_test_lists_keep_the_order_of_published_predictions() -> None:
    eigen, improved = split_frames("kitti_eigen", "test"), split_frames("kitti_eigen_benchmark", "test")
    assert [f.number for f in eigen[:6]] == [69, 54, 42, 57, 30, 27]
    assert {f.drive for f in eigen[:25]} == {"2011_09_26_drive_0002_sync"}
    assert str(eigen[-1]).startswith("2011_10_03/2011_10_03_drive_0047_sync")
    positions = {frame: i for i, frame in enumerate(eigen)}
    order = [positions[frame] for frame in improved]
    assert order == sorted(order)  # 652 of the 697, in the same order
    assert all(frame.eye == "l" for frame in eigen)


def test_no_test_frame_is_in_the_papers_training_lists_but_596_are_in_the_benchmarks() -> None:
    eigen = set(split_frames("kitti_eigen", "test"))
    for name in ("kitti_eigen_zhou", "kitti_eigen_full"):
        assert not eigen & seen_frames([name])
    assert len(eigen & set(split_frames("kitti_benchmark", "train"))) == 451
    assert len(eigen & set(split_frames("kitti_benchmark", "val"))) == 145
    assert len(eigen - seen_frames(["kitti_benchmark", "synthetic"])) == 101


def test_training_and_validation_share_no_frame() -> None:
    for name in ("kitti_eigen_zhou", "kitti_eigen_full", "kitti_benchmark"):
        assert not set(split_frames(name, "train")) & set(split_frames(name, "val"))


def test_packing_is_undone_by_unpacking() -> None:
    frames = [KittiFrame("2011_09_26_drive_0001_sync", n, "r") for n in (9, 3, 4, 5)]
    assert pack(frames) == ["2011_09_26_drive_0001_sync r 3-5,9"]
    assert list(unpack(pack(frames))) == sorted(frames)
    assert seen_frames(pack(frames)) == set(frames)


def test_a_list_of_ones_own_is_read_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    own = tmp_path / "train.txt"
    own.write_text("2011_09_26/2011_09_26_drive_0001_sync 69 l\n\n2011_09_26_drive_0001_sync 0000000070 r\n")
    assert read_split_file(own) == (
        KittiFrame("2011_09_26_drive_0001_sync", 69, "l"),
        KittiFrame("2011_09_26_drive_0001_sync", 70, "r"),
    )
    for wrong in (
        "2011_09_26/2011_09_26_drive_0001_sync 69",
        "2011_09_26/2011_09_26_drive_0001_sync 69 x",
        "2011_09_28/2011_09_26_drive_0001_sync 69 l",
        "sequence/00 12 l",
    ):
        own.write_text(f"2011_09_26/2011_09_26_drive_0001_sync 1 l\n{wrong}\n")
        with pytest.raises(InputError, match="line 2"):
            read_split_file(own)
    own.write_text("\n")
    with pytest.raises(InputError, match="no frames"):
        read_split_file(own)
    with pytest.raises(InputError, match="cannot be read"):
        read_split_file(tmp_path / "absent.txt")
