"""Weights in the reference programs' files (Godard et al. 2019, Watson et al. 2021) to our model folder.

encoder.pth holds torchvision's ResNet under `encoder.` with height, width and use_stereo; depth.pth the
decoder, coarse to fine; pose_encoder.pth and pose.pth may both be absent. A ManyDepth's encoder.pth and
depth.pth are the student's, mono_encoder.pth and mono_depth.pth the teacher's.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mono2many.files import user_path
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.pose import NoPose
from mono2many.models.tensors import misfits, read_tensors
from mono2many.types import InputError

Names = dict[str, tuple[str, str]]
"""How names of our tensors begin, and the file and the beginning that they have there."""


def _encoder(ours: str, file: str) -> Names:
    return {f"{ours}.{part}.": (file, "encoder.") for part in ("stem", "body")}


def _decoder(ours: str, file: str) -> Names:
    names = {f"{ours}.heads.{scale}.": (file, f"decoder.{10 + scale}.conv.") for scale in range(4)}
    for stage in range(5):
        names[f"{ours}.reduce.{stage}.0."] = (file, f"decoder.{2 * stage}.conv.conv.")
        names[f"{ours}.fuse.{stage}.0."] = (file, f"decoder.{2 * stage + 1}.conv.conv.")
    return names


POSE_FILES = ("pose_encoder.pth", "pose.pth")
POSE = _encoder("pose.trunk.encoder", POSE_FILES[0]) | {
    f"pose.trunk.{ours}.": (POSE_FILES[1], f"net.{number}.")
    for number, ours in enumerate(("squeeze", "head.0", "head.2", "head.4"))
}
MONO = _encoder("depth.encoder", "encoder.pth") | _decoder("depth.decoder", "depth.pth") | POSE
TEACHER = _encoder("teacher.encoder", "mono_encoder.pth") | _decoder("teacher.decoder", "mono_depth.pth")
STUDENT = _decoder("depth.decoder", "depth.pth") | {
    "depth.encoder.stem.conv1.": ("encoder.pth", "layer0.0."),
    "depth.encoder.stem.bn1.": ("encoder.pth", "layer0.1."),
    "depth.encoder.stem.layer1.": ("encoder.pth", "layer1.1."),
    "depth.encoder.body.": ("encoder.pth", ""),
    "depth.reduce.": ("encoder.pth", "reduce_conv.0."),
}
MANY = TEACHER | STUDENT | POSE

SETTINGS = {"height": "a multiple of 32", "width": "a multiple of 32", "use_stereo": "True or False"}
RANGE = ("min_depth_bin", "max_depth_bin")
BESIDE = (*SETTINGS, "encoder.fc.weight", "encoder.fc.bias")
MANY_BESIDE = (*RANGE, "height", "width", "prematching_conv.", "backprojector.", "projector.", "warp_depths")
"""In an encoder's file (ManyDepth's student's) and no part of our networks: what their names begin with."""
CONSTANTS = ("min_depth", "max_depth", "nearest", "farthest")
"""Ours alone. Depth: 0.1 to 100, as the reference programs have it."""

STEREO_FACTOR = 5.4
"""KITTI's cameras stand 0.54 m apart; the reference trains on stereo pairs as if it were 0.1."""

RESNETS = (18, 34, 50, 101, 152)


def import_weights(folder: Path, out: Path) -> ModelCard:
    """Read the reference programs' files in `folder` and write the model folder `out`.

    Depth is in metres where stereo pairs were trained on, else up to scale. Without the two pose files a
    MonoDepth has no pose network; ManyDepth needs them. Raises InputError, naming file and key, where a
    tensor is missing, left over or of another shape, a file would run code, or `out` holds a model already.
    """
    folder, out = user_path(folder), user_path(out)
    if (out / "config.json").exists():
        raise InputError(f"{out}: holds a model already; name another folder to write to")
    files, many = _read_files(folder)
    first = files["encoder.pth"]
    height, width = (_setting(folder, first, name) for name in ("height", "width"))
    stereo = not many and _setting(folder, first, "use_stereo")
    encoder = "mono_encoder.pth" if many else "encoder.pth"
    kinds = {"encoder": resnet_name(folder / encoder, files[encoder])}
    has_pose = POSE_FILES[0] in files
    if has_pose:
        kinds["pose_encoder"] = resnet_name(folder / POSE_FILES[0], files[POSE_FILES[0]])
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
        height,
        width,
        trained_on=f"imported from {folder.resolve().name} (unknown)",
        resize="lanczos",
        has_pose=has_pose,
    )
    if stereo:
        source = "stereo baseline 0.1 of KITTI's 0.54 m"
        card = replace(card, scale="metres", factor=STEREO_FACTOR, factor_from=source)
    save_model(out, model, card)
    return card


