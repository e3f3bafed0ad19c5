"""A run's folder has one owner, and its run.json says how all of it was trained."""

import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from mono2many.datasets.choice import TrainingData
from mono2many.datasets.street import StreetTraining
from mono2many.datasets.video import VideoTraining
from mono2many.errors import InputError
from mono2many.train.folder import LOCK, NO_CHECKPOINT, owned_folder
from mono2many.train.logs import provenance
from mono2many.train.loop import train
from mono2many.train.recipes import from_json, recipe
from mono2many.train.resume import changes, refuse_other_samples
from mono2many.train.settings import TrainConfig


def tiny(out: Path, **run: Any) -> TrainConfig:
    base = recipe("scratch")
    return replace(
        base,
        data=replace(base.data, height=64, width=64, workers=0),
        dataset=StreetTraining(scenes=2, val_scenes=1, scene_frames=3),
        optim=replace(base.optim, steps=2, batch_size=1),
        run=replace(base.run, name="tiny", out=str(out), val_every=1, precision="fp32", **run),
    )


def resumed(config: TrainConfig) -> TrainConfig:
    return replace(config, run=replace(config.run, resume=True))


def begun(config: TrainConfig, *files: str) -> Path:
    """The folder of a run that has these files and run.json."""
    folder = Path(config.run.out) / config.run.name
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "run.json").write_text(json.dumps({"settings": asdict(config), "made_by": {}}))
    return folder


def claim(config: TrainConfig) -> list[str]:
    with owned_folder(Path(config.run.out) / config.run.name, config) as checkpoints:
        return [path.name for path in checkpoints]


