"""Metres per unit of a model: `mono2many scale`."""

from dataclasses import replace

from mono2many.commands.data import begin_as_trained, parse_with_data
from mono2many.commands.flags import parse, value_of
from mono2many.evaluate.settings import ScaleConfig
from mono2many.models.starter import best_of


def run(arguments: list[str]) -> None:
    if value_of(arguments, "--model") is None:
        parse(ScaleConfig, "mono2many scale", arguments)  # which says so, or prints help
    base = begin_as_trained(ScaleConfig, arguments, "settings")
    config = parse_with_data(ScaleConfig, "mono2many scale", arguments, "settings", base)
    config = replace(
        config, dataset=config.dataset.with_learnt_cameras(str(best_of(config.model, config.last)))
    )
    from mono2many.evaluate.scale import find_scale

    find_scale(config)
