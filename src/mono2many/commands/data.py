"""Command lines that name a data set: its settings' flags belong to the command."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from mono2many.commands.flags import parse, value_of
from mono2many.datasets import IMPORTED
from mono2many.datasets.base import Dataset, DatasetSettings
from mono2many.datasets.choice import DataConfig, Use, carried_over, find, owners, settings_of
from mono2many.errors import InputError
from mono2many.files import read_json
from mono2many.models.starter import STARTER

Config = TypeVar("Config")
"""Settings of a command that reads a data set: `data` says which, `dataset` are that one's own."""


def parse_with_data(kind: type[Config], program: str, arguments: list[str], use: Use, base: Config) -> Config:
    """Flags into settings that begin with `base`, whose data set may be another's than --datatype's."""
    name, begin = value_of(arguments, "--datatype"), cast(Any, base)
    data, settings = begin.data, begin.dataset
    if name is not None and name != data.datatype:
        data, settings = replace(data, datatype=name), settings_of(find(name), use)()
    try:
        return parse(kind, program, arguments, replace(begin, data=data, dataset=settings))
    except InputError as error:
        unknown = re.match(r"unknown option --([a-z0-9_-]+)", str(error))
        others = owners(unknown[1].replace("-", "_")) if unknown else []
        if not others:
            raise
        raise InputError(
            f"--{unknown[1] if unknown else ''} is a flag of --datatype {' or '.join(others)}, not of "
            f"{data.datatype}"
        ) from None


def begin_as_trained(kind: type[Config], arguments: list[str], use: Use) -> Config:
    """The settings that a command begins with: the data set of the run that made --model, where no other is
    named. Raises InputError where evaluate is asked for a model that is none."""
    name, datatype = value_of(arguments, "--model"), value_of(arguments, "--datatype")
    other_data = value_of(arguments, "--data") is not None
    data, settings = DataConfig(), None
    if name is not None and name != STARTER:
        folder = Path(name)
        card = folder / "config.json"
        if use == "scoring" and not card.exists() and not (folder / "run.json").exists():
            raise InputError(
                f"{card}: no such file; --model wants a folder that `mono2many train` wrote, or starter"
            )
        if (folder / "run.json").exists():
            from mono2many.train.recipes import from_json

            trained = from_json(folder / "run.json", lenient=True)
            found: tuple[Dataset, DatasetSettings] = carried_over(
                datatype, use, trained.data.dataset, trained.dataset, other_data
            )
            data, settings = DataConfig(found[0].name, trained.data.frame_step), found[1]
        elif datatype is None and _imported(card):
            data = DataConfig(IMPORTED)
    settings = settings or settings_of(data.dataset, use)()
    named = {} if name is None else {"model": name}
    return kind(**named, data=data, dataset=settings)  # type: ignore[call-arg]


def _imported(card: Path) -> bool:
    """Whether a model is of published weights, which have no run.json."""
    try:
        return str(read_json(card, "").get("trained_on", "")).startswith("imported from")
    except InputError:
        return False  # what is wrong with it is said where the model is loaded
