"""The command `scale`: how many metres a model's unit is, found from what is known about the footage.

camera-height   the road below the camera: its plane in the predicted depth, against the true height
speed           the length of the path: the sum of predicted steps, against the true one
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mono2many.commands import ScaleConfig
from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset, batches, spread_out
from mono2many.evaluate.depth import all_frames
from mono2many.evaluate.photometric import predict_batches
from mono2many.evaluate.run import open_as_trained
from mono2many.geometry.warp import pixel_rays
from mono2many.io.speed_file import metres_along, read_speed
from mono2many.metrics.protocol import median
from mono2many.models.checkpoint import ModelCard, write_atomically
from mono2many.predict.predictor import Predictor, load
from mono2many.types import InputError, Reader

WAYS = "camera-height METRES, speed FILE.csv, or factor X"
BATCH = 4
TOP, SIDE = 0.62, 0.3
"""The road is looked for below this share of the height, and this far from either side."""
STEEPEST = math.cos(math.radians(20))
"""Least cosine between the ground's normal and the camera's y axis."""
NEAR_PLANE, FEWEST = 0.15, 0.4
"""A pixel agrees with a plane if their depths differ by this share; so many must, or no ground was seen."""
TRIES, PIXELS = 300, 8000
SEGMENT = 10
"""Pairs of frames that make one single estimate from speed."""
SLOW = 0.25
"""Steps below this share of the mean one are left out: the motion of a standing camera is all error."""
WIDE = 0.2


@dataclass(frozen=True)
class Estimate:
    """A factor, metres per unit of the model's."""

    factor: float
    spread: float | None
    """Standard deviation of single estimates / factor."""
    seen: str
    """What it was found on, in words."""


def find_scale(config: ScaleConfig, console: Console | None = None) -> ModelCard:
    """Estimate the factor, print it and store it in the model folder's config.json. Raises InputError."""
    console = console or Console()
    way, values = _asked(config.scale_from)
    predictor = load(config.model, config.device)
    if way == "factor":
        estimate = Estimate(_positive("factor", values), None, "as given")
    else:
        synthetic = config.data.datatype == "synthetic"
        scenes = math.ceil(config.frames / config.data.scene_frames)
        reader = open_as_trained(config, predictor.card, scenes, "val" if synthetic else "train")
        if way == "camera-height":
            estimate = from_heights(
                _positive(way, values), heights(predictor, reader, config.frames, console)
            )
        else:
            estimate = from_path(*path_steps(config, predictor, reader, values, console))
    card = replace(
        predictor.card,
        scale="metres",
        factor=estimate.factor,
        factor_spread=estimate.spread,
        factor_from=" ".join(config.scale_from),
    )
    store(config.model, card)
    spread = "" if estimate.spread is None else f" ± {100 * estimate.spread:.1f} % in single estimates"
    console.print(
        f"{estimate.factor:.4g} metres per unit{spread}; {estimate.seen}", highlight=False, soft_wrap=True
    )
    if estimate.spread is not None and estimate.spread > WIDE:
        console.print(
            "Single estimates disagree: the model's unit differs from image to image, or the "
            f"{way} does not belong to this footage.",
            style="yellow",
        )
    console.print(f"{config.model}: depth is in metres from now on", highlight=False, soft_wrap=True)
    return card


def store(folder: str | Path, card: ModelCard) -> None:
    """Write the card's scale into config.json; all else there stays, the weights are not touched."""
    path = Path(folder).expanduser() / "config.json"
    names = ("scale", "factor", "factor_spread", "factor_from")
    raw = json.loads(path.read_text()) | {name: getattr(card, name) for name in names}
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(raw, indent=2) + "\n"))


