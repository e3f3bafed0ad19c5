"""Trajectory errors, worked out by hand and beside the reference's."""

import os
import subprocess
import sys
from math import cos, radians, sin
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mono2many.io.trajectories import read_kitti_poses, write_poses
from mono2many.metrics.odometry import (
    Alignment,
    aligned,
    distances,
    drift,
    fit,
    path_errors,
    snippet_error,
    snippet_errors,
)


def straight(frames: int, step: float) -> Tensor:
    poses = torch.eye(4).double().repeat(frames, 1, 1)
    poses[:, 2, 3] = step * torch.arange(frames).double()
    return poses


def about_y(angle: float) -> Tensor:
    c, s = cos(angle), sin(angle)
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)


def winding(frames: int = 60) -> Tensor:
    poses = straight(frames, 1.0)
    for i in range(1, frames):
        step = torch.eye(4).double()
        step[:3, :3], step[2, 3], step[1, 3] = about_y(0.05 * sin(i / 7)), 1.0, 0.02 * sin(i)
        poses[i] = poses[i - 1] @ step
    return poses


def test_the_snippet_error_is_the_reference_programs(parity: dict[str, Tensor]) -> None:
    found = snippet_error(parity["ate_true_xyz"].double(), parity["ate_predicted_xyz"].double())
    assert found == pytest.approx(float(parity["ate_value"]), rel=1e-5)


def test_a_snippet_forgives_its_scale_and_divides_the_root_by_its_length() -> None:
    true, found = straight(5, 1.0), straight(5, 0.01)
    assert snippet_errors(true, found).tolist() == pytest.approx([0, 0, 0, 0], abs=1e-12)
    found[4, 0, 3] = 0.03  # places 0 .. 4: scale = 0.3 / (0.003 + 0.0009), see below
    scale = (0.01 * (1 + 4 + 9 + 16)) / (0.0001 * (1 + 4 + 9 + 16) + 0.0009)
    wanted = sum((scale * 0.01 * i - i) ** 2 for i in range(5)) + (scale * 0.03) ** 2
    assert float(snippet_errors(true, found)[0]) == pytest.approx(wanted**0.5 / 5)


def test_snippets_at_the_end_are_shorter() -> None:
    true, found = straight(6, 1.0), straight(6, 1.0)
    found[5, 0, 3] = 1.0
    errors = snippet_errors(true, found)
    assert len(errors) == 5
    # the last holds two frames: (0, 0), (0, 1) against (1, 1) scaled by 1/2: off by (1/2, 1/2)
    assert float(errors[4]) == pytest.approx(0.5**0.5 / 2)
    assert float(errors[0]) == 0


def test_one_per_cent_of_scale_is_a_drift_of_one_per_cent_and_nothing_after_sim3() -> None:
    true, found = straight(2001, 1.0), straight(2001, 1.01)
    moved, turned = drift(true, found)
    # a stretch of 100 m ends at the first frame beyond it: 101 m, off by 1.01 m
    lengths = range(100, 801, 100)
    counts = [len(range(0, 2001 - length - 1, 10)) for length in lengths]
    by_hand = sum(n * (length + 1) / length for n, length in zip(counts, lengths, strict=True)) / sum(counts)
    assert moved == pytest.approx(by_hand)
    assert moved == pytest.approx(1.00, abs=0.005)
    assert turned == pytest.approx(0, abs=1e-5)
    after = path_errors(true, found, "sim3")
    assert after.t_err == pytest.approx(0, abs=1e-6)
    assert after.ate == pytest.approx(0, abs=1e-6)


def test_a_tenth_of_a_degree_in_100_metres_is_told_as_that() -> None:
    true, found = straight(2001, 1.0), straight(2001, 1.0)
    for i in range(2001):
        found[i, :3, :3] = about_y(radians(0.001 * i))  # turns, but goes straight on
    moved, turned = drift(true, found)
    assert turned == pytest.approx(0.1, rel=0.01)
    # seen from a frame that looks aside, the stretch bends: not nothing, and not the turn's own
    assert moved is not None
    assert moved > 0


def test_a_path_shorter_than_a_stretch_has_no_drift() -> None:
    assert drift(straight(50, 1.0), straight(50, 1.0)) == (None, None)
    errors = path_errors(straight(50, 1.0), straight(50, 1.1), "none")
    assert errors.t_err is None
    assert errors.rpe == pytest.approx(0.1)
    assert errors.rpe_turn == pytest.approx(0, abs=1e-5)
    assert errors.ate == pytest.approx((sum((0.1 * i) ** 2 for i in range(50)) / 50) ** 0.5)


def test_the_path_is_as_long_as_its_steps() -> None:
    assert distances(straight(4, 2.0)).tolist() == [0, 2, 4, 6]


def test_a_fit_finds_the_similarity_that_was_hidden() -> None:
    places = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    turn, shift = about_y(0.7), torch.tensor([1.0, -2.0, 3.0]).double()
    scale, transform = fit(2.5 * places @ turn.T + shift, places, with_scale=True)
    assert scale == pytest.approx(2.5)
    torch.testing.assert_close(transform[:3, :3], turn)
    torch.testing.assert_close(transform[:3, 3], shift)


def test_alignments_take_away_what_they_are_named_for() -> None:
    true = winding()
    world = torch.eye(4).double()
    world[:3, :3], world[:3, 3] = about_y(1.0), torch.tensor([5.0, 1.0, -3.0])
    elsewhere = world @ true
    torch.testing.assert_close(aligned(true, elsewhere, "se3"), true)
    smaller = elsewhere.clone()
    smaller[:, :3, 3] *= 0.1
    torch.testing.assert_close(aligned(true, smaller, "sim3"), true)
    assert path_errors(true, smaller, "se3").ate > 1


@pytest.mark.parametrize(("how", "flags"), [("none", []), ("se3", ["-a"]), ("sim3", ["-as"])])
def test_errors_of_a_noisy_path_are_those_of_evos_command_line(
    how: Alignment, flags: list[str], tmp_path: Path
) -> None:
    compare_with_evo(winding(), how, flags, tmp_path)


def test_errors_on_a_real_sequence_with_noise_are_those_of_evos_command_line(
    kitti_odometry: Path, tmp_path: Path
) -> None:
    compare_with_evo(read_kitti_poses(kitti_odometry / "poses" / "06.txt"), "sim3", ["-as"], tmp_path)


def compare_with_evo(true: Tensor, how: Alignment, flags: list[str], folder: Path) -> None:
    """evo is under the GPL: it is here to compare with, and no part of what is installed."""
    noise = torch.randn(len(true), 3, generator=torch.Generator().manual_seed(1)).double()
    found = true.clone()
    found[:, :3, 3] = 0.3 * true[:, :3, 3] + 0.05 * noise
    files = [folder / "true.txt", folder / "found.txt"]
    for path, poses in zip(files, (true, found), strict=True):
        write_poses(path, poses, "kitti", [])
    own = path_errors(true, found, how)
    for tool, value in (("evo_ape", own.ate), ("evo_rpe", own.rpe)):
        command = [str(Path(sys.executable).with_name(tool)), "kitti", *map(str, files), *flags]
        home = os.environ | {"HOME": str(folder)}  # where it writes its settings
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=home)
        rmse = next(line.split()[1] for line in done.stdout.splitlines() if "rmse" in line)
        assert float(rmse) == pytest.approx(value, abs=1e-6)  # all that it prints
