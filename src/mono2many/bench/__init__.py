"""How fast this machine trains, predicts and reads, beside a fixed yardstick, all in one run.

What is compared is timed in turn, one of each and again, so that a busy neighbour slows all alike.
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from mono2many.bench.loading import FRAMES, SAMPLES, ways_of_loading
from mono2many.bench.yardstick import yardstick_step
from mono2many.commands.bench import BenchConfig
from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.choice import TrainingData
from mono2many.files import write_text
from mono2many.geometry.camera import intrinsics_from_fov
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.many import ManyDepth
from mono2many.predict.stream import StreamState
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.fabric import cpu_has_bf16, make_fabric
from mono2many.train.guard import FiniteGuard
from mono2many.train.plan import plan_at
from mono2many.train.settings import ModelConfig, RunConfig, TrainConfig
from mono2many.train.setup import RunState, build_run
from mono2many.train.steps import Draw, many_step, mono_step
from mono2many.types import Batch, RawBatch, StepOutput

OFFSETS = (-1, 1)

Step = Callable[[int], object]
"""One repetition; it is given its number."""
Run = tuple[RunState, TrainConfig]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    milliseconds: float
    """Median of the repetitions."""
    per_s: float
    """Samples, frames where the name says so, per second."""
    ratio: float | None = None
    """Steps, streams: time / the yardstick's, the depth network's. Loaders: speed / the plain one's."""
    note: str = ""


def bench(config: BenchConfig, console: Console | None = None) -> list[Row]:
    """Time everything, print a table, and write it to `config.json` where that is given."""
    console = console or Console()
    Path(config.json or ".").parent.mkdir(parents=True, exist_ok=True)  # before the long wait
    run = _training(config, "fp32")
    device = run[0].fabric.device
    facts = _facts(config, device)
    console.print("\n".join(f"{fact}: {value}" for fact, value in facts.items()), highlight=False)
    rows = _slower_than_first(_in_turn(_steps(config, run), config.steps, config.batch_size))
    by_name = {row.name: row.milliseconds for row in rows}
    for at, row in enumerate(rows):
        if row.name.startswith("many "):
            share = row.milliseconds / by_name[row.name.removeprefix("many ")]
            rows[at] = replace(row, note=f"{share:.2f} of MonoDepth's")
    rows += _in_turn(_inference(config, run[0]), config.steps, 1)
    rows += _slower_than_first(_in_turn(_stream(config, device), config.steps, 1))
    rows += _loaders(config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    facts["peak memory"] = f"{peak // 2**20} MB resident, of the whole process"
    table = Table("", "ms", "per s", "ratio", "", box=None)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.name, f"{row.milliseconds:.1f}", f"{row.per_s:.2f}", ratio, row.note)
    console.print(table)
    console.print("ratio: time / the yardstick's, the depth network's; of loaders, speed / Pillow's")
    console.print(f"peak memory: {facts['peak memory']}", highlight=False)
    if config.json is not None:
        figures = {"facts": facts, "rows": [asdict(row) for row in rows]}
        write_text(config.json, json.dumps(figures, indent=2) + "\n")
    return rows


def _training(
    config: BenchConfig, precision: str, compiled: bool = False, model: Literal["mono", "many"] = "mono"
) -> Run:
    """The default recipe's networks and optimiser, set up as training does it."""
    settings = TrainConfig(
        TrainingData(height=config.height, width=config.width),
        model=ModelConfig(model=model, encoder_weights="none"),
        run=RunConfig(device=config.device, precision=precision, compile=compiled),  # type: ignore[arg-type]
    )
    dataset = ClipDataset(_street(config, 3), OFFSETS)
    return build_run(settings, make_fabric(settings), Path(), dataset), settings


def _street(config: BenchConfig, frames: int) -> SyntheticReader:
    return SyntheticReader(StreetSettings(1, frames, config.height, config.width), "train")


def _steps(config: BenchConfig, fp32: Run) -> Mapping[str, Step]:
    device = fp32[0].fabric.device
    batch = _batch(config, device)
    steps = {"yardstick": yardstick_step(config, device)}
    for precision in _precisions(device):
        run = fp32 if precision == "fp32" else _training(config, precision)
        steps[f"networks {precision}"] = _step(run, batch, whole=False)
        steps[f"step {precision}"] = _step(run, batch)
        steps[f"many step {precision}"] = _step(_training(config, precision, model="many"), batch)
        if config.compile:
            steps[f"step {precision} compiled"] = _step(_training(config, precision, True), batch)
    return steps


