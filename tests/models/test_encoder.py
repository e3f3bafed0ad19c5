from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mono2many.errors import InputError
from mono2many.models.encoder import make_encoder


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", (64, 64, 128, 256, 512)),
        ("resnet50", (64, 256, 512, 1024, 2048)),
        ("mobilenetv4_conv_small", (32, 32, 64, 96, 960)),
        ("convnext_atto", (0, 40, 80, 160, 320)),
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
    with pytest.raises(InputError, match=r"does not fit --encoder resnet18: 99 keys missing.*bn1"):
        make_encoder("resnet18", str(tmp_path / "part.safetensors"))


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(InputError, match="not a readable weight file"):
        make_encoder("resnet18", str(tmp_path / "bomb.pth"))
    assert not (tmp_path / "ran").exists()


def test_unknown_names_and_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model that timm knows; near it are"):
        make_encoder("resnet19")
    with pytest.raises(InputError, match="no such file"):
        make_encoder("resnet18", str(tmp_path / "nothing.pth"))
    with pytest.raises(InputError, match="light has no pretrained weights"):
        make_encoder("light", "weights.pth")
