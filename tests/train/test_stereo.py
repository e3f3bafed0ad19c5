"""Stereo end to end, on the street in KITTI's layout: S without a pose network, MS, units, refusals."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from mono2many import load
from mono2many.commands.train import run as run_command
from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.kitti import KittiScoring, KittiTraining
from mono2many.errors import InputError
from mono2many.evaluate.photometric import predict_batches
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.predict.trajectory import trajectory
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.loop import train
from mono2many.train.recipes import from_json, recipe
from mono2many.train.settings import ManyConfig, TrainConfig

S = {"datatype": "kitti_eigen_full", "stereo": "only"}
MS = {"stereo": "also"}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by another program, where no shape is checked: that slows the painters down tenfold."""
    root = tmp_path_factory.mktemp("street") / "kitti"
    size = ["--drives", "2", "--frames", "12", "--height", "64", "--width", "160", "--workers", "1"]
    command = [sys.executable, "-m", "mono2many", "prepare", "synthetic", "--layout", "kitti", *size]
    subprocess.run([*command, "--out", str(root)], check=True)
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def tiny(street: Path, out: Path, name: str, data: dict[str, Any], **model: object) -> TrainConfig:
    datatype = data.get("datatype", "kitti_eigen_zhou")
    base = recipe("scratch", datatype)
    stereo = {key: value for key, value in data.items() if key != "datatype"}
    return replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0, cache_dir=str(out / "cache")),
        dataset=KittiTraining(str(street), **stereo),
        model=replace(base.model, **model),  # type: ignore[arg-type]
        many=ManyConfig(hypotheses=4),
        loss=replace(base.loss, automask="predictive_mask" not in model),
        optim=replace(base.optim, steps=2, batch_size=2),
        run=replace(base.run, name=name, out=str(out), log_every=1, picture_every=1, precision="fp32"),
    )


def run(config: TrainConfig) -> Path:
    return train(config, Console(file=io.StringIO(), width=200))


def card_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text()))


@pytest.fixture(scope="module")
def only(street: Path, out: Path) -> Path:
    return run(tiny(street, out, "only", S))


