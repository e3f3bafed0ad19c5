"""The command `export`: write the parts, compare them with the model, keep them where they agree."""

import shutil
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mono2many import __version__
from mono2many.commands.export import ExportConfig
from mono2many.evaluate.info import readme
from mono2many.export.footage import Footage, halves, read_footage
from mono2many.export.graphs import Part, parts_of, with_fixed_padding
from mono2many.export.parity import INT8_LIMIT, LIMITS, Limits, compare, inputs_on
from mono2many.export.quantise import quantise
from mono2many.export.write import dynamic_shapes, trace, write_part
from mono2many.files import user_path
from mono2many.models.checkpoint import ModelCard, input_size, load_model, write_card
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import best_of, is_export
from mono2many.predict.exported import Exported, ExportNotes, Parity
from mono2many.predict.predictor import Predictor
from mono2many.predict.sessions import ENDINGS, open_session
from mono2many.terminal import say, text_console
from mono2many.types import InputError

NEEDED = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "pt2": (),
}
"""Libraries of each format."""
OTHER_PARTS = 1e-3
"""Greatest difference of the outputs of pose, match and depth, as a share of the largest value."""


def export(
    config: ExportConfig, console: Console | None = None, traced: MutableMapping[str, Any] | None = None
) -> Path:
    """Returns the folder that was written. InputError for what cannot be exported, and where the file does
    not compute what the model does: nothing is left then. traced: for several exports to onnx and openvino of
    one model at one size in float32: the graphs of its parts, which the first adds and the others use."""
    console = console or text_console()
    _installed(config)
    out = user_path(config.out or f"exported/{_name(config)}")
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or is_export(out))):
        raise InputError(f"--out {out}: is there and no export; give another folder")
    source = best_of(config.model, config.last)
    model, card = load_model(source)
    _possible(config, model)
    calibrating = config.precision == "int8"
    footage = read_footage(config, card, isinstance(model, ManyDepth), config.count * (1 + calibrating))
    whole, card = card, _sized(config, card, footage)
    partial = out.with_name(f".partial-{out.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        parity = _written(config, model, card, footage, partial, source, {} if traced is None else traced)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    files = [path for path in sorted(out.iterdir()) if path.name != "config.json"]
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in files)
    say(console, f"{out}: {sizes}, for images of {_size_in_words(config, whole, card)}")
    say(console, f"depth against the model's on {parity.frames} frames: {parity}")
    say(console, f"use: mono2many predict VIDEO --model {out}; other programs: docs/deploy.md")
    return out


def _installed(config: ExportConfig) -> None:
    """InputError where a library is missing, with all extras that are needed; none is imported yet."""
    int8 = config.precision == "int8"
    needed = NEEDED[config.format] + ("nncf",) * int8
    missing = [name for name in needed if find_spec(name) is None]
    extras = config.format if config.format == "openvino" or not int8 else f"{config.format},openvino"
    if missing:
        raise InputError(
            f"--format {config.format} --precision {config.precision} needs {', '.join(missing)}: "
            f"pip install 'mono2many[{extras}]', or in a clone '.[{extras}]'"
        )


def _possible(config: ExportConfig, model: MonoDepth | ManyDepth) -> None:
    """InputError for what this model cannot be exported as."""
    if not isinstance(model, ManyDepth):
        return
    if config.precision == "fp16" and config.format != "openvino":
        raise InputError(
            "--precision fp16: a ManyDepth compares frames, which takes float32: export it as fp32, or with "
            "--format openvino, which stores float16 and computes what is needed, or as int8"
        )
    if config.dynamic_size:
        raise InputError("--dynamic-size: a ManyDepth's plane sweep is exported for one size: leave it out")


def _sized(config: ExportConfig, card: ModelCard, footage: Sequence[Footage]) -> ModelCard:
    """The card of the export."""
    if config.height is not None and config.width is not None:
        return replace(card, height=config.height, width=config.width, sizes=())
    height, width = card.height, card.width
    if config.frames:
        height, width = input_size(card, footage[0].frames[0].shape[-2:])
    return replace(card, height=height, width=width, sizes=card.sizes if config.dynamic_size else ())


def _size_in_words(config: ExportConfig, whole: ModelCard, card: ModelCard) -> str:
    """whole: the card of the model that is exported."""
    text = f"{card.width}x{card.height}"
    if config.dynamic_size:
        return f"{text}, and other sizes in multiples of 32"
    others = [f"{w}x{h}" for h, w in whole.sizes if (h, w) != (card.height, card.width)]
    if not others or config.frames or config.height is not None:
        return text
    return f"{text} (the model knows {', '.join(others)}, too: --frames, or --height and --width, choose one)"