def test_a_second_training_in_the_same_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); "
        "sys.stdin.read()"
    )
    lock = str(tmp_path / "tiny" / LOCK)
    with subprocess.Popen(
        [sys.executable, "-c", hold, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(InputError, match=r"tiny: another training runs in it.*--name"):
            claim(tiny(tmp_path))
        other.communicate()
    assert claim(tiny(tmp_path)) == []


@pytest.mark.parametrize("place", ["model.safetensors", "best/model.safetensors"])
def test_a_model_without_checkpoints_is_not_overwritten(tmp_path: Path, place: str) -> None:
    folder = begun(tiny(tmp_path), place)
    for config in (tiny(tmp_path), resumed(tiny(tmp_path))):
        with pytest.raises(InputError, match=r"model without checkpoints.*--start-from .*tiny.*--name"):
            claim(config)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / NO_CHECKPOINT).touch()  # a run that was killed at its first save
    with pytest.raises(InputError, match="add --resume to start its run again"):
        claim(tiny(tmp_path))
    assert claim(resumed(tiny(tmp_path))) == []


def test_where_nothing_began_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no"), owned_folder(tmp_path / "tiny", tiny(tmp_path)):
        raise InputError("no")
    assert not (tmp_path / "tiny").exists()


def test_resume_refuses_by_name_what_contradicts_the_run_and_takes_what_may_change(tmp_path: Path) -> None:
    base = resumed(tiny(tmp_path))
    begun(base, "checkpoints/step-00000001.pt")
    for changed, words in (
        (replace(base, data=replace(base.data, height=96)), r"--height 96 \(it has 64\) would"),
        (
            replace(base, model=replace(base.model, encoder="resnet18")),
            r"--encoder resnet18 \(it has light\)",
        ),
        (replace(base, optim=replace(base.optim, optimiser="adam")), r"--optimiser adam \(it has adamw\)"),
        (replace(base, loss=replace(base.loss, automask=False)), r"--no-automask \(it has True\)"),
        (replace(base, run=replace(base.run, seed=3)), r"--seed 3 \(it has 0\)"),
        (replace(base, dataset=StreetTraining(scenes=9)), r"--scenes 9 \(it has 2\), --val-scenes"),
        (
            replace(base, data=TrainingData("video"), dataset=VideoTraining(data=("a.mp4",), fov=60.0)),
            r"--datatype video \(it has synthetic\).*would contradict.*--name; --steps, --workers",
        ),
    ):
        with pytest.raises(InputError, match=words):
            claim(changed)
    may = replace(
        base,
        data=replace(base.data, workers=3, cache="off", cache_dir="elsewhere"),
        optim=replace(base.optim, steps=9),
        run=replace(base.run, device="cpu", keep=9, log_every=1),
    )
    assert claim(may) == ["step-00000001.pt"]


def test_files_that_moved_are_the_same_and_other_files_are_not() -> None:
    def video(*data: str, camera: str = "c.json", **run: str) -> TrainConfig:
        settings = VideoTraining(data=data, camera=(camera,))
        config = replace(recipe("default"), data=TrainingData("video"), dataset=settings)
        return replace(config, run=replace(config.run, **run))  # type: ignore[arg-type]

    before = video("a.mp4", "b", start_from="runs/old")
    assert changes(before, video("/disk/a.mp4", "../b", camera="/disk/c.json", start_from="/r/old")) == {}
    assert list(changes(before, video("a.mp4", "c", start_from="runs/old"))) == ["dataset.data"]
    assert list(changes(before, video("a.mp4", "b"))) == ["run.start_from"]
    assert list(changes(before, video("a.mp4", "b", camera="learn", start_from="old"))) == ["dataset.camera"]
    kitti = recipe("default", "kitti_eigen_zhou")
    assert changes(kitti, replace(kitti, dataset=replace(kitti.dataset, data="/disk/raw"))) == {}  # type: ignore[call-arg]


def test_data_that_changed_under_a_run_are_named() -> None:
    refuse_other_samples(None, 10)
    refuse_other_samples(10, 10)
    with pytest.raises(InputError, match=r"--data: 12 training samples, the run began with 10"):
        refuse_other_samples(10, 12)


def test_a_damaged_last_checkpoint_is_stepped_over_and_run_json_says_what_changed(tmp_path: Path) -> None:
    folder = train(tiny(tmp_path), Console(file=io.StringIO()))
    whole = load_file(folder / "model.safetensors")
    newest = folder / "checkpoints" / "step-00000002.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    console = Console(file=io.StringIO(), width=400)
    train(resumed(tiny(tmp_path)), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "step-00000002.pt is damaged" in said
    assert "resumed from step 1" in said
    assert "changed" not in said
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["step-00000001.pt", "step-00000002.pt", "step-00000002.pt.damaged"]
    assert all(torch.equal(v, load_file(folder / "model.safetensors")[k]) for k, v in whole.items())

    longer = resumed(replace(tiny(tmp_path), optim=replace(tiny(tmp_path).optim, steps=3)))
    train(longer, console)
    assert "changed, and recorded in run.json: --steps 2 -> 3" in console.file.getvalue()  # type: ignore[attr-defined]
    found = json.loads((folder / "run.json").read_text())
    assert found["resumed"] == [{"step": 2, "optim.steps": [2, 3]}]
    assert found["samples"] == 6
    assert from_json(folder / "run.json").optim.steps == 3
    with pytest.raises(InputError, match=r"--steps 2: the run .* has taken 3 already"):
        train(resumed(tiny(tmp_path)), console)


def test_the_number_of_threads_is_recorded() -> None:
    assert provenance()["threads"] == str(torch.get_num_threads())


def test_settings_that_no_longer_exist_are_read_at_their_default_and_refused_otherwise(
    tmp_path: Path,
) -> None:
    settings = asdict(recipe("scratch"))
    old = {
        **settings,
        "control": "none",
        "loss": {**settings["loss"], "ssim": True, "tie_noise": True},
        "many": {**settings["many"], "freeze_epoch": None, "freeze_step": None},
        "run": {**settings["run"], "not_finite_limit": 20},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"settings": old}))
    assert from_json(path) == recipe("scratch")
    for part, name, value in (
        (None, "control", "supervised"),
        ("loss", "ssim", False),
        ("many", "freeze_step", 100),
        ("run", "not_finite_limit", 5),
    ):
        changed = {**old, name: value} if part is None else {**old, part: {**old[part], name: value}}  # type: ignore[dict-item]
        path.write_text(json.dumps({"settings": changed}))
        with pytest.raises(InputError, match=f"{name} is {value!r}, which this version cannot do"):
            from_json(path)
        assert from_json(path, lenient=True) == recipe("scratch")
