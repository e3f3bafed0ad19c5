"""DDAD end to end, on the street in its layout: prepared, trained on and scored, by both kinds of models."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from mono2many.datasets.choice import DataConfig
from mono2many.datasets.ddad import DdadScoring, DdadTraining
from mono2many.datasets.ddad.dgp import FRONT, read_runs, scan_depth
from mono2many.errors import InputError
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.io.images import write_image
from mono2many.train.loop import train
from mono2many.train.recipes import recipe
from mono2many.train.settings import ManyConfig, TrainConfig


def tiny(root: Path, out: Path, kind: str, steps: int = 2, **data: Any) -> TrainConfig:
    base = recipe("scratch", "ddad")
    return replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0),
        dataset=DdadTraining(str(root), **data),
        model=replace(base.model, model=kind),  # type: ignore[arg-type]
        many=ManyConfig(hypotheses=8),
        optim=replace(base.optim, steps=steps, batch_size=2),
        run=replace(base.run, name=kind, out=str(out), val_every=2, precision="fp32"),
    )


def score(root: Path, source: dict[str, Any] | None = None, **settings: Any) -> tuple[dict[str, Any], str]:
    """The figures and what was printed."""
    console = Console(file=io.StringIO(), width=200)
    own = {key: settings.pop(key) for key in ("model", "json", "device") if key in settings}
    dataset = DdadScoring(str(root), **(source or {}), **settings)
    config = EvaluateConfig(data=DataConfig("ddad"), dataset=dataset, **own)
    figures = evaluate(config, console)
    return figures, console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["mono", "many"])
def test_a_model_trains_on_the_street_in_ddads_layout_and_is_scored(
    kind: str, dgp_street: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    mask = torch.full((3, 64, 96), 255, dtype=torch.uint8)
    mask[:, 56:] = 0
    write_image(masks / f"{FRONT}.png", mask)
    said = io.StringIO()
    source = {"cameras": (FRONT, "CAMERA_05"), "masks": str(masks)}
    folder = train(tiny(dgp_street, tmp_path, kind, **source), Console(file=said, width=200))
    assert "SYNTHETIC" in said.getvalue()
    losses = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in losses if line["event"] == "train")
    figures, said_of_it = score(
        dgp_street, source, model=str(folder), report=str(tmp_path / "r.html"), json=str(tmp_path / "f.json")
    )
    assert "SYNTHETIC" in said_of_it
    assert "PackNet" not in said_of_it  # the papers' images are others
    row, *_ = figures["rows"].values()
    assert row["protocol"] == "ddad-200m"
    assert row["images"] == 2 * 5
    # each camera's first frame has none before it
    assert ("2 of 10 images have no neighbour" in said_of_it) == (kind == "many")
    assert 0 < row["metrics"]["abs_rel"] < 2
    assert {name[-9:] for name in figures["rows"]} >= {FRONT, "CAMERA_05"}
    assert (tmp_path / "r.html").stat().st_size > 1000
    # the training scenes are known again when someone scores on them
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    for path in dgp_street.iterdir():
        if path.is_dir():
            (swapped / path.name).symlink_to(path)
    splits = json.loads((dgp_street / "ddad.json").read_text())["scene_splits"]
    (swapped / "ddad.json").write_text(json.dumps({"scene_splits": {"0": splits["1"], "1": splits["0"]}}))
    with pytest.raises(InputError, match="training"):
        score(swapped, source, model=str(folder))


def test_the_inverse_of_true_depth_scores_perfectly_and_each_camera_has_its_row(
    dgp_street: Path, tmp_path: Path
) -> None:
    runs = read_runs(dgp_street, "val", ["all"], 0.15, 0.25)
    depths = [scan_depth(frame) for run in runs for frame in run]  # in the list's order
    np.save(tmp_path / "p.npy", torch.stack([(1 / depth).nan_to_num(0.1) for depth in depths]).numpy())
    predictions = str(tmp_path / "p.npy")
    figures, _ = score(dgp_street, {"cameras": ("all",)}, predictions=predictions, alignment="none")
    row, *others = figures["rows"].values()
    assert row["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert [r["images"] for r in (row, *others)] == [15, 5, 5, 5]
    within = sum(int(((depth > 0) & (depth < 200)).sum()) for depth in depths)
    assert sum(r["pixels"] for r in row["ranges"]) == within
    # halved disparity is twice the depth: 1 everywhere without alignment, nothing after it
    np.save(tmp_path / "p.npy", np.load(predictions) / 2)
    source = {"cameras": ("all",)}
    far = score(dgp_street, source, predictions=predictions, alignment="none")[0]["rows"]["predictions"]
    assert far["metrics"]["abs_rel"] == pytest.approx(1, abs=0.01)
    aligned = score(dgp_street, source, predictions=predictions)[0]["rows"]["predictions"]
    assert aligned["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_frames_without_neighbours_are_left_out_and_counted(dgp_street: Path, tmp_path: Path) -> None:
    scene = json.loads((dgp_street / "000000/scene_street0.json").read_text())
    root = tmp_path / "ddad"
    root.mkdir()
    for path in dgp_street.iterdir():
        if path.is_dir() and path.name != "000000":
            (root / path.name).symlink_to(path)
    (root / "000000").mkdir()
    for path in (dgp_street / "000000").iterdir():
        if path.is_dir():
            (root / "000000" / path.name).symlink_to(path)
    del scene["samples"][3]  # frame 4 stays alone: 0.2 s after frame 2
    (root / "000000/scene_street0.json").write_text(json.dumps(scene))
    (root / "ddad.json").write_text((dgp_street / "ddad.json").read_text())
    said = io.StringIO()
    train(tiny(root, tmp_path, "mono"), Console(file=said, width=200))
    assert "left out: 1 training frames without a neighbour" in said.getvalue()
    with pytest.raises(InputError, match="a larger --max-gap"):
        train(tiny(root, tmp_path, "many", max_gap=0.05), Console(file=said))


def test_a_model_trains_on_the_real_scenes_and_is_scored_there_as_contaminated(
    dgp_scenes: Path, tmp_path: Path
) -> None:
    folder = train(tiny(dgp_scenes, tmp_path, "mono", max_gap=1.5), Console(file=io.StringIO()))
    source = {"max_gap": 1.5}
    with pytest.raises(InputError, match=r"6 of 6 .*training"):
        score(dgp_scenes, source, model=str(folder))
    figures, said = score(dgp_scenes, source, model=str(folder), allow_contaminated=True)
    assert "CONTAMINATED" in said
    row, *_ = figures["rows"].values()
    assert row["images"] == 6
    assert row["metrics"]["abs_rel"] < 1
