"""Files of every format, opened by their own runtimes."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import openvino
import pytest
import torch
from torch import nn

from mono2many import load
from mono2many.commands.evaluate import run as evaluate
from mono2many.commands.export import ExportConfig
from mono2many.commands.predict import run as predict
from mono2many.errors import InputError, InputWarning
from mono2many.evaluate.info import info
from mono2many.export import run as export_run
from mono2many.export.footage import read_footage
from mono2many.export.graphs import Part
from mono2many.export.parity import Limits
from mono2many.export.quantise import described
from mono2many.export.run import export
from mono2many.export.write import trace, write_part
from mono2many.io.images import write_image
from mono2many.models.checkpoint import ModelCard, check_shape, load_model, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict.exported import Exported
from mono2many.predict.sessions import ENDINGS, open_session
from small_models import FILM, LIGHT, MANY, K, lively


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and some frames."""
    made = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    card = ModelCard(
        LIGHT, 64, 96, scale="metres", factor=5.0, factor_from="factor 5", trained_on="the procedural street"
    )
    save_model(made / "mono", lively(MonoDepth(LIGHT)), card)
    save_model(made / "many", lively(ManyDepth(MANY)), replace(card, architecture=MANY))
    for i, image in enumerate(FILM):
        write_image(made / "frames" / f"{i}.png", image)
    return made


def exported(folder: Path, name: str, kind: str = "onnx", precision: str = "fp32") -> Path:
    """The export of a model with all parts; each is made once, and not changed."""
    out = folder / f"{name}-{kind}-{precision}"
    if out.exists():
        return out
    parts = precision == "fp32"
    return export(
        ExportConfig(
            model=str(folder / name),
            format=kind,
            precision=precision,
            parts=parts,
            count=4,
            out=str(out),  # type: ignore[arg-type]
        )
    )


@pytest.mark.parametrize("kind", ["onnx", "openvino", "pt2"])
def test_an_export_predicts_what_its_model_does(folder: Path, kind: str) -> None:
    out = exported(folder, "mono", kind)
    own, other = load(folder / "mono", "cpu"), load(out, "cpu")
    torch.testing.assert_close(other(FILM[0]).depth, own(FILM[0]).depth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.pose(*FILM[:2]), own.pose(*FILM[:2]), rtol=1e-4, atol=1e-5)
    assert other(FILM[0]).scale == "metres"
    stored = json.loads((out / "config.json").read_text())["exported"]
    assert stored["parity"]["median"] <= 1e-4
    assert stored["parity"]["p999"] <= 1e-3
    if kind != "pt2":
        notes = described(next(out.glob("depth.[ox]*")))
        assert notes["depth"] == "metres"
        assert (notes["inputs"], notes["outputs"]) == (["image"], ["depth"])
        assert (notes["factor"], notes["licence"]) == (5.0, "not stated")


