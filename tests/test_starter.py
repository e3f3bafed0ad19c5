"""The starter as it ships: what is in the package, and that every command takes it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mono2many import Predictor, load
from mono2many.cli import main
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.models import starter
from mono2many.models.checkpoint import read_card


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load("starter", "cpu")


def test_it_is_small_and_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(path.stat().st_size for path in starter.FOLDER.iterdir()) < 10e6
    main(["info"])
    said = capsys.readouterr().out
    assert "apache-2.0" in said.lower()
    assert "tf_efficientnet_lite0" in said


def test_its_networks_are_float32_and_it_knows_motion(predictor: Predictor) -> None:
    kinds = {p.dtype for p in predictor.model.state_dict().values() if p.is_floating_point()}
    assert kinds == {torch.float32}
    assert predictor.card.has_pose
    assert predictor.card.scale == "up to scale"


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(10, 10), (1, 1), (1, 2000), (4000, 50)])
def test_odd_pictures_have_a_depth_of_their_own_size(
    mode: str, size: tuple[int, int], tmp_path: Path
) -> None:
    channels = {"RGB": (3,), "RGBA": (4,)}.get(mode, ())
    kind = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (*size, *channels), dtype=kind)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    main(["predict", str(tmp_path / "odd.png"), "--out", str(tmp_path), "--save", "npy", "--device", "cpu"])
    depth = np.load(tmp_path / "odd_depth.npy")
    assert depth.shape == size
    assert np.isfinite(depth).all()


@pytest.mark.parametrize("size", [(37, 61), (16, 400), (300, 18), (2, 2)])
def test_odd_videos_become_a_video_and_a_trajectory(size: tuple[int, int], tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", 10.0) as video:
        for _ in range(3):
            video.write(torch.randint(0, 256, (3, *size), dtype=torch.uint8))
    where = ["--out", str(tmp_path), "--device", "cpu"]
    main(["predict", str(tmp_path / "odd.mp4"), *where])
    main(["predict", str(tmp_path / "odd.mp4"), *where, "--poses", "kitti"])
    assert (tmp_path / "odd_depth.mp4").exists()
    assert len((tmp_path / "odd_poses.txt").read_text().splitlines()) == 3


def test_it_is_scored_where_depth_is_known_and_on_footage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["street", "film.mp4", "--frames", "12", "--height", "64", "--width", "192"])
    score = ["evaluate", "--model", "starter", "--device", "cpu"]
    main([*score, "--datatype", "synthetic", "--test-scenes", "1", "--baseline-scenes", "1"])
    assert "depth is up to scale" in capsys.readouterr().out
    main(
        [
            *score,
            "--datatype",
            "video",
            "--data",
            "film.mp4",
            "--camera",
            "film.json",
            "--hold-out-frames",
            "4",
        ]
    )
    assert "un-warped neighbour" in capsys.readouterr().out


def test_a_training_begins_with_its_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["street", "film.mp4", "--frames", "8", "--height", "64", "--width", "96"])
    footage = ["--datatype", "video", "--data", "film.mp4", "--camera", "film.json", "--hold-out-frames", "3"]
    size = [
        "--height",
        "64",
        "--width",
        "96",
        "--batch-size",
        "2",
        "--steps",
        "1",
        "--learning-rate",
        "1e-30",
    ]
    main(["train", "--start-from", "starter", *footage, *size, "--device", "cpu", "--precision", "fp32"])
    card, original = read_card("model_save/mono"), read_card("starter")
    assert card.architecture == original.architecture
    assert (card.height, card.width, card.sizes) == (64, 96, ())
    tuned, start = (load(name, "cpu").model.state_dict() for name in ("model_save/mono", "starter"))
    for name in ("depth.decoder.heads.0.weight", next(n for n in tuned if n.startswith("pose."))):
        torch.testing.assert_close(tuned[name], start[name])


def test_damaged_weights_of_the_package_say_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = shutil.copytree(starter.FOLDER, tmp_path / "starter")
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:5000])
    monkeypatch.setattr(starter, "FOLDER", damaged)
    write_image(tmp_path / "photo.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path / "photo.png")])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("pip install --force-reinstall mono2many\n")
