"""Weights in the reference program's files (Godard et al. 2019) to a model folder of ours.

encoder.pth       torchvision's ResNet names under `encoder.`, beside them height, width, use_stereo
depth.pth         decoder.0 .. 9: the two 3x3 convolutions of each stage, coarse to fine; .10 .. 13: the heads
pose_encoder.pth  like encoder.pth, for two images; it and pose.pth (net.0: 1x1; .1, .2: 3x3; .3: 1x1) may
                  both be absent
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mono2many.models.checkpoint import ModelCard, NoPose, save_model
from mono2many.models.mono import MonoArchitecture, MonoDepth
from mono2many.types import InputError

STEREO_FACTOR = 5.4
"""KITTI's cameras stand 0.54 m apart; the reference trains on stereo pairs as if it were 0.1."""

SETTINGS = {"height": int, "width": int, "use_stereo": bool}
BESIDE = {*SETTINGS, "encoder.fc.weight", "encoder.fc.bias"}
"""In an encoder's file and no part of our networks."""

RANGE = ("depth.min_depth", "depth.max_depth")
"""Constants of ours: 0.1 and 100, as the reference program has them."""

RESNETS: dict[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
"""By kind of block (True: of three convolutions) and number of blocks in the four layers."""


def import_weights(folder: Path, out: Path) -> ModelCard:
    """Read the reference program's files in `folder` and write the model folder `out`.

    Depth is in metres where stereo pairs were trained on, else up to scale. Without the two pose files the
    model has no pose network. Raises InputError, naming file and key, where a tensor is missing, left over or
    of another shape, a file would run code, or `out` holds a model already.
    """
    folder, out = folder.expanduser(), out.expanduser()
    if (out / "config.json").exists():
        raise InputError(f"{out}: holds a model already; name another folder to write to")
    pose_files = ("pose_encoder.pth", "pose.pth")
    there = [name for name in pose_files if (folder / name).exists()]
    if len(there) == 1:
        lacking = pose_files[1 - pose_files.index(there[0])]
        raise InputError(
            f"{folder / lacking}: no such file, but {there[0]} is there; a pose network is both: add it, or "
            f"remove {there[0]} to import depth alone"
        )
    files = {name: _read(folder / name) for name in ("encoder.pth", "depth.pth", *there)}
    settings = {name: _setting(folder, files["encoder.pth"], name) for name in SETTINGS}
    resnets = {
        n: resnet_name(folder / n, files[n]) for n in ("encoder.pth", "pose_encoder.pth") if n in files
    }
    architecture = MonoArchitecture(
        encoder=resnets["encoder.pth"], pose_encoder=resnets.get("pose_encoder.pth", "resnet18")
    )
    model = MonoDepth(architecture)
    if not there:
        model.pose = NoPose()
    weights = model.state_dict()
    names = {ours: published_name(ours) for ours in weights if ours not in RANGE}
    for file, tensors in files.items():
        here = {theirs: ours for ours, (where, theirs) in names.items() if where == file}
        _check(folder / file, tensors, {theirs: weights[ours].shape for theirs, ours in here.items()})
        weights |= {ours: tensors[theirs] for theirs, ours in here.items()}
    model.load_state_dict(weights)
    card = ModelCard(
        architecture,
        settings["height"],
        settings["width"],
        trained_on=f"imported from {folder.resolve().name} (unknown)",
        resize="lanczos",
        has_pose=bool(there),
    )
    if settings["use_stereo"]:
        source = "stereo baseline 0.1 of KITTI's 0.54 m"
        card = replace(card, scale="metres", factor=STEREO_FACTOR, factor_from=source)
    save_model(out, model, card)
    return card


def published_name(ours: str) -> tuple[str, str]:
    """File and name of one of our tensors (`MonoDepth.state_dict()`) in the reference format."""
    match ours.split("."):
        case ["depth", "encoder", _, *rest]:
            return "encoder.pth", ".".join(["encoder", *rest])
        case ["pose", "trunk", "encoder", _, *rest]:
            return "pose_encoder.pth", ".".join(["encoder", *rest])
        case ["depth", "decoder", ("reduce" | "fuse") as which, stage, _, kind]:
            return "depth.pth", f"decoder.{2 * int(stage) + (which == 'fuse')}.conv.conv.{kind}"
        case ["depth", "decoder", "heads", scale, kind]:
            return "depth.pth", f"decoder.{10 + int(scale)}.conv.{kind}"
        case ["pose", "trunk", "squeeze", kind]:
            return "pose.pth", f"net.0.{kind}"
        case ["pose", "trunk", "head", place, kind]:  # a ReLU between any two
            return "pose.pth", f"net.{1 + int(place) // 2}.{kind}"
    raise AssertionError(f"no tensor of the reference's networks: {ours}")


def resnet_name(path: Path, tensors: Mapping[str, Any]) -> str:
    """Which ResNet an encoder's file holds, by the names in it. InputError where it is none of the five."""
    layers = [
        {key.split(".")[2] for key in tensors if key.startswith(f"encoder.layer{n}.")} for n in range(1, 5)
    ]
    blocks = tuple(len(layer) for layer in layers)
    name = RESNETS.get(("encoder.layer1.0.conv3.weight" in tensors, blocks))
    if name is None:
        raise InputError(
            f"{path}: {', '.join(map(str, blocks))} blocks in encoder.layer1 to 4 are no ResNet's (18, 34, "
            "50, 101, 152); wanted a file of the reference program"
        )
    return name


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; wanted a folder with encoder.pth and depth.pth, and pose_encoder.pth and "
            "pose.pth if camera motion is needed"
        ) from error
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read without running code ({type(error).__name__}), or is cut short; get it "
            "again from where it was published"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise InputError(f"{path}: wanted tensors by name; is it the reference program's own file?")
    return loaded


def _setting(folder: Path, encoder: Mapping[str, Any], name: str) -> Any:
    value, path = encoder.get(name), folder / "encoder.pth"
    if type(value) is not SETTINGS[name]:
        kind = "a whole number" if SETTINGS[name] is int else "True or False"
        raise InputError(
            f"{path}: {name} is {value!r}, wanted {kind}; is it the reference program's own file?"
        )
    if type(value) is int and (value <= 0 or value % 32):
        raise InputError(f"{path}: {name} is {value}, wanted a multiple of 32")
    return value


def _check(path: Path, tensors: Mapping[str, Any], shapes: Mapping[str, torch.Size]) -> None:
    beside = BESIDE if "encoder" in path.name else set()
    missing, extra = sorted(shapes.keys() - tensors), sorted(tensors.keys() - shapes.keys() - beside)
    misfits = [
        f"{key} {tuple(getattr(tensors[key], 'shape', ()))} for {tuple(shape)}"
        for key, shape in shapes.items()
        if key in tensors and getattr(tensors[key], "shape", None) != shape
    ]
    kinds = {"missing": missing, "unknown": extra, "of another shape": misfits}
    found = "; ".join(f"{len(k)} {kind} ({', '.join(k[:3])})" for kind, k in kinds.items() if k)
    if found:
        raise InputError(f"{path}: not the tensors of these networks: {found}; import the file as published")