def test_signals_are_handled_where_they_were_before_openvino_compiled(folder: Path) -> None:
    out = exported(folder, "mono", "openvino")
    code = f"""
import ctypes, signal, subprocess, sys
from mono2many import load
signal.signal(signal.SIGCHLD, lambda number, frame: print("handled"))
load({str(out)!r}, "cpu").from_inputs(__import__("torch").rand(1, 3, 64, 96))
subprocess.run([sys.executable, "-c", ""], check=True)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "handled" in done.stdout


def test_a_manydepth_is_streamed_by_onnx_runtime(folder: Path) -> None:
    out = exported(folder, "many")
    streams = load(folder / "many", "cpu").stream(K), load(out, "cpu").stream(K)
    for image in FILM:
        wanted, found = (stream(image).depth for stream in streams)
        assert ((found - wanted) / wanted).abs().median() < 1e-4
    assert {path.stem for path in out.glob("*.onnx")} == {"stream", "depth", "match", "pose"}


def test_half_precision_is_half_as_large_and_near(folder: Path) -> None:
    large = (exported(folder, "mono") / "depth.onnx").stat().st_size
    out = exported(folder, "mono", "onnx", "fp16")
    assert (out / "depth.onnx").stat().st_size < 0.75 * large
    off = load(out, "cpu")(FILM[0]).depth / load(folder / "mono", "cpu")(FILM[0]).depth - 1
    assert 0 < off.abs().median() < 5e-3


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_int8_is_calibrated_on_the_frames_given(folder: Path, kind: str) -> None:
    frames = tuple(str(path) for path in sorted((folder / "frames").iterdir()))  # file by file
    given = {"format": kind, "precision": "int8", "frames": frames, "limit": 0.5}
    config = ExportConfig(model=str(folder / "mono"), out=str(folder / f"int8-{kind}"), count=2, **given)  # type: ignore[arg-type]
    out = export(config)
    off = load(out, "cpu")(FILM[0]).depth / load(folder / "mono", "cpu")(FILM[0]).depth - 1
    assert 1e-5 < off.abs().mean() < 0.5
    assert described(next(out.glob("depth.[ox]*")))["precision"] == "int8"
    compared = json.loads((out / "config.json").read_text())["exported"]["parity"]["frames"]
    assert compared == 3, "three of the six calibrate"


def test_int8_of_a_manydepth_compares_frames_in_float32(folder: Path, tmp_path: Path) -> None:
    given = {"precision": "int8", "frames": (str(folder / "frames"),), "fov": 60.0, "limit": 0.9}
    config = ExportConfig(model=str(folder / "many"), format="openvino", out=str(tmp_path), count=3, **given)  # type: ignore[arg-type]
    own, quantised = load(folder / "many", "cpu"), load(export(config), "cpu")
    streams = own.stream(K), quantised.stream(K)
    for image in FILM[:3]:
        wanted, found = (stream(image).depth for stream in streams)
    assert 1e-4 < ((found - wanted) / wanted).abs().mean() < 0.3
    inputs, network = own.inputs([FILM[0]]), quantised.model
    assert isinstance(own.model, ManyDepth)
    assert isinstance(network, Exported)
    nothing = {name: x for name, x in network.no_frames(inputs).items() if name in network.stream_inputs}
    features = network.run("stream", image=inputs, **nothing, intrinsics=torch.eye(3)[None])["features"]
    torch.testing.assert_close(features, own.model.depth.matching_features(inputs), rtol=1e-4, atol=1e-5)
    float32 = sum(p.numel() for p in [*own.model.depth.parameters(), *own.model.pose.parameters()]) * 4
    assert (tmp_path / "stream.bin").stat().st_size < 0.7 * float32


def test_int8_is_refused_beyond_its_limit_and_then_nothing_is_left(folder: Path) -> None:
    given = {"format": "openvino", "precision": "int8", "frames": (str(folder / "frames"),)}
    config = ExportConfig(model=str(folder / "mono"), out=str(folder / "int8"), count=2, limit=1e-7, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"computes another depth .*--limit"):
        export(config)
    assert not (folder / "int8").exists()
    assert not (folder / ".partial-int8").exists()


def test_a_convolution_keeps_one_product_and_one_constant_sum(tmp_path: Path) -> None:
    """int8 rounds each operation: batch normalisation belongs to the convolution before it."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    nn.init.uniform_(net[1].running_mean)
    part = Part("depth", net, {"input": torch.rand(1, 3, 8, 8)}, ("depth",))
    for kind in ("onnx", "openvino"):
        write_part(tmp_path, part, trace(part, kind, {}), kind, False, {})
        session = open_session(tmp_path / f"depth{ENDINGS[kind]}", kind, "fp32", torch.device("cpu"))
        torch.testing.assert_close(session(**part.inputs)["depth"], net(part.inputs["input"]))
    nodes = onnx.load(tmp_path / "depth.onnx").graph.node
    assert [node.op_type for node in nodes] == ["Conv", "Relu"]
    kinds = {op.get_type_name() for op in openvino.Core().read_model(tmp_path / "depth.xml").get_ops()}
    assert kinds == {"Parameter", "Constant", "Convolution", "Add", "Relu", "Result"}


def test_a_file_that_computes_something_else_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = export_run.parts_of

    def off_by_a_hundredth(model: MonoDepth, card: ModelCard, *rest: object) -> list[object]:
        return own(model, replace(card, factor=card.factor * 1.01), *rest)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(export_run, "parts_of", off_by_a_hundredth)
    with pytest.raises(InputError, match=r"another depth than the model: median 1\.0e-02"):
        export(ExportConfig(model=str(folder / "mono"), format="pt2", out=str(folder / "wrong"), count=2))
    assert not (folder / "wrong").exists()
    assert Limits(1e-4, 1e-3) == export_run.LIMITS["fp32"]


def test_any_size_and_any_number_of_images(folder: Path) -> None:
    """By the command, since the tests' checks of shapes would fix symbolic ones."""
    out = folder / "dynamic"
    flags = ["--dynamic-size", "--dynamic-batch", "--format", "openvino", "--count", "2", "--out", str(out)]
    words = [sys.executable, "-m", "mono2many", "export", "--model", str(folder / "mono"), *flags]
    subprocess.run(words, check=True, capture_output=True)
    own, other = load(folder / "mono", "cpu"), load(out, "cpu")
    images = torch.rand(3, 3, 96, 160)
    torch.testing.assert_close(other.from_inputs(images), own.from_inputs(images), rtol=1e-4, atol=1e-5)


