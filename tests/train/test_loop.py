"""Whole runs, tiny: folders, resume, repetition, warnings, real footage."""

import io
import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from mono2many import load
from mono2many.datasets.street import StreetTraining
from mono2many.datasets.video import VideoTraining
from mono2many.errors import InputError, Terminated
from mono2many.io.camera_file import read_camera
from mono2many.io.videos import VideoWriter
from mono2many.models.checkpoint import read_card
from mono2many.street.reader import StreetSettings
from mono2many.street.video import write_street_video
from mono2many.train import loop
from mono2many.train.loop import train
from mono2many.train.recipes import from_json, recipe
from mono2many.train.settings import ModelConfig, OptimConfig, RunConfig, TrainConfig
from mono2many.train.signals import Stop


def tiny(out: Path, **run: object) -> TrainConfig:
    base = recipe("scratch")
    return replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0),
        dataset=StreetTraining(scenes=4, val_scenes=2, scene_frames=3),
        optim=replace(base.optim, steps=6, batch_size=4),
        run=replace(base.run, name="tiny", out=str(out), log_every=2, picture_every=3, val_every=3, **run),  # type: ignore[arg-type]
    )


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def events(folder: Path, kind: str) -> Sequence[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny(tmp_path_factory.mktemp("runs"), precision="fp32"), quiet())


def test_a_run_leaves_a_model_its_settings_its_log_and_its_checkpoints(run: Path) -> None:
    names = {p.name for p in run.iterdir()}
    assert names == {
        "model.safetensors",
        "config.json",
        "run.json",
        "log.jsonl",
        "tensorboard",
        "checkpoints",
        "best",
        ".lock",
    }
    assert [p.name for p in sorted((run / "checkpoints").iterdir())] == [
        "step-00000003.pt",
        "step-00000006.pt",
    ]
    made_by = json.loads((run / "run.json").read_text())["made_by"]
    assert {"mono2many", "git", "torch", "python", "threads"} <= set(made_by)
    assert [e["step"] for e in events(run, "train")] == [2, 4, 6]
    assert [e["step"] for e in events(run, "val")] == [3, 6]
    assert all(e["still"] > 0 and e["abs_rel"] > 0 for e in events(run, "val"))
    predictor = load(run)
    depth = predictor(torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8))
    assert depth.depth.shape == (50, 70)
    assert load(run / "best").card == predictor.card


def test_tensorboard_holds_scalars_and_the_six_pictures(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert set(board.Tags()["images"]) == {
        "image",
        "disparity",
        "warped_first",
        "warped_last",
        "error",
        "mask",
    }
    assert {"train/loss", "train/samples_per_s", "val/abs_rel", "val/ratio_to_still"} <= set(
        board.Tags()["scalars"]
    )


def test_the_same_settings_make_the_same_weights_and_a_resumed_run_too(run: Path, tmp_path: Path) -> None:
    again = replace(
        from_json(run / "run.json"), run=replace(from_json(run / "run.json").run, out=str(tmp_path))
    )
    half = train(again, quiet())
    whole = load_file(run / "model.safetensors")
    assert all(torch.equal(v, load_file(half / "model.safetensors")[k]) for k, v in whole.items())
    (half / "checkpoints" / "step-00000006.pt").unlink()  # as if it had been stopped after step 3
    train(replace(again, run=replace(again.run, resume=True)), quiet())
    assert all(torch.equal(v, load_file(half / "model.safetensors")[k]) for k, v in whole.items())


def test_another_run_is_not_overwritten(run: Path) -> None:
    with pytest.raises(InputError, match="holds a run already: add --resume"):
        train(tiny(run.parent), quiet())


def test_resume_begins_where_there_is_nothing_and_only_writes_the_model_where_all_is_done(
    run: Path, tmp_path: Path
) -> None:
    config = tiny(tmp_path, precision="fp32", resume=True)
    folder = train(config, quiet())
    (folder / ".model.safetensors.1.mono2many.part").touch()
    with open(folder / "log.jsonl", "a") as log:
        log.write('{"event": "train", "step": 99}\n{"event": "tr')  # of a process that was killed
    assert train(config, quiet()) == folder
    whole = load_file(run / "model.safetensors")
    assert all(torch.equal(v, load_file(folder / "model.safetensors")[k]) for k, v in whole.items())
    assert [e["step"] for e in events(folder, "train")] == [2, 4, 6]
    assert not list(folder.glob(".*.part"))


def test_a_checkpoint_that_is_a_pickle_in_disguise_is_refused_and_not_run(run: Path, tmp_path: Path) -> None:
    import pickle

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "harm"),)  # type: ignore[return-value]

    (tmp_path / "tiny" / "checkpoints").mkdir(parents=True)
    (tmp_path / "tiny" / "checkpoints" / "step-00000003.pt").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match=r"step-00000003\.pt: cannot be read without running code.*remove"):
        train(tiny(tmp_path, resume=True), quiet())
    assert not (tmp_path / "harm").exists()


