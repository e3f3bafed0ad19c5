"""The command `scale`: how many metres a model's unit is, found from what is known about the footage.

camera-height   the road below the camera: its distance in the predicted depth, against the true height
speed, auto     the length of the path: the sum of the steps in the depth's unit, against the true one

One image does not show how high its camera stood: a network answers for the mean height of its training.
So a height is that of the training footage, and another car's footage wants its speed.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console
from torch import Tensor

from mono2many.data.dataset import spread_out
from mono2many.evaluate.path_length import travelled
from mono2many.evaluate.run import open_as_trained, open_samples, predict_samples
from mono2many.evaluate.settings import ScaleConfig
from mono2many.files import atomic_write, read_json, user_path, write_text
from mono2many.geometry.align import FINE, SURE_SIGMA, refine_motion
from mono2many.geometry.pose import invert
from mono2many.geometry.warp import backproject
from mono2many.io.gps_tracks import table_of_file
from mono2many.metrics.protocol import median
from mono2many.models.checkpoint import ModelCard
from mono2many.models.pose import NO_POSE
from mono2many.models.starter import STARTER, best_of
from mono2many.predict.predictor import Predictor, load
from mono2many.terminal import say, text_console
from mono2many.types import InputError

WAYS = "camera-height METRES, speed FILE (.csv, .gpx, .nmea, .srt), auto, or factor X"
BATCH = 4
TOP, SIDE = 0.62, 0.3
"""The road is looked for below this share of the height, and this far from either side."""
THICKNESS, FEWEST = 0.2, 0.4
"""Points this share above or below the plane are of it; so many of all must be, or no ground was seen."""
PIXELS = 4000
"""About so many of an image are looked at."""
SEGMENT = 10
"""Pairs of frames that make one single estimate from speed."""
SLOW = 0.25
"""Steps below this share of the mean one are left out: the motion of a standing camera is all error."""
WIDE = 0.2
"""Relative standard deviation of single estimates above which they disagree."""


@dataclass(frozen=True)
class Estimate:
    """A factor, metres per unit of the model's."""

    factor: float
    spread: float | None
    """Standard deviation of single estimates / factor; None where there is only one."""
    seen: str
    """What it was found on, in words."""
    error: float | None = None
    """Standard error of the factor / factor: s / sqrt(n) of n single estimates with sample standard deviation
    s, which is spread / sqrt(n - 1); None where it is not known."""


def find_scale(config: ScaleConfig, console: Console | None = None) -> ModelCard:
    """Estimate the factor, print it and store it in the model folder's config.json. Raises InputError."""
    console = console or text_console()
    number = _number(config.scale_from)
    if config.model == STARTER and config.out is None:
        raise InputError(
            "--model starter stays as it came: add --out FOLDER for a copy that knows its metres"
        )
    if config.out is not None and (user_path(config.out) / "config.json").exists():
        raise InputError(f"--out {config.out}: holds a model already; name a new folder")
    predictor, way = load(config.model, config.device, config.last), config.scale_from[0]
    if way == "factor":
        estimate = Estimate(number, None, "as given")
    else:
        if not predictor.card.has_pose:  # said before any frame is read
            raise InputError(f"{config.model}: {NO_POSE}; --scale-from factor X needs none")
        looks, along = look(config, predictor, console)
        if way == "camera-height":
            refuse_other_motion(looks)
            estimate = from_heights(number, heights(looks))
        else:
            estimate = from_path(*path_steps(looks, along, config.data.frame_step))
    out = own_copy(best_of(config.model, config.last), config.out)
    card = replace(
        predictor.card,
        scale="metres",
        factor=estimate.factor,
        factor_spread=estimate.spread,
        factor_from=" ".join(config.scale_from),
    )
    store(out, card)
    spread = "" if estimate.spread is None else f", ± {100 * estimate.spread:.1f} % in single estimates"
    error = "" if estimate.error is None else f" ± {100 * estimate.error:.1f} %"
    lines = [
        f"{estimate.factor:.4g} metres per unit{error}{spread}; {estimate.seen}",
        f"{out}: depth is in metres from now on",
    ]
    if (out / "best" / "config.json").exists():
        lines.append(f"{out}/best is another model, with a scale of its own")
    for line in lines:
        say(console, line)
    if estimate.spread is not None and estimate.spread > WIDE:
        console.print(
            "Single estimates disagree: the model's unit differs from image to image, or the "
            f"{way} does not belong to this footage.",
            style="yellow",
        )
    return card


def own_copy(model: Path, out: str | None) -> Path:
    """The folder to write to: the model's own, or a copy in `out`."""
    if out is None:
        return model
    folder = user_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "config.json"):
        with atomic_write(folder / name) as temporary:
            shutil.copyfile(model / name, temporary)
    return folder


