"""The reference format is made of random tensors; the twin is torchvision's ResNet and plain operations."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.errors import InputError
from mono2many.geometry.sweep import depth_hypotheses, plane_sweep
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import load_model, load_weights
from mono2many.models.encoder import make_encoder
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.published import import_weights, resnet_name

Tensors = dict[str, Any]


def resnet(images: int) -> nn.Module:
    """torchvision's, with its batch normalisation away from its starting values."""
    net = torchvision.models.resnet18()
    net.conv1 = nn.Conv2d(3 * images, 64, 7, 2, 3, bias=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.3, 1.0)
    return net.eval()


def encoder_file(net: nn.Module) -> Tensors:
    return {f"encoder.{name}": value for name, value in net.state_dict().items()}


def convolution(name: str, inputs: int, outputs: int, size: int) -> Tensors:
    spread = (2 / (inputs * size * size)) ** 0.5
    return {
        f"{name}.weight": torch.randn(outputs, inputs, size, size) * spread,
        f"{name}.bias": torch.randn(outputs) * 0.1,
    }


def depth_file() -> Tensors:
    tensors: Tensors = {}
    into = [512, 512, 256, 256, 128, 128, 64, 96, 32, 16]
    for k, (before, after) in enumerate(zip(into, [256, 256, 128, 128, 64, 64, 32, 32, 16, 16], strict=True)):
        tensors |= convolution(f"decoder.{k}.conv.conv", before, after, 3)
    for scale, width in enumerate([16, 32, 64, 128]):
        tensors |= convolution(f"decoder.{10 + scale}.conv", width, 1, 3)
    return tensors


@pytest.fixture(scope="module")
def files() -> dict[str, Tensors]:
    torch.manual_seed(0)
    pose: Tensors = {}
    for k, (before, after, size) in enumerate([(512, 256, 1), (256, 256, 3), (256, 256, 3), (256, 12, 1)]):
        pose |= convolution(f"net.{k}", before, after, size)
    settings = {"height": 192, "width": 640, "use_stereo": False}
    return {
        "encoder.pth": encoder_file(resnet(1)) | settings,
        "depth.pth": depth_file(),
        "pose_encoder.pth": encoder_file(resnet(2)),
        "pose.pth": pose,
    }


@pytest.fixture(scope="module")
def many_files(files: dict[str, Tensors]) -> dict[str, Tensors]:
    """ManyDepth's: the files above, of which the first two are the teacher's now, and a student's two."""
    torch.manual_seed(1)
    places = {"conv1": "layer0.0", "bn1": "layer0.1", "layer1": "layer1.1"}
    student: Tensors = {"height": 192, "width": 640, "min_depth_bin": 0.5, "max_depth_bin": torch.tensor(9.0)}
    for name, value in resnet(1).state_dict().items():
        layer, rest = name.split(".", 1)
        student |= {} if layer == "fc" else {f"{places.get(layer, layer)}.{rest}": value}
    student |= convolution("reduce_conv.0", 64 + 20, 64, 3) | convolution("prematching_conv.0", 64, 16, 1)
    student |= {"backprojector.pix_coords": torch.rand(1, 3, 8), "projector.K": torch.eye(4)}
    teacher = {f"mono_{name}": files[name] for name in ("encoder.pth", "depth.pth")}
    teacher["mono_encoder.pth"] = {k: v for k, v in files["encoder.pth"].items() if k.startswith("encoder.")}
    pose = {name: files[name] for name in ("pose_encoder.pth", "pose.pth")}
    return {"encoder.pth": student, "depth.pth": depth_file(), **teacher, **pose}


def written(folder: Path, files: dict[str, Tensors], **changes: Tensors) -> Path:
    """The folder, with whole files exchanged; an empty one is left out."""
    folder.mkdir(exist_ok=True)
    for name, tensors in (files | {f"{name}.pth": t for name, t in changes.items()}).items():
        if tensors:
            torch.save(tensors, folder / name)
    return folder


