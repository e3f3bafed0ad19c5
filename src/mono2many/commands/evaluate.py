"""Score a model: `mono2many evaluate`."""

from dataclasses import dataclass, field, replace
from typing import Literal

from mono2many.commands.data import begin_as_trained, parse_with_data
from mono2many.datasets import DEFAULT
from mono2many.datasets.base import DatasetSettings, DepthOptions, TestListOptions
from mono2many.datasets.choice import DataConfig, settings_of
from mono2many.errors import InputError


@dataclass(frozen=True)
class EvaluateConfig:
    """Score a model: depth metrics where depth is known, else how well it explains neighbouring frames."""

    model: str | None = None
    """Model folder, or `starter`, the model that comes with the package."""
    data: DataConfig = field(default_factory=DataConfig)
    dataset: DatasetSettings = field(default_factory=lambda: settings_of(DEFAULT, "scoring")())
    json: str | None = None
    """Write all figures to this file."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""

    @property
    def flip(self) -> bool:
        return isinstance(self.dataset, DepthOptions) and self.dataset.flip

    @property
    def predictions(self) -> str | None:
        """A file of disparities to score instead of a model."""
        return self.dataset.predictions if isinstance(self.dataset, TestListOptions) else None


def run(arguments: list[str]) -> None:
    base = begin_as_trained(EvaluateConfig, arguments, "scoring")
    config = parse_with_data(EvaluateConfig, "mono2many evaluate", arguments, "scoring", base)
    if (config.model is None) == (config.predictions is None):
        both = "" if config.model is None else ", not both"
        raise InputError(
            f"evaluate wants a model folder (--model) or a file of disparities (--predictions){both}"
        )
    if config.model is not None:
        config = replace(config, dataset=config.dataset.with_learnt_cameras(config.model))
    from mono2many.evaluate.run import evaluate

    evaluate(config)