def store(folder: Path, card: ModelCard) -> None:
    """Write the card's scale into config.json; all else there stays, the weights are not touched."""
    path = folder / "config.json"
    names = ("scale", "factor", "factor_spread", "factor_from")
    raw = read_json(path, "copy the model again") | {name: getattr(card, name) for name in names}
    write_text(path, json.dumps(raw, indent=2) + "\n")


def _number(words: Sequence[str]) -> float:
    """What stands after --scale-from's way, checked before anything is opened; of speed, whose files are
    read once here, and of auto 0."""
    if not words:
        raise InputError(f"--scale-from is needed: {WAYS}")
    way, values = words[0], words[1:]
    if way not in ("camera-height", "speed", "auto", "factor"):
        raise InputError(f"--scale-from {way}: not known; wanted {WAYS}")
    if way == "speed":
        if not values:
            raise InputError("--scale-from speed: no file is named; wanted speed FILE.csv")
        for name in values:
            table_of_file(name)
        return 0.0
    if way == "auto":
        if values:
            raise InputError(f"--scale-from auto: takes nothing after it, got {' '.join(values)}")
        return 0.0
    try:
        (value,) = map(float, values)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        found = " ".join(values) or "nothing"
        raise InputError(f"--scale-from {way}: wanted one positive number after it, got {found}")
    return value


@dataclass(frozen=True)
class Look:
    """A step of the camera, and the ground before it, in the network's own unit."""

    clip: int
    index: int
    """Of the frame in its clip."""
    forward: Float[Tensor, "3"]
    """Where the camera goes until the later neighbour, in its own axes."""
    ground: Float[Tensor, "2 N"]
    """y (down) and z (ahead) of the points in the lower middle of the image, where a road would be."""


@torch.inference_mode()
def look(
    config: ScaleConfig, predictor: Predictor, console: Console
) -> tuple[list[Look], list[Float[ndarray, "_"]]]:
    """Up to `config.frames` evenly spread frames that have both neighbours; of the ways speed and auto, how
    far the camera has gone at each frame of each clip."""
    drawn, by_path = not config.dataset.sources, config.scale_from[0] in ("speed", "auto")
    if drawn and by_path:
        raise InputError(
            f"--scale-from {config.scale_from[0]} wants footage: --datatype video --data VIDEO --camera FILE"
        )
    settings = config.dataset.at_most(config.frames)
    reader = open_as_trained(config.data, settings, predictor.card, "val" if drawn else "train")
    clips, step = reader.clips, config.data.frame_step
    along = travelled(config, clips, getattr(reader, "paths", []), console) if by_path else []
    dataset = open_samples(reader, predictor.card, step, console)
    inner = [n for n, (c, i) in enumerate(dataset.samples) if step <= i < clips[c].frames - step]
    if not inner:
        raise InputError(
            f"--frame-step {step}: no frame of {clips[0].name} has both neighbours; give longer footage"
        )
    order = [[inner[i] for i in group] for group in spread_out(len(inner), config.frames, BATCH)]
    found = []
    for p in predict_samples(predictor.model, predictor, dataset, order, "motion and ground", console):
        b, depth = p.batch, p.depth.float()
        cameras = (b.intrinsics, b.source_intrinsics[:, 1])
        moved = refine_motion(
            p.source_from_target[:, 1],
            b.target,
            b.sources[:, 1],
            depth,
            *cameras,
            FINE,
            SURE_SIGMA,
            b.valid_mask,
        )
        forward = invert(moved)[:, :3, 3].cpu()
        ground = lower_middle(depth, b.intrinsics).cpu()
        places = [dataset.samples[i] for i in b.index.tolist()]
        found += [Look(c, i, f, g) for (c, i), f, g in zip(places, forward, ground, strict=True)]
    return found, along


