"""The examples write what they promise."""

import json
import math
import re
import runpy
from pathlib import Path

import pytest
import torch

from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.street.reader import StreetSettings
from mono2many.street.video import write_street_video
from programs import REPOSITORY, run_example


def test_the_padding_experiment_writes_table_figures_and_picture(tmp_path: Path) -> None:
    small = ["--steps", "3", "--scenes", "2", "--seeds", "0", "--height", "64", "--width", "96"]
    for signal in ("supervised", "self"):
        folder = tmp_path / signal
        run_example("padding", *small, "--signal", signal, "--out", folder, cwd=tmp_path)
        runs = json.loads((folder / "padding.json").read_text())["runs"]
        assert [r["padding"] for r in runs] == ["reflect", "zeros", "replicate"]
        assert all(math.isfinite(x) for r in runs for x in (*r["abs_rel"].values(), *r["by_distance"]))
        assert (folder / "padding.md").read_text().count("\n") == 5
        assert (folder / "padding.png").read_bytes().startswith(b"\x89PNG")


def test_the_standing_experiment_finds_that_a_repeated_frame_keeps_its_depth(tmp_path: Path) -> None:
    kinds = ManyArchitecture("light", "light", pose_type="light", hypotheses=8)
    save_model(tmp_path / "many", ManyDepth(kinds), ModelCard(kinds, 64, 96))
    film, camera = write_street_video(tmp_path / "film.mp4", StreetSettings(frames=6, height=64, width=96))
    words = [
        "--model",
        tmp_path / "many",
        "--film",
        film,
        "--camera",
        camera,
        "--frames",
        "4",
        "--repeats",
        "6",
    ]
    said = run_example("standing", *words, cwd=tmp_path).splitlines()
    assert re.fullmatch(r"median depth of the first frame / of the next ten: \d\.\d{3}", said[0])
    assert said[-1] == "from the fifth on by 0.00% at most, anywhere"


def test_the_hole_score_is_a_tenth_where_the_farthest_twentieth_is_all_below() -> None:
    hole_share = runpy.run_path(str(REPOSITORY / "examples" / "holes.py"))["hole_share"]
    disparity = torch.arange(1.0, 401.0).view(20, 20)
    # strictly beyond the percentile: one of the twentieth is the limit itself
    assert [hole_share(disparity), hole_share(disparity.flip(0))] == pytest.approx([0.0, 19 / 200])


def test_holes_and_speed_of_the_starter_are_measured_on_a_video(tmp_path: Path) -> None:
    write_street_video(tmp_path / "street.mp4", StreetSettings(frames=20, height=64, width=192))
    folder = tmp_path / "holes"
    run_example(
        "holes",
        *("--models", "starter", "--video", "street.mp4", "--start", "0.5", "--shown", "2", "--out", folder),
        cwd=tmp_path,
    )
    figures = json.loads((folder / "holes.json").read_text())["starter"]
    assert figures["frames"] == 2
    assert 0 <= figures["mean"] <= figures["worst"] <= 0.1
    assert (folder / "holes.png").exists()
    said = run_example("prediction_speed", "--height", "64", "--width", "64", "--repeats", "2", cwd=tmp_path)
    assert "ResNet18" in said
    assert re.search(r"starter: \d+ ms, \d+\.\d+ of it", said)
    write_street_video(tmp_path / "a.mp4", StreetSettings(1, 5, 64, 96))
    said = run_example("prediction_speed", "--repeats", "2", "--video", "a.mp4", cwd=tmp_path)
    assert re.search(r"starter, fp32, 5 frames: [\d.]+ frames/s, .* the processor time \d\.\d\d is its", said)