def test_imported_networks_compute_what_the_raw_tensors_say(
    files: dict[str, Tensors], tmp_path: Path
) -> None:
    card = import_weights(written(tmp_path / "mono_640x192", files), tmp_path / "model")
    model, stored = load_model(tmp_path / "model")
    assert stored == card
    assert (card.height, card.width, card.scale, card.resize) == (192, 640, "up to scale", "lanczos")
    assert card.trained_on == "imported from mono_640x192 (unknown)"
    target, sources = torch.rand(1, 3, 64, 96), torch.rand(1, 2, 3, 64, 96)
    with torch.no_grad():
        features = stages(files["encoder.pth"], target, images=1)
        for ours, plain in zip(model.depth.encoder(target), features, strict=True):
            assert ours is not None
            torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
        sigmoids = decoded(files["depth.pth"], features)
        for ours, plain in zip(model.depth.decoder(features), sigmoids, strict=True):
            torch.testing.assert_close(ours, plain, rtol=0, atol=1e-5)
        assert sigmoids[0].std() > 0.01  # tensors that all count
        wanted = 0.01 + (10 - 0.01) * sigmoids[0].squeeze(1)
        torch.testing.assert_close(model.depth(target), wanted, rtol=1e-4, atol=1e-5)
        axis_angle, translation = model.pose(target, sources, (-1, 1))
        for s, pair in enumerate([(sources[:, 0], target), (target, sources[:, 1])]):
            first = moved(files, torch.cat(pair, 1))[:, :6]
            torch.testing.assert_close(axis_angle[:, s], first[:, :3], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(translation[:, s], first[:, 3:], rtol=1e-4, atol=1e-6)


def stages(tensors: Tensors, image: Tensor, images: int, instead: Tensor | None = None) -> list[Tensor]:
    """A ResNet's five maps. instead: what enters its second layer in place of the map at stride 4."""
    net = resnet(images)
    net.fc = nn.Identity()
    net.load_state_dict(
        {k[8:]: v for k, v in tensors.items() if k.startswith("encoder.") and not k.startswith("encoder.fc")}
    )
    x = F.relu(net.bn1(net.conv1((image - 0.45) / 0.225)))
    found = [x]
    x = net.maxpool(x)
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x if instead is None or layer is not net.layer2 else instead)
        found.append(x)
    return found


def decoded(t: Tensors, features: list[Tensor]) -> list[Tensor]:
    def conv(x: Tensor, name: str) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), t[f"{name}.weight"], t[f"{name}.bias"])

    x, maps = features[4], []
    for stage in range(5):
        x = F.elu(conv(x, f"decoder.{2 * stage}.conv.conv"))
        x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
        if stage < 4:
            x = torch.cat([x, features[3 - stage]], 1)
        x = F.elu(conv(x, f"decoder.{2 * stage + 1}.conv.conv"))
        if stage > 0:
            maps.append(conv(x, f"decoder.{14 - stage}.conv").sigmoid())
    return maps[::-1]


def moved(files: dict[str, Tensors], pair: Tensor) -> Tensor:
    t, x = files["pose.pth"], stages(files["pose_encoder.pth"], pair, images=2)[-1]
    for k, padding in enumerate([0, 1, 1, 0]):
        x = F.conv2d(x, t[f"net.{k}.weight"], t[f"net.{k}.bias"], padding=padding)
        x = x.relu() if k < 3 else x
    return 0.01 * x.mean((2, 3))


