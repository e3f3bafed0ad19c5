import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mono2many.errors import InputError
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import (
    ModelCard,
    check_optimiser,
    from_mono,
    load_model,
    load_training_state,
    read_card,
    save_model,
    save_training_state,
)
from mono2many.models.encoder import is_rectified
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light", min_depth=0.5)
MANY = ManyArchitecture(**vars(LIGHT), hypotheses=8, spacing="inverse", matching=(-1, -2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", MonoDepth(LIGHT), ModelCard(LIGHT, 64, 96))
    return tmp_path / "model"


def change(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_folder_brings_back_the_same_networks_with_no_flags(tmp_path: Path) -> None:
    model = MonoDepth(LIGHT).eval()
    save_model(tmp_path, model, ModelCard(LIGHT, 64, 96, 0.1, "metres", trained_on="street"))
    again, card = load_model(tmp_path)
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(again.depth(image), model.depth(image))
    assert card == ModelCard(LIGHT, 64, 96, 0.1, "metres", trained_on="street")
    assert {name.split(".")[0] for name in load_file(tmp_path / "model.safetensors")} == {"depth", "pose"}
    assert again.depth(image).max() <= 2.0 + 1e-6  # the depth range travels with the weights


def test_what_training_saw_and_how_pictures_are_resized_come_back_and_older_folders_lack_both(
    folder: Path,
) -> None:
    raw = json.loads((folder / "config.json").read_text())
    change(folder, resize="lanczos", seen=["kitti_eigen_zhou", "drive 0-9"])
    card = read_card(folder)
    assert (card.resize, card.seen) == ("lanczos", ("kitti_eigen_zhou", "drive 0-9"))
    change(folder, resize="nearest")
    with pytest.raises(InputError, match=r"key resize must be bilinear \| lanczos, got 'nearest'"):
        read_card(folder)
    old = {k: v for k, v in raw.items() if k not in ("resize", "seen", "has_pose")}
    (folder / "config.json").write_text(json.dumps(old))
    assert load_model(folder)[1] == ModelCard(LIGHT, 64, 96, resize="bilinear", seen=(), has_pose=True)


def test_a_folder_brings_back_a_manydepth_with_the_range_that_its_sweep_learnt(tmp_path: Path) -> None:
    many = ManyDepth(MANY)
    many.depth.farthest.fill_(7.0)
    save_model(tmp_path, many, ModelCard(MANY, 64, 96))
    again, card = load_model(tmp_path)
    assert card == ModelCard(MANY, 64, 96)
    assert isinstance(again, ManyDepth)
    assert json.loads((tmp_path / "config.json").read_text())["model"] == "many"
    assert {name.split(".")[0] for name in again.state_dict()} == {"depth", "pose", "teacher"}
    torch.testing.assert_close(dict(again.state_dict()), dict(many.state_dict()), rtol=0, atol=0)
    change(tmp_path, model="mono")
    with pytest.raises(InputError, match="unknown key"):
        load_model(tmp_path)
    change(tmp_path, model="more")
    with pytest.raises(InputError, match="model 'more' is not known; this version knows mono and many"):
        load_model(tmp_path)


def test_a_monodepths_folder_is_a_teacher_and_a_student_that_begins_as_it(folder: Path) -> None:
    def same(one: nn.Module, other: nn.Module) -> None:
        torch.testing.assert_close(dict(one.state_dict()), dict(other.state_dict()), rtol=0, atol=0)

    mono, many = load_model(folder)[0], ManyDepth(MANY)
    from_mono(many, folder)
    same(many.teacher, mono.depth)
    same(many.pose, mono.pose)
    same(many.depth.encoder, mono.depth.encoder)
    same(many.depth.decoder, mono.depth.decoder)
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(many.eval().single(image), mono.eval().depth(image))
    with pytest.raises(InputError, match=r"model\.safetensors: not the weights of these networks"):
        from_mono(ManyDepth(replace(MANY, decoder="paper")), folder)


@pytest.mark.parametrize("encoder", ["resnet18", "tf_efficientnet_lite0", "convnext_atto"])
def test_a_student_of_any_encoder_begins_as_its_teacher(tmp_path: Path, encoder: str) -> None:
    """The features of two of these at stride 4 are negative in part."""
    kinds = replace(LIGHT, encoder=encoder)
    save_model(tmp_path, MonoDepth(kinds), ModelCard(kinds, 64, 96))
    many = ManyDepth(ManyArchitecture(**vars(kinds), hypotheses=8, rectified=is_rectified(encoder)))
    from_mono(many, tmp_path)
    image = torch.rand(1, 3, 64, 96)
    assert torch.equal(many.eval().single(image), many.teacher(image))
    assert many.architecture.rectified == (encoder == "resnet18")


def test_a_folder_cut_short_is_refused_by_the_files_name(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read .* cut short; copy it again"):
        load_model(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        load_model(folder)
    (folder / "config.json").write_text('{"format": "mono')
    with pytest.raises(InputError, match=r"config\.json: cannot be read as JSON"):
        load_model(folder)


def test_a_folder_of_another_version_or_program_is_refused(folder: Path) -> None:
    change(folder, format_version=99)
    with pytest.raises(InputError, match="format version 99, this program reads 1"):
        load_model(folder)
    change(folder, format_version=1, surprise=1)
    with pytest.raises(InputError, match="unknown key 'surprise'"):
        load_model(folder)
    change(folder, format="else")
    with pytest.raises(InputError, match="not a mono2many model"):
        load_model(folder)


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    raw = json.loads((folder / "config.json").read_text())
    change(folder, architecture={**raw["architecture"], "encoder": "resnet18"})
    with pytest.raises(InputError, match="not the weights of these networks"):
        load_model(folder)


def test_a_checkpoint_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Bomb(), "optimiser": {}, "step": 1}, tmp_path / "step-1.pt")
    with pytest.raises(InputError, match="cannot be read without running code"):
        load_training_state(tmp_path / "step-1.pt")
    assert not (tmp_path / "ran").exists()
    save_training_state(tmp_path / "step-2.pt", {"model": {}, "optimiser": {}, "step": 2, "best": 0.5})
    assert load_training_state(tmp_path / "step-2.pt")["step"] == 2


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    model = MonoDepth(LIGHT)
    next(model.depth.parameters()).data[0] = float("nan")
    save_model(folder, model, ModelCard(LIGHT, 64, 96))
    with pytest.raises(InputError, match=r"1 tensors hold values that are not finite \(depth\."):
        load_model(folder)


def changed_state(how: str) -> tuple[dict[str, object], torch.optim.Optimizer]:
    """The state of an optimiser after a step, with something in it changed."""
    layer = nn.Linear(2, 3)
    optimiser = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    state = optimiser.state_dict()
    moments, group = state["state"][0], state["param_groups"][0]
    if how == "shape":
        moments["exp_avg"] = torch.zeros(100)
    elif how == "missing":
        del moments["exp_avg_sq"]
    elif how == "infinite":
        moments["exp_avg"][0] = torch.inf
    elif how == "number":
        moments["step"] = 1
    elif how == "parameter":
        state["state"][7] = moments
    elif how == "groups":
        group["params"] = [0]
    elif how == "type":
        group["betas"] = 0.9
    return state, optimiser


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("shape", "exp_avg .*of another shape|of another shape .*exp_avg"),
        ("missing", "1 missing"),
        ("infinite", "not finite"),
        ("number", "no tensor but 1"),
        ("parameter", "a state of parameter 7"),
        ("groups", "groups of parameters are others"),
        ("type", "betas is 0.9"),
    ],
)
def test_an_optimisers_state_is_compared_before_it_is_taken_over(how: str, said: str) -> None:
    check_optimiser(*changed_state(""))
    with pytest.raises(ValueError, match=said):
        check_optimiser(*changed_state(how))


def test_a_checkpoint_that_declares_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    """Zeros, deflated: PyTorch would take the memory of what they were before."""
    save_training_state(tmp_path / "1.pt", {"model": {"a": torch.zeros(10**5)}, "optimiser": {}, "step": 1})
    path = tmp_path / "2.pt"
    with (
        zipfile.ZipFile(tmp_path / "1.pt") as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for member in whole.infolist():
            file.writestr(member.filename, whole.read(member))
    assert torch.load(path)["model"]["a"].numel() == 10**5
    with pytest.raises(InputError, match=r"2\.pt: .*damaged or cut"):
        load_training_state(path)
