"""Look at data before training on it: `mono2many check`."""

import sys
from dataclasses import dataclass, field

from mono2many.commands.data import parse_with_data
from mono2many.datasets import DEFAULT
from mono2many.datasets.base import DatasetSettings, at_least
from mono2many.datasets.choice import DataConfig, settings_of


@dataclass(frozen=True)
class CheckConfig:
    """Look at data before training on it: camera, motion, overlap of neighbours, duplicates, brightness."""

    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=lambda: settings_of(DEFAULT, "training")())
    height: int = 192
    """Training height in pixels."""
    width: int = 640
    """Training width in pixels."""
    frames: int = 400
    """Pairs of neighbours looked at, evenly spread."""
    json: str | None = None
    """Write all figures to this file."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 2)


def run(arguments: list[str]) -> None:
    config = parse_with_data(CheckConfig, "mono2many check", arguments, "training", CheckConfig())
    from mono2many.evaluate.check import check

    if not check(config):
        sys.exit(1)
