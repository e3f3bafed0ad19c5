"""Metres per unit of a model: `mono2many scale`."""

from dataclasses import replace
from pathlib import Path

from mono2many.commands.data import begin_as_trained, parse_with_data, run_that_names_data
from mono2many.commands.flags import parse, value_of
from mono2many.commands.inputs import data_must_exist
from mono2many.evaluate.settings import ScaleConfig
from mono2many.models.starter import best_of, refuse_exported


def run(arguments: list[str]) -> None:
    if value_of(arguments, "--model") is None:
        parse(ScaleConfig, "mono2many scale", arguments)  # which says so, or prints help
    base = begin_as_trained(ScaleConfig, arguments, "settings")
    config = parse_with_data(ScaleConfig, "mono2many scale", arguments, "settings", base)
    if config.scale_from[:1] != ("factor",):
        named_by = run_that_names_data(config.model, arguments)
        data_must_exist(config.data.dataset, config.dataset, named_by)
    model = str(best_of(config.model, config.last))
    refuse_exported(Path(model))
    config = replace(config, dataset=config.dataset.with_learnt_cameras(model))
    from mono2many.evaluate.scale import find_scale

    find_scale(config)