def test_fine_tuning_starts_from_the_weights_of_a_folder(run: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, start_from=str(run), precision="fp32")
    frozen = replace(config, optim=replace(config.optim, learning_rate=1e-30, steps=1))
    tuned = load_file(train(frozen, quiet()) / "model.safetensors")
    start = load_file(run / "model.safetensors")
    key = "depth.decoder.heads.0.weight"
    torch.testing.assert_close(tuned[key], start[key])


def test_fine_tuning_at_one_size_makes_a_model_of_one_size(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "several")
    config = tmp_path / "several" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sizes": [[64, 96], [64, 160]]}))
    start = tiny(tmp_path, start_from=str(config.parent), precision="fp32")
    folder = train(replace(start, optim=replace(start.optim, steps=1)), quiet())
    assert read_card(folder).sizes == ()
    assert (read_card(folder).height, read_card(folder).width) == (start.data.height, start.data.width)


def test_a_collapse_is_named_on_the_terminal_and_in_the_log(tmp_path: Path) -> None:
    console = quiet()
    config = tiny(tmp_path)
    flat = replace(
        config, optim=replace(config.optim, learning_rate=1e-30), loss=replace(config.loss, smoothness=0.0)
    )
    folder = train(flat, console)
    assert isinstance(console.file, io.StringIO)
    assert events(folder, "warning")
    assert "--frame-step" in console.file.getvalue()


def test_a_loss_that_is_not_finite_stops_the_run_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SKIPPED_IN_A_ROW", 3)
    config = tiny(tmp_path, precision="fp32")
    wild = replace(config, optim=replace(config.optim, learning_rate=1e30, warm_up=0.0, optimiser="adam"))
    with pytest.raises(InputError, match=r"not finite at step \d.*--learning-rate"):
        train(wild, quiet())


def test_a_single_loss_that_is_not_finite_is_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = loop.mono_step

    def broken(*arguments: Any, **more: Any) -> object:
        loss, output = step(*arguments, **more)
        return (loss * torch.nan if arguments[3].step == 2 else loss), output

    monkeypatch.setattr(loop, "mono_step", broken)
    folder = train(tiny(tmp_path), quiet())
    assert [e["skipped_steps"] for e in events(folder, "train")] == [0, 1, 1]
    assert all(v.isfinite().all() for v in load_file(folder / "model.safetensors").values())


def test_fine_tuning_resumes_with_the_networks_of_its_folder(run: Path, tmp_path: Path) -> None:
    base = TrainConfig()  # other networks than the folder's
    config = replace(tiny(tmp_path, start_from=str(run), precision="fp32"), model=base.model)
    whole = load_file(train(config, quiet()) / "model.safetensors")
    (tmp_path / "tiny" / "checkpoints" / "step-00000006.pt").unlink()
    again = train(replace(config, run=replace(config.run, resume=True, start_from="gone/tiny")), quiet())
    assert all(torch.equal(v, load_file(again / "model.safetensors")[k]) for k, v in whole.items())


def test_resume_without_a_checkpoint_begins_from_the_weights_that_it_names(tmp_path: Path) -> None:
    config = tiny(tmp_path, start_from=str(tmp_path / "gone"), resume=True)
    with pytest.raises(InputError, match="gone"):
        train(config, quiet())


def test_bad_steps_save_nothing_over_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = loop.mono_step

    def broken(*arguments: Any, **more: Any) -> object:
        loss, output = step(*arguments, **more)
        return (loss * torch.nan if arguments[3].step >= 3 else loss), output

    monkeypatch.setattr(loop, "mono_step", broken)
    monkeypatch.setattr(loop, "SKIPPED_IN_A_ROW", 2)
    with pytest.raises(InputError, match=r"2 steps in a row.*kept \(.*step-00000003\.pt\)"):
        train(tiny(tmp_path), quiet())


def test_a_learnt_camera_starts_from_the_field_of_view_moves_and_is_written_for_the_film(
    tmp_path: Path,
) -> None:
    config = tiny(tmp_path)
    film, _ = write_street_video(tmp_path / "film.mp4", StreetSettings(frames=12, height=64, width=96))
    config = replace(
        config,
        data=replace(config.data, datatype="video"),
        dataset=VideoTraining(data=(str(film),), camera=("learn",), fov=90.0, hold_out=0.3),
        optim=replace(config.optim, learning_rate=1e-3, camera_from=0.5),
    )
    folder = train(config, quiet())
    moved = [e["camera_0_fx"] for e in events(folder, "train")]
    assert moved[0] == 0.5  # tan(45 degrees) = 1: half the width; it is held in the first half
    assert all(0 < abs(fx - 0.5) < 0.1 for fx in moved[1:])
    camera = read_camera(folder / "cameras" / "0.json")
    assert (camera.width, camera.height) == (96, 64)
    assert camera.fx / 96 == pytest.approx(moved[-1], abs=1e-4)
    assert load(folder).model.cameras is not None


