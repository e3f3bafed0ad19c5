"""Is everything right on this GPU, and how fast is it? Ten minutes at most on a modern card.

    python examples/gpu_check.py OUT
    python examples/gpu_check.py OUT --device cpu --quick   # a rehearsal without a card

Each part has its share of the time; OUT/gpu_check.json and the table are written after each, so that what
was measured stays when a later part fails or the time is over.
"""

import io
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from mono2many import load
from mono2many.bench import OFFSETS, street_clips, training_run, training_step
from mono2many.commands.bench import BenchConfig
from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import BatchOrder, batches
from mono2many.predict.files import predict_files
from mono2many.predict.predictor import Predictor
from mono2many.street.reader import StreetSettings
from mono2many.street.video import write_street_video
from mono2many.train.loop import train
from mono2many.train.recipes import recipe

GFLOP_PER_SAMPLE = 104
"""Of a MonoDepth with ResNet18 at 640x192, forward and backward, two pose passes (counted)."""


@dataclass(frozen=True)
class Settings:
    out: Annotated[Path, tyro.conf.Positional]
    """Folder for the figures."""
    device: str = "cuda"
    quick: bool = False
    """Small images, few repetitions: whether the program itself works."""
    minutes: float = 9.0
    """No part begins after this."""

    @property
    def size(self) -> tuple[int, int]:
        return (64, 96) if self.quick else (192, 640)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return (2,) if self.quick else (12, 48)

    def bench(self, batch_size: int) -> BenchConfig:
        return BenchConfig(*self.size, batch_size, device=self.device)  # type: ignore[arg-type]


@dataclass
class Found:
    """Everything that was measured, in the order in which it was."""

    end: float
    """Of the time, on the monotonic clock."""
    facts: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[str, str, float]] = field(default_factory=list)
    """(what, unit, figure)."""
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, unit: str, figure: float) -> None:
        self.rows.append((what, unit, round(figure, 4)))

    def write(self, out: Path) -> None:
        (out / "gpu_check.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        table = Table("", "unit", "figure", box=None)
        for what, unit, figure in self.rows:
            table.add_row(what, unit, f"{figure:g}")
        with (out / "gpu_check.txt").open("w") as file:
            console = Console(file=file, width=120)
            console.print(self.facts, table, self.failed)


def wait(s: Settings) -> None:
    if s.device == "cuda":
        torch.cuda.synchronize()


def seconds(s: Settings, step: Callable[[int], object], repetitions: int) -> float:
    """Median of the repetitions, after two that are not timed."""
    times = []
    for i in range(repetitions + 2):
        wait(s)
        began = time.perf_counter()
        step(i)
        wait(s)
        times.append(time.perf_counter() - began)
    return median(times[2:])


def tests(s: Settings, found: Found) -> None:
    """pytest -m gpu."""
    plain = ["-o", "addopts=--import-mode=importlib", "-q", "tests/test_gpu.py"]
    words = [sys.executable, "-m", "pytest", "-m", "gpu", *plain]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=150)
    (s.out / "tests.txt").write_text(done.stdout + done.stderr)
    found.facts["tests"] = done.stdout.strip().splitlines()[-1]


def waits(s: Settings, found: Found) -> None:
    """Twenty steps of each model, in which waiting for the device is an error."""
    for model in ("mono", "many"):
        run = training_run(s.bench(2), "fp32", model=model)
        raw = street_clips(s.bench(2)).batch([1, 2])
        batch = to_batch(raw, OFFSETS, s.device, Augmentation())
        step = training_step(run, batch)
        step(0)  # what is made once may wait
        if s.device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        try:
            for i in range(2 if s.quick else 20):
                step(i + 1)
        finally:
            if s.device == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        found.facts[f"waits of {model}"] = "none" if s.device == "cuda" else "not looked for: no card"


def profile(s: Settings, found: Found) -> None:
    """The twenty most expensive kernels of one step."""
    step = training_step(training_run(s.bench(s.batch_sizes[0]), "fp32"), a_batch(s, s.batch_sizes[0]))
    step(0)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if s.device == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as profiler:
        step(1)
        wait(s)
    by = "self_cuda_time_total" if s.device == "cuda" else "self_cpu_time_total"
    events = profiler.key_averages()
    (s.out / "profile.txt").write_text(events.table(sort_by=by, row_limit=20, max_name_column_width=70))
    found.add("operators and kernels of a step", "", sum(e.count for e in events))


def a_batch(s: Settings, size: int) -> Any:
    raw = street_clips(s.bench(size)).batch(range(1, size + 1))
    return to_batch(raw, OFFSETS, s.device, Augmentation())


def eager(s: Settings, found: Found) -> None:
    """Samples per second of whole steps in every setting."""
    ways = product((True, False), ("bf16", "tf32", "fp32"), s.batch_sizes, ("mono", "many"))
    speed(s, found, ways, False)


def compiled(s: Settings, found: Found) -> None:
    """The same of MonoDepth with torch.compile, which takes minutes on a CPU."""
    if s.quick:
        return
    speed(s, found, product((True,), ("bf16", "tf32", "fp32"), s.batch_sizes, ("mono",)), True)


