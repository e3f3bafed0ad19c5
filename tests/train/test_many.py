"""ManyDepth through the loop: the freeze, resuming through it, the sweep's range, a teacher to begin with."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.street import StreetTraining
from mono2many.errors import InputError
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard, load_model, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train import loop
from mono2many.train.loop import train
from mono2many.train.origin import as_configured
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.settings import ManyConfig, TrainConfig
from mono2many.train.steps import FIRST, StepResult, _in_unit_of, _levels, _many_heads, _matched
from small_models import LIGHT, MANY, STREET, lively


def tiny(out: Path, name: str, steps: int = 6, kind: str = "many", **many: object) -> TrainConfig:
    base = recipe("scratch")
    return replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0),
        dataset=StreetTraining(scenes=4, val_scenes=2, scene_frames=3),
        model=replace(base.model, model=kind),  # type: ignore[arg-type]
        many=ManyConfig(hypotheses=8, **many),  # type: ignore[arg-type]
        optim=replace(base.optim, steps=steps, batch_size=4),
        run=replace(
            base.run, name=name, out=str(out), log_every=1, picture_every=3, val_every=2, precision="fp32"
        ),
    )


def run(config: TrainConfig) -> Path:
    return train(config, Console(file=io.StringIO(), width=200))


def weights(folder: Path, part: str = "") -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_file(folder / "model.safetensors").items() if k.startswith(part)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps, teacher and motion fixed from the fourth on."""
    return run(tiny(tmp_path_factory.mktemp("many"), "whole", freeze_from=0.5))


def test_one_file_holds_the_three_networks_and_the_log_what_happened(whole: Path) -> None:
    assert {name.split(".")[0] for name in weights(whole)} == {"depth", "pose", "teacher"}
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "train"]
    assert ["teacher_photometric" in line for line in steps] == [True] * 3 + [False] * 3
    far = [line["farthest"] for line in steps]
    assert far[0] != far[1] != far[2] == far[3] == far[5]  # fixed with the teacher
    # 0.99 of 10 and 0.01 of 1.1 times a depth between 0.1 and 100
    assert 9.9 + 0.0011 <= far[0] <= 9.9 + 1.1


def test_a_skipped_step_leaves_the_range_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, take = [], loop.many_step

    def step(model: Any, *arguments: Any) -> StepResult:
        before.append(float(model.depth.farthest))
        loss, output = take(model, *arguments)
        return loss * torch.nan if len(before) == 3 else loss, output

    monkeypatch.setattr(loop, "many_step", step)
    run(tiny(tmp_path, "skipped", 4))
    assert before[0] != before[1] != before[2] == before[3]


def test_the_freeze_holds_the_teacher_and_a_run_resumes_through_it_bit_for_bit(
    whole: Path, tmp_path: Path
) -> None:
    part = tiny(tmp_path, "part", freeze_from=0.5)
    half = run(replace(part, optim=replace(part.optim, steps=6), run=replace(part.run, save_every=1, keep=9)))
    assert same(weights(half), weights(whole))
    checkpoints = sorted((half / "checkpoints").glob("step-*.pt"))
    states = [torch.load(path, weights_only=True)["model"] for path in checkpoints]
    for name in states[0]:
        if name.startswith(("teacher.", "pose.")):
            assert torch.equal(states[2][name], states[5][name]), name
    assert not all(torch.equal(states[2][n], states[5][n]) for n in states[0] if n.startswith("depth."))
    for last in (2, 3, 4):  # before the freeze, at it, after it
        for path in checkpoints[last:]:
            path.unlink(missing_ok=True)
        resumed = run(replace(part, run=replace(part.run, resume=True, save_every=1, keep=9)))
        assert same(weights(resumed), weights(whole))


def test_a_fresh_optimiser_forgets_and_begins_at_the_first_learning_rate(tmp_path: Path) -> None:
    config = tiny(tmp_path, "fresh", freeze_from=0.5, fresh_optimiser=True)
    folder = run(config)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if line["event"] == "train"]
    assert rates[3:] == [config.optim.learning_rate] * 3
    assert rates[1] < rates[0]  # the cosine before
    state = torch.load(folder / "checkpoints" / "step-00000006.pt", weights_only=True)["optimiser"]["state"]
    assert {int(entry["step"]) for entry in state.values()} == {3}


def test_a_student_begins_as_its_teacher_whose_range_is_learnt_at_once(tmp_path: Path) -> None:
    teacher = run(tiny(tmp_path, "mono", 2, "mono"))
    folder = run(tiny(tmp_path, "student", 1, teacher=str(teacher), freeze_from=0.0))
    mono, taught = weights(teacher, "depth."), weights(folder, "teacher.")
    assert same({k.replace("depth.", "teacher.", 1): v for k, v in mono.items()}, taught)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["abs_rel"] for line in lines if line["event"] == "val"}
    assert [*scores] == [0, 1]  # before training it may be the best one
    best = torch.load(folder / "checkpoints" / "step-00000001.pt", weights_only=True)["best_step"]
    assert scores[best] == min(scores.values())
    assert same(weights(folder / "best", "depth."), weights(folder, "depth.")) == (best == 1)
    model, _ = load_model(folder)
    assert isinstance(model, ManyDepth)
    reader = SyntheticReader(StreetSettings(4, 3, 64, 96), "train")
    image = (reader.frame(0, 1).image / 255)[None]
    with torch.no_grad():
        depth = 1 / model.teacher(image)
    assert float(model.depth.nearest) < float(depth.median()) < float(model.depth.farthest) < 100
    assert float(model.depth.farthest) != pytest.approx(10)
    with pytest.raises(InputError, match=r"--freeze-from 0 .* --teacher"):
        ManyConfig(freeze_from=0.0)
    with pytest.raises(InputError, match="nearest first"):
        ManyConfig(matching=(-2, -1))
    with pytest.raises(InputError, match="add --model many"):
        tiny(tmp_path, "x", 1, "mono", teacher="model")


