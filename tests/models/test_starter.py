"""What the word `starter` means, with a stand-in for the package's folder, and models of several sizes."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from mono2many.cli import main
from mono2many.errors import InputError
from mono2many.evaluate.info import info
from mono2many.io.images import write_image
from mono2many.models import starter
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, input_size, load_model, read_card, save_model
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import model_folder

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")
CARD = ModelCard(LIGHT, 64, 192, trained_on="a wall", sizes=((64, 192), (64, 128)))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of this test's own in the starter's place."""
    save_model(tmp_path / "package", MonoDepth(LIGHT), CARD)
    monkeypatch.setattr(starter, "FOLDER", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "package"


def test_the_bare_word_is_the_packages_model_and_a_path_is_yours(shipped: Path) -> None:
    save_model(Path("starter"), MonoDepth(LIGHT), ModelCard(LIGHT, 96, 96))
    assert model_folder("starter") == shipped
    assert read_card("starter") == load_model("starter")[1] == CARD
    assert read_card("./starter").height == read_card(Path("starter")).height == 96


def test_weights_of_16_bits_come_back_as_networks_of_32(shipped: Path) -> None:
    path, exact = shipped / "model.safetensors", load_model(shipped)[0].state_dict()
    halved = {k: v.half() if v.dim() > 1 else v for k, v in load_file(path).items()}
    save_file(halved, path)
    found = load_model(shipped)[0].state_dict()
    assert {v.dtype for v in found.values() if v.is_floating_point()} == {torch.float32}
    torch.testing.assert_close(found, exact, rtol=2**-11, atol=1e-7)


def test_a_damaged_starter_is_a_damaged_installation(shipped: Path) -> None:
    again = r"the installation is damaged: pip install --force-reinstall mono2many$"
    weights, config = shipped / "model.safetensors", shipped / "config.json"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"model\.safetensors: cannot be read .* cut short; {again}"):
        load_model("starter")
    weights.unlink()
    with pytest.raises(InputError, match=rf"model\.safetensors: no such file; {again}"):
        load_model("starter")
    config.write_text("{")
    with pytest.raises(InputError, match=rf"config\.json: cannot be read as JSON .*{again}"):
        load_model("starter")
    config.unlink()
    with pytest.raises(InputError, match=rf"config\.json: cannot be read as JSON .*{again}"):
        load_model("starter")


@pytest.mark.parametrize(
    ("picture", "wanted"),
    [((375, 1242), (64, 192)), ((1080, 1920), (64, 128)), ((1, 2000), (64, 192)), ((4000, 50), (64, 128))],
)
def test_a_picture_is_seen_at_the_size_of_the_nearest_shape(
    picture: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert input_size(CARD, picture) == wanted


def test_the_first_of_two_equally_near_shapes_wins_and_what_is_cut_off_does_not_count() -> None:
    twice = replace(CARD, sizes=((64, 128), (128, 64)))  # a square is as far from both
    assert input_size(twice, (50, 50)) == (64, 128)
    assert input_size(replace(twice, sizes=twice.sizes[::-1]), (50, 50)) == (128, 64)
    assert input_size(replace(CARD, crop_bottom=0.5), (100, 150)) == (64, 192)  # 50 rows, 150 columns
    assert input_size(replace(CARD, sizes=()), (1080, 1920)) == (64, 192)


def test_a_size_that_is_none_is_refused_and_a_model_of_one_size_is_written_as_before(shipped: Path) -> None:
    config = shipped / "config.json"
    raw = json.loads(config.read_text())
    config.write_text(json.dumps({**raw, "sizes": [[64, 192], [64, 100]]}))
    with pytest.raises(InputError, match=r"multiples of 32 up to 8192, got \(64, 100\)"):
        read_card(shipped)
    save_model(shipped, MonoDepth(LIGHT), ModelCard(LIGHT, 64, 192))
    assert "sizes" not in json.loads(config.read_text())


def test_info_says_what_a_model_is_and_what_its_readme_adds(shipped: Path) -> None:
    (shipped / "README.md").write_text("---\nlicense: apache-2.0\n---\n\nIt has seen [walls].\n")
    console = Console(file=StringIO(), width=200)
    info("starter", console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    rows = dict(line.strip().split("  ", 1) for line in said.splitlines() if "  " in line.strip())
    assert rows["sizes"].strip() == "192x64, 128x64"
    assert rows["trained on"].strip() == "a wall"
    assert rows["licence"].strip() == "apache-2.0"
    assert rows["depth"].strip() == "up to scale, 0.1 to 100 of its unit"
    assert said.rstrip().endswith("\nIt has seen [walls].")


def test_predict_without_a_model_takes_the_starter_and_says_so(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("photo.png", torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8))
    main(["predict", "photo.png", "--device", "cpu"])
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "starter" in said.err
    assert "--start-from starter" in said.err
    assert "3 files in outputs" in said.out
    main(["predict", "photo.png", "--model", str(shipped), "--device", "cpu"])
    assert capsys.readouterr().err == ""


def test_the_starters_scale_is_stored_with_a_copy_only(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factor = ["scale", "--model", "starter", "--scale-from", "factor", "5"]
    with pytest.raises(SystemExit):
        main(factor)
    assert "--out FOLDER" in capsys.readouterr().err
    main([*factor, "--out", "mine"])
    assert read_card("starter") == CARD
    assert read_card("mine") == replace(CARD, scale="metres", factor=5.0, factor_from="factor 5")
    with pytest.raises(SystemExit):
        main([*factor, "--out", "mine"])
    assert "holds a model already" in capsys.readouterr().err
