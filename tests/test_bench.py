import json
from pathlib import Path

import pytest
import torch
import torchvision
from rich.console import Console

from mono2many.bench import bench
from mono2many.bench.yardstick import YardstickDepth, YardstickPose
from mono2many.commands.bench import BenchConfig
from mono2many.devices import cpu_has_bf16
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from small_models import LIGHT, MANY, lively


def count(*models: torch.nn.Module) -> int:
    return sum(p.numel() for model in models for p in model.parameters())


def test_every_row_has_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    config = BenchConfig(64, 96, batch_size=1, steps=1, device="cpu", json=str(tmp_path / "bench.json"))
    rows = bench(config, Console(width=80))
    assert torch.get_num_threads() == threads
    stored = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in stored["rows"]] == [row.name for row in rows]
    by_name = {row["name"]: row for row in stored["rows"]}
    assert set(by_name) == {
        *("yardstick", "step fp32", "many step fp32", "depth network fp32"),
        *(("step bf16", "many step bf16", "depth network bf16") if cpu_has_bf16() else ()),
        *("stream fp32", "load by Pillow", "load from cache", "load from JPEG"),
    }
    assert all(row["milliseconds"] > 0 and row["per_s"] > 0 for row in stored["rows"])
    assert by_name["yardstick"]["ratio"] == by_name["load by Pillow"]["ratio"] == 1
    assert stored["facts"]["size"] == "96x64, batch 1, 1 repetitions"
    said = capsys.readouterr().out
    assert all(name in said for name in by_name)
    assert cpu_has_bf16() or "no bf16 here" in said
    assert "peak memory" in said


@pytest.mark.parametrize("architecture", [LIGHT, MANY])
def test_every_runtime_is_timed_beside_eager(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], architecture: MonoArchitecture
) -> None:
    torch.manual_seed(0)
    many = isinstance(architecture, ManyArchitecture)
    model = ManyDepth(architecture) if many else MonoDepth(architecture)
    save_model(tmp_path / "model", lively(model), ModelCard(architecture, 64, 96))
    config = BenchConfig(
        64, 96, steps=1, json=str(tmp_path / "b.json"), export=True, model=str(tmp_path / "model")
    )
    bench(config, Console(width=120))
    rows = {row["name"]: row for row in json.loads((tmp_path / "b.json").read_text())["rows"]}
    exports = {"onnx fp32", "openvino fp32", "openvino fp16", "openvino int8"}
    own = {"eager"} if many else {"eager", "channels_last"}
    assert set(rows) - {"channels_last, bf16"} == own | exports
    assert rows["eager"]["ratio"] == 1
    assert all(row["film_per_s"] > 0 and row["megabytes"] > 0 for row in rows.values())
    assert rows["openvino fp32"]["difference"] < 1e-4 < rows["openvino int8"]["difference"] < 0.9
    assert rows["openvino int8"]["megabytes"] < 0.6 * rows["openvino fp32"]["megabytes"]
    assert "openvino int8" in capsys.readouterr().out


def test_the_yardstick_is_two_resnet18_without_classifiers_and_the_papers_heads() -> None:
    resnet = count(torchvision.models.resnet18()) - (512 * 1000 + 1000)
    widths, skips = (256, 128, 64, 32, 16), (256, 128, 64, 64, 0)
    conv = lambda a, b, k=3: a * b * k * k + b  # noqa: E731
    before = (512, 256, 128, 64, 32)
    decoder = sum(conv(a, w) + conv(w + s, w) for a, w, s in zip(before, widths, skips, strict=True))
    heads = sum(conv(w, 1) for w in widths[1:])
    assert count(YardstickDepth()) == resnet + decoder + heads
    six_channels = 64 * 3 * 7 * 7  # more weights in the first convolution
    pose = conv(512, 256, 1) + 2 * conv(256, 256) + conv(256, 12, 1)
    assert count(YardstickPose()) == resnet + six_channels + pose


def test_ours_has_as_many_weights_as_the_yardstick() -> None:
    assert count(MonoDepth(MonoArchitecture())) == count(YardstickDepth(), YardstickPose())


def test_the_yardsticks_maps_are_at_strides_1_2_4_8_and_its_poses_12_numbers() -> None:
    maps = YardstickDepth()(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(1, 1, 64 >> s, 96 >> s) for s in range(4)]
    assert YardstickPose()(torch.rand(2, 6, 64, 96)).shape == (2, 12)
