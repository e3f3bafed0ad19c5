"""Frames of sequences: lists of them in text files, runs of consecutive numbers, and the part held out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mono2many.files import explained, read_text
from mono2many.types import InputError, Split

Item = TypeVar("Item")

FEWEST = 3
"""Frames of a part: a target and a neighbour on either side."""


def split_range(frames: int, share: float, number: int | None, split: Split, name: str) -> range:
    """The frames of a split in a sequence of `frames` frames: its end is held out of training.

    share: of the frames, at least 3 of them (0: none). number: of frames; wins over `share`. InputError,
    naming the sequence, where a part that is wanted has fewer than three frames."""
    held = number
    if held is None:
        held = max(FEWEST, round(frames * share)) if share else 0
    if frames - held < FEWEST or 0 < held < FEWEST:
        raise InputError(
            f"{name}: {held} of {frames} frames are held out, wanted {FEWEST} or more to train on, and none "
            f"or {FEWEST} or more held out; give longer sequences, or change --hold-out or --hold-out-frames"
        )
    return range(frames - held) if split == "train" else range(frames - held, frames)


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
        lines = read_text(path).splitlines()
    items: list[Item] = []
    for row, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        item = parse(line)
        if item is None:
            raise InputError(f"{path}, line {row}: found {line[:60]!r}; {wanted}")
        items.append(item)
    if not items:
        raise InputError(f"{path}: no frames are listed; {wanted}")
    return items
