"""Metres per unit of a model: `mono2many scale`."""

from dataclasses import dataclass, field, replace
from typing import Literal

from mono2many.commands.data import begin_as_trained, parse_with_data
from mono2many.commands.flags import parse, value_of
from mono2many.datasets import DEFAULT
from mono2many.datasets.base import DatasetSettings, at_least
from mono2many.datasets.choice import DataConfig


@dataclass(frozen=True)
class ScaleConfig:
    """Find out how many metres a model's unit is, and store it with the model."""

    model: str
    """Model folder, or `starter` together with --out."""
    out: str | None = None
    """Folder for a copy of the model that knows its metres; by default it is stored with the model itself."""
    scale_from: tuple[str, ...] = ()
    """camera-height METRES: the ground plane below the camera; only on footage like that which the model was
    trained on. speed FILE.csv: the path's length. factor X: known already."""
    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=DEFAULT.settings)
    frames: int = 200
    """Images, or pairs of neighbours, looked at, evenly spread."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 1)


def run(arguments: list[str]) -> None:
    if value_of(arguments, "--model") is None:
        parse(ScaleConfig, "mono2many scale", arguments)  # which says so, or prints help
    base = begin_as_trained(ScaleConfig, arguments, "settings")
    config = parse_with_data(ScaleConfig, "mono2many scale", arguments, "settings", base)
    config = replace(config, dataset=config.dataset.with_learnt_cameras(config.model))
    from mono2many.evaluate.scale import find_scale

    find_scale(config)
