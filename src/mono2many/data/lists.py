"""Lists of frames in text files, and runs of consecutive numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mono2many.files import explained
from mono2many.types import InputError

Item = TypeVar("Item")


def consecutive(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of the runs in rising whole numbers."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def read_list(path: str | Path, parse: Callable[[str], Item | None], example: str) -> list[Item]:
    """What a file lists, an item a line; parse: None for a line that is no item, which is an InputError."""
    wanted = f"wanted lines such as: {example}"
    with explained(f"{path}: cannot be read as a list of frames", wanted, (OSError, ValueError)):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    items = []
    for row, line in enumerate(map(str.strip, lines), 1):
        item = parse(line) if line else None
        if line and item is None:
            raise InputError(f"{path}, line {row}: found {line[:60]!r}; {wanted}")
        items += [] if item is None else [item]
    if not items:
        raise InputError(f"{path}: no frames are listed; {wanted}")
    return items
