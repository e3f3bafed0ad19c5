"""One model in every runtime, side by side: `mono2many bench --export`."""

import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mono2many.bench.timing import in_turn
from mono2many.commands.bench import BenchConfig
from mono2many.commands.export import ExportConfig, Format, Precision
from mono2many.devices import pick_bf16
from mono2many.export.run import export
from mono2many.files import write_text
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.models.checkpoint import load_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import best_of
from mono2many.predict.files import predict_files
from mono2many.predict.inputs import camera_source
from mono2many.predict.predictor import Predictor, load
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.video import camera_file
from mono2many.types import Frame, InputError

FILM = 48
"""Frames of the video."""
EXPORTS: tuple[tuple[Format, Precision], ...] = (
    ("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "fp16"), ("openvino", "int8"),
)  # fmt: skip


@dataclass(frozen=True)
class ExportRow:
    """One line of the table."""

    name: str
    milliseconds: float
    """Median, of one image through the networks."""
    ratio: float
    """Time of eager / its time."""
    film_per_s: float
    """Frames per second of `predict` on a video: decoding to encoding."""
    megabytes: float
    """On disk."""
    difference: float
    """Mean |depth - eager's| / eager's."""


class Way(NamedTuple):
    """A way to run the model."""

    predictor: Predictor
    files: Path
    network: Callable[[Tensor], Tensor] | None = None
    """In place of the predictor's own, for a MonoDepth's disparity."""

    def step(self, frames: Sequence[Frame]) -> Callable[[int], Float[Tensor, "1 h w"]]:
        """Disparity by the number of the repetition: of a MonoDepth of the first frame, of a ManyDepth of the
        next frame of a stream."""
        if self.predictor.matches:
            stream = self.predictor.stream(frames[0].intrinsics)
            return lambda number: stream.at_model_size(frames[number % len(frames)].image)
        image = self.predictor.inputs([frames[0].image])
        network = self.network or self.predictor.from_inputs
        return lambda number: network(image)


def bench_export(config: BenchConfig, console: Console) -> list[ExportRow]:
    """Time every runtime in turn and print a table: of a MonoDepth one frame, of a ManyDepth the next of a
    stream, pose included."""
    size = (config.height, config.width)
    reader = SyntheticReader(StreetSettings(1, FILM, *size, variety="wide"), "test")
    frames = [reader.frame(0, i) for i in range(FILM)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder / "camera.json", json.dumps(camera_file(frames[0])))
        with VideoWriter(folder / "film.mp4", 25.0) as video:
            for i, frame in enumerate(frames):
                video.write(frame.image)
                write_image(folder / "frames" / f"{i:03d}.png", frame.image)
        ways = dict(_ways(config, folder))
        times = {
            row.name: row.milliseconds
            for row in in_turn(
                {way: one.step(frames) for way, one in ways.items()}, config.steps, 1, settle=True
            )
        }
        wanted = _second(ways["eager"], frames)
        rows = [
            ExportRow(
                way, times[way], times["eager"] / times[way],
                _film(one.predictor, folder), _size(one.files), _difference(_second(one, frames), wanted),
            )
            for way, one in ways.items()
        ]  # fmt: skip
    table = Table("", "ms", "times as fast", "frames/s of a video", "MB", "difference", box=None)
    for row in rows:
        figures = f"{row.milliseconds:.1f}", f"{row.ratio:.2f}", f"{row.film_per_s:.1f}"
        table.add_row(row.name, *figures, f"{row.megabytes:.1f}", f"{row.difference:.1e}")
    console.print(table)
    console.print(f"{config.model}, one frame of {size[1]}x{size[0]}; difference: of depth, a mean of pixels")
    return rows


def _ways(config: BenchConfig, folder: Path) -> Iterator[tuple[str, Way]]:
    source = best_of(config.model)
    model, card = load_model(source)
    many = isinstance(model, ManyDepth)
    if many and config.compile:
        raise InputError("--export --compile: compiles a MonoDepth; leave --compile out for a ManyDepth")
    card = replace(card, height=config.height, width=config.width, sizes=())
    last = Predictor(model, card)
    if many:
        yield "eager", Way(last, source)
    else:
        plain = Predictor(load_model(source)[0], card)
        assert isinstance(plain.model, MonoDepth)
        plain.model.to(memory_format=torch.contiguous_format)
        yield "eager", Way(plain, source, lambda x: plain.from_inputs(x.contiguous()))
        yield "channels_last", Way(last, source)
    if pick_bf16("auto", "cpu"):
        yield "channels_last, bf16", Way(Predictor(model, card, precision="bf16"), source)
    if isinstance(model, MonoDepth) and config.compile:
        compiled = torch.compile(model.depth)

        @torch.inference_mode()
        def run(x: Tensor) -> Tensor:
            found: Tensor = compiled(x)
            return found / last.unit

        yield "compiled", Way(last, source, run)
    traced: dict[str, Any] = {}
    for kind, precision in EXPORTS:
        made = ExportConfig(
            model=config.model, format=kind, precision=precision, out=str(folder / f"{kind}-{precision}"),
            height=config.height, width=config.width, count=FILM // 2, frames=(str(folder / "frames"),),
            limit=1e9 if precision == "int8" else None, camera=str(folder / "camera.json") if many else None,
        )  # fmt: skip
        out = export(made, Console(file=io.StringIO()), traced)
        yield f"{kind} {precision}", Way(load(out, "cpu"), out)


def _second(way: Way, frames: Sequence[Frame]) -> Float[Tensor, "1 h w"]:
    """Depth of the second repetition, which of a ManyDepth is the first frame that is matched."""
    step = way.step(frames)
    step(0)
    return 1 / step(1)


def _film(predictor: Predictor, folder: Path) -> float:
    began = time.perf_counter()
    camera_of = camera_source(str(folder / "camera.json"), None) if predictor.matches else None
    predict_files(predictor, [str(folder / "film.mp4")], folder / "out", camera_of=camera_of)
    return FILM / (time.perf_counter() - began)


def _size(files: Path) -> float:
    suffixes = {".safetensors", ".onnx", ".xml", ".bin"}
    return sum(path.stat().st_size for path in files.iterdir() if path.suffix in suffixes) / 1e6


def _difference(depth: Float[Tensor, "1 H W"], wanted: Float[Tensor, "1 H W"]) -> float:
    return float(((depth - wanted).abs() / wanted).mean())