def _asked(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The way and what comes after it, checked as far as possible before anything is opened."""
    if not words:
        raise InputError(f"--scale-from is needed: {WAYS}")
    way, values = words[0], words[1:]
    if way not in ("camera-height", "speed", "factor"):
        raise InputError(f"--scale-from {way}: not known; wanted {WAYS}")
    if way == "speed":
        if not values:
            raise InputError("--scale-from speed: no file is named; wanted speed FILE.csv")
        for name in values:
            read_speed(name)
    else:
        _positive(way, values)
    return way, values


def _positive(way: str, values: Sequence[str]) -> float:
    try:
        (value,) = map(float, values)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        found = " ".join(values) or "nothing"
        raise InputError(f"--scale-from {way}: wanted one positive number after it, got {found}")
    return value


@torch.inference_mode()
def heights(predictor: Predictor, reader: Reader, most: int, console: Console) -> list[float | None]:
    """The camera's height above the road in each of up to `most` images, in the network's own unit."""
    places = all_frames(reader)
    found: list[float | None] = []
    order = spread_out(len(places), most, BATCH)
    for group in track(
        order, "ground planes", console=console, transient=True, disable=not console.is_terminal
    ):
        frames = [reader.frame(*places[i]) for i in group]
        images = torch.stack([frame.image for frame in frames]).to(predictor.device).float() / 255
        disparity = predictor.model.depth(images.contiguous(memory_format=torch.channels_last))
        found += [
            ground_height(d, f.intrinsics) for d, f in zip(disparity.float().cpu(), frames, strict=True)
        ]
    return found


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
    return Estimate(factor, float(single.std(correction=0)) / factor, seen)


def ground_height(disparity: Float[Tensor, "H W"], intrinsics: Float[Tensor, "3 3"]) -> float | None:
    """Distance of the camera from the plane it stands on, in 1 / the disparity's unit; None if none is seen.

    On a plane n . X = h disparity is linear in the pixel's ray, disparity = (n / h) . ray: a linear fit whose
    errors are those of the network, which are much the same near and far in disparity, not in depth. The best
    of many planes through three pixels, then least squares without what stands on the road.
    """
    height, width = disparity.shape
    rows, columns = slice(int(TOP * height), height), slice(int(SIDE * width), width - int(SIDE * width))
    rays = pixel_rays(intrinsics[None].double(), height, width)[0].unflatten(1, (height, width))
    every = 1 + rays[0, rows, columns].numel() // PIXELS
    rays = rays[:, rows, columns].flatten(1).T[::every]
    seen = disparity[rows, columns].flatten().double()[::every]
    generator = torch.Generator().manual_seed(0)
    triples = torch.randint(len(seen), (TRIES, 3), generator=generator)
    planes, _ = torch.linalg.solve_ex(rays[triples], seen[triples])
    upright = planes[:, 1] / planes.norm(dim=1) > STEEPEST  # three pixels on one line give no number
    planes = planes[upright]
    if len(planes) == 0:
        return None

    def agree(plane: Tensor) -> Tensor:
        expected = plane @ rays.T
        return (expected - seen).abs() < NEAR_PLANE * expected

    best = planes[agree(planes).sum(1).argmax()]
    for _ in range(10):
        near, error = agree(best), best @ rays.T - seen
        noise = 1.5 * error[near].abs().median() + 1e-9 * seen.mean()
        weight = (near / (1 + (error / noise).square()))[:, None]
        best, _ = torch.linalg.solve_ex(rays.T @ (weight * rays), (rays * weight).T @ seen)
    is_ground = best[1] > STEEPEST * best.norm() and agree(best).sum() > FEWEST * len(seen)
    return float(1 / best.norm()) if is_ground else None


@torch.inference_mode()
def path_steps(
    config: ScaleConfig, predictor: Predictor, reader: Reader, names: Sequence[str], console: Console
) -> tuple[Float[ndarray, "N"], Float[ndarray, "N"]]:
    """(predicted, true) lengths of the steps between frames of up to `config.frames` pairs, in order."""
    if config.data.datatype == "synthetic":
        raise InputError("--scale-from speed: wants footage (--datatype video --data FILM --camera FILE)")
    films, step = len(config.data.data), config.data.frame_step
    if len(names) not in (1, len(reader.clips)) or (len(names) == 1 < films):
        raise InputError(
            f"--scale-from speed: {len(names)} files for {films} films with {len(reader.clips)} clips; give "
            "one for a single film, else one for each clip, in order"
        )
    files = list(names) * (len(reader.clips) if len(names) == 1 else 1)
    along = [metres_along(read_speed(n), n, clip) for n, clip in zip(files, reader.clips, strict=True)]
    dataset = ClipDataset(reader, config.data.offsets)
    inner = [
        number
        for number, (clip, at) in enumerate(dataset.places)
        if at >= step and np.isfinite(along[clip][at : at + step + 1 : step]).sum() == 2
    ]
    if not inner:
        raise InputError(f"{names[0]}: covers no two neighbouring frames of {reader.clips[0].name}")
    order = [[inner[i] for i in group] for group in spread_out(len(inner), config.frames, BATCH)]
    shown = track(
        batches(dataset, order, 0, pin=False),
        "steps",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    inputs = (to_batch(clips, config.data.offsets, predictor.device) for clips in shown)
    predictions = predict_batches(predictor.model, predictor.card.architecture, inputs)
    predicted = torch.cat([p.source_from_target[:, 1, :3, 3].norm(dim=1).cpu() for p in predictions])
    true = [
        along[clip][at + step] - along[clip][at]
        for group in order
        for clip, at in map(dataset.places.__getitem__, group)
    ]
    return predicted.double().numpy(), np.array(true)


def from_path(predicted: Float[ndarray, "N"], true: Float[ndarray, "N"]) -> Estimate:
    """True / predicted length of the whole path. Raises InputError where it has none."""
    moving = true > SLOW * true.mean()
    predicted, true = predicted[moving], true[moving]
    if not (true.sum() > 0 and predicted.sum() > 0):
        raise InputError(
            f"--scale-from speed: the path is {true.sum():.3g} metres long, {predicted.sum():.3g} predicted; "
            "both must be positive: does the camera move in this footage?"
        )
    factor = true.sum() / predicted.sum()
    parts = [slice(i, i + SEGMENT) for i in range(0, max(1, len(true) - SEGMENT + 1), SEGMENT)]
    single = np.array([true[part].sum() / predicted[part].sum() for part in parts])
    seen = f"path of {true.sum():.4g} metres in {len(true)} steps"
    return Estimate(float(factor), float(single.std() / factor), seen)
