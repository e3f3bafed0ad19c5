"""Which terms keep cars that drive as fast as the camera from becoming holes? Trainings of equal length.

    python examples/pacing_cars.py --out outputs/pacing_cars
    python examples/pacing_cars.py --out outputs/pacing_cars --on road.mp4 --camera road_camera.json

On streets of the wide variety, steady and stop-and-go, exact depth tells: Abs Rel of what stands and of what
keeps pace, and the share of the latter that is too far by more than a factor 2. On a video: the photometric
error of the held-out end, to un-warped neighbours, and the share of pixels below the road. Appends a line a
training to figures.jsonl and prints it; what is there already is not trained again.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console

from mono2many.datasets.choice import DataConfig
from mono2many.datasets.street import StreetScoring
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.train.loop import train
from mono2many.train.recipes import recipe
from mono2many.train.settings import TrainConfig

TERMS: dict[str, dict[str, Any]] = {
    "auto-mask": {"ground": 0.0},
    "nothing": {"ground": 0.0, "automask": False},
    "hinge 0.1": {"ground": 0.1, "automask": False},
    "hinge 1": {"ground": 1.0, "automask": False},
    "auto-mask, hinge 0.1": {"ground": 0.1},
    "auto-mask, hinge 1": {"ground": 1.0},
}
"""What differs from the recipe."""
STREETS = "steady", "stop-and-go"


@dataclass(frozen=True)
class Settings:
    """Train with several terms and score."""

    out: Path = Path("outputs/pacing_cars")
    on: str = "steady"
    """steady or stop-and-go: streets. Otherwise a video."""
    camera: str | None = None
    """Camera file of the video."""
    crop_bottom: float = 0.0
    """Of the video."""
    start: Literal["starter", "nothing"] = "starter"
    terms: tuple[str, ...] = tuple(TERMS)
    """Which of the table's."""
    steps: int = 500
    height: int = 96
    width: int = 320
    scenes: int = 160
    """Streets to train on."""
    test_scenes: int = 60
    """Streets to score on."""
    seeds: tuple[int, ...] = (0,)


def settings_of(s: Settings, terms: str, seed: int, name: str) -> TrainConfig:
    """Of one training."""
    shared = {
        "height": s.height, "width": s.width, "steps": s.steps, "seed": seed, "val_every": s.steps,
        "out": str(s.out), "name": name, "cache_dir": str(s.out / "cache"), **TERMS[terms],
    }  # fmt: skip
    begin = "video" if s.start == "starter" else "scratch"
    if s.on not in STREETS:
        camera = {"camera": (s.camera,)} if s.camera else {}
        return recipe(begin, "video", data=(s.on,), crop_bottom=s.crop_bottom, **camera, **shared)
    street = {"variety": "wide", "drive": s.on, "scenes": s.scenes}
    return recipe(begin, "synthetic", **street, **shared)


def street_figures(s: Settings, folder: Path | str) -> dict[str, float]:
    """Abs Rel by region, and how much is too far."""
    street = StreetScoring(variety="wide", drive=s.on, test_scenes=s.test_scenes, baseline_scenes=4)
    config = EvaluateConfig(str(folder), DataConfig("synthetic"), street, last=True)
    row = evaluate(config, Console(file=io.StringIO()))["rows"]["model"]
    found = {"abs_rel": row["metrics"]["abs_rel"]}
    for region, metrics in row["regions"].items():
        found[region] = metrics["abs_rel"]
    return found | {f"{region} too far": share for region, share in row["too_far"].items()}


def video_figures(folder: Path) -> dict[str, float]:
    """Of the last validation."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "val"][-1]
    return {"photometric": last["ratio_to_still"], "holes": last["holes"]}


def main(s: Settings) -> None:
    s.out.mkdir(parents=True, exist_ok=True)
    kept = s.out / "figures.jsonl"
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    street = s.on in STREETS
    for seed in s.seeds:
        for number, terms in enumerate(TERMS):
            key = {"on": s.on, "start": s.start, "terms": terms, "seed": seed, "steps": s.steps,
                   "height": s.height, "crop_bottom": s.crop_bottom}  # fmt: skip
            if terms not in s.terms or any(key.items() <= line.items() for line in lines):
                continue
            name = f"{Path(s.on).stem}-{s.start}-{number}-{seed}-{s.height}-{s.crop_bottom:g}"
            folder = train(settings_of(s, terms, seed, name), Console(file=io.StringIO()))
            line = {**key, **(street_figures(s, folder) if street else video_figures(folder))}
            lines.append(line)
            with kept.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Settings))