def _read_files(folder: Path) -> tuple[dict[str, dict[str, Any]], bool]:
    """(the tensors of every file, whether they are a ManyDepth's)."""

    def read(name: str) -> dict[str, Any]:
        wanted = (
            "wanted a folder with encoder.pth and depth.pth, and pose_encoder.pth and pose.pth if camera "
            "motion is needed; for ManyDepth all four, mono_encoder.pth and mono_depth.pth"
        )
        return read_tensors(folder / name, wanted, "get it again from where it was published")

    first = read("encoder.pth")
    many = "layer0.0.weight" in first or (folder / "mono_encoder.pth").exists()
    there = [name for name in POSE_FILES if many or (folder / name).exists()]
    if len(there) == 1:
        (lacking,) = set(POSE_FILES) - set(there)
        raise InputError(
            f"{folder / lacking}: no such file, but {there[0]} is there; a pose network is both: add it, or "
            f"remove {there[0]} to import depth alone"
        )
    names = ["depth.pth", *(["mono_encoder.pth", "mono_depth.pth"] if many else []), *there]
    return {"encoder.pth": first} | {name: read(name) for name in names}, many


def _fill(model: MonoDepth | ManyDepth, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """The networks' weights from the files' tensors, every one accounted for."""
    weights, many = model.state_dict(), isinstance(model, ManyDepth)
    names, places = MANY if many else MONO, {}
    for ours in weights:
        if ours.rpartition(".")[2] not in CONSTANTS:
            start = next(start for start in names if ours.startswith(start))
            file, theirs = names[start]
            places[ours] = (file, theirs + ours.removeprefix(start))
    for file, tensors in files.items():
        wanted = {theirs: weights[ours] for ours, (where, theirs) in places.items() if where == file}
        beside = MANY_BESIDE if many and file == "encoder.pth" else BESIDE if "encoder" in file else ()
        if found := misfits(wanted, tensors, beside):
            raise InputError(
                f"{folder / file}: not the tensors of these networks: {found}; import the file as published"
            )
    weights |= {ours: files[file][theirs] for ours, (file, theirs) in places.items()}
    if many:
        weights |= _range(folder / "encoder.pth", files["encoder.pth"])
    model.load_state_dict(weights)


def resnet_name(path: Path, tensors: Mapping[str, Any]) -> str:
    """Which ResNet an encoder's file holds, by the names in it. InputError where it is none of the five."""
    layers = tuple(f"encoder.layer{n}." for n in (1, 2, 3, 4))
    blocks = {tuple(key.split(".")[1:3]) for key in tensors if key.startswith(layers)}
    convolutions = 3 if "encoder.layer1.0.conv3.weight" in tensors else 2
    depth = convolutions * len(blocks) + 2
    if depth not in RESNETS:
        raise InputError(
            f"{path}: {len(blocks)} blocks of {convolutions} convolutions in encoder.layer1 to 4 are no "
            "ResNet's (18, 34, 50, 101, 152); wanted a file of the reference program"
        )
    return f"resnet{depth}"


def _setting(folder: Path, encoder: Mapping[str, Any], name: str) -> Any:
    value = encoder.get(name)
    size = type(value) is int and value > 0 and value % 32 == 0
    if not (type(value) is bool if name == "use_stereo" else size):
        raise InputError(
            f"{folder / 'encoder.pth'}: {name} is {value!r}, wanted {SETTINGS[name]}; is it the reference "
            "program's own file?"
        )
    return value


def _hypotheses(encoder: Mapping[str, Any]) -> int:
    """Of the sweep, from what enters the convolution behind it. Where that is odd, `_fill` will name it."""
    weight = encoder.get("reduce_conv.0.weight")
    shape: tuple[int, ...] = tuple(weight.shape) if isinstance(weight, Tensor) else ()
    return shape[1] - shape[0] if len(shape) == 4 and shape[1] > shape[0] else ManyArchitecture.hypotheses


def _range(path: Path, encoder: Mapping[str, Any]) -> dict[str, Tensor]:
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
    return {"depth.nearest": torch.tensor(nearest), "depth.farthest": torch.tensor(farthest)}