@torch.no_grad()
def test_an_imported_student_and_its_teacher_compute_what_the_raw_tensors_say(
    files: dict[str, Tensors], many_files: dict[str, Tensors], tmp_path: Path
) -> None:
    card = import_weights(written(tmp_path / "many", many_files), tmp_path / "model")
    model, stored = load_model(tmp_path / "model")
    assert isinstance(model, ManyDepth)
    assert stored == card
    assert card.architecture == ManyArchitecture(hypotheses=20)
    assert (card.height, card.width, card.scale, card.resize) == (192, 640, "up to scale", "lanczos")

    image, matching = torch.rand(1, 3, 64, 96), torch.rand(1, 1, 3, 64, 96)
    teacher = decoded(files["depth.pth"], stages(files["encoder.pth"], image, images=1))
    torch.testing.assert_close(
        model.teacher(image), 0.01 + 9.99 * teacher[0].squeeze(1), rtol=1e-4, atol=1e-5
    )
    angle, shift = model.pose(image, matching, (-1,))
    first = moved(files, torch.cat([matching[:, 0], image], 1))[:, None, :6]
    torch.testing.assert_close(torch.cat([angle, shift], 2), first, rtol=1e-4, atol=1e-6)

    raw = many_files["encoder.pth"]
    named = {"layer0.0": "encoder.conv1", "layer0.1": "encoder.bn1", "layer1.1": "encoder.layer1"}
    plain = {named.get(k[:8], f"encoder.{k[:8]}") + k[8:]: v for k, v in raw.items() if k[:5] == "layer"}
    features = stages(plain, image, images=1)
    theirs = stages(plain, matching[:, 0], images=1)[1]
    depths = depth_hypotheses(torch.tensor(0.5), torch.tensor(9.0), 20, "linear")
    motion = torch.eye(4).view(1, 1, 4, 4).clone()
    motion[..., 0, 3] = 0.3
    k, there = torch.tensor([[[60.0, 0, 48], [0, 60, 32], [0, 0, 1]]]), torch.ones(1, 1, dtype=torch.bool)
    quarter = torch.diag(torch.tensor([0.25, 0.25, 1.0])) @ k
    sweep = plane_sweep(features[1], theirs[:, None], motion, there, quarter, depths)
    assert 0.1 < sweep.confidence.float().mean() < 0.9
    joined = torch.cat([features[1], sweep.volume * sweep.confidence[:, None]], 1)
    reduced = F.conv2d(joined, raw["reduce_conv.0.weight"], raw["reduce_conv.0.bias"], padding=1).relu()
    wanted = decoded(many_files["depth.pth"], features[:2] + stages(plain, image, 1, instead=reduced)[2:])
    assert wanted[0].std() > 0.01
    student = model.depth(model.depth.features(image), theirs[:, None], motion, there, k)
    for ours, sigmoid in zip(student.sigmoids, wanted, strict=True):
        torch.testing.assert_close(ours, sigmoid, rtol=0, atol=1e-5)


def test_old_files_load_and_stereo_means_metres_of_5_4_units(
    files: dict[str, Tensors], tmp_path: Path
) -> None:
    folder = written(tmp_path / "stereo", files, pose={}, pose_encoder={})
    state = nn.ModuleDict({"encoder": resnet(1)}).state_dict()  # ordered, with torch's own notes beside
    state.update({"height": 192, "width": 640, "use_stereo": True})
    # the way of saving before torch 1.6, in which files of 2019 are
    torch.save(state, folder / "encoder.pth", _use_new_zipfile_serialization=False)
    card = import_weights(folder, tmp_path / "model")
    assert (card.scale, card.factor, card.has_pose) == ("metres", 5.4, False)
    assert card.factor_from == "stereo baseline 0.1 of KITTI's 0.54 m"


def test_without_pose_files_depth_works_and_whatever_wants_motion_is_refused(
    files: dict[str, Tensors], tmp_path: Path
) -> None:
    import_weights(written(tmp_path / "a", files, pose={}, pose_encoder={}), tmp_path / "model")
    model, card = load_model(tmp_path / "model")
    assert not any(name.startswith("pose") for name in model.state_dict())
    assert model.depth(torch.rand(1, 3, 64, 96)).shape == (1, 64, 96)
    with pytest.raises(InputError, match="has no pose network"):
        model(torch.rand(1, 3, 64, 96), torch.rand(1, 2, 3, 64, 96), (-1, 1))
    with pytest.raises(InputError, match="has no pose network"):  # as --start-from does
        load_weights(MonoDepth(card.architecture), tmp_path / "model")


