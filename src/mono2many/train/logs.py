"""What a run leaves behind for people: a line per event (log.jsonl), TensorBoard, words on the terminal."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mono2many import __version__
from mono2many.io.colour import colour_disparity
from mono2many.terminal import say
from mono2many.types import StepOutput


class RunLog(ExitStack):
    """Appends to a run folder; use as a context."""

    def __init__(self, folder: Path, console: Console, enabled: bool = True, step: int = 0) -> None:
        """step: where the run goes on; curves of later steps are forgotten."""
        super().__init__()
        self.console = console
        self.enabled = enabled
        if enabled:
            self._lines = self.enter_context((folder / "log.jsonl").open("a", buffering=1))
            self._board = self.enter_context(SummaryWriter(str(folder / "tensorboard"), purge_step=step))

    def say(self, text: str, style: str | None = None) -> None:
        """A line on the terminal."""
        if self.enabled:
            say(self.console, text, style)

    def warn(self, step: int, text: str) -> None:
        """On the terminal and in log.jsonl."""
        self.say(f"step {step}: {text}", "yellow")
        self.event("warning", step, {"text": text})

    def event(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """A line in log.jsonl; its numbers go to TensorBoard too."""
        if not self.enabled:
            return
        line = {"event": kind, "step": step, "time": round(time.time(), 1), **values}
        self._lines.write(json.dumps(line) + "\n")
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def images(self, step: int, output: StepOutput) -> None:
        """The first sample's images: image, disparity, warped views, error, mask."""
        if self.enabled:
            for name, batch in output.images.items():
                self._board.add_image(name, as_image(name, batch[0]), step)


class Clock:
    """Steps per second since the last question, pauses left out."""

    def __init__(self, step: int) -> None:
        self.step, self.since = step, time.monotonic()

    def steps_per_second(self, step: int) -> float:
        now = time.monotonic()
        speed = (step - self.step) / (now - self.since)
        self.step, self.since = step, now
        return speed

    @contextmanager
    def stopped(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.since += time.monotonic() - began


def as_image(name: str, values: Tensor) -> Tensor:
    """C H W for TensorBoard: disparity in colour, one channel scaled to its maximum, RGB as it is."""
    if name == "disparity":
        return colour_disparity(values[0].cpu())
    if values.shape[0] == 1:
        return (values / values.amax().clamp(min=1e-6)).cpu()
    return values.clamp(0, 1).cpu()


def provenance() -> dict[str, str]:
    """Versions, the git commit, the number of threads: what someone needs to repeat a run. Sums of another
    number of threads (OMP_NUM_THREADS) are added in another order: on a CPU the last bits differ."""
    commit, here = "", Path(__file__).resolve().parents[3]
    with suppress(OSError):  # no git on this machine
        if (here / ".git").exists():
            describe = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"]
            commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "mono2many": __version__,
        "git": commit or "not a checkout",
        "python": sys.version.split()[0],
        "threads": str(torch.get_num_threads()),
        "cuda": torch.version.cuda or "none",
        **{name: metadata.version(name) for name in ("torch", "torchvision", "timm", "lightning-fabric")},
    }
