"""What a model is: `mono2many info`."""

from dataclasses import dataclass

import tyro

from mono2many.commands.flags import parse
from mono2many.commands.inputs import model_must_exist


@dataclass(frozen=True)
class InfoConfig:
    """Describe a model: networks, size, unit of its depth, training data."""

    model: tyro.conf.Positional[str] = "starter"
    """Model folder; by default the model that comes with the package."""
    last: bool = False
    """Use the last model of a run instead of the best (lowest validation error)."""


def run(arguments: list[str]) -> None:
    config = parse(InfoConfig, "mono2many info", arguments)
    model_must_exist("", config.model)
    from mono2many.evaluate.info import info

    info(config.model, last=config.last)
