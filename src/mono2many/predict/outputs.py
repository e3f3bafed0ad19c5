"""What a command writes: no output replaces an input or another output; how far it came."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mono2many.predict.inputs import Input
from mono2many.types import InputError

Item = TypeVar("Item")
EVERY = "*"
"""Of a video whose frames become files, which are not counted beforehand: see `check_outputs`."""


def check_outputs(inputs: Sequence[Input], outputs: Iterable[tuple[Path, Path]]) -> None:
    """InputError where an output, each given after its input, is one of the inputs, or another's output. A
    path that ends in EVERY stands for all that a folder gets."""
    made, every, outputs = dict[Path, Path](), dict[Path, Path](), list(outputs)
    every = {output.parent: source for source, output in outputs if output.name == EVERY}
    own = {_identity(path) for one in inputs for path in one.images or [one.path]}
    own |= {_identity(folder) for folder in {path.parent for one in inputs for path in one.images}}
    for source, output in outputs:
        name = output.parent if output.name == EVERY else output
        if (found := _identity(name)) is not None and found in own:
            raise InputError(
                f"{name} is an input that the output of {source} would replace: give another --out"
            )
        shared = every.get(output.parent, every.get(output.parent.parent, source))  # of kitti/
        other = made.get(output, source if shared == source else shared)
        if output in made or other != source:
            raise InputError(
                f"{other} and {source} would both be written as {output}: predict them one by one, with an "
                "--out for each"
            )
        made[output] = source


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file or folder; None where it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


class Progress:
    """How far predict came."""

    def __init__(self, out: Path) -> None:
        self.out, self.at, self.frames = out, "", 0
        self.written: list[Path] = []
        """Complete files."""

    def counting(self, name: str, frames: Iterable[Item]) -> Iterator[Item]:
        """The same, noting that they are of `name`."""
        self.at, self.frames = name, 0
        for item in frames:
            yield item
            self.frames += 1

    def __str__(self) -> str:
        if not self.at or (not self.frames and not self.written):
            return ""
        files = "1 complete file" if len(self.written) == 1 else f"{len(self.written)} complete files"
        return f"came to frame {self.frames} of {self.at}, {files} in {self.out}"
