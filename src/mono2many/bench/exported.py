"""One model in every runtime, side by side: `mono2many bench --export`."""

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.models.checkpoint import load_model
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import best_of
from mono2many.predict.files import predict_files
from mono2many.predict.predictor import Predictor, load
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import InputError

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
    run: Callable[[Tensor], Tensor]
    """Disparity of an image."""
    files: Path


def bench_export(config: BenchConfig, console: Console) -> list[ExportRow]:
    """Time every runtime in turn and print a table. A MonoDepth's: else InputError."""
    size = (config.height, config.width)
    reader = SyntheticReader(StreetSettings(1, FILM, *size, variety="wide"), "test")
    frames = [reader.frame(0, i).image for i in range(FILM)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with VideoWriter(folder / "film.mp4", 25.0) as video:
            for i, frame in enumerate(frames):
                video.write(frame)
                write_image(folder / "frames" / f"{i:03d}.png", frame)
        ways = dict(_ways(config, folder))
        image = ways["eager"].predictor.inputs(frames[:1])
        steps = {way: partial(_once, one.run, image) for way, one in ways.items()}
        times = {row.name: row.milliseconds for row in in_turn(steps, config.steps, 1)}
        wanted = 1 / ways["eager"].run(image)
        rows = [
            ExportRow(
                way, times[way], times["eager"] / times[way],
                _film(one.predictor, folder), _size(one.files), _difference(1 / one.run(image), wanted),
            )
            for way, one in ways.items()
        ]  # fmt: skip
    table = Table("", "ms", "times as fast", "frames/s of a video", "MB", "difference", box=None)
    for row in rows:
        figures = f"{row.milliseconds:.1f}", f"{row.ratio:.2f}", f"{row.film_per_s:.1f}"
        table.add_row(row.name, *figures, f"{row.megabytes:.1f}", f"{row.difference:.1e}")
    console.print(table)
    console.print(f"{config.model}, one image of {size[1]}x{size[0]}; difference: of depth, a mean of pixels")
    return rows


def _ways(config: BenchConfig, folder: Path) -> Iterator[tuple[str, Way]]:
    source = best_of(config.model)
    model, card = load_model(source)
    if not isinstance(model, MonoDepth):
        raise InputError("--export compares runtimes by single-frame depth: give a MonoDepth's folder")
    card = replace(card, height=config.height, width=config.width, sizes=())
    plain = Predictor(load_model(source)[0], card)
    assert isinstance(plain.model, MonoDepth)
    plain.model.to(memory_format=torch.contiguous_format)
    yield "eager", Way(plain, lambda x: plain.from_inputs(x.contiguous()), source)
    last = Predictor(model, card)
    yield "channels_last", Way(last, last.from_inputs, source)
    if pick_bf16("auto", "cpu"):
        half = Predictor(model, card, precision="bf16")
        yield "channels_last, bf16", Way(half, half.from_inputs, source)
    if config.compile:
        compiled = torch.compile(model.depth)

        @torch.inference_mode()
        def run(x: Tensor) -> Tensor:
            found: Tensor = compiled(x)
            return found / last.unit

        yield "compiled", Way(last, run, source)
    for kind, precision in EXPORTS:
        made = ExportConfig(
            model=config.model, format=kind, precision=precision, out=str(folder / f"{kind}-{precision}"),
            height=config.height, width=config.width, count=FILM // 2, frames=(str(folder / "frames"),),
            limit=0.9,
        )  # fmt: skip
        out = export(made, Console(file=io.StringIO()))
        exported = load(out, "cpu")
        yield f"{kind} {precision}", Way(exported, exported.from_inputs, out)


def _once(run: Callable[[Tensor], Tensor], image: Tensor, repetition: int) -> Tensor:
    return run(image)


def _film(predictor: Predictor, folder: Path) -> float:
    began = time.perf_counter()
    predict_files(predictor, [str(folder / "film.mp4")], folder / "out")
    return FILM / (time.perf_counter() - began)


def _size(files: Path) -> float:
    suffixes = {".safetensors", ".onnx", ".xml", ".bin"}
    return sum(path.stat().st_size for path in files.iterdir() if path.suffix in suffixes) / 1e6


def _difference(depth: Float[Tensor, "1 H W"], wanted: Float[Tensor, "1 H W"]) -> float:
    return float(((depth - wanted).abs() / wanted).mean())