def _written(
    config: ExportConfig,
    model: MonoDepth | ManyDepth,
    card: ModelCard,
    footage: Sequence[Footage],
    out: Path,
    source: Path,
    traced: MutableMapping[str, Any],
) -> Parity:
    """Files and config.json in `out`, compared with the model."""
    kind, precision, size = config.format, config.precision, (card.height, card.width)
    own = Predictor(model, card)
    half = precision == "fp16" and kind != "openvino"  # whose runtime chooses; its weights are stored so
    written = with_fixed_padding(model) if config.dynamic_size else model
    parts = parts_of(written, card, size, config.parts, half)
    features = parts[0].inputs.get("previous_features")
    notes = ExportNotes(
        kind, precision, tuple(part.name for part in parts), config.dynamic_batch, config.dynamic_size,
        () if features is None else tuple(features.shape[2:]), readme(source)[0].get("license", ""),
        __version__,
    )  # fmt: skip
    described = _described(card, notes)
    exact: dict[str, list[str]] = {}
    for part in parts:
        shapes = dynamic_shapes(part, config.dynamic_batch, config.dynamic_size)
        if part.name not in traced:
            traced[part.name] = trace(part, kind, shapes)
        exact[part.name] = write_part(out, part, traced[part.name], kind, precision == "fp16", described)
    write_card(out, card, asdict(notes))
    compared: Sequence[Footage] = footage
    if precision == "int8":
        first, (calibrating, compared) = parts[0].name, halves(footage, own.matches)
        samples = inputs_on(Exported(out, card, notes, torch.device("cpu")), card, first, calibrating)
        quantise(out / f"{first}{ENDINGS[kind]}", kind, samples, exact[first])
    exported = Predictor(Exported(out, card, notes, torch.device("cpu")), card)
    parity = compare(own, exported, compared)
    _check(config, parity, isinstance(model, ManyDepth) and model.architecture.refines_motion)
    for part in parts[1:]:
        _check_part(out, part, notes)
    figures = {name: float(f"{value:.3g}") for name, value in parity._asdict().items()}
    figures["frames"] = parity.frames
    write_card(out, card, {**asdict(notes), "parity": figures})
    return parity


def _check(config: ExportConfig, parity: Parity, refined: bool) -> None:
    """InputError where the difference is too large. refined: see Limits.tail."""
    limits = LIMITS.get(
        config.precision, Limits(1.0, 1e9, INT8_LIMIT if config.limit is None else config.limit)
    )
    tail = parity.p99 if refined else parity.p999
    if not (parity.median <= limits.median and tail <= limits.tail and parity.mean <= limits.mean):
        hint = (
            f"; allowed is a mean of {limits.mean:g} (--limit): calibrate on more frames (--count), or "
            "keep fp32" if config.precision == "int8"
            else f"; allowed are {limits.median:g} (median) and {limits.tail:g} (the "
            f"{'99' if refined else '99.9'}th percentile): this runtime cannot be used"
        )  # fmt: skip
        raise InputError(f"the export computes another depth than the model: {parity}{hint}")


def _check_part(out: Path, part: Part, notes: ExportNotes) -> None:
    """InputError where an output differs from the module's on the example inputs."""
    session = open_session(
        out / f"{part.name}{ENDINGS[notes.format]}", notes.format, "fp32", torch.device("cpu")
    )
    found = session(**part.inputs)
    with torch.no_grad():
        wanted = dict(zip(part.outputs, part.graph(**part.inputs), strict=True))
    for name, value in wanted.items():
        off = float((found[name] - value).abs().max() / value.abs().max().clamp(min=1e-9))
        if not off <= OTHER_PARTS:
            raise InputError(
                f"part {part.name}: {name} differs from the model's by {off:.1e} of its largest value"
            )


def _described(card: ModelCard, notes: ExportNotes) -> dict[str, Any]:
    """What a file's own metadata say."""
    metres = card.scale == "metres"
    return {
        "images": "RGB in [0, 1], float32, 1 x 3 x height x width; resized with anti-aliasing",
        "depth": "metres" if metres else "up to scale",
        "height": card.height, "width": card.width, "crop_bottom": card.crop_bottom,
        "scale": card.scale, "factor": card.factor if metres else 1.0,
        "precision": notes.precision, "trained_on": card.trained_on, "licence": notes.licence or "not stated",
        "made_by": f"mono2many {__version__}",
    }  # fmt: skip


def _name(config: ExportConfig) -> str:
    """`learn` calls every model folder `model`, in a folder with the video's name."""
    folder = Path(config.model)
    named = folder.resolve().parent if folder.name == "model" else folder
    return f"{named.name}-{config.format}-{config.precision}"
