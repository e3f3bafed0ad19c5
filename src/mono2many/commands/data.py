"""Command lines that name a data set: its settings' flags belong to the command."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from mono2many.commands.flags import parse, value_of
from mono2many.commands.inputs import model_must_exist
from mono2many.datasets.base import Dataset, DatasetSettings
from mono2many.datasets.choice import (
    DataConfig,
    Use,
    carried_over,
    find,
    named_in_card,
    owners,
    settings_of,
)
from mono2many.errors import InputError
from mono2many.files import read_json
from mono2many.models.starter import STARTER, model_folder

BEST = "best"
"""The folder in a run's of the model with the smallest validation error."""

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
        others = owners(f"--{unknown[1].replace('_', '-')}") if unknown else []
        if not others:
            raise
        raise InputError(
            f"--{unknown[1] if unknown else ''} is a flag of --datatype {' or '.join(others)}, not of "
            f"{data.datatype}"
        ) from None


def begin_as_trained(kind: type[Config], arguments: list[str], use: Use) -> Config:
    """The settings that a command begins with: the data set of the run that made --model, where no other is
    named. Raises InputError where evaluate is asked for a model that is none, or whose data is not known."""
    name, datatype = value_of(arguments, "--model"), value_of(arguments, "--datatype")
    other_data = value_of(arguments, "--data") is not None
    data, settings = DataConfig(), None
    if name is not None and name != STARTER:
        run = run_of(name)
        if use == "scoring" and run is None:
            model_must_exist("--model", name)
        if run is not None:
            from mono2many.train.recipes import from_json

            trained = from_json(run, lenient=True)
            found: tuple[Dataset, DatasetSettings] = carried_over(
                datatype, use, trained.data.dataset, trained.dataset, other_data
            )
            data, settings = DataConfig(found[0].name, trained.data.frame_step), found[1]
        elif datatype is None and use == "scoring":
            data = DataConfig(_own_data(name).scorer)
    settings = settings or settings_of(data.dataset, use)()
    named = {} if name is None else {"model": name}
    return kind(**named, data=data, dataset=settings)  # type: ignore[call-arg]


def run_that_names_data(model: str | None, arguments: list[str]) -> Path | None:
    """The run.json whose data a command reads; None where its flags name data."""
    named = value_of(arguments, "--data") is not None or value_of(arguments, "--datatype") is not None
    return None if named or model is None else run_of(model)


def run_of(model: str) -> Path | None:
    """The run.json of the run that made a model: in its folder, or above RUN/best; None: there is none."""
    folder = model_folder(model).resolve()
    places = (folder, folder.parent) if folder.name == BEST else (folder,)
    return next((place / "run.json" for place in places if (place / "run.json").exists()), None)


def _own_data(model: str) -> Dataset:
    """The data set of a model without a run.json, by its card. InputError where it was trained on files."""
    text = trained_on(model)
    own = named_in_card(text)
    if text and own is None:
        raise InputError(
            f"--model {model}: was trained on {text}, and there is no run.json that says where that is; name "
            "the data to score on: --datatype NAME and its --data"
        )
    return own or DataConfig().dataset


def trained_on(model: str) -> str:
    """What a model's card says of its training; nothing where it cannot be read."""
    with suppress(InputError):  # what is wrong with it is said where the model is loaded
        return str(read_json(model_folder(model) / "config.json", "").get("trained_on") or "")
    return ""
