"""What a training begins with: a recipe's settings, or those of an earlier run. Imports nothing heavy."""

import difflib
import json
import types as builtin_types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mono2many.datasets import DEFAULT
from mono2many.datasets.base import ROOT, DatasetSettings, RootSettings
from mono2many.datasets.choice import TrainingData, find, settings_of
from mono2many.errors import InputError
from mono2many.train.settings import Recipe, TrainConfig


def recipe(name: Recipe, datatype: str | None = None) -> TrainConfig:
    """The settings that a recipe begins with, for a data set; flags given beside it win."""
    base = TrainConfig()
    if datatype is not None:
        kind = settings_of(find(datatype), "training")
        base = replace(base, data=replace(base.data, datatype=datatype), dataset=kind())
    base = replace(base, run=replace(base.run, recipe=name))
    if name == "default":
        return base
    if name == "reference":
        return replace(
            base,
            dataset=_as_published(base.dataset),
            model=replace(base.model, start_far=False),
            loss=replace(base.loss, mask_unseen=False, pyramid="lanczos", camera_scaling="plain"),
            optim=replace(base.optim, mirror_camera=False),
            many=replace(base.many, fresh_optimiser=True),
            run=replace(base.run, precision="fp32"),
        )
    return replace(
        base,
        data=replace(base.data, height=96, width=320),
        model=replace(
            base.model,
            encoder="light",
            encoder_weights="none",
            decoder="light",
            scales=1,
            pose_type="light",
        ),
        loss=replace(base.loss, multi_scale="coarse-to-fine", automask_from=0.6, disparity_floor=0.1),
        optim=replace(
            base.optim,
            optimiser="adamw",
            learning_rate=1e-3,
            schedule="cosine",
            warm_up=0.06,
            batch_size=8,
            steps=2000,
            jitter=False,
        ),
    )


def _as_published(settings: DatasetSettings) -> DatasetSettings:
    """With the published programs' intrinsics and resizing, where a data set knows them."""
    theirs = {"intrinsics": "reference", "resize": "lanczos"}
    known = {f.name for f in fields(settings)}
    return replace(settings, **{name: value for name, value in theirs.items() if name in known})


def from_json(path: str | Path, lenient: bool = False) -> TrainConfig:
    """The settings of a run, from its run.json. Raises InputError that names file and key. lenient: settings
    that are unknown today (of an older or newer version) are left out."""
    try:
        raw = json.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(f"--config {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"--config {path}: not JSON ({error})") from error
    settings = raw.get("settings", raw) if isinstance(raw, dict) else raw
    if not isinstance(settings, dict):
        raise InputError(f"--config {path}: wanted an object of settings, found {type(settings).__name__}")
    data = settings.get("data")
    if isinstance(data, dict) and "dataset" not in settings:
        settings = _of_version_0(settings, data)
    name = data.get("datatype", DEFAULT.name) if isinstance(data, dict) else DEFAULT.name
    made = _build(TrainConfig, settings, str(path), lenient, settings_of(find(str(name)), "training"))
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
    hints = typing.get_type_hints(kind)
    known = {f.name for f in fields(kind)}
    values = {}
    for key, value in raw.items():
        if key not in known and lenient:
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"--config {where}: unknown setting {key!r}{hint}")
        wanted: Any = dataset if hints[key] is DatasetSettings else hints[key]
        if is_dataclass(wanted) and isinstance(value, dict):
            values[key] = _build(wanted, value, f"{where}: {key}", lenient, dataset)  # type: ignore[arg-type]
        else:
            values[key] = _checked(wanted, value, f"--config {where}: {key}")
    return kind(**values)


def _checked(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type, or a InputError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal and value in arguments:
        return value
    either = origin in (builtin_types.UnionType, typing.Union)  # the latter of `Literal | None`
    if either and value is None:
        return None
    if either:
        return _checked(arguments[0], value, where)
    if origin is tuple and isinstance(value, list) and all(type(v) is arguments[0] for v in value):
        return tuple(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    wanted = " | ".join(map(str, arguments)) if origin is Literal else getattr(hint, "__name__", str(hint))
    raise InputError(f"{where} must be {wanted}, got {value!r}")
