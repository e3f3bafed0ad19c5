"""The procedural street in the layout of a data set: `mono2many prepare synthetic`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mono2many.commands.flags import parse
from mono2many.datasets import LAYOUTS
from mono2many.datasets.base import at_least
from mono2many.errors import InputError, nearest, one_line

LAYOUTS_HELP = " ".join(f"{name}: {d.layout_holds}." for name, d in LAYOUTS.items())


@dataclass(frozen=True)
class PrepareSyntheticConfig:
    """Write the procedural street in the layout of another data set, to try its commands on."""

    layout: Annotated[str, tyro.conf.arg(metavar="NAME", help=LAYOUTS_HELP)] = next(iter(LAYOUTS))
    out: str = "dataset"
    """Folder to write, empty or new."""
    height: int = 192
    """Image height in pixels."""
    width: int = 640
    """Image width in pixels."""
    frames: int = 72
    """Frames of each drive, 12 to 90 (dgp: 3 to 90); of each sequence 12 or more (odometry: 300 are some 200
    m); of each snippet 30 at most (cityscapes)."""
    drives: int = 10
    """Number of drives, 2 to 10 (odometry: sequences; cityscapes: snippets, 3 or more)."""
    seed: int = 0
    """Seed of the streets."""
    workers: int = 2
    """Processes that draw."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            known = f"wanted {', '.join(LAYOUTS)}{nearest(self.layout, LAYOUTS)}"
            raise InputError(f"--layout {self.layout}: {known}")
        at_least("--workers", self.workers, 1)
        at_least("--height", self.height, 32)
        at_least("--width", self.width, 64)


def run(arguments: list[str]) -> None:
    config = parse(PrepareSyntheticConfig, "mono2many prepare synthetic", arguments)
    from rich.progress import Progress

    from mono2many.street.tree import StreetTree
    from mono2many.terminal import command

    dataset = LAYOUTS[config.layout]
    assert dataset.write_street is not None, "LAYOUTS has those that have one"
    c = config
    print(f"drawing {c.drives} drives of up to {c.frames} frames, {c.width}x{c.height}", flush=True)
    with Progress(transient=True) as bar:
        task = bar.add_task("drawing the street", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        size = c.drives, c.frames, c.height, c.width, c.seed
        root = dataset.write_street(StreetTree(Path(c.out), *size, progress, c.workers))
    recipe = ("--recipe", "scratch", "--name", config.layout)
    print(f"{one_line(str(root))}: the procedural street in the layout of {config.layout}")
    print(f"Next:\n  {command('train', '--datatype', dataset.name, '--data', root, *recipe)}")