def test_the_schedules_of_the_anchor_are_compared_on_two_films(tmp_path: Path) -> None:
    small = [
        "--steps",
        "2",
        "--frames",
        "12",
        "--height",
        "64",
        "--width",
        "96",
        "--schedules",
        "none",
        "0.1",
    ]
    run_example("anchor_schedules", *small, "--out", tmp_path / "out", cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert list(found) == ["even drive", "stop-and-go"]
    for rows in found.values():
        assert list(rows) == ["start", "none", "0.1"]
        assert all(0 < row["abs_rel"] < 2 for row in rows.values())
        assert rows["none"]["photometric_ratio"] > 0


def test_terms_against_holes_are_compared_and_not_trained_twice(tmp_path: Path) -> None:
    words = ["--steps", "2", "--height", "64", "--width", "96", "--scenes", "2", "--test-scenes", "2"]
    words += ["--start", "nothing", "--out", str(tmp_path / "out"), "--terms", "nothing"]
    first = run_example("pacing_cars", *words, cwd=tmp_path)
    assert first == (tmp_path / "out" / "figures.jsonl").read_text()
    assert json.loads(first)["static"] > 0
    more = run_example("pacing_cars", *words, "auto-mask", cwd=tmp_path).splitlines()
    assert [json.loads(line)["terms"] for line in more] == ["auto-mask"]


def test_a_fused_street_is_measured_against_the_exact_one(tmp_path: Path) -> None:
    words = ["--frames", "10", "--height", "96", "--width", "320", "--out", tmp_path / "out"]
    said = run_example("reconstruction", *words, cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert found["path error (ATE), metres"] < 0.3 < 5 < found["path, metres"]
    assert 0 < found["distance to the exact surface, median"] < 1
    assert said.count("\n") == len(found) == 7


def test_the_check_of_a_gpu_is_rehearsed_without_one(tmp_path: Path) -> None:
    run_example(
        "gpu_check",
        tmp_path / "out",
        "--device",
        "cpu",
        "--quick",
        cwd=REPOSITORY,
    )
    found = json.loads((tmp_path / "out" / "gpu_check.json").read_text())
    assert found["failed"] == {}
    assert found["facts"]["tests"].split()[1] in ("skipped", "passed")
    figures = {name: figure for name, _, figure in found["rows"]}
    assert any(name.startswith("many, batch 2, bf16") for name in figures)
    assert all(figure > 0 for figure in figures.values())
    assert "Self CPU" in (tmp_path / "out" / "profile.txt").read_text()


def test_refined_poses_are_measured_on_streets_and_a_video(tmp_path: Path) -> None:
    said = run_example("pose_refinement", "--streets", "1", cwd=tmp_path)
    lines = [re.fullmatch(r"(.{11}).* pairs, (\w+) +translation (\S+) m, .*", x) for x in said.splitlines()]
    assert len(lines) == 12
    off = {(x[1].strip(), x[2]): float(x[3]) for x in lines if x is not None}
    assert off["stop-and-go", "refined"] < off["stop-and-go", "network"]
    film, camera = write_street_video(tmp_path / "film.mp4", StreetSettings(frames=6, height=64, width=96))
    said = run_example("pose_refinement", "--video", film, "--camera", camera, "--every", "2", cwd=tmp_path)
    assert [line.split()[:3] for line in said.splitlines()] == [
        [name, "3", "pairs:"] for name in ("network", "alike", "refined")
    ]


def test_steadiness_and_confidence_are_measured_on_streets(tmp_path: Path) -> None:
    small = ["--streets", "1", "--frames", "3", "--height", "64", "--width", "192"]
    run_example("steady_and_confidence", *small, "--out", "out", cwd=tmp_path)
    found = json.loads((tmp_path / "out" / "figures.json").read_text())["starter"]
    assert 0 < found["flicker_steady"] < found["flicker"] < 0.2
    assert 0 < found["ause"] < 1
    assert 0 <= found["ece"] <= 0.5
    assert (tmp_path / "out" / "starter.png").exists()
    said = run_example("fit_std", "--streets", "1", "--frames", "2", "--pixels", "100", cwd=tmp_path)
    assert said.count("\n") == 3