def speed(s: Settings, found: Found, ways: Iterable[tuple[bool, str, int, str]], compiled: bool) -> None:
    data = {size: a_batch(s, size) for size in s.batch_sizes}
    for channels_last, precision, size, model in islice(ways, 2) if s.quick else ways:
        if time.monotonic() > found.end:
            return
        name = f"{model}, batch {size}, {precision}, {'compiled' if compiled else 'eager'}"
        name += ", channels_last" if channels_last else ", contiguous"
        if s.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        kind = "bf16" if precision == "bf16" else "fp32"
        try:
            run = training_run(s.bench(size), kind, compiled, model)
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            if not channels_last:
                run[0].network.to(memory_format=torch.contiguous_format)
            took = seconds(s, training_step(run, data[size]), 1 if s.quick else 7)
        except torch.OutOfMemoryError:
            found.failed[name] = "out of memory"
            continue
        found.add(name, "samples/s", size / took)
        if model == "mono" and not s.quick:
            found.add(f"{name}: arithmetic", "TFLOP/s", GFLOP_PER_SAMPLE * size / took / 1e3)
        if s.device == "cuda":
            found.add(f"{name}: peak memory", "GB", torch.cuda.max_memory_allocated() / 1e9)
        found.write(s.out)


def loader(s: Settings, found: Found) -> None:
    """Batches onto the device, augmented, without a step."""
    size, count = s.batch_sizes[0], 3 if s.quick else 40
    data = street_clips(s.bench(size))
    order = BatchOrder(len(data), size, 0, 0, count)
    began = time.perf_counter()
    for step, raw in enumerate(batches(data, order, 0, pin=s.device == "cuda")):
        to_batch(raw, OFFSETS, s.device, Augmentation(), 0, step)
    wait(s)
    rate = size * count / (time.perf_counter() - began)
    found.add(f"loader alone, batch {size}, frames in memory", "samples/s", rate)


def training(s: Settings, found: Found) -> None:
    """The recipe `scratch` on the street, a short training as a user starts it."""
    steps = 4 if s.quick else 1500
    small = {"scenes": 2, "val_scenes": 1, "scene_frames": 4, "height": 64, "width": 64} if s.quick else {}
    where = {"out": str(s.out), "name": f"street{time.time_ns()}", "cache_dir": str(s.out / "cache")}
    config = recipe("scratch", "synthetic", steps=steps, device=s.device, workers=0, **where, **small)
    began = time.perf_counter()
    folder = train(config, Console(file=io.StringIO()))
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = {event["event"]: event for event in events}
    found.add(f"recipe scratch, {steps} steps: Abs Rel", "", last["val"]["abs_rel"])
    found.add("recipe scratch: whole training", "s", time.perf_counter() - began)
    found.add("recipe scratch: rate at its end", "samples/s", last["train"]["samples_per_s"])


def alone(predictor: Predictor, inputs: torch.Tensor, repetition: int) -> None:
    predictor.from_inputs(inputs)


def video(s: Settings, found: Found) -> None:
    """`predict` of a video, its depth video included, and the network alone."""
    frames = 6 if s.quick else 120
    path, _ = write_street_video(s.out / f"street{time.time_ns()}.mp4", StreetSettings(1, frames, *s.size))
    for precision in ("fp32", "auto"):
        predictor = load("starter", s.device, precision=precision)
        predict_files(predictor, [str(path)], s.out / "warm", batch_size=8)
        began = time.perf_counter()
        predict_files(predictor, [str(path)], s.out, batch_size=8)
        found.add(f"predict, {precision}, video to video", "frames/s", frames / (time.perf_counter() - began))
        images = torch.zeros(8, 3, *s.size, dtype=torch.uint8).unbind()
        inputs = predictor.inputs(images)
        took = seconds(s, partial(alone, predictor, inputs), 2 if s.quick else 20)
        found.add(f"starter's network alone, {precision}, batch 8", "frames/s", 8 / took)


PARTS: tuple[Callable[[Settings, Found], None], ...] = (
    tests, waits, profile, eager, loader, training, video, compiled,
)  # fmt: skip
"""What matters most comes first."""


def main(s: Settings) -> int:
    s.out.mkdir(parents=True, exist_ok=True)
    found = Found(time.monotonic() + 60 * s.minutes)
    cuda = s.device == "cuda"
    found.facts = {"device": torch.cuda.get_device_name() if cuda else s.device, "torch": torch.__version__}
    if cuda:
        found.facts["multiprocessors"] = torch.cuda.get_device_properties(0).multi_processor_count
    for part in PARTS:
        began = time.monotonic()
        if began > found.end:
            found.failed[part.__name__] = "no time was left"
        else:
            try:
                part(s, found)
            except Exception as error:
                found.failed[part.__name__] = f"{type(error).__name__}: {error}"[:500]
                with (s.out / "errors.txt").open("a") as file:
                    traceback.print_exc(file=file)
        found.facts[f"{part.__name__}: seconds"] = round(time.monotonic() - began, 1)
        found.write(s.out)
        print(f"{part.__name__}: {found.failed.get(part.__name__, 'done')}", flush=True)
    print((s.out / "gpu_check.txt").read_text())
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings)))
