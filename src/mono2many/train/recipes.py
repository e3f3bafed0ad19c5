"""What a training begins with: a recipe's settings, or those of an earlier run. Imports nothing heavy."""

import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from mono2many.datasets import DEFAULT
from mono2many.datasets.base import ROOT, DatasetSettings, RootSettings
from mono2many.datasets.choice import TrainingData, find, settings_of
from mono2many.errors import InputError, nearest
from mono2many.files import as_annotated, read_json
from mono2many.train.settings import Recipe, TrainConfig

RECIPES: dict[Recipe, dict[str, dict[str, Any]]] = {
    "default": {},
    "reference": {
        # where a data set has these settings
        "dataset": {"intrinsics": "reference", "resize": "lanczos"},
        "model": {"start_far": False},
        "loss": {"mask_unseen": False, "pyramid": "lanczos", "camera_scaling": "plain"},
        "optim": {"mirror_camera": False},
        "many": {"fresh_optimiser": True},
        "run": {"precision": "fp32"},
    },
    "scratch": {
        "data": {"height": 96, "width": 320},
        "model": {
            "encoder": "light",
            "encoder_weights": "none",
            "decoder": "light",
            "scales": 1,
            "pose_type": "light",
        },
        "loss": {"multi_scale": "coarse-to-fine", "automask_from": 0.6, "disparity_floor": 0.1},
        "optim": {
            "optimiser": "adamw",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warm_up": 0.06,
            "batch_size": 8,
            "steps": 2000,
            "jitter": False,
        },
    },
    "video": {
        # of one's own, in minutes
        "model": {"pose_type": "light"},
        "loss": {"ground": 1.0},
        "optim": {"batch_size": 4, "schedule": "cosine", "warm_up": 0.06},
        "run": {"start_from": "starter"},
    },
}
"""What differs from the settings' own defaults."""

REMOVED: dict[str, Any] = {
    "control": "none",
    "loss": {"ssim": True, "tie_noise": True, "automask_on": "all", "contact": 1.0},
    "many": {"freeze_epoch": None, "freeze_step": None},
    "run": {"not_finite_limit": 20},
}
"""Settings that earlier versions had, with the value that the program now always uses."""


def recipe(name: Recipe = "default", datatype: str = DEFAULT.name, /, **flags: Any) -> TrainConfig:
    """The settings that a recipe begins with, for a data set; `flags` win. These are the flags of `mono2many
    train --datatype DATATYPE`: batch_size=4, data=("a.mp4",). Raises InputError for a recipe, data set, flag
    or value that is not known."""
    if name not in RECIPES:
        raise InputError(f"no recipe {name!r}; wanted one of {', '.join(RECIPES)}{nearest(name, RECIPES)}")
    kind = settings_of(find(datatype), "training")
    base, known = TrainConfig(TrainingData(datatype), kind()), set[str]()
    parts = {}
    for part in (f.name for f in fields(TrainConfig)):
        settings = getattr(base, part)
        names = {f.name for f in fields(settings)}
        values = {n: v for n, v in RECIPES[name].get(part, {}).items() if n in names}
        given = {n: v for n, v in flags.items() if n in names}
        parts[part] = replace(settings, **values | _of_part(type(settings), given))
        known |= names
    if unknown := flags.keys() - known:
        word = min(unknown)
        raise InputError(f"recipe: no flag {word!r} of train --datatype {datatype}{nearest(word, known)}")
    config = TrainConfig(**parts)
    return replace(config, run=replace(config.run, recipe=name))


def _of_part(kind: type, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one part, checked; a path is a string, one value a list of one where a list is wanted."""
    hints, found = typing.get_type_hints(kind), {}
    for name, value in flags.items():
        one = not isinstance(value, list | tuple)
        values = [str(v) if isinstance(v, Path) else v for v in ([value] if one else value)]
        listed = typing.get_origin(hints[name]) is tuple
        try:
            found[name] = as_annotated(
                hints[name], values[0] if one and not listed else values, f"recipe: {name}"
            )
        except ValueError as error:
            raise InputError(str(error)) from None
    return found


def from_json(path: str | Path, lenient: bool = False) -> TrainConfig:
    """The settings of a run, from its run.json. Raises InputError that names file and key. lenient: settings
    that are unknown today (of an older or newer version) are left out."""
    raw = read_json(path, "--config needs the run.json of a run")
    settings = raw.get("settings", raw)
    data = settings.get("data", {}) if isinstance(settings, dict) else None
    if not isinstance(data, dict):
        raise InputError(f"--config {path}: wanted an object of settings, whose `data` is an object")
    settings = _without_removed(settings, REMOVED, f"--config {path}: ", lenient)
    if data and "dataset" not in settings:
        settings = _of_version_0(settings, data)
    dataset = settings_of(find(str(data.get("datatype", DEFAULT.name))), "training")
    try:
        made = _build(TrainConfig, settings, f"--config {path}", lenient, dataset)
    except ValueError as error:
        raise InputError(str(error)) from None
    assert isinstance(made, TrainConfig)
    return made


def _without_removed(
    settings: Mapping[str, Any], removed: Mapping[str, Any], where: str, lenient: bool
) -> dict[str, Any]:
    """Less the settings that no longer exist. InputError where one has not its default, unless lenient."""
    kept = dict(settings)
    for name in removed.keys() & kept.keys():
        default, value = removed[name], kept[name]
        if isinstance(default, dict):
            if isinstance(value, dict):
                kept[name] = _without_removed(value, default, f"{where}{name}: ", lenient)
            continue
        if value != default and not lenient:
            raise InputError(
                f"{where}{name} is {value!r}, which this version cannot do (only {default!r}); use the "
                "version that wrote it"
            )
        del kept[name]
    return kept


def _of_version_0(settings: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Of a run.json whose `data` held the settings of every data set: those of its own."""
    renamed = {"cameras_used": "cameras", "largest_gap": "max_gap"}
    own = {renamed.get(key, key): value for key, value in data.items()}
    kind = settings_of(find(str(data.get("datatype", DEFAULT.name))), "training")
    kept = {f.name: own[f.name] for f in fields(kind) if f.name in own}
    if issubclass(kind, RootSettings):  # it was a list with one folder, or none
        kept["data"] = (kept.get("data") or [ROOT])[0]
    shared = {f.name for f in fields(TrainingData)}
    return {**settings, "data": {k: v for k, v in data.items() if k in shared}, "dataset": kept}


def _build(
    kind: type, raw: Mapping[str, Any], where: str, lenient: bool, dataset: type[DatasetSettings]
) -> Any:
    hints, values = typing.get_type_hints(kind), {}
    for key, value in raw.items():
        if key not in hints and not lenient:
            raise InputError(f"{where}: unknown setting {key!r}{nearest(key, hints)}")
        hint = dataset if hints.get(key) is DatasetSettings else hints.get(key)
        if is_dataclass(hint) and isinstance(value, dict):
            values[key] = _build(hint, value, f"{where}: {key}", lenient, dataset)  # type: ignore[arg-type]
        elif hint is not None:
            values[key] = as_annotated(hint, value, f"{where}: {key}")
    return kind(**values)