def lower_middle(depth: Float[Tensor, "B H W"], intrinsics: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B 2 N"]:
    """y and z of the points where the road is looked for."""
    height, width = depth.shape[-2:]
    points = backproject(depth, intrinsics)[:, 1:].unflatten(2, (height, width))
    side = int(SIDE * width)
    points = points[:, :, int(TOP * height) :, side : width - side].flatten(2)
    return points[:, :, :: 1 + points.shape[2] // PIXELS]


def heights(looks: Sequence[Look]) -> list[float | None]:
    """The camera's height above the road in each frame; None where no road is seen.

    The road is parallel to the way the camera goes. Its tilt could be read off the predicted depth too, but
    there an error of a few percent between near and far road tilts the plane and doubles in the height.
    """
    mean = mean_step(looks)
    tilts: dict[int, list[float]] = {}
    for x in looks:
        if drives_ahead(x, mean):
            tilts.setdefault(x.clip, []).append(float(x.forward[1] / x.forward[2]))
    middle = {clip: median(torch.tensor(values)) for clip, values in tilts.items()}
    return [ground_height(x.ground, middle[x.clip]) if x.clip in middle else None for x in looks]


def mean_step(looks: Sequence[Look]) -> float:
    """Mean length of the predicted motion."""
    return float(torch.stack([x.forward for x in looks]).norm(dim=1).mean())


def drives_ahead(x: Look, mean: float) -> bool:
    """Whether the predicted motion shows where the road goes."""
    return bool(x.forward.norm() > SLOW * mean and x.forward[2] > 0)


def refuse_other_motion(looks: Sequence[Look]) -> None:
    """InputError where the predicted motion goes ahead in no frame: then no ground is looked for."""
    mean = mean_step(looks)
    if not any(drives_ahead(x, mean) for x in looks):
        x, y, z = torch.stack([x.forward for x in looks]).mean(0).tolist()
        raise InputError(
            f"--scale-from camera-height: by the predicted motion the camera drives ahead in none of "
            f"{len(looks)} frames (mean step right, down, ahead: {x:.2g} {y:.2g} {z:.2g}); give footage that "
            "looks where it drives, a model that predicts its motion (mono2many evaluate), or factor X"
        )


def ground_height(ground: Float[Tensor, "2 N"], tilt: float) -> float | None:
    """Distance of the camera from the plane that most points lie on; None if they lie on no such plane.

    tilt: metres that the plane goes down (along the camera's y) per metre ahead (along z).
    """
    below = (ground[0] - tilt * ground[1]) / math.hypot(1, tilt)
    height = below.quantile(0.6)  # all that stands on a road is above it
    for _ in range(10):
        near = (below - height).abs() < THICKNESS * height
        if near.sum() < FEWEST * below.numel():
            return None
        height = below[near].median()
    return float(height)


def from_heights(metres: float, found: Sequence[float | None]) -> Estimate:
    """The middle one of true / predicted height. Raises InputError where no image shows ground."""
    single = torch.tensor([metres / height for height in found if height is not None], dtype=torch.float64)
    if len(single) == 0:
        raise InputError(
            f"--scale-from camera-height: none of {len(found)} images shows a plane below the camera in its "
            "lower middle; if it sees its own bonnet train with --crop-bottom, else use speed or factor"
        )
    factor = median(single)
    seen = f"ground seen in {len(single)} of {len(found)} images"
    spread = float(single.std(correction=0)) / factor if len(single) > 1 else None
    return Estimate(factor, spread, seen)


def path_steps(
    looks: Sequence[Look], along: Sequence[Float[ndarray, "_"]], step: int
) -> tuple[Float[ndarray, "N"], Float[ndarray, "N"]]:
    """(predicted, true) lengths of the steps whose true length is known, in order."""
    true = np.array([along[x.clip][x.index + step] - along[x.clip][x.index] for x in looks])
    predicted = np.array([float(x.forward.norm()) for x in looks])
    known = np.isfinite(true)
    if not known.any():
        raise InputError(
            f"--scale-from: the speed of none of {len(looks)} frames looked at is known; give more --frames, "
            "or a file that covers more of the footage"
        )
    return predicted[known], true[known]


def from_path(predicted: Float[ndarray, "N"], true: Float[ndarray, "N"]) -> Estimate:
    """True / predicted length of the whole path. Raises InputError where it has none."""
    moving = true > SLOW * true.mean()
    predicted, true = predicted[moving], true[moving]
    if not true.sum() > 0:
        raise InputError(
            f"--scale-from speed: by the file the path of these frames is {true.sum():.3g} metres long; give "
            "the part of the footage in which the camera moves, with its file"
        )
    if not predicted.sum() > 0:
        raise InputError(
            f"--scale-from speed: the model predicts a path of {predicted.sum():.3g} where the file has "
            f"{true.sum():.3g} metres; it finds no motion in this footage: train it on such"
        )
    factor = true.sum() / predicted.sum()
    parts = [slice(i, i + SEGMENT) for i in range(0, max(1, len(true) - SEGMENT + 1), SEGMENT)]
    single = np.array([true[part].sum() / predicted[part].sum() for part in parts])
    seen = f"path of {true.sum():.4g} metres in {len(true)} steps"
    if len(single) < 2:
        return Estimate(float(factor), None, seen)
    spread = float(single.std() / factor)
    return Estimate(float(factor), spread, seen, spread / math.sqrt(len(single) - 1))
