"""Look at data before training on it: `mono2many check`."""

import sys

from mono2many.commands.data import parse_with_data
from mono2many.commands.inputs import data_must_exist
from mono2many.evaluate.settings import CheckConfig


def run(arguments: list[str]) -> None:
    config = parse_with_data(CheckConfig, "mono2many check", arguments, "training", CheckConfig())
    data_must_exist(config.data.dataset, config.dataset)
    from mono2many.evaluate.check import check

    if not check(config):
        sys.exit(1)
