"""Train a model: `mono2many train`, `python model_train.py`."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

from mono2many.commands.data import parse_with_data
from mono2many.commands.flags import value_of
from mono2many.errors import InputError
from mono2many.train.recipes import from_json, recipe
from mono2many.train.settings import Recipe, RunConfig, TrainConfig


def run(arguments: list[str], program: str = "mono2many train") -> None:
    config = parse_with_data(TrainConfig, program, arguments, "training", _base(arguments))
    from mono2many.train.loop import train

    train(config)


def run_model_train(arguments: list[str]) -> None:
    """With a folder for each data set."""
    own, datatype = (value_of(arguments, flag) for flag in ("--name", "--datatype"))
    run(arguments if own or not datatype else [*arguments, "--name", datatype], "model_train.py")


def _base(arguments: list[str]) -> TrainConfig:
    """What the flags change: a run's own settings (--resume, --config), a recipe, or the defaults."""
    name, path = value_of(arguments, "--recipe"), value_of(arguments, "--config")
    if path is not None and name is not None:
        raise InputError("--config and --recipe are both given; a run.json already holds all settings")
    if path is not None:
        config = from_json(path)
        return replace(config, run=replace(config.run, config=path))
    run = RunConfig()
    out, run_name = value_of(arguments, "--out") or run.out, value_of(arguments, "--name") or run.name
    own = Path(out) / run_name / "run.json"
    if "--resume" in arguments and name is None and own.exists():
        return from_json(own)
    if "--resume" in arguments and not any(
        value_of(arguments, f) for f in ("--recipe", "--data", "--datatype")
    ):
        raise InputError(
            f"--resume: no run in {own.parent} (it has no run.json); check --out and --name, or say what to "
            "begin with: --datatype, --data, --recipe"
        )
    known: Recipe = name if name in get_args(Recipe) else "default"  # type: ignore[assignment]
    return recipe(known, value_of(arguments, "--datatype"))
