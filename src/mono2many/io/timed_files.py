"""Files by their time: lists with a line `timestamp file`, and what was taken at nearly the same moment."""

import bisect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mono2many.files import explained, read_text

T = TypeVar("T")


def read_timed_files(path: Path) -> tuple[list[float], list[Path]]:
    """Rising seconds, and the file of each (beside `path`); lines that begin with # are left out. Raises
    InputError where a line is something else."""
    with explained(f"{path}: wanted lines `timestamp file`", "unpack it again", (OSError, ValueError)):
        lines = read_text(path).splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        listed = sorted((float(time), path.parent / name) for time, name in rows)
        if not all(math.isfinite(time) for time, _ in listed):
            raise ValueError("a timestamp is not finite")
    return [time for time, _ in listed], [file for _, file in listed]


def nearest_in_time(
    times: Sequence[float], others: Sequence[float], values: Sequence[T], slack: float
) -> list[T | None]:
    """For each of `times` the value whose time (of rising `others`) is nearest; None where that is more than
    `slack` seconds away."""
    found: list[T | None] = []
    for time in times:
        at = bisect.bisect(others, time)
        near = [i for i in (at - 1, at) if 0 <= i < len(others) and abs(others[i] - time) <= slack]
        found.append(values[min(near, key=lambda i: abs(others[i] - time))] if near else None)
    return found
