"""The command as a user types it: help at once, and one line for every mistake."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mono2many import __version__
from mono2many.cli import main
from mono2many.datasets.ddad import DdadTraining
from mono2many.datasets.street import StreetTraining
from mono2many.errors import InputError
from mono2many.train.recipes import from_json


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mono2many", *arguments]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a wrong command leaves on stderr."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def test_help_lists_the_commands_without_importing_torch() -> None:
    code = "import sys; from mono2many.cli import main; main(['--help']); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.endswith("False\n")
    assert all(command in said for command in ("train", "evaluate", "predict", "street"))


def test_every_setting_has_a_flag_with_help_and_both_spellings_work() -> None:
    said = run("train", "--help").stdout
    for flag in (
        "--pose-type {separate,shared,posecnn,light}",
        "--padding {reflect,zeros,replicate}",
        "--frame-step",
    ):
        assert flag in said
    assert "train --datatype video --help lists those of your own videos" in said
    assert run("train", "--pose_type", "shared", "--help").returncode == 0
    assert run("--version").stdout == f"mono2many {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trian",), ("unknown command 'trian'", "did you mean train?")),
        (("train", "--pose-tipe", "shared"), ("unknown option --pose-tipe", "did you mean --pose-type?")),
        (("train", "--height", "100"), ("--height", "multiple of 32", "got 100", "try 96")),
        (("train", "--pose-type", "wrong"), ("'wrong'", "--pose-type", "'separate'")),
        (("train", "--epochs", "x"), ("--epochs", "'x'")),
        (("train", "--datatype", "video"), ("--data",)),
        (("train", "--datatype", "video", "--data", "gone.mp4", "--fov", "60"), ("gone.mp4",)),
        (("train", "--datatype", "video", "--data", "."), ("--camera", "--fov")),
        (("train", "--config", "gone.json"), ("gone.json: cannot be read", "--config")),
        (("train", "--predictive-mask"), ("--no-automask",)),
        (("train", "--batch-size", "0"), ("--batch-size must be at least 1",)),
        (("train", "--data", "film.mp4", "--fov", "60"), ("--data", "--datatype video", "not of synthetic")),
        (("train", "--crop-bottom", "0.1"), ("--crop-bottom", "flag of --datatype video")),
        (("train", "--seed", "-1"), ("--seed",)),
        (("train", "--resume", "--name", "gone"), ("--resume: no run in model_save/gone", "--name")),
        (("prepare",), ("prepare what?", "synthetic, video, kitti")),
        (("prepare", "kitti", "--splits", "eigen"), ("'eigen'", "kitti_eigen_zhou")),
        (("train", "--datatype", "kitti_eigen_zhou", "--data", "gone"), ("gone: no such", "prepare kitti")),
        (("train", "--datatype", "kitti_eigen"), ("list to score on", "kitti_eigen_zhou")),
        (("train", "--datatype", "kitti", "--data", ".", "--split-files", "a.txt"), ("TRAIN.txt VAL.txt",)),
        (("train", "--split-files", "a.txt", "b.txt"), ("flag of --datatype kitti or cityscapes",)),
        (("evaluate", "--predictions", "a.npy"), ("--predictions", "--datatype kitti or kitti_eigen")),
        (("import-weights", "gone", "--out", "new"), ("gone", "encoder.pth")),
        (("train", "--device", "foo"), ("--device", "cuda")),
        (("train", "--scenes", "1", "--val-scenes", "1", "--out", "/proc/nowhere"), ("/proc/nowhere",)),
        (("evaluate", "--model", "gone"), ("gone/config.json: no such file", "--model")),
        (("evaluate",), ("--model", "--predictions")),
        (("train", "--datatype", "ddat"), ("--datatype ddat", "did you mean ddad?")),
        (("train", "--datatype", "ddad", "--scenes", "3"), ("--scenes is a flag of --datatype synthetic",)),
        (("predict", "--model", "gone"), ("nothing to predict",)),
        (("predict", "a.png", "--model", "gone"), ("gone/config.json",)),
        (("street", "film.avi"), ("film.avi", "try film.mp4")),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_the_remedy(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    said = mistake(capsys, *arguments)
    assert said.startswith("mono2many")
    assert all(word in said for word in words), said


def film(folder: Path, frames: int = 12) -> tuple[Path, Path]:
    main(["street", str(folder / "film.mp4"), "--frames", str(frames), "--height", "64", "--width", "96"])
    return folder / "film.mp4", folder / "film.json"


def test_footage_that_cannot_be_used_is_one_line_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip, camera = film(tmp_path)
    capsys.readouterr()
    good = json.loads(camera.read_text())
    common = ("train", "--datatype", "video", "--data", str(clip), "--height", "64", "--width", "96")

    def with_camera(**changes: object) -> str:
        values = {key: value for key, value in {**good, **changes}.items() if value is not None}
        (tmp_path / "camera.json").write_text(json.dumps(values))
        return mistake(capsys, *common, "--camera", str(tmp_path / "camera.json"))

    assert "fy" in with_camera(fy=None)
    assert "fx" in with_camera(fx=-100)
    assert "film.mp4" in with_camera(width=1000)
    (tmp_path / "short").mkdir()
    short, its_camera = film(tmp_path / "short", 5)
    capsys.readouterr()
    flags = ("--camera", str(its_camera), "--hold-out-frames", "3")
    assert "short" in mistake(capsys, "train", "--datatype", "video", "--data", str(short), *flags)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    arguments = [str(cut) if a == str(clip) else a for a in common]
    assert "cut.mp4" in mistake(capsys, *arguments, "--camera", str(camera))


def test_a_model_folder_cut_short_or_of_another_version_is_one_line_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from mono2many.models.checkpoint import ModelCard, save_model
    from mono2many.models.mono import MonoArchitecture, MonoDepth

    light = MonoArchitecture("light", "light", scales=1, pose_type="light")
    save_model(tmp_path / "model", MonoDepth(light), ModelCard(light, 64, 96))
    weights, config = tmp_path / "model" / "model.safetensors", tmp_path / "model" / "config.json"
    whole = config.read_text()
    config.write_text(whole.replace('"format_version": 1', '"format_version": 7'))
    assert "format version 7" in mistake(capsys, "evaluate", "--model", str(tmp_path / "model"))
    config.write_text(whole)
    weights.write_bytes(weights.read_bytes()[:5000])
    (tmp_path / "a.png").touch()
    assert "model.safetensors: cannot be read without running code (SafetensorError)" in mistake(
        capsys, "predict", str(tmp_path / "a.png"), "--model", str(tmp_path / "model")
    )


def test_a_recipe_sets_many_switches_and_a_flag_beside_it_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    from mono2many.train import loop
    from mono2many.train.settings import TrainConfig

    seen: list[TrainConfig] = []
    monkeypatch.setattr(loop, "train", seen.append)
    main(["train", "--recipe", "scratch", "--batch_size", "3", "--automask"])
    main(["train", "--recipe=reference"])
    assert (seen[0].model.encoder, seen[0].optim.batch_size, seen[0].loss.automask) == ("light", 3, True)
    assert (seen[1].loss.mask_unseen, seen[1].loss.pyramid, seen[1].optim.mirror_camera) == (
        False,
        "lanczos",
        False,
    )


def test_a_run_is_repeated_from_its_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dataclasses import asdict, replace

    from mono2many.train import loop
    from mono2many.train.recipes import recipe
    from mono2many.train.settings import TrainConfig

    config = recipe("scratch")
    (tmp_path / "run.json").write_text(json.dumps({"settings": asdict(config), "made_by": {}}))
    seen: list[TrainConfig] = []
    monkeypatch.setattr(loop, "train", seen.append)
    main(["train", "--config", str(tmp_path / "run.json"), "--name", "again"])
    assert seen[0] == replace(
        config, run=replace(config.run, config=str(tmp_path / "run.json"), name="again")
    )


def test_a_resumed_run_keeps_its_own_settings_and_a_flag_beside_it_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dataclasses import asdict

    from mono2many.train import loop
    from mono2many.train.recipes import recipe
    from mono2many.train.settings import TrainConfig

    (tmp_path / "street").mkdir()
    (tmp_path / "street" / "run.json").write_text(json.dumps({"settings": asdict(recipe("scratch"))}))
    seen: list[TrainConfig] = []
    monkeypatch.setattr(loop, "train", seen.append)
    main(["train", "--out", str(tmp_path), "--name", "street", "--resume", "--steps", "9"])
    assert (seen[0].model.encoder, seen[0].optim.steps, seen[0].run.resume) == ("light", 9, True)


def test_a_film_that_exists_is_not_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip, _ = film(tmp_path, 3)
    before = clip.read_bytes()
    assert "exists already" in mistake(capsys, "street", str(clip))
    assert clip.read_bytes() == before


def test_a_model_is_evaluated_on_what_its_own_run_held_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dataclasses import asdict, replace

    from mono2many.datasets.choice import TrainingData
    from mono2many.datasets.video import VideoScoring, VideoTraining
    from mono2many.evaluate import run
    from mono2many.evaluate.settings import EvaluateConfig
    from mono2many.train.settings import TrainConfig

    monkeypatch.chdir(tmp_path)
    Path("film.mp4").touch()
    dataset = VideoTraining(data=("film.mp4",), fov=60.0, hold_out=0.25, crop_bottom=0.1)
    config = replace(TrainConfig(), data=TrainingData("video", frame_step=2), dataset=dataset)
    (tmp_path / "run.json").write_text(json.dumps({"settings": asdict(config)}))
    seen: list[EvaluateConfig] = []
    monkeypatch.setattr(run, "evaluate", lambda config, notes: seen.append(config))
    main(["evaluate", "--model", str(tmp_path)])
    main(["evaluate", "--model", str(tmp_path), "--datatype", "synthetic"])
    assert seen[0].dataset == VideoScoring(data=("film.mp4",), fov=60.0, hold_out=0.25)
    assert (seen[0].data.datatype, seen[0].data.frame_step) == ("video", 2)
    assert (seen[1].data.datatype, seen[1].data.frame_step) == ("synthetic", 2)


def test_a_reader_that_has_enough_is_no_mistake() -> None:
    command = [sys.executable, "-m", "mono2many", "prepare", "kitti", "--list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_debug_shows_where_an_error_comes_from() -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        main(["predict", "gone.png", "--debug"])
    with pytest.raises(InputError, match="no such file or folder"):
        main(["--debug", "predict", "gone.png"])


def test_a_run_of_another_version_can_still_be_scored(tmp_path: Path) -> None:
    settings = {"data": {"scene_step": 0.5, "gone": 1}, "gone": {}}
    (tmp_path / "run.json").write_text(json.dumps({"settings": settings}))
    with pytest.raises(InputError, match="unknown setting 'gone'"):
        from_json(tmp_path / "run.json")
    assert from_json(tmp_path / "run.json", lenient=True).dataset == StreetTraining(scene_step=0.5)
    data = {"datatype": "ddad", "data": ["a"], "cameras_used": ["all"], "largest_gap": 0.2, "scenes": 3}
    (tmp_path / "run.json").write_text(json.dumps({"settings": {"data": data}}))
    assert from_json(tmp_path / "run.json").dataset == DdadTraining("a", ("all",), 0.2)


def test_a_data_set_has_its_own_flags_and_no_other_sets() -> None:
    def flags(*arguments: str) -> set[str]:
        return set(re.findall(r"(?m)^│ (--[a-z-]+)", run(*arguments, "--help").stdout))

    train = flags("train", "--datatype", "ddad")
    assert train >= {"--data", "--max-gap", "--height", "--encoder"}
    assert not train & {"--scenes", "--stereo", "--camera", "--split-files", "--fov", "--crop-bottom"}
    score = flags("evaluate", "--datatype", "kitti_odometry")
    assert score >= {"--sequences", "--grey"}
    assert not score & {"--predictions", "--report", "--cameras", "--stereo"}
