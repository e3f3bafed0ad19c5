"""Weights in the reference programs' files (Godard et al. 2019, Watson et al. 2021) to our model folder.

encoder.pth       torchvision's ResNet names under `encoder.`, beside them height, width, use_stereo
depth.pth         decoder.0 .. 9: the two 3x3 convolutions of each stage, coarse to fine; .10 .. 13: the heads
pose_encoder.pth  like encoder.pth, for two images; it and pose.pth (net.0: 1x1; .1, .2: 3x3; .3: 1x1) may
                  both be absent

ManyDepth's: mono_encoder.pth and mono_depth.pth are the teacher's, as above; depth.pth the student's; and
encoder.pth       layer0.0, layer0.1 (first convolution and its normalisation), layer1.1, layer2 .. 4,
                  reduce_conv.0, beside them height, width, the sweep's range and what we have no use for
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.pose import NoPose
from mono2many.types import InputError

STEREO_FACTOR = 5.4
"""KITTI's cameras stand 0.54 m apart; the reference trains on stereo pairs as if it were 0.1."""

SETTINGS = {"height": int, "width": int, "use_stereo": bool}
BESIDE = (*SETTINGS, "encoder.fc.weight", "encoder.fc.bias")
RANGE = ("min_depth_bin", "max_depth_bin")
MANY_BESIDE = (*RANGE, "height", "width", "prematching_conv.", "backprojector.", "projector.", "warp_depths")
"""In an encoder's file (ManyDepth's student's) and no part of our networks: what their names begin with."""

CONSTANTS = ("min_depth", "max_depth", "nearest", "farthest")
"""Ours alone. Depth: 0.1 to 100, as the reference programs have it."""

MANY_LAYERS = {"conv1": "layer0.0", "bn1": "layer0.1", "layer1": "layer1.1"}

RESNETS: dict[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
"""By kind of block (True: of three convolutions) and number of blocks in the four layers."""


def import_weights(folder: Path, out: Path) -> ModelCard:
    """Read the reference programs' files in `folder` and write the model folder `out`.

    Depth is in metres where stereo pairs were trained on, else up to scale. Without the two pose files a
    MonoDepth has no pose network; ManyDepth needs them. Raises InputError, naming file and key, where a
    tensor is missing, left over or of another shape, a file would run code, or `out` holds a model already.
    """
    folder, out = folder.expanduser(), out.expanduser()
    if (out / "config.json").exists():
        raise InputError(f"{out}: holds a model already; name another folder to write to")
    first = _read(folder / "encoder.pth")
    many = "layer0.0.weight" in first or (folder / "mono_encoder.pth").exists()
    pose_files = ("pose_encoder.pth", "pose.pth")
    there = [name for name in pose_files if many or (folder / name).exists()]
    if len(there) == 1:
        lacking = pose_files[1 - pose_files.index(there[0])]
        raise InputError(
            f"{folder / lacking}: no such file, but {there[0]} is there; a pose network is both: add it, or "
            f"remove {there[0]} to import depth alone"
        )
    teacher = ("mono_encoder.pth", "mono_depth.pth") if many else ()
    files = {"encoder.pth": first} | {n: _read(folder / n) for n in ("depth.pth", *teacher, *there)}
    settings = {n: _setting(folder, first, n) for n in SETTINGS if not (many and n == "use_stereo")}
    encoder = teacher[0] if teacher else "encoder.pth"
    kinds: dict[str, Any] = {
        kind: resnet_name(folder / name, files[name])
        for kind, name in {"encoder": encoder, "pose_encoder": "pose_encoder.pth"}.items()
        if name in files
    }
    model: MonoDepth | ManyDepth = (
        ManyDepth(ManyArchitecture(**kinds, hypotheses=_hypotheses(first)))
        if many
        else MonoDepth(MonoArchitecture(**kinds))
    )
    if not there:
        model.pose = NoPose()
    weights = model.state_dict()
    mapped = (ours for ours in weights if ours.rpartition(".")[2] not in CONSTANTS)
    names = {ours: published_name(ours, many) for ours in mapped}
    for file, tensors in files.items():
        here = {theirs: ours for ours, (where, theirs) in names.items() if where == file}
        shapes = {theirs: weights[ours].shape for theirs, ours in here.items()}
        beside = MANY_BESIDE if many and file == "encoder.pth" else BESIDE if "encoder" in file else ()
        _check(folder / file, tensors, shapes, beside)
        weights |= {ours: tensors[theirs] for theirs, ours in here.items()}
    if many:
        weights["depth.nearest"], weights["depth.farthest"] = _range(folder / "encoder.pth", first)
    model.load_state_dict(weights)
    card = ModelCard(
        model.architecture,
        settings["height"],
        settings["width"],
        trained_on=f"imported from {folder.resolve().name} (unknown)",
        resize="lanczos",
        has_pose=bool(there),
    )
    if settings.get("use_stereo"):
        source = "stereo baseline 0.1 of KITTI's 0.54 m"
        card = replace(card, scale="metres", factor=STEREO_FACTOR, factor_from=source)
    save_model(out, model, card)
    return card


def published_name(ours: str, many: bool = False) -> tuple[str, str]:
    """File and name of one of our tensors (`MonoDepth.state_dict()`, ManyDepth's) in the reference format."""
    match ours.split("."):
        case ["teacher", *rest]:
            file, name = published_name(".".join(["depth", *rest]))
            return f"mono_{file}", name
        case ["depth", "encoder", _, layer, *rest] if many:
            return "encoder.pth", ".".join([MANY_LAYERS.get(layer, layer), *rest])
        case ["depth", "reduce", kind] if many:
            return "encoder.pth", f"reduce_conv.0.{kind}"
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
            "pose.pth if camera motion is needed; for ManyDepth all four, mono_encoder.pth and mono_depth.pth"
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


def _hypotheses(encoder: Mapping[str, Any]) -> int:
    """Of the sweep, from what enters the convolution behind it. Where that is odd, `_check` will name it."""
    match tuple(getattr(encoder.get("reduce_conv.0.weight"), "shape", ())):
        case (channels, inputs, _, _) if inputs > channels:
            return inputs - channels
    return ManyArchitecture.hypotheses


def _range(path: Path, encoder: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    found: list[Any] = [encoder.get(name) for name in RANGE]
    try:
        nearest, farthest = map(float, found)
    except (TypeError, ValueError, RuntimeError):
        nearest = farthest = math.nan
    if not 0 < nearest < farthest < math.inf:
        raise InputError(
            f"{path}: {' and '.join(RANGE)} are {' '.join(str(found).split())[:80]}, wanted two depths, the "
            "nearer first; is it the reference program's own file?"
        )
    return torch.tensor(nearest), torch.tensor(farthest)


def _check(
    path: Path, tensors: Mapping[str, Any], shapes: Mapping[str, torch.Size], beside: tuple[str, ...]
) -> None:
    missing = sorted(shapes.keys() - tensors)
    extra = sorted(key for key in tensors.keys() - shapes.keys() if not key.startswith(beside))
    misfits = [
        f"{key} {tuple(getattr(tensors[key], 'shape', ()))} for {tuple(shape)}"
        for key, shape in shapes.items()
        if key in tensors and getattr(tensors[key], "shape", None) != shape
    ]
    kinds = {"missing": missing, "unknown": extra, "of another shape": misfits}
    found = "; ".join(f"{len(k)} {kind} ({', '.join(k[:3])})" for kind, k in kinds.items() if k)
    if found:
        raise InputError(f"{path}: not the tensors of these networks: {found}; import the file as published")
