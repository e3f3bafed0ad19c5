"""How steady is the depth of a video without and with --steady, and how well does its standard deviation
describe its errors?

    python examples/steady_and_confidence.py --models starter FOLDER

Measures flicker, scale drift and Abs Rel on unseen streets; the deviation's calibration error (ECE), and the
AUSE of |log depth error| after median scaling, per frame. Writes OUT/figures.json and OUT/MODEL.png: a row of
disparities over time, without --steady (left) and with it (right), one frame a line; below it a frame, its
disparity, its error and deviation (black 0, bright from 0.5).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
import tyro
from torch import Tensor

from mono2many import Predictor, load
from mono2many.files import write_text
from mono2many.io.colour import colour_disparity, robust_range
from mono2many.io.images import write_image
from mono2many.metrics.protocol import PROTOCOLS, score
from mono2many.metrics.uncertainty import ause, ause_of_random, calibration_error
from mono2many.predict.video import Stream
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Frame


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...] = ("starter",)
    frames: int = 24
    """Of each street."""
    streets: int = 4
    height: int = 160
    width: int = 512
    out: Path = Path("outputs/steady")


def over_time(rows: list[list[Tensor]]) -> Tensor:
    """Two lists of rows of disparity beside each other, one row below the other, in colour."""
    image = torch.cat([torch.stack(half) for half in rows], 1).repeat_interleave(4, 0)
    return colour_disparity(image, *robust_range(image))


def steadiness(steady: Stream) -> dict[str, float]:
    (flicker, drift), (flicker_steady, drift_steady) = (
        steady.follower.before.read(),
        steady.follower.after.read(),
    )
    names = ("flicker", "flicker_steady", "drift", "drift_steady")
    return dict(zip(names, (flicker, flicker_steady, drift, drift_steady), strict=True))


def log_error(disparity: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
    """|error of log depth| after median scaling, and the pixels with ground truth up to 80 m."""
    known, ratio = frame.depth < 80, frame.depth * disparity
    return (ratio / ratio[known].median()).log().abs(), known


def frame_figures(predictor: Predictor, frame: Frame, plain, steady) -> dict[str, float]:
    """Abs Rel of both, log error where something moves, and how the deviation orders the errors."""
    figures, (error, known) = {}, log_error(plain.disparity, frame)
    for name, found in (("", plain), ("_steady", steady)):
        truth, moving = frame.depth, known & frame.moving
        figures["abs_rel" + name] = score(found.disparity, truth, PROTOCOLS["synthetic-80m"]).metrics.abs_rel
        if moving.any():
            figures["moving" + name] = float(log_error(found.disparity, frame)[0][moving].mean())
    flip = (plain.disparity / predictor(frame.image.flip(-1)).disparity.flip(-1)).log().abs()
    figures |= {"ause": ause(error[known], plain.std[known]), "ause_flip": ause(error[known], flip[known])}
    return figures | {"ause_random": ause_of_random(error[known])}


def on_streets(predictor: Predictor, s: Settings, sheet: Path) -> dict[str, float]:
    street = StreetSettings(s.streets, s.frames, s.height, s.width, variety="wide")
    reader, rows, errors, deviations = SyntheticReader(street, "test"), list[dict[str, float]](), [], []
    for clip in range(s.streets):
        slices, streams = [list[Tensor](), list[Tensor]()], []
        for i in range(s.frames):
            frame = reader.frame(clip, i)
            streams = streams or [
                predictor.stream(frame.intrinsics, steady=x, std=not x) for x in (False, True)
            ]
            plain, steady = (stream(frame.image) for stream in streams)
            rows.append(frame_figures(predictor, frame, plain, steady))
            error, known = log_error(plain.disparity, frame)
            errors.append(error[known])
            deviations.append(plain.std[known])
            for half, found in zip(slices, (plain, steady), strict=True):
                half.append(found.disparity[s.height * 5 // 8])
            if i == s.frames // 2:
                shown = (colour_disparity(x.where(known, 0), 0.0, 0.5) for x in (error, plain.std))
                views = [torch.cat(pair, 2) for pair in ([frame.image, plain.colour()], [*shown])]
        rows.append(steadiness(streams[1]))
        if clip == 0:
            write_image(sheet, torch.cat([over_time(slices), *views], 1))
    figures = {"ece": calibration_error(torch.cat(errors), torch.cat(deviations))}
    names = dict.fromkeys(name for row in rows for name in row)
    return figures | {name: mean(row[name] for row in rows if name in row) for name in names}


def main(s: Settings) -> None:
    found = {}
    for model in s.models:
        predictor, name = load(model), Path(model).name
        found[name] = on_streets(predictor, s, s.out / f"{name}.png")
        print(name, json.dumps(found[name], indent=1), flush=True)
    write_text(s.out / "figures.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings))