def test_what_does_not_fit_is_named_by_file_and_key(files: dict[str, Tensors], tmp_path: Path) -> None:
    def refused(match: str, **changes: Tensors) -> None:
        for path in tmp_path.glob("w/*"):
            path.unlink()
        with pytest.raises(InputError, match=match):
            import_weights(written(tmp_path / "w", files, **changes), tmp_path / "model")
        assert not (tmp_path / "model").exists()

    encoder, depth, pose = (files[f"{name}.pth"] for name in ("encoder", "depth", "pose"))
    renamed = {k.replace("decoder.3.conv.conv.bias", "decoder.3.bias"): v for k, v in depth.items()}
    both = r"depth\.pth: .*1 missing \(decoder\.3\.conv\.conv\.bias\); 1 unknown \(decoder\.3\.bias\)"
    refused(both, depth=renamed)
    shape = r"pose\.pth: .*1 of another shape \(net\.3\.bias \(6,\) for \(12,\)\)"
    refused(shape, pose=pose | {"net.3.bias": torch.zeros(6)})
    refused(r"pose_encoder\.pth: .*encoder\.conv1\.weight \(64, 3, 7, 7\) for \(64, 6", pose_encoder=encoder)
    refused(r"pose\.pth: no such file, but pose_encoder\.pth is there", pose={})
    refused(r"depth\.pth: no such file", depth={})
    no_height = {k: v for k, v in encoder.items() if k != "height"}
    refused(r"encoder\.pth: height is None, wanted a multiple of 32", encoder=no_height)
    refused(r"encoder\.pth: width is 650, wanted a multiple of 32", encoder=encoder | {"width": 650})
    # what would pass in ManyDepth's file does not in MonoDepth's
    refused(r"encoder\.pth: .*1 unknown \(projector\.K\)", encoder=encoder | {"projector.K": torch.eye(4)})


def test_in_manydepths_folder_too_what_does_not_fit_is_named(
    many_files: dict[str, Tensors], tmp_path: Path
) -> None:
    whole, folder = written(tmp_path / "whole", many_files), tmp_path / "w"
    folder.mkdir()

    def refused(match: str, **changes: Tensors) -> None:
        for path in folder.iterdir():
            path.unlink()
        for name in many_files.keys() - {f"{name}.pth" for name in changes}:
            (folder / name).symlink_to(whole / name)
        with pytest.raises(InputError, match=match):
            import_weights(written(folder, {}, **changes), tmp_path / "model")
        assert not (tmp_path / "model").exists()

    encoder = many_files["encoder.pth"]
    renamed = {k.replace("layer1.1.0.bn1.bias", "layer1.0.bn1.bias"): v for k, v in encoder.items()}
    both = r"w/encoder\.pth: .*1 missing \(layer1\.1\.0\.bn1\.bias\); 1 unknown \(layer1\.0\.bn1\.bias\)"
    refused(both, encoder=renamed)
    lacking = {k: v for k, v in encoder.items() if k != "reduce_conv.0.weight"}
    refused(r"w/encoder\.pth: .*1 missing \(reduce_conv\.0\.weight\)", encoder=lacking)
    refused(r"mono_encoder\.pth: no such file.*mono_encoder\.pth and mono_depth\.pth", mono_encoder={})
    refused(r"mono_depth\.pth: .*1 unknown \(x\)", mono_depth=many_files["depth.pth"] | {"x": torch.ones(1)})
    refused(r"pose\.pth: no such file", pose={})
    refused(r"max_depth_bin are \[0\.5, None\], wanted two depths", encoder=encoder | {"max_depth_bin": None})
    refused(r"max_depth_bin are \[9, tensor", encoder=encoder | {"min_depth_bin": 9})
    refused(r"encoder\.pth: height is None", encoder={k: v for k, v in encoder.items() if k != "height"})


def test_a_file_that_would_run_code_is_refused_and_not_run(files: dict[str, Tensors], tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    folder = written(tmp_path / "w", files, depth={"decoder.0.conv.conv.bias": Bomb()})
    with pytest.raises(InputError, match=r"depth\.pth: cannot be read without running code"):
        import_weights(folder, tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def test_a_model_that_is_there_is_not_written_over(files: dict[str, Tensors], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("a model of mine")
    with pytest.raises(InputError, match="holds a model already"):
        import_weights(tmp_path / "anything", tmp_path)
    assert (tmp_path / "config.json").read_text() == "a model of mine"


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_the_depth_of_a_resnet_is_seen_in_its_names(name: str) -> None:
    with torch.device("meta"):
        tensors = encoder_file(getattr(torchvision.models, name)())
        ours = make_encoder(name).state_dict()
    assert resnet_name(Path("encoder.pth"), tensors) == name
    shapes = {"encoder." + key.split(".", 1)[1]: value.shape for key, value in ours.items()}
    assert shapes == {key: value.shape for key, value in tensors.items() if ".fc." not in key}
    cut = {key: value for key, value in tensors.items() if "layer4" not in key}
    with pytest.raises(InputError, match=r"encoder\.pth: .* blocks .* are no ResNet's"):
        resnet_name(Path("encoder.pth"), cut)
