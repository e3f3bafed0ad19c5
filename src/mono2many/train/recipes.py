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
}
"""What differs from the settings' own defaults."""


def recipe(name: Recipe, datatype: str = DEFAULT.name) -> TrainConfig:
    """The settings that a recipe begins with, for a data set; flags given beside it win."""
    base = TrainConfig(TrainingData(datatype), settings_of(find(datatype), "training")())
    changed = {part: _changed(getattr(base, part), values) for part, values in RECIPES[name].items()}
    config = replace(base, **changed)
    return replace(config, run=replace(config.run, recipe=name))


def _changed(settings: Any, values: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(settings)}
    return replace(settings, **{name: value for name, value in values.items() if name in known})


def from_json(path: str | Path, lenient: bool = False) -> TrainConfig:
    """The settings of a run, from its run.json. Raises InputError that names file and key. lenient: settings
    that are unknown today (of an older or newer version) are left out."""
    raw = read_json(path, "--config wants the run.json of a run")
    settings = raw.get("settings", raw)
    data = settings.get("data", {}) if isinstance(settings, dict) else None
    if not isinstance(data, dict):
        raise InputError(f"--config {path}: wanted an object of settings, whose `data` is an object")
    if data and "dataset" not in settings:
        settings = _of_version_0(settings, data)
    dataset = settings_of(find(str(data.get("datatype", DEFAULT.name))), "training")
    try:
        made = _build(TrainConfig, settings, f"--config {path}", lenient, dataset)
    except ValueError as error:
        raise InputError(str(error)) from None
    assert isinstance(made, TrainConfig)
    return made


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