def _step(run: Run, batch: Batch, whole: bool = True) -> Step:
    """What training does for one step; not `whole`: the mean of every output as loss, as the yardstick."""
    state, settings = run
    plan = plan_at(settings, state.card.architecture, 0.0)
    guard = FiniteGuard(state.network, state.fabric)

    def step(repetition: int) -> None:
        guard.before_step()
        if isinstance(state.network, ManyDepth):
            loss, output = many_step(state.model, batch, plan, Draw(step=repetition))
        elif whole:
            loss, output = mono_step(state.model, batch, plan, Draw(step=repetition))
        else:
            maps, pose, _ = state.model(batch.target_jittered, batch.sources_jittered, OFFSETS)
            loss, output = torch.stack([x.mean() for x in (*maps, *pose)]).sum(), StepOutput()
        state.optimiser.zero_grad(set_to_none=True)
        state.fabric.backward(loss)
        guard.apply(state.optimiser, [loss, *output.scalars.values()])

    return step


def _inference(config: BenchConfig, state: RunState) -> Mapping[str, Step]:
    """The depth network alone, one image at a time."""
    device, network = state.fabric.device, state.network.depth.eval()
    image = torch.rand(1, 3, config.height, config.width, device=device)
    image = image.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def predict(bf16: bool, repetition: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            network(image)

    return {f"inference {kind}": partial(predict, kind == "bf16") for kind in _precisions(device)}


def _stream(config: BenchConfig, device: torch.device) -> Mapping[str, Step]:
    """One more frame of a video for a ManyDepth, beside its depth network alone; two frames take turns."""
    street = _street(config, 2)
    frames = torch.stack([street.frame(0, i).image for i in range(2)]).to(device) / 255
    frames = frames.contiguous(memory_format=torch.channels_last)
    many = ManyDepth(ManyArchitecture()).eval().to(device).to(memory_format=torch.channels_last)
    stream = StreamState(many, street.frame(0, 0).intrinsics.to(device))
    stream(frames[:1])

    @torch.inference_mode()
    def alone(repetition: int) -> None:
        many.teacher(frames[1:])

    return {"depth network": alone, "stream": lambda repetition: stream(frames[1 - repetition % 2][None])}


def _loaders(config: BenchConfig) -> list[Row]:
    """On one thread; the video's decoder has threads of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            ways, video = ways_of_loading(Path(folder), (config.height, config.width), config.batch_size)
            rows = _in_turn(ways, config.steps, SAMPLES)
            decoded = _in_turn({"decode video, frames": video}, config.steps, FRAMES)
    finally:
        torch.set_num_threads(threads)
    return [replace(row, ratio=row.per_s / rows[0].per_s, note="one thread") for row in rows] + decoded


def _batch(config: BenchConfig, device: torch.device) -> Batch:
    """Textured images, shifted by four pixels between frames, on the device."""
    size, height, width = config.batch_size, config.height, config.width + 8
    parts = [F.interpolate(torch.rand(size, 3, height // r, width // r), (height, width)) for r in (1, 4, 16)]
    texture = (torch.stack(parts).mean(0) * 255).to(torch.uint8)
    frames = torch.stack([texture[..., x : x + config.width] for x in (4, 0, 8)], 1)
    camera = intrinsics_from_fov(80.0, config.width, height).expand(size, 3, 3, 3)
    raw = RawBatch(frames, torch.ones(size, 3, dtype=torch.bool), camera, torch.arange(size))
    return to_batch(raw, OFFSETS, device)


def _in_turn(steps: Mapping[str, Step], repetitions: int, count: int) -> list[Row]:
    """One warm-up of each, then one of each after the other, again and again. `count`: samples per step."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(repetitions + 1):
        for name, step in steps.items():
            _wait_for_gpu()
            began = time.perf_counter()
            step(repetition)
            _wait_for_gpu()
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times[name][1:]) for name in steps}
    return [Row(name, 1e3 * seconds, count / seconds) for name, seconds in medians.items()]


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _slower_than_first(rows: list[Row]) -> list[Row]:
    return [replace(row, ratio=rows[0].per_s / row.per_s) for row in rows]


def _precisions(device: torch.device) -> list[str]:
    """bf16 only where the machine computes in it."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and cpu_has_bf16()
    return ["fp32", "bf16"] if fast else ["fp32"]


def _facts(config: BenchConfig, device: torch.device) -> dict[str, str]:
    """What the figures depend on."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        text = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
        models = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
        name = (models or [device.type])[0]
        name += "".join(f", {flag}" for flag in ("avx512_bf16", "amx_bf16") if flag in text)
    bf16 = "" if "bf16" in _precisions(device) else ", no bf16 here"
    return {
        "device": f"{name}{bf16}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "size": f"{config.width}x{config.height}, batch {config.batch_size}, {config.steps} repetitions",
    }