@pytest.mark.parametrize(("encoder", "rectified"), [("light", True), ("tf_efficientnet_lite0", False)])
def test_the_teachers_encoder_decides_whether_a_relu_follows_where_costs_join(
    tmp_path: Path, encoder: str, rectified: bool
) -> None:
    kinds = replace(LIGHT, encoder=encoder)
    save_model(tmp_path / "teacher", MonoDepth(kinds), ModelCard(kinds, 64, 96))
    found = as_configured(tiny(tmp_path, "many", teacher=str(tmp_path / "teacher")))
    assert isinstance(found, ManyArchitecture)
    assert (found.encoder, found.rectified) == (encoder, rectified)


def test_further_frames_are_read_and_matched(tmp_path: Path) -> None:
    config = tiny(tmp_path, "further", 2, matching=(-1, -2))
    assert config.offsets == (-1, 1, -2)
    model, card = load_model(run(config))
    assert isinstance(model, ManyDepth)
    assert model.architecture.matching == (-1, -2)
    assert model.architecture.sources == 2
    assert not card.seen


def test_motion_that_the_pictures_refine_moves_all_views_and_its_network_is_held(tmp_path: Path) -> None:
    mono = str(run(tiny(tmp_path, "mono", 2, "mono")))
    plain, refined = (
        tiny(tmp_path, "plain", 2, teacher=mono),
        tiny(tmp_path, "refined", 2, teacher=mono, match_by="pixels"),
    )
    told = [(run(config) / "log.jsonl").read_text().splitlines() for config in (plain, refined)]
    first, other = (next(x for x in map(json.loads, lines) if x["event"] == "train") for lines in told)
    assert first["teacher_photometric"] != other["teacher_photometric"]
    assert first["translation"] != other["translation"]
    model, _ = load_model(tmp_path / "refined")
    assert isinstance(model, ManyDepth)
    a = model.architecture
    assert (a.match_by, a.spacing, a.refines_motion) == ("pixels", "inverse", True)
    held = [
        same(weights(tmp_path / name, "pose."), weights(Path(mono), "pose.")) for name in ("plain", "refined")
    ]
    assert held == [False, True]
    learnt = {
        k.replace("teacher.", "depth.", 1): v for k, v in weights(tmp_path / "refined", "teacher.").items()
    }
    assert not same(learnt, weights(Path(mono), "depth."))
    with pytest.raises(InputError, match="train a MonoDepth first and give --teacher"):
        ManyConfig(match_by="pixels")


def test_a_frozen_teachers_depth_is_the_unit_of_refined_motion_and_else_the_pose_networks() -> None:
    a = replace(MANY, match_by="pixels")
    batch = to_batch(ClipDataset(STREET, (-1, 1)).batch([1, 2]), (-1, 1), "cpu")
    plan = plan_at(recipe("default"), a, 0.0)
    out, _ = _matched(lively(ManyDepth(a)), batch, a, FIRST)
    _, targets = _levels(batch, plan, FIRST)
    assert out.source_from_target is not None
    refined = out.source_from_target.clone()
    refined[..., :3, 3] *= 2
    out = out._replace(source_from_target=refined)
    for frozen in (True, False):
        heads = _many_heads(out, targets, batch, replace(plan, teacher_frozen=frozen))
        assert len(heads[0]) == len(heads[1]) == a.scales
        for head in (*heads[0], *heads[1]):
            longer = head.source_from_target[..., :3, 3].norm(dim=-1) / refined[..., :3, 3].norm(dim=-1)
            torch.testing.assert_close(longer, longer[:1, :1].expand(2, 2))
            assert (abs(float(longer[0, 0].log().detach())) < 1e-5) == frozen


def test_motion_keeps_the_networks_unit_whatever_length_the_pictures_say() -> None:
    shifts = torch.tensor([[[0.0, 0, 1], [0, 0, 2]], [[0, 3, 0], [9, 9, 9]]])
    told, refined = torch.eye(4).repeat(2, 2, 1, 1), torch.eye(4).repeat(2, 2, 1, 1)
    told[..., :3, 3], refined[..., :3, 3] = shifts, 1.5 * shifts.flip(-1)
    refined[1, 1, :3, 3] = 1e3  # of a frame that does not exist
    exists = torch.tensor([[True, True], [True, False]])
    found = _in_unit_of(told, refined, exists)
    torch.testing.assert_close(found[exists][:, :3, 3], shifts.flip(-1)[exists])
    assert torch.equal(found[..., :3, :3], refined[..., :3, :3])
