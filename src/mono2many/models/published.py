"""Weights in the reference programs' files (Godard et al. 2019, Watson et al. 2021) to our model folder.

encoder.pth       torchvision's ResNet names under `encoder.`, beside them height, width, use_stereo
depth.pth         decoder.0 .. 9: the two 3x3 convolutions of each stage, coarse to fine; .10 .. 13: the heads
pose_encoder.pth  like encoder.pth, for two images; it and pose.pth (net.0: 1x1; .1, .2: 3x3; .3: 1x1) may
                  both be absent

ManyDepth's: mono_encoder.pth and mono_depth.pth are the teacher's, as above; depth.pth the student's; and
encoder.pth       layer0.0, layer0.1 (first convolution and its normalisation), layer1.1, layer2 .. 4,
                  reduce_conv.0, beside them height, width, the sweep's range and what is not needed here
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
from mono2many.models.tensors import misfits, read_tensors
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
    files = {"encoder.pth": first} | {name: _read(folder / name) for name in _others(folder, many)}
    settings = {n: _setting(folder, first, n) for n in SETTINGS if not (many and n == "use_stereo")}
    has_pose = "pose.pth" in files
    encoder = "mono_encoder.pth" if many else "encoder.pth"
    kinds = {"encoder": resnet_name(folder / encoder, files[encoder])}
    if has_pose:
        kinds["pose_encoder"] = resnet_name(folder / "pose_encoder.pth", files["pose_encoder.pth"])
    model: MonoDepth | ManyDepth
    if many:
        model = ManyDepth(ManyArchitecture(hypotheses=_hypotheses(first), **kinds))  # type: ignore[arg-type]
    else:
        model = MonoDepth(MonoArchitecture(**kinds))  # type: ignore[arg-type]
    if not has_pose:
        model.pose = NoPose()
    _fill(model, folder, files)
    card = ModelCard(
        model.architecture,
        settings["height"],
        settings["width"],
        trained_on=f"imported from {folder.resolve().name} (unknown)",
        resize="lanczos",
        has_pose=has_pose,
    )
    if settings.get("use_stereo"):
        source = "stereo baseline 0.1 of KITTI's 0.54 m"
        card = replace(card, scale="metres", factor=STEREO_FACTOR, factor_from=source)
    save_model(out, model, card)
    return card


def _others(folder: Path, many: bool) -> list[str]:
    """Names of the files beside encoder.pth."""
    pose_files = ("pose_encoder.pth", "pose.pth")
    there = [name for name in pose_files if many or (folder / name).exists()]
    if len(there) == 1:
        lacking = pose_files[1 - pose_files.index(there[0])]
        raise InputError(
            f"{folder / lacking}: no such file, but {there[0]} is there; a pose network is both: add it, or "
            f"remove {there[0]} to import depth alone"
        )
    return ["depth.pth", *(("mono_encoder.pth", "mono_depth.pth") if many else ()), *there]


def _fill(model: MonoDepth | ManyDepth, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """The networks' weights from the files' tensors, every one accounted for."""
    weights, many = model.state_dict(), isinstance(model, ManyDepth)
    own = {name: value for name, value in weights.items() if name.rpartition(".")[2] not in CONSTANTS}
    places = {name: published_name(name, many) for name in own}
    for file, tensors in files.items():
        wanted = {theirs: own[ours] for ours, (where, theirs) in places.items() if where == file}
        beside = MANY_BESIDE if many and file == "encoder.pth" else BESIDE if "encoder" in file else ()
        if found := misfits(wanted, tensors, beside):
            raise InputError(
                f"{folder / file}: not the tensors of these networks: {found}; import the file as published"
            )
    weights |= {ours: files[file][theirs] for ours, (file, theirs) in places.items()}
    if many:
        nearest, farthest = _range(folder / "encoder.pth", files["encoder.pth"])
        weights |= {"depth.nearest": nearest, "depth.farthest": farthest}
    model.load_state_dict(weights)


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
    wanted = "wanted a folder with encoder.pth and depth.pth, and pose_encoder.pth and pose.pth if camera "
    wanted += "motion is needed; for ManyDepth all four, mono_encoder.pth and mono_depth.pth"
    return read_tensors(path, wanted, "get it again from where it was published")


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
