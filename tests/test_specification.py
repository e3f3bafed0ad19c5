"""The specification's three commands, as written, on the procedural street in KITTI's layout."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from programs import REPOSITORY, run_program

SHORT = ["--encoder_weights", "none", "--height", "64", "--width", "96", "--steps", "2", "--batch_size", "2"]
HEADER = ["abs_rel", "sqrt_rel", "rmse", "rmse_log", "a1", "a2", "a3"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specification")
    tiny = ["--drives", "2", "--frames", "12", "--height", "64", "--width", "160"]
    mono2many(folder, "prepare", "synthetic", "--layout", "kitti", *tiny)
    return folder


def mono2many(folder: Path, *words: str) -> str:
    return run_program(REPOSITORY / "src" / "mono2many" / "__main__.py", *words, cwd=folder)


def rows(table: str) -> dict[str, list[float]]:
    """Label to the seven numbers, of the lines that hold them."""
    found = {}
    for line in table.splitlines():
        words = line.split()
        numbers = [float(word) for word in words[-7:] if word.replace(".", "", 1).isdigit()]
        if len(numbers) == 7:
            found[" ".join(words[:-7])] = numbers
    return found


def test_train_train_test(place: Path) -> None:
    train, test = REPOSITORY / "model_train.py", REPOSITORY / "model_test.py"
    for datatype in ("kitti_eigen_zhou", "kitti_benchmark"):
        run_program(train, "--pose_type", "separate", "--datatype", datatype, *SHORT, cwd=place)
        card = json.loads((place / "model_save" / datatype / "config.json").read_text())
        assert card["seen"] == [datatype]
        assert card["trained_on"] == f"{datatype}, SYNTHETIC (the procedural street)"
    said = run_program(test, "--json", "all.json", cwd=place)
    assert any(line.split()[-7:] == HEADER for line in said.splitlines()), said
    assert "SYNTHETIC" in said
    table = rows(said)
    assert len(table) >= 3  # eigen, eigen on unseen frames, eigen_benchmark
    marked = [label for label in table if "CONTAMINATED" in label]
    assert marked, said
    assert any("eigen_benchmark" in label for label in table)
    assert all(
        0 < numbers[0] < 10 and 0 <= numbers[4] <= numbers[5] <= numbers[6] <= 1 for numbers in table.values()
    )

    clean = run_program(test, "--model", "model_save/kitti_eigen_zhou", cwd=place)
    assert "CONTAMINATED" not in clean


def test_evaluate_refuses_frames_that_the_model_saw(place: Path) -> None:
    words = ["evaluate", "--model", "model_save/kitti_benchmark"]
    command = [sys.executable, "-m", "mono2many", *words]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--allow-contaminated" in done.stderr
    said = mono2many(place, *words, "--allow-contaminated", "--report", "report.html")
    assert "CONTAMINATED" in said
    assert "SYNTHETIC" in said
    page = (place / "report.html").read_text()
    assert "CONTAMINATED" in page
    assert "SYNTHETIC" in page


def test_several_frames_train_and_score_on_kittis_lists(place: Path) -> None:
    sizes = ["--height", "64", "--width", "96", "--steps", "2", "--batch-size", "2", "--hypotheses", "8"]
    many = ["--model", "many", "--recipe", "scratch", "--name", "many"]
    command = ["train", "--datatype", "kitti_eigen_zhou"]
    mono2many(place, *command, *many, *sizes)
    said = mono2many(place, "evaluate", "--model", "model_save/many", "--json", "many.json")
    rows = json.loads((place / "many.json").read_text())["rows"]
    assert rows.keys() == {"model", "single frame", "static camera", "teacher"}
    assert all(name in said for name in rows)
    assert rows["model"]["metrics"] != rows["single frame"]["metrics"]


def test_odometry_from_the_street_to_a_trajectory(tmp_path: Path) -> None:
    tiny = ["--drives", "2", "--frames", "12", "--height", "64", "--width", "160"]
    mono2many(tmp_path, "prepare", "synthetic", "--layout", "odometry", *tiny)
    short = ["--recipe", "scratch", "--height", "64", "--width", "96", "--steps", "2", "--batch-size", "2"]
    mono2many(tmp_path, "train", "--datatype", "kitti_odometry", *short, "--name", "way")
    said = mono2many(
        tmp_path, "evaluate", "--model", "model_save/way", "--datatype", "kitti_odometry",
        "--json", "way.json", "--trajectory", "way.png",
    )  # fmt: skip
    assert "SYNTHETIC" in said
    figures = json.loads((tmp_path / "way.json").read_text())["sequences"]["09"]
    assert f"{figures['snippets']['ate_mean']:.4f} ± {figures['snippets']['ate_std']:.4f}" in said
    assert (tmp_path / "way.png").exists()
    images = str(Path("dataset") / "sequences" / "09" / "image_2")
    mono2many(tmp_path, "predict", images, "--model", "model_save/way", "--poses", "kitti")
    assert len((tmp_path / "outputs" / "image_2_poses.txt").read_text().splitlines()) == 12
