"""A training that begins from a model: what is kept of it, and what holds on to it."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from mono2many import load
from mono2many.datasets.street import StreetTraining
from mono2many.errors import InputError
from mono2many.models.checkpoint import load_model, load_training_state, save_model
from mono2many.models.pose import NoPose
from mono2many.train.loop import _Loop, train
from mono2many.train.origin import open_start, typical_depth
from mono2many.train.plan import anchor_at
from mono2many.train.recipes import recipe
from mono2many.train.settings import LossConfig, ModelConfig, TrainConfig
from mono2many.train.setup import open_dataset


def tiny(out: Path, name: str, start: Path | None = None, **run: object) -> TrainConfig:
    base = recipe("scratch")
    return replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0),
        dataset=StreetTraining(scenes=2, val_scenes=1, scene_frames=3),
        optim=replace(base.optim, steps=4, batch_size=2),
        run=replace(
            base.run,
            name=name,
            out=str(out),
            start_from=None if start is None else str(start),
            log_every=1,
            picture_every=9,
            val_every=2,
            precision="fp32",
            **run,  # type: ignore[arg-type]
        ),
    )


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def logged(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "train"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny(tmp_path_factory.mktemp("runs"), "model"), quiet())


def test_the_anchor_is_kept_in_the_run_and_no_part_of_its_model(model: Path, tmp_path: Path) -> None:
    folder = train(tiny(tmp_path, "tuned", model), quiet())
    kept, _ = load_model(folder / "start")
    begun = load_file(model / "model.safetensors")
    assert all(torch.equal(v, begun[name]) for name, v in kept.state_dict().items())
    assert load_file(folder / "model.safetensors").keys() == begun.keys()
    anchors = [line["anchor"] for line in logged(folder)]
    assert anchors[0] < 1e-6  # statistics are frozen, pictures not jittered: the same network
    assert anchors[-1] > 1e-4


def test_a_resumed_run_holds_to_the_same_anchor_where_its_start_has_gone(model: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(model, start)
    config = tiny(tmp_path, "tuned", start)
    folder = train(config, quiet())
    whole = load_file(folder / "model.safetensors")
    shutil.rmtree(start)
    (folder / "checkpoints" / "step-00000004.pt").unlink()
    train(replace(config, run=replace(config.run, resume=True)), quiet())
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(v, again[name]) for name, v in whole.items())

    shutil.rmtree(folder / "start")  # a run of an earlier version kept none
    with pytest.raises(InputError, match=r"start.*add --anchor 0"):
        train(replace(config, run=replace(config.run, resume=True)), quiet())


def test_the_start_is_validated_as_step_0_which_changes_nothing_and_is_never_the_best(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(name: str) -> tuple[dict[str, torch.Tensor], list[dict[str, float]], list[str]]:
        folder = train(tiny(tmp_path, name, model), console := quiet())
        assert isinstance(console.file, io.StringIO)
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        words = console.file.getvalue().splitlines()
        return load_file(folder / "model.safetensors"), lines, words

    with monkeypatch.context() as patched:
        patched.setattr(_Loop, "_validate_start", lambda *_: None)
        plain, plain_lines, _ = tuned("plain")
    weights, lines, words = tuned("validated")
    assert all(torch.equal(v, weights[name]) for name, v in plain.items())
    assert [x["loss"] for x in lines if "loss" in x] == [x["loss"] for x in plain_lines if "loss" in x]
    assert [x["step"] for x in plain_lines if x["event"] == "val"] == [2, 4]
    assert [x["step"] for x in lines if x["event"] == "val"] == [0, 2, 4]
    assert any(word.startswith("step 0: Abs Rel") for word in words)
    last = load_training_state(tmp_path / "validated" / "checkpoints" / "step-00000004.pt")
    assert last["best_step"] in (2, 4)
    assert len(last["errors"]) == 2


def test_an_anchor_of_weight_0_is_none_at_all(model: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, "free", model)
    folder = train(replace(config, loss=replace(config.loss, anchor=0.0)), quiet())
    assert not (folder / "start").exists()
    assert "anchor" not in logged(folder)[0]


@pytest.mark.parametrize("freeze", [True, False])
def test_statistics_stay_those_of_the_start_unless_told_otherwise(
    model: Path, tmp_path: Path, freeze: bool
) -> None:
    folder = train(tiny(tmp_path, "tuned", model, freeze_batchnorm=freeze), quiet())
    begun, tuned = load_file(model / "model.safetensors"), load_file(folder / "model.safetensors")
    names = [n for n in begun if n.startswith("depth.") and n.endswith("running_mean")]
    assert [torch.equal(begun[n], tuned[n]) for n in names] == [freeze] * len(names)
    moved = [n for n in begun if n.startswith("pose.") and n.endswith("running_mean")]
    assert not any(torch.equal(begun[n], tuned[n]) for n in moved)


def test_a_start_without_a_pose_network_gets_that_of_the_flags(model: Path, tmp_path: Path) -> None:
    network, card = load_model(model)
    network.pose = NoPose()
    save_model(tmp_path / "depth only", network, replace(card, has_pose=False))
    config = tiny(tmp_path, "tuned", tmp_path / "depth only")
    config = replace(config, model=replace(config.model, pose_type="posecnn"))
    console = quiet()
    folder = train(config, console)
    assert "has no pose network: one of type posecnn" in console.file.getvalue()  # type: ignore[attr-defined]
    assert load(folder).card.has_pose
    assert load(folder).card.architecture.pose_type == "posecnn"
    # its unit is the typical depth, so that the new network's short steps fit
    depth = typical_depth(open_start(folder / "start"), open_dataset(config, "train", quiet()))
    a = load(folder).card.architecture
    assert (a.min_depth * depth, a.max_depth * depth) == pytest.approx((0.1, 100.0))
    whole = load_file(folder / "model.safetensors")
    assert float(whole["depth.max_depth"]) == pytest.approx(a.max_depth)
    (folder / "checkpoints" / "step-00000004.pt").unlink()
    train(replace(config, run=replace(config.run, resume=True)), quiet())
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(v, again[name]) for name, v in whole.items())


def test_an_anchor_is_refused_where_it_holds_to_nothing() -> None:
    base = TrainConfig()
    with pytest.raises(InputError, match=r"--anchor must be at least 0, got -1"):
        LossConfig(anchor=-1.0)
    with pytest.raises(InputError, match=r"--anchor 0.2 .*add --start-from FOLDER"):
        replace(base, loss=LossConfig(anchor=0.2))
    started = replace(base, run=replace(base.run, start_from="model"))
    with pytest.raises(InputError, match=r"--anchor 0.2 is for --model mono.*--freeze-from 0"):
        replace(started, model=ModelConfig(model="many"), loss=LossConfig(anchor=0.2))
    assert [base.anchor, started.anchor] == [0.0, 0.1]


def test_the_anchor_fades_in_a_straight_line_until_it_is_told_to() -> None:
    base = TrainConfig()
    config = replace(base, run=replace(base.run, start_from="model"), loss=LossConfig(anchor_until=0.5))
    assert [anchor_at(config, p) for p in (0.0, 0.25, 0.5, 0.9)] == [0.1, 0.05, 0.0, 0.0]
