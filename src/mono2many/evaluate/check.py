"""The command `check`: measures a data set before training and names what would spoil it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from mono2many.data.cache import Place, in_order
from mono2many.data.dataset import ClipDataset
from mono2many.data.measure import THRESHOLDS, PairMeasures, grey_and_sharpness, measure_pairs
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.choice import time_offsets
from mono2many.evaluate.settings import CheckConfig
from mono2many.files import write_text
from mono2many.geometry.camera import PLAUSIBLE_FOV, Size, horizontal_fov
from mono2many.io.images import kept_rows
from mono2many.terminal import say, text_console, track
from mono2many.types import Frame, FrameSequence, Reader

Verdict = Literal["ok", "look", "problem"]

DRAWN = 64
"""Frames of data that are drawn, not recorded: one is as good as the next."""
RUN = 8
"""So many pairs that follow each other are looked at together."""
BATCH = 12
"""The default --batch-size: training needs that many samples."""
SQUEEZED = 1.35
"""Ratio of the video's aspect ratio and the training's: from here on objects lose their shape."""
FEW_LEVELS = 32
"""Of 256 grey levels, in all frames together."""
COLOURS = {"ok": "green", "look": "yellow", "problem": "red"}


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    figure: str
    verdict: Verdict
    remedy: str = ""


def check(config: CheckConfig, console: Console | None = None) -> bool:
    """Look at the training split and print what was found; False where a finding is a problem.

    InputError where the data cannot be read, or frames have no neighbours.
    """
    console = console or text_console()
    step, settings = config.data.frame_step, config.dataset.at_most(DRAWN)
    offsets = time_offsets(step)
    partner = () if settings.stereo == "none" else (0,)
    options = ReadOptions(
        config.height, config.width, offsets + partner, settings.resize, settings.crop_bottom
    )
    reader = config.data.dataset.open(settings, options, "train")
    dataset = ClipDataset(reader, offsets)
    pairs = pairs_to_see(dataset.clips, step, config.frames)
    measures, sharp, levels = _measured(reader, pairs, console)
    cameras, size = cameras_of(reader), (config.height, config.width)
    findings = [
        *(shape(clip, config) for _, clip in cameras),
        *(
            camera(first.intrinsics, clip, size, settings.crop_bottom, settings.learns_camera)
            for first, clip in cameras
        ),
        *(masked(first.valid_mask) for first, _ in cameras if first.valid_mask is not None),
        *([few_levels(levels)] if levels < FEW_LEVELS else moving(measures, sharp, config)),
        clip_ends(dataset, step),
    ]
    if settings.sources:  # else as many as one asks for
        findings.append(samples(len(dataset), config.data.dataset.cleaning))
    findings = list(dict.fromkeys(findings))  # clips of one shape and camera say it once
    _show(console, findings, f"{len(pairs)} pairs of frames, {step} apart")
    if config.json is not None:
        quantiles = {name: _quantiles(values) for name, values in measures._asdict().items()}
        found = {"findings": [asdict(f) for f in findings], "pairs": len(pairs), "quantiles": quantiles}
        write_text(config.json, json.dumps(found, indent=2) + "\n")
    return all(finding.verdict != "problem" for finding in findings)


def pairs_to_see(clips: Sequence[FrameSequence], step: int, most: int) -> list[tuple[Place, Place]]:
    """At most `most` pairs of frames that are `step` apart, in order: short runs, evenly spread, because
    pairs that follow each other share their frames."""
    pairs = [((c, i), (c, i + step)) for c, clip in enumerate(clips) for i in range(clip.frames - step)]
    if len(pairs) <= most:
        return pairs
    runs = max(1, most // RUN)
    starts = [k * len(pairs) // runs for k in range(runs)]
    return [pairs[i] for start in starts for i in range(start, min(start + min(RUN, most), len(pairs)))]


def cameras_of(reader: Reader) -> list[tuple[Frame, FrameSequence]]:
    """The first frame of every camera, with the first clip that it took."""
    firsts: dict[int, tuple[int, FrameSequence]] = {}
    for number, clip in enumerate(reader.clips):
        firsts.setdefault(clip.camera, (number, clip))
    return [(reader.frame(number, 0), clip) for number, clip in firsts.values()]


def shape(clip: FrameSequence, config: CheckConfig) -> Finding:
    """Whether the training size fits the video's."""
    height, width = _video_size(clip, (config.height, config.width), config.dataset.crop_bottom)
    ratio = (width / height) / (config.width / config.height)
    squeeze = max(ratio, 1 / ratio)
    fitting = max(64, 32 * round(config.width * height / width / 32))
    return _judge(
        "size",
        f"{width}x{height} to {config.width}x{config.height}",
        (squeeze >= SQUEEZED, "look", f"images are squeezed by {squeeze:.1f}: try --height {fitting}"),
        (width < config.width, "look", "images are enlarged: train smaller (--width, --height)"),
    )