def test_a_film_and_a_folder_train_together_with_cameras_of_their_own(tmp_path: Path) -> None:
    from mono2many.io.images import write_image

    with VideoWriter(tmp_path / "film.mp4", 10.0) as film:
        for i in range(20):
            film.write(torch.randint(0, 255, (3, 48, 80), dtype=torch.uint8).roll(i, -1))
    (tmp_path / "folder").mkdir()
    for i in range(10):
        write_image(tmp_path / "folder" / f"{i}.png", torch.randint(0, 255, (3, 40, 60), dtype=torch.uint8))
    for name, (width, height) in {"film": (80, 48), "folder": (60, 40)}.items():
        camera = {"width": width, "height": height, "fx": 50.0, "fy": 50.0, "cx": width / 2, "cy": height / 2}
        (tmp_path / f"{name}.json").write_text(json.dumps(camera))
    base = tiny(tmp_path)
    dataset = VideoTraining(
        data=(str(tmp_path / "film.mp4"), str(tmp_path / "folder")),
        camera=(str(tmp_path / "film.json"), str(tmp_path / "folder.json")),
        hold_out=0.3,
    )
    folder = train(replace(base, data=replace(base.data, datatype="video"), dataset=dataset), quiet())
    assert [set(e) >= {"photometric", "still"} and "abs_rel" not in e for e in events(folder, "val")] == [
        True,
        True,
    ]


def test_the_papers_networks_take_a_step_through_the_loop(tmp_path: Path) -> None:
    base = tiny(tmp_path, precision="bf16")
    model = ModelConfig(encoder_weights="none", pose_type="shared")
    config = replace(
        base, model=model, optim=OptimConfig(steps=2, batch_size=2), run=replace(base.run, val_every=2)
    )
    config = replace(config, loss=recipe("reference").loss)
    assert (train(config, quiet()) / "model.safetensors").exists()


def test_run_config_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--name must be the name of a folder"):
        RunConfig(name="../else")


def test_a_signal_finishes_the_step_saves_and_the_resumed_run_ends_with_the_same_weights(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(tmp_path, precision="fp32")
    step = loop.mono_step

    def killed(*arguments: Any, **more: Any) -> object:
        if arguments[3].step == 3:  # in the fourth step
            signal.raise_signal(signal.SIGTERM)
        return step(*arguments, **more)

    monkeypatch.setattr(loop, "mono_step", killed)
    console = quiet()
    with pytest.raises(Terminated, match=r"saved at step 4; continue with: .* --resume"):
        train(config, console)
    assert isinstance(console.file, io.StringIO)
    assert "--resume" not in console.file.getvalue()  # the command line prints it, once
    assert (tmp_path / "tiny" / "checkpoints" / "step-00000004.pt").exists()
    monkeypatch.setattr(loop, "mono_step", step)
    resumed = train(replace(config, run=replace(config.run, resume=True)), quiet())
    whole = load_file(run / "model.safetensors")
    assert all(torch.equal(v, load_file(resumed / "model.safetensors")[k]) for k, v in whole.items())


def test_a_run_whose_time_is_over_is_validated_saved_and_resumed_to_the_same_weights(
    run: Path, tmp_path: Path
) -> None:
    config, console = tiny(tmp_path, precision="fp32", max_minutes=1e-6), quiet()
    folder = train(config, console)
    assert isinstance(console.file, io.StringIO)
    said = " ".join(console.file.getvalue().split())
    assert "--max-minutes 1e-06 are over; saved at step 1; continue with: mono2many train" in said
    assert [event["step"] for event in events(folder, "val")] == [1]
    assert read_card(folder / "best").height == 64
    resumed = train(replace(config, run=replace(config.run, resume=True, max_minutes=None)), quiet())
    whole = load_file(run / "model.safetensors")
    assert all(torch.equal(v, load_file(resumed / "model.safetensors")[k]) for k, v in whole.items())


@pytest.mark.parametrize(
    ("stop", "by_time"), [(Stop(), False), (Stop(0.0), True), (Stop(0.0, [signal.SIGTERM]), False)]
)
def test_a_process_without_a_deadline_was_stopped_by_a_signal_if_only_by_anothers(
    stop: Stop, by_time: bool
) -> None:
    assert stop.by_time == by_time
