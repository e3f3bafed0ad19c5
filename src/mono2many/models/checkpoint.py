"""Model folders: `model.safetensors` and `config.json`, enough to build the networks again.

The layout that the Hugging Face hub knows. Files are written beside and then renamed, so that a folder
never holds half a model; reading never executes anything.
"""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import torch
from safetensors.torch import save
from torch import nn

from mono2many.errors import warn
from mono2many.files import (
    UNREADABLE,
    as_annotated,
    atomic_write,
    brief,
    entries,
    entry,
    explained,
    read_json,
    write_text,
)
from mono2many.models.architecture import MOST_HYPOTHESES, ManyArchitecture, MonoArchitecture, matching_of
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.pose import NO_POSE, NoPose
from mono2many.models.starter import EXPORTED, model_folder, refuse_exported, remedy
from mono2many.models.tensors import misfits, not_finite, read_tensors
from mono2many.types import InputError, Scale

FORMAT = "mono2many"
FORMAT_VERSION = 1
LARGEST_INPUT = 8192
"""Pixels of a side of the networks' input, at most."""
AGAIN = "--model and --start-from want a folder that `mono2many train` wrote, whole, or starter"
SQUEEZED = 1.4
"""By how much an image's aspect ratio may differ from that of what the networks see."""
ARCHITECTURES: dict[str, type[MonoArchitecture]] = {"mono": MonoArchitecture, "many": ManyArchitecture}


@dataclass(frozen=True)
class ModelCard:
    """What a model folder stores beside the weights."""

    architecture: MonoArchitecture
    """A ManyArchitecture where the model is a ManyDepth."""
    height: int
    """Size of the images it was trained on: inputs are resized to it, unless there are `sizes`."""
    width: int
    crop_bottom: float = 0.0
    """Share of the height cut off at the bottom in training: the ego vehicle."""
    scale: Scale = "up to scale"
    factor: float = 1.0
    """Metres per unit of the networks' depth and translation, where `scale` is "metres"."""
    factor_spread: float | None = None
    """Standard deviation of single estimates of `factor`, as a share of it."""
    factor_from: str = ""
    """How it was found, for example "camera-height 1.65"."""
    trained_on: str = ""
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    """How images are brought to the networks' size."""
    seen: tuple[str, ...] = ()
    """Frames that training used: names of splits, or packed lines."""
    has_pose: bool = True
    """False: it predicts depth only (imported so, or trained with --stereo only)."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Heights and widths, where it was trained at several: see `input_size`. Written only then: a program
    that does not know them refuses the folder, rather than predict at a size that it was not made for."""


def input_size(card: ModelCard, size: Sequence[int]) -> tuple[int, int]:
    """Height and width that the networks see of an image of this size (height, width): of `card.sizes` the
    one whose shape is nearest, by the ratio of the aspect ratios; the first of equals."""
    height, width = size
    aspect = math.log(width / (height * (1 - card.crop_bottom)))
    own = card.sizes or ((card.height, card.width),)
    return min(own, key=lambda known: round(abs(math.log(known[1] / known[0]) - aspect), 9))


def check_shape(card: ModelCard, image: Sequence[int], network: Sequence[int]) -> None:
    """Warns where images (height, width) are of another shape than what the networks see."""
    aspect = image[1] / (image[0] * (1 - card.crop_bottom)) / (network[1] / network[0])
    if max(aspect, 1 / aspect) > SQUEEZED:
        warn(
            f"images of {image[1]}x{image[0]} are {'squeezed' if aspect > 1 else 'stretched'} to the model's "
            f"{network[1]}x{network[0]}, which makes depth less exact: crop them, or train or export a model "
            "for their shape (--height, --width)"
        )


