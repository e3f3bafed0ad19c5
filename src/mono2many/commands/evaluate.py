"""Score a model: `mono2many evaluate`."""

from dataclasses import replace
from typing import TYPE_CHECKING

from mono2many.commands.data import begin_as_trained, parse_with_data, run_that_names_data
from mono2many.commands.inputs import data_must_exist, must_exist
from mono2many.errors import InputError
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.models.starter import best_of

if TYPE_CHECKING:
    from mono2many.evaluate.run import Notes


def run(arguments: list[str], notes: "Notes | None" = None) -> None:
    base = begin_as_trained(EvaluateConfig, arguments, "scoring")
    config = parse_with_data(EvaluateConfig, "mono2many evaluate", arguments, "scoring", base)
    if (config.model is None) == (config.predictions is None):
        both = "" if config.model is None else ", not both"
        raise InputError(
            f"evaluate needs a model folder (--model) or a file of disparities (--predictions){both}"
        )
    if config.model is not None:
        model = str(best_of(config.model, config.last))
        config = replace(config, dataset=config.dataset.with_learnt_cameras(model))
    if config.predictions is not None:
        must_exist("--predictions", [config.predictions])
    named_by = run_that_names_data(config.model, arguments)
    data_must_exist(config.data.dataset, config.dataset, named_by)
    from mono2many.evaluate.run import evaluate

    evaluate(config, notes=notes)
