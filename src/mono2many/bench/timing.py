"""What is compared is timed in turn, one of each and again, so that a busy neighbour slows all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Step = Callable[[int], object]
"""One repetition; it is given its number."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    milliseconds: float
    """Median of the repetitions."""
    per_s: float
    """Samples or images per second."""
    ratio: float = 1.0
    """Time / the yardstick's, the depth network's; of loaders, speed / the plain one's."""
    note: str = ""


def in_turn(steps: Mapping[str, Step], repetitions: int, count: int, settle: bool = False) -> list[Row]:
    """One warm-up of each, then one of each after the other, again and again. `count`: samples per step.
    settle: each turn begins with one that is not timed. Other runtimes' threads wait actively for a while,
    and their weights fill the cache."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(repetitions + 1):
        for name, step in steps.items():
            number = repetition * (1 + settle)
            if settle:
                step(number)
            _wait_for_gpu()
            began = time.perf_counter()
            step(number + settle)
            _wait_for_gpu()
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times[name][1:]) for name in steps}
    return [Row(name, 1e3 * seconds, count / seconds) for name, seconds in medians.items()]


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
