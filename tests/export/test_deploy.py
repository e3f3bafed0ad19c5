"""The programs of docs/deploy.md, which know nothing of this package, against it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from PIL import Image

from mono2many import load
from mono2many.commands.export import ExportConfig
from mono2many.export.run import export
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.mono import MonoDepth
from small_models import FILM, LIGHT, lively

REPOSITORY = Path(__file__).parents[2]


def program(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (REPOSITORY / "docs/deploy.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that sees the upper three quarters of a frame, and a larger frame."""
    made = tmp_path_factory.mktemp("deploy")
    torch.manual_seed(0)
    save_model(made / "model", lively(MonoDepth(LIGHT)), ModelCard(LIGHT, 64, 96, crop_bottom=0.25))
    large = FILM[0].repeat_interleave(2, 1).repeat_interleave(2, 2)
    Image.fromarray(large.permute(1, 2, 0).numpy()).save(made / "image.png")
    Image.fromarray(large.permute(1, 2, 0).numpy()).save(made / "image.ppm")
    return made


def test_the_program_in_python_needs_onnxruntime_numpy_and_pillow_only(folder: Path) -> None:
    out = export(ExportConfig(model=str(folder / "model"), out=str(folder / "onnx"), count=2))
    clean = folder / "clean"
    needed = [f"{name}=={version}" for name, version in versions("onnxruntime", "numpy", "pillow")]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(clean)], check=True)
    python = clean / "bin/python"
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", str(python), *needed], check=True
    )
    (folder / "depth.py").write_text(program("python"))
    words = [str(python), "depth.py", str(out / "depth.onnx"), "image.png", "depth.npy"]
    found = subprocess.run(words, check=True, capture_output=True, text=True, cwd=folder, env=bare())
    assert found.stdout.startswith("96x64, middle ")
    assert found.stdout.strip().endswith("up to scale")
    depth = torch.from_numpy(np.load(folder / "depth.npy"))
    off = (depth / own_depth(folder) - 1).abs()
    assert off.median() < 0.01  # Pillow rounds otherwise


def test_the_program_in_cpp_is_compiled_and_computes_the_same(folder: Path) -> None:
    out = export(
        ExportConfig(model=str(folder / "model"), format="openvino", out=str(folder / "ov"), count=2)
    )
    (folder / "depth.cpp").write_text(program("cpp"))
    package = Path(openvino.__path__[0])
    library = next((package / "libs").glob("libopenvino.so.*"))
    linked = [str(library), f"-Wl,-rpath,{package / 'libs'}"]
    compiler = ["g++", "-std=c++17", "-O0", "depth.cpp", f"-I{package / 'include'}", *linked, "-o", "depth"]
    subprocess.run(compiler, check=True, cwd=folder)
    words = ["./depth", str(out / "depth.xml"), "image.ppm", "depth.f32"]
    found = subprocess.run(words, check=True, capture_output=True, text=True, cwd=folder)
    size, middle = found.stdout.strip().split(", middle ")
    assert size == "96x64"
    depth = torch.from_numpy(np.fromfile(folder / "depth.f32", "float32").reshape(64, 96))
    assert float(middle) == pytest.approx(float(depth[32, 48]), rel=1e-4)
    off = (depth / own_depth(folder) - 1).abs()
    assert off.median() < 0.01  # OpenVINO rounds otherwise when it resizes
    assert off.max() < 0.05


def own_depth(folder: Path) -> torch.Tensor:
    predictor = load(folder / "model", "cpu")
    image = torch.from_numpy(np.array(Image.open(folder / "image.png"))).permute(2, 0, 1)
    return 1 / predictor.from_inputs(predictor.inputs([image]))[0]


def bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def versions(*names: str) -> list[tuple[str, str]]:
    """As installed here: with those the program was tested."""
    from importlib.metadata import version

    return [(name, version(name)) for name in names]
