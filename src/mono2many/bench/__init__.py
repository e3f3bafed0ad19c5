"""How fast this machine trains, predicts and reads, beside a fixed yardstick, all in one run.

What is compared is timed in turn, one of each and again, so that a busy neighbour slows all alike.
"""

import json
import os
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from mono2many.bench.exported import ExportRow, bench_export
from mono2many.bench.loading import SAMPLES, ways_of_loading
from mono2many.bench.timing import Row, Step, in_turn
from mono2many.bench.yardstick import yardstick_step
from mono2many.commands.bench import BenchConfig
from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.choice import TrainingData
from mono2many.devices import pick_bf16
from mono2many.files import write_text
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.many import ManyDepth
from mono2many.predict.stream import StreamState
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.terminal import text_console
from mono2many.train.fabric import make_fabric
from mono2many.train.guard import FiniteGuard
from mono2many.train.plan import plan_at
from mono2many.train.settings import ModelConfig, RunConfig, TrainConfig
from mono2many.train.setup import RunState, build_run
from mono2many.train.steps import Draw, many_step, mono_step
from mono2many.types import Batch

OFFSETS = (-1, 1)

Run = tuple[RunState, TrainConfig]


def bench(config: BenchConfig, console: Console | None = None) -> Sequence[Row | ExportRow]:
    """Time everything, print a table, and write it to `config.json` where that is given."""
    console = console or text_console()
    Path(config.json or ".").parent.mkdir(parents=True, exist_ok=True)  # before the long wait
    run = None if config.export else training_run(config, "fp32")
    device = torch.device("cpu") if run is None else run[0].fabric.device
    facts = _facts(config, device)
    console.print("\n".join(f"{fact}: {value}" for fact, value in facts.items()), highlight=False)
    if run is None:
        exported = bench_export(config, console)
        _write(config, facts, exported)
        return exported
    rows = _slower_than_first(in_turn(_steps(config, run), config.steps, config.batch_size))
    by_name = {row.name: row.milliseconds for row in rows}
    for at, row in enumerate(rows):
        if row.name.startswith("many "):
            share = row.milliseconds / by_name[row.name.removeprefix("many ")]
            rows[at] = replace(row, note=f"{share:.2f} of MonoDepth's")
    rows += _slower_than_first(in_turn(_inference(config, device), config.steps, 1))
    rows += _loaders(config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    facts["peak memory"] = f"{peak // 2**20} MB resident, of the whole process"
    table = Table("", "ms", "per s", "ratio", "", box=None)
    for row in rows:
        table.add_row(row.name, f"{row.milliseconds:.1f}", f"{row.per_s:.2f}", f"{row.ratio:.2f}", row.note)
    console.print(table)
    console.print("ratio: time / the yardstick's, the depth network's; of loaders, speed / Pillow's")
    console.print(f"peak memory: {facts['peak memory']}", highlight=False)
    _write(config, facts, rows)
    return rows


def _write(config: BenchConfig, facts: dict[str, str], rows: Sequence[Row | ExportRow]) -> None:
    if config.json is not None:
        figures = {"facts": facts, "rows": [asdict(row) for row in rows]}
        write_text(config.json, json.dumps(figures, indent=2) + "\n")


def street_clips(config: BenchConfig) -> ClipDataset:
    settings = StreetSettings(1, config.batch_size + 2, config.height, config.width)
    return ClipDataset(SyntheticReader(settings, "train"), OFFSETS)


def training_run(config: BenchConfig, precision: str, compiled: bool = False, model: str = "mono") -> Run:
    """The default recipe's networks and optimiser, set up as training does it."""
    settings = TrainConfig(
        TrainingData(height=config.height, width=config.width),
        model=ModelConfig(model=model, encoder_weights="none"),  # type: ignore[arg-type]
        run=RunConfig(device=config.device, precision=precision, compile=compiled),  # type: ignore[arg-type]
    )
    return build_run(settings, make_fabric(settings), Path(), street_clips(config)), settings


def _steps(config: BenchConfig, fp32: Run) -> Mapping[str, Step]:
    device = fp32[0].fabric.device
    batch = to_batch(street_clips(config).batch(range(1, config.batch_size + 1)), OFFSETS, device)
    steps: dict[str, Step] = {"yardstick": yardstick_step(config, device)}
    for precision in _precisions(device):
        run = fp32 if precision == "fp32" else training_run(config, precision)
        steps[f"step {precision}"] = training_step(run, batch)
        steps[f"many step {precision}"] = training_step(training_run(config, precision, model="many"), batch)
        if config.compile:
            steps[f"step {precision} compiled"] = training_step(training_run(config, precision, True), batch)
    return steps


def training_step(run: Run, batch: Batch) -> Step:
    """What training does for one step."""
    state, settings = run
    plan = plan_at(settings, state.card.architecture, 0.0)
    guard = FiniteGuard(state.network, state.fabric)
    of_batch = many_step if isinstance(state.network, ManyDepth) else mono_step

    def step(repetition: int) -> None:
        guard.before_step()
        loss, output = of_batch(state.model, batch, plan, Draw(step=repetition))
        state.optimiser.zero_grad(set_to_none=True)
        state.fabric.backward(loss)
        guard.apply(state.optimiser, [loss, *output.scalars.values()])

    return step


def _inference(config: BenchConfig, device: torch.device) -> Mapping[str, Step]:
    """One image through the depth network, and one more frame of a video through a ManyDepth, which has the
    same for its teacher."""
    reader = street_clips(config).reader
    frames = torch.stack([reader.frame(0, i).image for i in range(2)]).to(device) / 255
    frames = frames.contiguous(memory_format=torch.channels_last)
    many = ManyDepth(ManyArchitecture()).eval().to(device).to(memory_format=torch.channels_last)
    stream = StreamState(many, reader.frame(0, 0).intrinsics.to(device))
    stream(frames[:1])

    @torch.inference_mode()
    def alone(bf16: bool, repetition: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            many.teacher(frames[1:])

    kinds = {f"depth network {kind}": partial(alone, kind == "bf16") for kind in _precisions(device)}
    return {**kinds, "stream fp32": lambda repetition: stream(frames[1 - repetition % 2][None])}


def _loaders(config: BenchConfig) -> list[Row]:
    """On one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            ways = ways_of_loading(Path(folder), (config.height, config.width), config.batch_size)
            rows = in_turn(ways, config.steps, SAMPLES)
    finally:
        torch.set_num_threads(threads)
    return [replace(row, ratio=row.per_s / rows[0].per_s, note="one thread") for row in rows]


def _slower_than_first(rows: list[Row]) -> list[Row]:
    return [replace(row, ratio=rows[0].per_s / row.per_s) for row in rows]


def _precisions(device: torch.device) -> list[str]:
    """bf16 only where the machine computes in it."""
    return ["fp32", "bf16"] if pick_bf16("auto", device.type) else ["fp32"]


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