def camera(
    k: Float[Tensor, "3 3"], clip: FrameSequence, size: Size, crop_bottom: float = 0.0, learnt: bool = False
) -> Finding:
    """Whether K, in pixels of the training size (height, width), can be that of a camera that took images of
    the video's size."""
    height, width = _video_size(clip, size, crop_bottom)
    whole = height if clip.size is None else clip.size[0]
    (fx, _, cx), (_, fy, cy), _ = k.tolist()
    fx, cx = fx * width / size[1] * clip.pixel_aspect, (cx + 0.5) * width / size[1]
    fy, cy = fy * height / size[0], (cy + 0.5) * height / size[0]
    across, degrees = "across", horizontal_fov(k, size[1])
    if width * clip.pixel_aspect < whole:  # held upright
        across, degrees = "down", math.degrees(math.atan(cy / fy) + math.atan((whole - cy) / fy))
    if learnt:
        return Finding("camera", f"learnt in training, from {degrees:.0f} degrees {across} on", "ok")
    aside = max(abs(cx / width - 0.5), abs(cy / whole - 0.5))
    units = "--camera: fx must be in pixels of the width and height in the file; or --camera learn"
    square = "--camera: fx and fy must be nearly equal (square pixels)"
    if clip.pixel_aspect != 1:
        square = f"--camera: fy must be {clip.pixel_aspect:.3g} times fx, as the video's pixels are wide"
    middle = "--camera: cx and cy should be near the image's middle: is the file for another image?"
    unusual = "unusual: phones and cars' cameras see 50 to 90 degrees; is --camera for this image size?"
    return _judge(
        "camera",
        f"sees {degrees:.0f} degrees {across}, fx/fy {fx / fy:.2f}, centre {aside:.0%} off",
        (not PLAUSIBLE_FOV[0] <= degrees <= PLAUSIBLE_FOV[1], "problem", units),
        (not 1 / 1.2 < fx / fy < 1.2, "problem", square),
        (aside > 0.15, "problem", middle),
        (not 40 <= degrees <= 110, "look", unusual),
    )


def masked(mask: Bool[Tensor, "H W"]) -> Finding:
    """How much of the image losses and scores leave out."""
    return Finding("mask", f"{1 - mask.float().mean():.1%} of the image is left out", "ok")


def few_levels(levels: int) -> Finding:
    """Of frames in which nothing else can be measured."""
    remedy = "stretch the grey levels of all frames by one factor, or expose longer"
    return Finding("levels", f"{levels} of 256 grey levels are used", "problem", remedy)


def moving(m: PairMeasures, sharp: Float[Tensor, "N"], config: CheckConfig) -> list[Finding]:
    """What is found in frames and pairs of frames."""
    data = config.data
    return [
        motion(m, data.frame_step, config.width),
        *shares(m, sharp, data.frame_step, data.dataset.cleaning),
    ]


def motion(m: PairMeasures, step: int, width: int) -> Finding:
    """How far things move from one frame to its neighbour."""
    moving = m.most > THRESHOLDS.static
    most = m.most[moving].median().item() if moving.any() else 0.0
    good = step * THRESHOLDS.good_motion / max(most, 1e-4)
    longer = f"neighbours hardly differ: try --frame-step {min(10 * step, math.ceil(good))}"
    shorter = f"--frame-step {max(1, int(good))}" if step > 1 else "more frames/s"
    return _judge(
        "motion",
        f"{most:.1%} of the width ({most * width:.1f} px)",
        (most <= THRESHOLDS.little_motion / 4, "problem", longer),
        (most < THRESHOLDS.little_motion, "look", longer),
        (most > THRESHOLDS.much_motion, "problem", f"neighbours are far apart: {shorter}"),
    )


