"""The command `check`: figures of a data set that say, before training, what would spoil it."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from mono2many.commands.check import CheckConfig
from mono2many.data.dataset import ClipDataset
from mono2many.data.measure import PairMeasures, measure_pairs, sharpness, shrink, to_grey
from mono2many.data.prepare import REPEATED, STANDING
from mono2many.data.video import kept_rows
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.choice import time_offsets
from mono2many.geometry.camera import PLAUSIBLE_FOV, horizontal_fov
from mono2many.models.checkpoint import write_atomically
from mono2many.types import FrameSequence, Reader

Verdict = Literal["ok", "look", "problem"]
Place = tuple[int, int]

DRAWN = 64
"""Frames of data that are drawn, not recorded: one is as good as the next."""
RUN = 8
"""So many pairs that follow each other are looked at together."""
BATCH = 12
"""The default --batch-size: training needs that many samples."""
GOOD_MOTION = 0.015
"""Upper quartile of the displacement, share of the width, to aim at: KITTI and the street have 0.02."""
LITTLE, MUCH = 0.008, 0.08
"""Less needs a longer step, more a shorter one. A highway at 25 frames/s has 0.005."""
OTHER_SCENE = 0.12
"""Agreement below which neighbours do not show the same: KITTI's least is 0.14."""
BRIGHTER = 0.06
"""Change of the mean brightness that is a jump: 15 of 255."""
SQUEEZED = 1.35
"""Factor between the film's shape and the training's."""
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
    console = console or Console(highlight=False)
    data, settings = config.data, config.dataset.at_most(DRAWN)
    offsets = time_offsets(data.frame_step)
    partner = () if settings.stereo == "none" else (0,)
    options = ReadOptions(
        config.height, config.width, offsets + partner, settings.resize, settings.crop_bottom
    )
    reader = data.dataset.open(settings, options, "train")
    dataset = ClipDataset(reader, offsets)
    pairs = pairs_to_see(dataset.clips, data.frame_step, config.frames)
    cameras: dict[int, Tensor] = {}
    measures, sharp = _measured(reader, pairs, cameras, console)
    findings = [shape(clip, config) for clip in _one_per_camera(dataset.clips)]
    for number, clip in enumerate(dataset.clips):
        if clip.camera not in cameras:  # none of its frames was looked at
            cameras[clip.camera] = reader.frame(number, 0).intrinsics
    for clip in _one_per_camera(dataset.clips):
        findings.append(camera(cameras[clip.camera], clip, config, settings.learns_camera))
    findings += [
        motion(measures, data.frame_step, config.width),
        *standing(measures),
        overlap(measures, data.frame_step),
        brightness(measures),
        blur(sharp),
        clip_ends(dataset, data.frame_step),
    ]
    if settings.sources:  # else as many as one asks for
        findings.append(samples(len(dataset)))
    findings = list(dict.fromkeys(findings))  # films of one shape and camera say it once
    _show(console, findings, len(pairs), data.frame_step)
    if config.json is not None:
        figures = {"findings": [asdict(f) for f in findings], "pairs": len(pairs)} | _quantiles(measures)
        path = Path(config.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: temporary.write_text(json.dumps(figures, indent=2) + "\n"))
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


def shape(clip: FrameSequence, config: CheckConfig) -> Finding:
    """Whether the training size fits the film's."""
    height, width = _film_size(clip, config)
    squeeze = (width / height) / (config.width / config.height)
    figure = f"{width}x{height} to {config.width}x{config.height}"
    fitting = max(64, 32 * round(config.width * height / width / 32))
    if not 1 / SQUEEZED < squeeze < SQUEEZED:
        remedy = f"pictures are squeezed by {max(squeeze, 1 / squeeze):.1f}: try --height {fitting}"
        return Finding("size", figure, "look", remedy)
    if width < config.width:
        return Finding("size", figure, "look", "pictures are enlarged: train smaller (--width, --height)")
    return Finding("size", figure, "ok")


