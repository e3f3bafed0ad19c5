"""The programs of examples/ that show how to use the package."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

from mono2many import load
from mono2many.io.images import write_image
from mono2many.io.videos import probe_video
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.video import write_street_video
from page_visits import free_port
from programs import REPOSITORY, run_example

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short video, with its camera and speed."""
    folder = tmp_path_factory.mktemp("street")
    write_street_video(folder / "street.mp4", StreetSettings(frames=12, height=64, width=192))
    return folder


def example(name: str, *words: str | Path) -> str:
    """What it prints."""
    return run_example(name, *words, cwd=Path.cwd())


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_programs_to_begin_with_are_short() -> None:
    for name in ("image_to_glb", "depth_video", "train_on_video", "pixel_distance", "stream_camera"):
        assert (EXAMPLES / f"{name}.py").read_text().count("\n") < 60


def test_an_image_becomes_a_mesh(street: Path, tmp_path: Path) -> None:
    frame = SyntheticReader(StreetSettings(1, 1, 64, 192), "test").frame(0, 0)
    write_image(tmp_path / "photo.png", frame.image)
    example("image_to_glb", "photo.png", "photo.glb", "--camera", street / "street.json")
    mesh = trimesh.load(tmp_path / "photo.glb", force="mesh")
    right, down, ahead = load("starter")(frame.image).points(frame.intrinsics)[60, 96].tolist()
    from_point = np.linalg.norm(mesh.vertices - (right, -down, -ahead), axis=1)  # y up, z to the viewer
    assert from_point.min() < 1e-4
    assert len(mesh.faces) > 1000
    focal = float(frame.intrinsics[0, 0])
    assert abs(mesh.vertices[:, 0] / mesh.vertices[:, 2]).max() == pytest.approx(95.5 / focal, rel=0.02)


def test_a_video_becomes_a_video_of_disparity_alone(street: Path, tmp_path: Path) -> None:
    example("depth_video", street / "street.mp4", tmp_path / "depth.mp4")
    made = probe_video(tmp_path / "depth.mp4")
    assert (made.width, made.height, made.frames) == (192, 64, 12)


def test_the_starter_is_trained_on_a_video_and_compared(street: Path, tmp_path: Path) -> None:
    small = ["--steps", "2", "--height", "64", "--width", "96", "--batch-size", "2", "--name", "own"]
    words = [street / "street.mp4", "--camera", street / "street.json", *small]
    said = example("train_on_video", *words)
    assert "own: trained on" in said
    assert (tmp_path / "model_save" / "own" / "model.safetensors").exists()


def test_a_pixel_is_as_far_as_the_streets_speed_says(street: Path, tmp_path: Path) -> None:
    words = [street / "street.mp4", "--camera", street / "street.json", "--pixel", "96", "60"]
    said = example("pixel_distance", *words, "--scale-from", "speed", street / "street_speed.csv")
    found = re.search(r"pixel 96, 60: (\d+\.\d+) m ahead, (\d+\.\d+) m along the ray; scale (.*)", said)
    assert found is not None
    ahead, ray = float(found[1]), float(found[2])
    truth = SyntheticReader(StreetSettings(1, 12, 64, 192), "test").frame(0, 0)
    assert truth.depth is not None
    assert ahead == pytest.approx(float(truth.depth[60, 96]), rel=0.4)
    focal = float(truth.intrinsics[0, 0])
    assert ray == pytest.approx(ahead * math.hypot(1, 0.5 / focal, 28.5 / focal), abs=0.02)


def test_a_stream_prints_a_line_for_each_frame(street: Path, tmp_path: Path) -> None:
    kinds = ManyArchitecture("light", "light", pose_type="light", hypotheses=8)
    save_model(tmp_path / "many", ManyDepth(kinds), ModelCard(kinds, 64, 96))
    lines = example("stream_camera", street / "street.mp4", "--model", "many").splitlines()
    assert len(lines) == 12
    assert all(re.fullmatch(r" +\d+\.\d{3} s: +\d+\.\d+ \(up to scale\), \d+ ms", line) for line in lines)
    assert lines[6].split()[0] == "0.500"


def test_the_web_page_under_load_answers_everything() -> None:
    small = [
        "--rounds",
        "1",
        "--images",
        "2",
        "--bad",
        "8",
        "--users",
        "5",
        "--height",
        "64",
        "--width",
        "96",
    ]
    said = example("serve_load", *small, "--port", str(free_port()))
    assert re.match(r"round 1: 10 requests, 2 depth maps, 8 reasons; \d+ MB", said)