def shares(m: PairMeasures, sharp: Float[Tensor, "N"], step: int, cleaning: str = "") -> list[Finding]:
    """Pairs that repeat a frame, in which the camera does not move, that show different scenes once their
    displacement is undone, or whose brightness jumps; and frames that are softer than the others. cleaning:
    the command that leaves such frames out, where the data set has one."""
    apart = (m.agreement < THRESHOLDS.other_scene) & ~m.repeated
    jumps = m.brightness.abs() > THRESHOLDS.brightness_jump
    soft = sharp < THRESHOLDS.soft * sharp.median()
    smaller = "a smaller --frame-step" if step > 1 else "more frames/s"
    out = f"{cleaning} leaves them out" if cleaning else "train on a list without them"
    order = f"cuts? {cleaning}; images out of order? rename them; too fast? {smaller}"
    blurred = f"{cleaning} lists blurred frames; record with a shorter exposure"
    if not cleaning:
        order, blurred = f"are its files complete and in order? too fast? {smaller}", out
    exposure = "lock the camera's exposure, or take other footage: losses compare colours"
    return [
        _share("repeated", m.repeated, "of the pairs", 0.01, 0.3, out),
        _share("standing", m.static, "of the pairs", 0.1, 0.5, out),
        _share("overlap", apart, "of the pairs show different scenes", 0.01, 0.2, order),
        _share("brightness", jumps, "of the pairs jump", 0.02, 0.3, exposure),
        _share("sharpness", soft, "of the frames are much softer", 0.1, 1.0, blurred),
    ]


def clip_ends(dataset: ClipDataset, step: int) -> Finding:
    """Targets that have one neighbour only, and frames that have none."""
    count = len(dataset)
    alone = sum(None in dataset.neighbours(i) for i in range(count))
    unused = sum(clip.frames for clip in dataset.clips) - count
    figure = f"{alone / count:.1%} of {count} samples lack a neighbour"
    figure += f", {unused} frames lack both" if unused else ""
    many = alone > 0.55 * count or unused > 0.1 * count
    shorter = f"a smaller --frame-step than {step}, or " if step > 1 else ""
    return _judge("clip ends", figure, (many, "look", f"{shorter}longer clips"))


def samples(count: int, cleaning: str = "") -> Finding:
    more = "more footage: a minute or more" if cleaning else "a longer list of frames"
    fewer = f"fewer than --batch-size {BATCH}: {more}, or --batch-size {max(1, count // 2)}"
    return _judge("samples", str(count), (count < BATCH, "problem", fewer), (count < 500, "look", more))


def _judge(name: str, figure: str, *rules: tuple[bool, Verdict, str]) -> Finding:
    """With the verdict and the remedy of the first rule that holds; ok where none does."""
    for holds, verdict, remedy in rules:
        if holds:
            return Finding(name, figure, verdict, remedy)
    return Finding(name, figure, "ok")


def _share(name: str, found: Tensor, what: str, look: float, problem: float, remedy: str) -> Finding:
    """By the share of `found`: above `look`, above `problem`."""
    share = found.float().mean().item()
    figure = f"{share:.1%} {what}"
    return _judge(name, figure, (share > problem, "problem", remedy), (share > look, "look", remedy))


def _measured(
    reader: Reader, pairs: Sequence[tuple[Place, Place]], console: Console
) -> tuple[PairMeasures, Float[Tensor, "N"], int]:
    """The pairs' measures, the sharpness of their frames, and how many levels lie between the darkest and the
    brightest value of all."""
    places = sorted({place for pair in pairs for place in pair})
    firsts = {second: first for first, second in pairs}
    greys, sharp, found = dict[Place, Tensor](), list[float](), list[PairMeasures]()
    low, high = 255, 0
    frames = zip(places, in_order(reader, places), strict=True)
    for place, frame in track(frames, "looking", len(places), console=console):
        greys[place], sharpness = grey_and_sharpness(frame.image)
        sharp.append(sharpness)
        low, high = min(low, int(frame.image.min())), max(high, int(frame.image.max()))
        if place in firsts:  # in order, so that nothing before the first is needed any more
            first = firsts[place]
            found.append(measure_pairs(greys[first], greys[place]))
            greys = {other: grey for other, grey in greys.items() if other > first}
    measures = PairMeasures(*map(torch.cat, zip(*found, strict=True)))
    return measures, torch.tensor(sharp), high - low + 1


def _video_size(clip: FrameSequence, size: Size, crop_bottom: float) -> Size:
    """Height, less what --crop-bottom takes, and width; where they are not known `size`, the training's."""
    return size if clip.size is None else (kept_rows(clip.size[0], crop_bottom), clip.size[1])


def _quantiles(values: Float[Tensor, "N"]) -> dict[str, float]:
    return {f"{share:g}": values.quantile(share).item() for share in (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)}


def _show(console: Console, findings: Sequence[Finding], title: str) -> None:
    table = Table("", "found", "verdict", title=title, title_justify="left")
    for f in findings:
        table.add_row(f.name, f.figure, Text(f.verdict, COLOURS[f.verdict]))
    console.print(table)
    for f in findings:
        if f.remedy:
            say(console, Text.assemble((f.name, COLOURS[f.verdict]), f": {f.remedy}"))
    if all(f.verdict == "ok" for f in findings):
        console.print("Nothing here will spoil training.")