def camera(
    k: Float[Tensor, "3 3"], clip: FrameSequence, config: CheckConfig, learnt: bool = False
) -> Finding:
    """Whether K, in pixels of the training size, can be a camera's that took pictures of the film's size."""
    height, width = _film_size(clip, config)
    whole = height if clip.size is None else clip.size[0]
    (fx, _, cx), (_, fy, cy), _ = k.tolist()
    fx, cx = fx * width / config.width, (cx + 0.5) * width / config.width
    fy, cy = fy * height / config.height, (cy + 0.5) * height / config.height
    degrees = horizontal_fov(k, config.width)
    aside = max(abs(cx / width - 0.5), abs(cy / whole - 0.5))
    figure = f"sees {degrees:.0f} degrees across, fx/fy {fx / fy:.2f}, centre {aside:.0%} off"
    if learnt:
        return Finding("camera", f"learnt in training, from {degrees:.0f} degrees across on", "ok")
    if not PLAUSIBLE_FOV[0] <= degrees <= PLAUSIBLE_FOV[1]:
        remedy = "--camera: fx must be in pixels of the width and height in the file; or --camera learn"
        return Finding("camera", figure, "problem", remedy)
    if not 1 / 1.2 < fx / fy < 1.2:
        return Finding(
            "camera", figure, "problem", "--camera: fx and fy must be nearly equal (square pixels)"
        )
    if aside > 0.15:
        remedy = "--camera: cx and cy should be near the picture's middle: is the file for another picture?"
        return Finding("camera", figure, "problem", remedy)
    if not 40 <= degrees <= 110:
        remedy = "unusual: phones and cars' cameras see 50 to 90 degrees; is --camera for this picture size?"
        return Finding("camera", figure, "look", remedy)
    return Finding("camera", figure, "ok")


def motion(m: PairMeasures, step: int, width: int) -> Finding:
    """How far things move from one frame to its neighbour."""
    moving = m.most > STANDING
    most = m.most[moving].median().item() if moving.any() else 0.0
    figure = f"{most:.1%} of the width ({most * width:.1f} px)"
    if most < LITTLE:
        longer = min(10 * step, math.ceil(step * GOOD_MOTION / max(most, 1e-4)))
        verdict: Verdict = "look" if most > LITTLE / 4 else "problem"
        return Finding("motion", figure, verdict, f"neighbours hardly differ: try --frame-step {longer}")
    if most > MUCH:
        shorter = f"--frame-step {max(1, int(step * GOOD_MOTION / most))}" if step > 1 else "more frames/s"
        return Finding("motion", figure, "problem", f"neighbours are far apart: {shorter}")
    return Finding("motion", figure, "ok")


def standing(m: PairMeasures) -> list[Finding]:
    """Pairs that repeat a frame, and pairs in which the camera does not move."""
    again = m.difference < REPEATED
    still = ~again & (m.most < STANDING)
    prepare = "mono2many prepare video FILM leaves them out"
    return [
        _share("repeated", again, "of the pairs", 0.01, 0.3, prepare),
        _share("standing", still, "of the pairs", 0.1, 0.5, prepare),
    ]


def overlap(m: PairMeasures, step: int) -> Finding:
    """Whether neighbours show the same scene once things are moved back."""
    apart = (m.agreement < OTHER_SCENE) & (m.difference >= REPEATED)
    smaller = "a smaller --frame-step" if step > 1 else "more frames/s"
    remedy = f"cuts? mono2many prepare video FILM; pictures out of order? rename them; too fast? {smaller}"
    return _share("overlap", apart, "of the pairs show different scenes", 0.01, 0.2, remedy)


def brightness(m: PairMeasures) -> Finding:
    remedy = "lock the camera's exposure, or take other footage: losses compare colours"
    return _share("brightness", m.brightness.abs() > BRIGHTER, "of the pairs jump", 0.02, 0.3, remedy)


def blur(sharp: Float[Tensor, "N"]) -> Finding:
    blurred = sharp < 0.4 * sharp.median()
    remedy = "mono2many prepare video FILM lists blurred frames; film with a shorter exposure"
    return _share("sharpness", blurred, "of the frames are much softer", 0.1, 1.0, remedy)