def test_commands_take_an_export_where_they_take_a_model(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = exported(folder, "mono")
    predict([str(folder / "frames"), "--model", str(out), "--out", str(tmp_path), "--save", "npy"])
    assert len(list(tmp_path.glob("frames/*_depth_metres.npy"))) == 6
    predict([str(folder / "frames"), "--model", str(out), "--out", str(tmp_path), "--poses", "tum"])
    assert len((tmp_path / "frames_poses.tum").read_text().splitlines()) == 6
    evaluate(["--model", str(out), "--test-scenes", "1", "--baseline-scenes", "2"])
    video = ["--datatype", "video", "--data", str(folder / "frames"), "--fov", "60"]
    evaluate(["--model", str(out), *video])
    info(str(out))
    said = capsys.readouterr().out
    assert re.search(r"difference of depth median \d.*, on 4 frames", " ".join(said.split()))
    assert "metres" in said
    assert "un-warped" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "absent", "out": "frames"}, "is there and no export"),  # before a model is read
        ({"model": "many", "precision": "fp16"}, "compares frames"),
        ({"model": "many", "dynamic_size": True}, "for one size"),
        ({"model": "many", "frames": ("frames",)}, "need the camera"),
        ({"model": "mono", "out": "frames"}, "is there and no export"),
    ],
)
def test_what_cannot_be_exported_is_said(
    folder: Path, settings: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=said):
        export(ExportConfig(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"height": 64}, "belong together"),
        ({"height": 60, "width": 96}, "multiple of 32"),
        ({"precision": "int8"}, "add --frames"),
        ({"precision": "int8", "format": "pt2", "frames": ("x",)}, "onnx and openvino"),
        ({"limit": 0.0}, "above 0"),
        ({"limit": 0.1}, "for --precision int8"),
        ({"count": 1}, "at least 2"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ExportConfig(**flags)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["onnx", "openvino", "pt2"])
def test_a_file_that_is_cut_short_is_refused(folder: Path, kind: str) -> None:
    out = Path(shutil.copytree(exported(folder, "mono", kind), folder / f"cut-{kind}"))
    whole = (out / f"depth{ENDINGS[kind]}").read_bytes()
    (out / f"depth{ENDINGS[kind]}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cannot be opened.*export the model again"):
        load(out, "cpu")(FILM[0])


def test_an_export_has_a_precision_of_its_own(folder: Path) -> None:
    assert not load(exported(folder, "mono"), "cpu", precision="auto").bf16
    with pytest.raises(InputError, match="precision that it was made with"):
        load(exported(folder, "mono"), "cpu", precision="bf16")


def test_it_is_named_after_the_model_and_says_for_which_size_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`learn` calls every model `model`, in a folder with the video's name."""
    monkeypatch.chdir(tmp_path)
    model, card = load_model(folder / "mono")
    save_model(tmp_path / "street/model", model, replace(card, sizes=((64, 96), (96, 64))))
    for frames, size in (((), "96x64 (the model knows 64x96, too"), (("tall.png", "tall.png"), "64x96\n")):
        write_image(tmp_path / "tall.png", FILM[0].transpose(1, 2))
        out = export(ExportConfig(model="street/model", format="pt2", count=2, frames=frames))
        assert out == Path("exported/street-pt2-fp32")
        assert f"for images of {size}" in " ".join(capsys.readouterr().out.split(" "))
    with pytest.warns(InputWarning, match="images of 96x64 are squeezed to the model's 64x96"):
        load(out, "cpu")(FILM[0])


@pytest.mark.filterwarnings("error::mono2many.errors.InputWarning")
@pytest.mark.parametrize(
    ("card", "asked", "shape"),
    [
        (ModelCard(LIGHT, 64, 96), (None, None), (64, 96)),
        (ModelCard(LIGHT, 64, 96, crop_bottom=0.2), (None, None), (80, 96)),
        (ModelCard(LIGHT, 64, 96), (320, 1024), (160, 512)),
    ],
)
def test_the_streets_frames_have_the_shape_of_the_models_images(
    card: ModelCard, asked: tuple[int | None, int | None], shape: tuple[int, int]
) -> None:
    height, width = asked
    found = read_footage(ExportConfig(height=height, width=width), card, matches=False, count=2)
    assert [tuple(frame.shape) for frame in found[0].frames] == [(3, *shape)] * 2
    check_shape(card, shape, (height or 64, width or 96))
    assert found[0].intrinsics is not None
    assert found[0].intrinsics[1, 2] == (shape[0] - 1) / 2


def test_a_damaged_export_is_refused_with_the_remedy(folder: Path) -> None:
    out = Path(shutil.copytree(exported(folder, "mono"), folder / "damaged"))
    (out / "depth.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"cannot be opened.*export the model again"):
        load(out, "cpu")(FILM[0])
    (out / "depth.onnx").unlink()
    with pytest.raises(InputError, match="no such file"):
        load(out, "cpu")(FILM[0])
    config = json.loads((out / "config.json").read_text())
    spoiled = {**config["exported"], "parity": {**config["exported"]["parity"], "mean": "small"}}
    (out / "config.json").write_text(json.dumps({**config, "exported": spoiled}))
    with pytest.raises(InputError, match="notes on the export are damaged"):
        info(str(out))
    (out / "config.json").write_text(json.dumps({**config, "exported": {"format": "tflite"}}))
    with pytest.raises(InputError, match="notes on the export are damaged"):
        load(out, "cpu")


def test_all_that_is_missing_is_named_with_one_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_run, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"needs onnx, onnxscript, openvino: pip install 'mono2many\[openvino\]'"
    ):
        export(ExportConfig(format="openvino"))
    with pytest.raises(InputError, match=r"onnxruntime, nncf: pip install 'mono2many\[onnx,openvino\]'"):
        export(ExportConfig(precision="int8", frames=("x",)))