def save_model(folder: str | Path, model: MonoDepth | ManyDepth, card: ModelCard, half: bool = False) -> None:
    """Write config.json and model.safetensors (`depth.*`, `pose.*`, ManyDepth's `teacher.*`), each whole or
    not at all. half: convolutions in float16, half the size; what is as wide as channels stays float32."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        weights = {name: value.half() if value.dim() > 1 else value for name, value in weights.items()}
    with atomic_write(folder / "model.safetensors") as path:  # opened by us, for its usual permissions
        path.write_bytes(save(weights, {"format": "pt"}))
    write_card(folder, card)


def write_card(folder: Path, card: ModelCard, exported: Mapping[str, Any] | None = None) -> None:
    """config.json. exported: of an export, what is known of it."""
    kind = "many" if isinstance(card.architecture, ManyArchitecture) else "mono"
    stored = {name: value for name, value in asdict(card).items() if name != "sizes" or value}
    more = {} if exported is None else {EXPORTED: dict(exported)}
    text = {"format": FORMAT, "format_version": FORMAT_VERSION, "model": kind, **stored, **more}
    write_text(folder / "config.json", json.dumps(text, indent=2) + "\n")


def load_model(folder: str | Path) -> tuple[MonoDepth | ManyDepth, ModelCard]:
    """The networks with their weights, on the CPU, in evaluation mode and float32, whatever the file holds.

    folder: or `starter`. Raises InputError for a folder that is absent, cut short, or of another version.
    """
    folder = model_folder(folder)
    card = read_card(folder)
    a = card.architecture
    problem = f"{folder / 'config.json'}: describes no networks that can be built"
    with explained(problem, remedy(folder, AGAIN), UNREADABLE):
        model: MonoDepth | ManyDepth = ManyDepth(a) if isinstance(a, ManyArchitecture) else MonoDepth(a)
    if not card.has_pose:
        model.pose = NoPose()
    load_weights(model, folder)
    return model.eval(), card


def from_mono(many: ManyDepth, folder: str | Path) -> None:
    """Fill teacher and pose network from a MonoDepth's folder, every key but its cameras accounted for. The
    student begins as its teacher, exactly: what joins the sweep passes the image's features on and does not
    heed the costs yet."""
    load_weights(nn.ModuleDict({"depth": many.teacher, "pose": many.pose}), folder, without="cameras.")
    many.depth.load_state_dict(many.teacher.state_dict(), strict=False)  # lacks the sweep's
    nn.init.dirac_(many.depth.reduce.weight)
    many.depth.reduce.bias.data.zero_()  # type: ignore[union-attr]


def load_weights(model: nn.Module, folder: str | Path, without: str | tuple[str, ...] = ()) -> None:
    """Fill `model` with a folder's weights, every key accounted for but those that begin with `without`,
    which stay as they are."""
    folder = model_folder(folder)
    path = folder / "model.safetensors"
    if not path.exists():
        refuse_exported(folder)
    holds = "a model folder holds model.safetensors and config.json"
    weights = read_tensors(path, remedy(folder, holds), remedy(folder, "copy it again or use a checkpoint"))
    wanted = model.state_dict()
    if without:
        weights = {k: v for k, v in weights.items() if not k.startswith(without)}
        weights |= {k: v for k, v in wanted.items() if k.startswith(without)}
    missing = wanted.keys() - weights.keys()
    if missing and missing == {k for k in wanted if k.startswith("pose.")}:
        raise InputError(f"{path}: {NO_POSE}")
    if found := misfits(wanted, weights):
        flags = remedy(folder, "are the flags those it was trained with?")
        raise InputError(f"{path}: not the weights of these networks: {found}; {flags}")
    if wrong := not_finite(weights):
        raise InputError(
            f"{path}: {wrong}; {remedy(folder, 'train again, or use a copy of an earlier model')}"
        )
    model.load_state_dict(weights)


def read_card(folder: str | Path) -> ModelCard:
    """The card in config.json. Raises InputError naming file and key."""
    folder = model_folder(folder)
    path, again = folder / "config.json", remedy(folder, AGAIN)
    raw = read_json(path, again)
    if raw.get("format") != FORMAT:
        raise InputError(f'{path}: not a mono2many model (no "format": "{FORMAT}")')
    if raw.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: format version {raw.get('format_version')}, this program reads {FORMAT_VERSION}; "
            "use the version of mono2many that wrote it, or train again"
        )
    kind = ARCHITECTURES.get(str(raw.get("model")))
    if kind is None:
        raise InputError(f"{path}: model {raw.get('model')!r} is not known; this version knows mono and many")
    with explained(f"{path}: a setting is missing, unknown or wrong", again, UNREADABLE):
        stored = {k: v for k, v in raw.items() if k not in ("format", "format_version", "model", EXPORTED)}
        architecture = kind(**_settings(kind, entry(stored, "architecture", dict)))
        card = ModelCard(architecture, **_settings(ModelCard, stored))
        _check_ranges(card)
    return card


def _settings(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Values of this dataclass's fields but `architecture`, each of its type."""
    hints = get_type_hints(kind)
    unknown = raw.keys() - hints.keys()
    if unknown:
        raise ValueError(f"unknown key {brief(min(unknown))}")
    return {
        key: as_annotated(hints[key], value, f"key {key}")
        for key, value in raw.items()
        if key != "architecture"
    }


