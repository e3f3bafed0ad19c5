"""What the anchor's weight and schedule do to a good start: the starter adapted to drawn films, and scored.

    python examples/anchor_schedules.py --out outputs/anchor_schedules

Two films of streets that the starter has not seen: one of an even drive, one in stop-and-go traffic, where
the photometric error says little about depth. Each is learnt from by self-supervision alone for a short
while; exact depth of the same frames then gives Abs Rel (median scaling). Prints the figures and writes
figures.json.
"""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
import tyro
from rich.console import Console

from mono2many import load
from mono2many.datasets.video import VideoTraining
from mono2many.metrics.protocol import PROTOCOLS, score
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.video import write_street_video
from mono2many.train.loop import train
from mono2many.train.settings import TrainConfig


class Schedule(NamedTuple):
    """Of the anchor."""

    weight: float
    until: float = 1.0
    """Share of the training at which it has faded to nothing; 1: it holds to the end."""


SCHEDULES = {
    "none": Schedule(0.0),
    "0.02": Schedule(0.02),
    "0.1": Schedule(0.1),
    "0.3": Schedule(0.3),
    "0.1, gone at half": Schedule(0.1, 0.5),
    "0.3, gone at 0.99": Schedule(0.3, 0.99),
}


@dataclass(frozen=True)
class Settings:
    """Adapt the starter to two films with several anchors."""

    out: Path = Path("outputs/anchor_schedules")
    steps: int = 80
    """Of each adaptation."""
    batch_size: int = 4
    frames: int = 60
    """Of each film."""
    height: int = 96
    width: int = 320
    learning_rate: float = 1e-4
    schedules: tuple[str, ...] = tuple(SCHEDULES)
    """Which of the table's."""
    seed: int = 0


def films(s: Settings) -> dict[str, StreetSettings]:
    """What is drawn; the first street of each."""
    size = {"scenes": 1, "frames": s.frames, "height": s.height, "width": s.width}
    return {
        "even drive": StreetSettings(**size),
        "stop-and-go": StreetSettings(**size, variety="wide", step=0.05),
    }


def adaptation(s: Settings, film: Path, name: str, schedule: Schedule) -> TrainConfig:
    base = TrainConfig()
    return replace(
        base,
        dataset=VideoTraining(data=(str(film),), camera=(str(film.with_suffix(".json")),)),
        data=replace(
            base.data, datatype="video",
            height=s.height, width=s.width, cache_dir=str(s.out / "cache"),
        ),
        loss=replace(base.loss, anchor=schedule.weight, anchor_until=schedule.until),
        optim=replace(
            base.optim, steps=s.steps, batch_size=s.batch_size, learning_rate=s.learning_rate,
            optimiser="adamw", schedule="cosine", warm_up=0.1,
        ),
        run=replace(
            base.run, start_from="starter", out=str(s.out), name=name, seed=s.seed, val_every=s.steps
        ),
    )  # fmt: skip


def abs_rel(model: str | Path, street: StreetSettings) -> float:
    """Mean over every fourth frame of the film."""
    predictor, reader = load(model), SyntheticReader(street, "test")
    errors = []
    for index in range(0, street.frames, 4):
        frame = reader.frame(0, index)
        assert frame.depth is not None
        result = score(predictor.disparity(frame.image[None])[0], frame.depth, PROTOCOLS["synthetic-80m"])
        assert result is not None
        errors.append(result.metrics.abs_rel)
    return sum(errors) / len(errors)


def photometric_ratio(folder: Path) -> float:
    """On the held-out end of the film, to un-warped neighbours."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "val"][-1]
    return float(last["ratio_to_still"])


def main(s: Settings) -> None:
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for number, (film_name, street) in enumerate(films(s).items()):
        film = s.out / f"film{number}.mp4"
        if not film.exists():
            write_street_video(film, street)
        figures[film_name] = {"start": {"abs_rel": abs_rel("starter", street)}}
        print(f"{film_name}: start {figures[film_name]['start']['abs_rel']:.3f}", flush=True)
        for name in s.schedules:
            run = f"film{number}-{list(SCHEDULES).index(name)}"
            folder = train(adaptation(s, film, run, SCHEDULES[name]), Console(file=io.StringIO()))
            found = {"abs_rel": abs_rel(folder, street), "photometric_ratio": photometric_ratio(folder)}
            figures[film_name][name] = found
            print(f"{film_name}: {name}: {found}", flush=True)
    (s.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Settings))