def test_training_on_pairs_alone_has_no_pose_network_and_says_its_unit(only: Path) -> None:
    assert {name.split(".")[0] for name in load_file(only / "model.safetensors")} == {"depth"}
    card = card_of(only)
    assert (card["scale"], card["factor_from"]) == ("metres", "stereo, baseline 0.1 of 0.54 m")
    assert card["factor"] == pytest.approx(5.4, rel=1e-6)
    lines = [json.loads(line) for line in (only / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "val"] == [1, 2]
    assert not any("translation" in line for line in lines)
    # 30 baselines of 0.54 m, but for two steps: from there a new network begins
    depth = load(only)(torch.zeros(3, 64, 96, dtype=torch.uint8))
    assert depth.scale == "metres"
    assert float(depth.depth.median()) == pytest.approx(16.2, rel=0.1)


def test_it_resumes_bit_for_bit(only: Path, tmp_path: Path) -> None:
    config = from_json(only / "run.json")
    again = replace(config, run=replace(config.run, out=str(tmp_path), save_every=1))
    half = run(again)
    (half / "checkpoints" / "step-00000002.pt").unlink()
    run(replace(again, run=replace(again.run, resume=True)))
    weights, whole = load_file(half / "model.safetensors"), load_file(only / "model.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in whole.items())
    assert card_of(half) == card_of(only)


def test_its_stored_factor_is_a_way_of_aligning_and_motion_is_refused(only: Path, street: Path) -> None:
    def score(**settings: Any) -> dict[str, Any]:
        scoring = KittiScoring(data=str(street), **settings)
        config = EvaluateConfig(str(only), DataConfig("kitti_eigen"), scoring)
        return evaluate(config, Console(file=io.StringIO()))["rows"]  # type: ignore[no-any-return]

    stereo, none = (score(alignment=way)["model"] for way in ("stereo", "none"))
    assert stereo["protocol"] == "eigen-80m, stereo factor 5.4"
    assert stereo["metrics"] == none["metrics"] == score()["as metres, not aligned"]["metrics"]
    with pytest.raises(InputError, match=r"no pose network: .* --stereo also"):
        trajectory(load(only), [torch.zeros(3, 64, 96, dtype=torch.uint8)] * 3)
    frames = ClipDataset(SyntheticReader(StreetSettings(1, 3, 64, 96), "test"), (-1, 1))
    model, batch = load(only).model, to_batch(frames.batch([1]), (-1, 1), "cpu")
    with pytest.raises(InputError, match="no pose network"):
        next(predict_batches(model, model.architecture, [batch]))


def test_without_stereo_there_is_no_factor_to_align_by(street: Path, out: Path) -> None:
    model = run(tiny(street, out, "m", {}))
    for name, predictions in ((str(model), None), (None, "p.npy")):
        scoring = KittiScoring(data=str(street), predictions=predictions, alignment="stereo")
        config = EvaluateConfig(name, DataConfig("kitti_eigen"), scoring)
        with pytest.raises(InputError, match=r"--alignment stereo: .*(m|p.npy) holds no factor .* 5.4 for"):
            evaluate(config, Console(file=io.StringIO()))
    config = tiny(street, out, "s2", S)  # the pose network stays behind
    run(replace(config, run=replace(config.run, start_from=str(model))))


@pytest.mark.parametrize(
    "model", [{}, {"pose_input": "all"}, {"pose_type": "shared"}, {"pose_type": "posecnn"}, {"model": "many"}]
)
def test_pairs_and_neighbours_train_together(street: Path, out: Path, model: dict[str, str]) -> None:
    config = tiny(street, out, "-".join(["ms", *model.values()]), MS, **model)
    assert config.offsets == (-1, 1, 0)
    folder = run(config)
    assert any(name.startswith("pose.") for name in load_file(folder / "model.safetensors"))
    card = card_of(folder)
    assert (card["architecture"]["sources"], card["architecture"]["stereo"]) == (2, True)
    assert card["factor"] == pytest.approx(5.4, rel=1e-6)


def test_a_predictive_mask_knows_the_other_eye_and_a_metric_unit_is_the_metre(
    street: Path, out: Path
) -> None:
    config = tiny(street, out, "mask", {**MS, "baseline": "metric"}, predictive_mask=True)
    folder = run(replace(config, loss=replace(config.loss, multi_scale="full")))
    assert load_file(folder / "model.safetensors")["depth.mask_decoder.heads.0.weight"].shape[0] == 3
    card = card_of(folder)
    assert (card["scale"], card["factor"]) == ("metres", 1.0)
    assert card["factor_from"] == "stereo, baseline as calibrated"


def test_a_teacher_in_another_unit_is_refused(street: Path, out: Path) -> None:
    config = tiny(street, out, "many", {**MS, "baseline": "metric"}, model="many")
    teacher = run(tiny(street, out, "teacher", MS))
    with pytest.raises(InputError, match=r"teacher: its unit is not the stereo pairs' 1 m"):
        run(replace(config, many=replace(config.many, teacher=str(teacher))))


def test_stereo_is_refused_where_there_is_one_camera_or_nothing_to_do() -> None:
    for datatype in ("synthetic", "kitti_odometry", "ddad"):
        with pytest.raises(InputError, match=f"--stereo is a flag of .*kitti_eigen_zhou.* not of {datatype}"):
            run_command(["--datatype", datatype, "--stereo", "also"])
    with pytest.raises(InputError, match="add --stereo"):
        KittiTraining(baseline="metric")
    config = replace(recipe("default", "kitti_eigen_full"), dataset=KittiTraining(stereo="only"))
    with pytest.raises(InputError, match="--stereo also instead of only"):
        replace(config, model=replace(config.model, model="many"))