RANGES: dict[str, tuple[float, float]] = {
    "scales": (1, 4),
    "sources": (0, 64),
    "cameras": (0, 10_000),
    "hypotheses": (2, MOST_HYPOTHESES),
    **dict.fromkeys(("min_depth", "max_depth", "factor"), (1e-9, 1e9)),
    "factor_spread": (0, 1e9),
    "crop_bottom": (0, 0.9),
}
"""The least and the greatest value of numbers in config.json."""


def _check_ranges(card: ModelCard) -> None:
    """ValueError naming a key of config.json whose value is out of range."""
    a = card.architecture
    for key, value in (vars(card) | vars(a)).items():
        if key in RANGES and value is not None and not RANGES[key][0] <= value <= RANGES[key][1]:
            low, high = RANGES[key]
            raise ValueError(f"{key} must be from {low:g} to {high:g}, got {value:g}")
    if not a.min_depth < a.max_depth:
        raise ValueError(f"min_depth must be less than max_depth, got {a.min_depth:g} and {a.max_depth:g}")
    for size in ((card.height, card.width), *card.sizes):
        if not all(0 < side <= LARGEST_INPUT and side % 32 == 0 for side in size):
            raise ValueError(f"height and width must be multiples of 32 up to {LARGEST_INPUT}, got {size}")
    offsets = matching_of(a)
    if any(not 1 <= abs(offset) <= 1000 for offset in offsets) or len(set(offsets)) < len(offsets):
        raise ValueError(f"matching must be different numbers of frames but 0, got {brief(offsets)}")


def save_training_state(path: Path, state: Mapping[str, Any]) -> None:
    """Weights, optimiser and step in one file, whole or not at all."""
    buffer = io.BytesIO()  # written through our own file: a full disk is then a clear error
    torch.save(dict(state), buffer)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


BEFORE = "remove it to resume from the one before"


def load_training_state(path: Path) -> dict[str, Any]:
    """As saved. Reads tensors, numbers and strings only: a file cannot make it run code."""
    state = read_tensors(path, BEFORE, BEFORE)
    with explained(f"{path}: not a training checkpoint of mono2many", BEFORE, (ValueError,)):
        state.setdefault("skipped", 0)
        for key, kind in {"model": dict, "optimiser": dict, "step": int, "skipped": int}.items():
            entry(state, key, kind, 0, 1e15)
        if not isinstance(state.get("best"), float) or math.isnan(state["best"]):
            raise ValueError(f"key 'best' is {brief(state.get('best'))}, wanted a number")
    return state


def check_optimiser(saved: Mapping[str, Any], optimiser: torch.optim.Optimizer) -> None:
    """ValueError where a saved state is not this optimiser's: other groups, or moments that are no finite
    tensors of their parameters' shapes. PyTorch does not compare these, and its fused kernels then write
    elsewhere."""
    own = optimiser.state_dict()["param_groups"]
    for group, wanted in zip(entries(saved, "param_groups", dict), own, strict=True):
        if group.keys() != wanted.keys() or group["params"] != wanted["params"]:
            raise ValueError("its optimiser's groups of parameters are others")
        for key, value in wanted.items():
            number = isinstance(value, float) and isinstance(group[key], int | float)
            if not (number and math.isfinite(group[key])) and type(group[key]) is not type(value):
                raise ValueError(
                    f"its optimiser's {key} is {brief(group[key])}, wanted such as {brief(value)}"
                )
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for number, moments in entry(saved, "state", dict).items():
        if type(number) is not int or not 0 <= number < len(parameters) or not isinstance(moments, dict):
            raise ValueError(f"its optimiser has a state of parameter {brief(number)}")
        like = parameters[number].detach().cpu()
        wanted = {"step": torch.tensor(0.0), "exp_avg": like, "exp_avg_sq": like}
        if found := misfits(wanted, moments) or not_finite(moments):
            raise ValueError(f"its optimiser's state of parameter {number}: {found}")
