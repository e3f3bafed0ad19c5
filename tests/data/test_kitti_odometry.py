"""KITTI odometry: the lists, the street in its layout, the real sequence, and what is refused."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mono2many.commands.evaluate import run
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.kitti.splits import split_frames
from mono2many.datasets.kitti_odometry import OdometryData, OdometryScoring
from mono2many.datasets.kitti_odometry.reader import open_odometry, open_sequence
from mono2many.datasets.kitti_odometry.street import write_odometry_street
from mono2many.evaluate.odometry import evaluate_trajectories
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.io.trajectories import read_kitti_poses, read_tum_poses
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import load
from mono2many.predict.trajectory import predict_trajectories
from mono2many.street.tree import StreetTree
from mono2many.types import InputError, Reader, Split


def test_the_lists_are_the_fields_to_the_frame() -> None:
    parts = {part: split_frames("kitti_odometry", part) for part in ("train", "val", "test")}
    assert {part: len(frames) for part, frames in parts.items()} == {
        "train": 36_671,
        "val": 4_075,
        "test": 1_590 + 1_200,
    }
    assert Counter(frame.drive for frame in parts["test"]) == {"09": 1_590, "10": 1_200}
    assert {frame.drive for part in ("train", "val") for frame in parts[part]} == {
        f"{i:02}" for i in range(9)
    }
    assert not set(parts["train"]) & set(parts["val"])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """07 and 09, 12 frames each."""
    return write_odometry_street(StreetTree(tmp_path / "dataset", 2, 12, 64, 160, workers=0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    a = MonoArchitecture("light", "light", pose_type="light")
    save_model(tmp_path / "model", MonoDepth(a), ModelCard(a, 64, 96))
    return tmp_path / "model"


def opened(root: Path, split: Split, **further: object) -> Reader:
    return open_odometry(OdometryData(str(root), **further), ReadOptions(64, 96), split)  # type: ignore[arg-type]


def score(root: Path, folder: Path, **further: object) -> dict[str, object]:
    scoring = OdometryScoring(str(root), **further)  # type: ignore[arg-type]
    config = EvaluateConfig(str(folder), DataConfig("kitti_odometry"), scoring)
    return evaluate_trajectories(config, Console(file=StringIO(), width=120))


def test_the_street_in_that_layout_is_read_with_its_calibration_and_poses(tree: Path) -> None:
    reader = opened(tree, split="test")
    assert sum(len(clip.targets or ()) for clip in reader.clips) == 12
    first, second = reader.frame(0, 0), reader.frame(0, 1)
    # 0.58 x 160 in the file's pixels; at 96 wide 0.58 x 96
    assert float(first.intrinsics[0, 0]) == pytest.approx(0.58 * 96, rel=1e-5)
    assert first.world_from_camera is not None
    assert second.world_from_camera is not None
    step = (torch.linalg.inv(first.world_from_camera) @ second.world_from_camera)[:3, 3]
    assert 0.5 < float(step.norm()) < 1  # 0.75 m x 0.75 to 1.25, and it drives forwards
    assert float(step[2]) > 0.9 * float(step.norm())


def test_a_model_is_scored_drawn_and_its_way_written(tree: Path, folder: Path, tmp_path: Path) -> None:
    figures = score(tree, folder, trajectory=str(tmp_path / "t.png"))
    assert figures["synthetic"] is True
    assert list(figures["sequences"]) == ["09"]  # type: ignore[call-overload]
    of = figures["sequences"]["09"]  # type: ignore[index]
    assert of["snippets"]["count"] == 11
    assert of["path"]["sim3"]["t_err"] is None  # 8 m are no stretch of 100
    assert of["path"]["sim3"]["ate"] > 0
    assert (tmp_path / "t.png").stat().st_size > 5_000
    images = tree / "sequences" / "09" / "image_2"
    files = predict_trajectories(load(folder, "cpu"), [str(images)], tmp_path / "out", ["kitti", "tum"])
    assert {path.name for path in files} == {
        "image_2_poses.txt", "image_2_poses.tum", "image_2_trajectory.png"
    }  # fmt: skip
    poses = read_kitti_poses(tmp_path / "out" / "image_2_poses.txt")
    assert len(poses) == 12
    torch.testing.assert_close(poses[0], torch.eye(4).double())
    torch.testing.assert_close(
        read_tum_poses(tmp_path / "out" / "image_2_poses.tum")[1], poses, atol=1e-6, rtol=0
    )


def test_two_sequences_of_one_folder_name_are_told_apart_by_their_sequence(
    tree: Path, folder: Path, tmp_path: Path
) -> None:
    films = [str(tree / "sequences" / name / "image_2") for name in ("07", "09")]
    files = predict_trajectories(load(folder, "cpu"), films, tmp_path / "out", ["kitti"])
    assert [path.name for path in files if path.suffix == ".txt"] == [
        "07_image_2_poses.txt",
        "09_image_2_poses.txt",
    ]


def test_mistakes_are_told_in_a_line_with_a_remedy(tree: Path, folder: Path) -> None:
    def refused(begin: Callable[[], object], wanted: str) -> None:
        with pytest.raises(InputError, match=wanted) as mistake:
            begin()
        assert "\n" not in str(mistake.value)

    poses = tree / "poses" / "09.txt"
    poses.write_text("".join(poses.read_text().splitlines(keepends=True)[:-1]))
    refused(lambda: score(tree, folder), "holds 11 poses for the 12 images .* unpack data_odometry_poses")
    poses.unlink()
    refused(
        lambda: score(tree, folder, sequences=("09",)),
        "no poses to score against .* unpack data_odometry_poses",
    )
    (tree / "sequences" / "09" / "calib.txt").unlink()
    refused(lambda: open_sequence(tree, "09"), r"calib\.txt: .* unpack data_odometry_calib")
    assert open_sequence(tree, "03") is None
    refused(
        lambda: run(["--model", "starter", "--trajectory", "t.png"]),
        "--trajectory is a flag of --datatype kitti_odometry, not of synthetic",
    )


def test_the_real_sequence_is_read_in_grey_and_its_frames_count_as_seen(
    folder: Path, kitti_odometry: Path
) -> None:
    root = kitti_odometry
    sequence = open_sequence(root, "06")
    assert sequence is not None
    assert sequence.camera == 0
    assert sequence.poses is not None
    assert len(sequence.files) == 51
    assert float(sequence.intrinsics[0, 0]) == pytest.approx(707.0912)
    assert float(sequence.poses[1:, :3, 3].diff(dim=0).norm(dim=1).mean()) == pytest.approx(1.2, abs=0.1)
    figures = score(root, folder)
    assert list(figures["sequences"]) == ["06"]  # type: ignore[call-overload]
    save_model(folder, load(folder, "cpu").model, replace(load(folder, "cpu").card, seen=("kitti_odometry",)))
    with pytest.raises(InputError, match="49 of 51 frames of 06"):
        score(root, folder)
