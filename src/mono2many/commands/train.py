"""Train a model: `mono2many train`, `python model_train.py`."""

from dataclasses import replace
from pathlib import Path

from mono2many.commands.data import parse_with_data
from mono2many.commands.flags import value_of
from mono2many.commands.inputs import data_must_exist, model_must_exist
from mono2many.datasets import DEFAULT
from mono2many.errors import InputError
from mono2many.train.recipes import RECIPES, from_json, recipe
from mono2many.train.settings import RunConfig, TrainConfig


def run(arguments: list[str], program: str = "mono2many train") -> None:
    config = parse_with_data(TrainConfig, program, arguments, "training", _base(arguments))
    data_must_exist(config.data.dataset, config.dataset)
    if not config.run.resume:  # a run that goes on needs them no more
        model_must_exist("--start-from", config.run.start_from, weights=True)
        model_must_exist("--teacher", config.many.teacher, weights=True)
    from mono2many.train.loop import train

    train(config)


def run_model_train(arguments: list[str]) -> None:
    """With a folder for each data set."""
    own, datatype = (value_of(arguments, flag) for flag in ("--name", "--datatype"))
    run(arguments if own or not datatype else [*arguments, "--name", datatype], "model_train.py")


def _base(arguments: list[str]) -> TrainConfig:
    """What the flags change: a run's own settings (--resume, --config), a recipe, or the defaults."""
    given = {
        f: value_of(arguments, f"--{f}") for f in ("recipe", "config", "out", "name", "data", "datatype")
    }
    name, path = given["recipe"], given["config"]
    if path is not None and name is not None:
        raise InputError("--config and --recipe are both given; a run.json already holds all settings")
    if path is not None:
        config = from_json(path)
        return replace(config, run=replace(config.run, config=path))
    run = RunConfig()
    own = Path(given["out"] or run.out) / (given["name"] or run.name) / "run.json"
    if "--resume" in arguments and own.exists():
        config = from_json(own)
        if name in (None, config.run.recipe):
            return config
    elif "--resume" in arguments and not (name or given["data"] or given["datatype"]):
        raise InputError(
            f"--resume: no run in {own.parent} (it has no run.json); check --out and --name, or say what "
            "to begin with: --datatype, --data, --recipe"
        )
    # the parser refuses a recipe that does not exist
    return recipe(name if name in RECIPES else "default", given["datatype"] or DEFAULT.name)