def clip_ends(dataset: ClipDataset, step: int) -> Finding:
    """Targets that have one neighbour only, and frames that have none."""
    alone = sum(None in dataset.neighbours(i) for i in range(len(dataset)))
    unused = sum(clip.frames for clip in dataset.clips) - len(dataset)
    figure = f"{alone / len(dataset):.1%} of {len(dataset)} samples lack a neighbour"
    figure += f", {unused} frames lack both" if unused else ""
    if alone > 0.55 * len(dataset) or unused > 0.1 * len(dataset):
        shorter = f"a smaller --frame-step than {step}, or " if step > 1 else ""
        return Finding("clip ends", figure, "look", f"{shorter}longer clips")
    return Finding("clip ends", figure, "ok")


def samples(count: int) -> Finding:
    if count < BATCH:
        remedy = f"fewer than --batch-size {BATCH}: more footage, or --batch-size {max(1, count // 2)}"
        return Finding("samples", str(count), "problem", remedy)
    few = "more footage: a minute or more" if count < 500 else ""
    return Finding("samples", str(count), "look" if few else "ok", few)


def _share(name: str, found: Tensor, what: str, look: float, problem: float, remedy: str) -> Finding:
    share = found.float().mean().item()
    verdict: Verdict = "problem" if share > problem else "look" if share > look else "ok"
    return Finding(name, f"{share:.1%} {what}", verdict, remedy if verdict != "ok" else "")


def _measured(
    reader: Reader, pairs: Sequence[tuple[Place, Place]], cameras: dict[int, Tensor], console: Console
) -> tuple[PairMeasures, Float[Tensor, "N"]]:
    """The pairs' measures and the first frames' sharpness; fills in K by the number of the camera."""
    places = sorted({place for pair in pairs for place in pair})
    seconds = {second: first for first, second in pairs}
    clips, small, found, sharp = list(reader.clips), dict[Place, Tensor](), [], []
    stream = getattr(reader, "stream", None)
    frames: Iterator = stream(places) if stream else (reader.frame(*place) for place in places)
    for place, frame in track(
        zip(places, frames, strict=True), "looking", len(places), console=console, transient=True
    ):
        cameras.setdefault(clips[place[0]].camera, frame.intrinsics)
        large = to_grey(frame.image[None], 640)
        small[place] = shrink(large)
        sharp.append(sharpness(large))
        if place in seconds:  # in order, so that nothing before the first is needed any more
            found.append(measure_pairs(small[seconds[place]], small[place]))
            small = {other: grey for other, grey in small.items() if other > seconds[place]}
    names = PairMeasures.__dataclass_fields__
    return PairMeasures(**{n: torch.cat([getattr(m, n) for m in found]) for n in names}), torch.cat(sharp)


def _one_per_camera(clips: Sequence[FrameSequence]) -> list[FrameSequence]:
    return list({clip.camera: clip for clip in reversed(clips)}.values())[::-1]


def _film_size(clip: FrameSequence, config: CheckConfig) -> tuple[int, int]:
    """Height, less what --crop-bottom takes, and width."""
    if clip.size is None:
        return config.height, config.width
    return kept_rows(clip.size[0], config.dataset.crop_bottom), clip.size[1]


def _quantiles(measures: PairMeasures) -> dict[str, dict[str, dict[str, float]]]:
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    values = {name: getattr(measures, name) for name in PairMeasures.__dataclass_fields__}
    return {
        "quantiles": {
            name: {
                f"{s:g}": v for s, v in zip(shares, x.quantile(torch.tensor(shares)).tolist(), strict=True)
            }
            for name, x in values.items()
        }
    }


def _show(console: Console, findings: Sequence[Finding], pairs: int, step: int) -> None:
    table = Table(title=f"{pairs} pairs of frames, {step} apart", title_justify="left")
    for column in ("", "found", "verdict"):
        table.add_column(column)
    for f in findings:
        table.add_row(f.name, f.figure, f"[{COLOURS[f.verdict]}]{f.verdict}[/]")
    console.print(table)
    for f in findings:
        if f.remedy:
            console.print(f"[{COLOURS[f.verdict]}]{f.name}[/]: {f.remedy}", soft_wrap=True)
    if all(f.verdict == "ok" for f in findings):
        console.print("Nothing here will spoil training.")
