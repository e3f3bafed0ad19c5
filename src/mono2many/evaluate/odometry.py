"""Trajectories: the predicted relative poses chained, beside the measured poses."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from mono2many.data.marker import SYNTHETIC
from mono2many.datasets.base import TrajectoryOptions
from mono2many.evaluate.depth import CONTAMINATED
from mono2many.evaluate.frames import TrajectorySequence
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.io.trajectories import TRUE, draw_trajectories
from mono2many.metrics.odometry import SNIPPET, Alignment, aligned, distances, path_errors, snippet_errors
from mono2many.predict.predictor import Predictor, load
from mono2many.predict.trajectory import trajectory
from mono2many.terminal import say, track
from mono2many.types import InputError

ALIGNMENTS: dict[Alignment, str] = {"sim3": "Sim(3)", "se3": "SE(3)", "none": "none"}


def evaluate_trajectories(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    """Score a model's relative poses; print, draw and return the figures.

    Raises InputError for files that are missing or do not fit, and for frames seen in training.
    """
    settings, dataset = config.dataset, config.data.dataset
    assert config.model is not None, "only depth is scored without a model"
    assert dataset.trajectories is not None
    assert isinstance(settings, TrajectoryOptions)
    predictor, trajectories = load(config.model, config.device, config.last), dataset.trajectories(settings)
    sequences, synthetic = trajectories.sequences, trajectories.synthetic
    seen, keys = trajectories.keys_of(predictor.card.seen), [key for x in sequences for key in x.keys]
    known = sum(key in seen for key in keys)
    if known and not settings.allow_contaminated:
        raise InputError(
            f"{config.model}: {known} of {len(keys)} frames of {' '.join(x.name for x in sequences)} were "
            "in this model's training (from here, or from another data set that shows them): score it on "
            "others (--sequences), or all the same with --allow-contaminated"
        )
    ways = tuple(ALIGNMENTS) if predictor.card.scale == "metres" else ("sim3",)
    scores: dict[str, dict[str, Any]] = {}
    panels: dict[str, dict[str, Tensor]] = {}
    for x in sequences:
        found = _predicted(x, predictor, settings, console)
        scores[x.name] = _scores(x, found, ways)
        title = f"{'SYNTHETIC ' if synthetic else ''}{x.name}, {scores[x.name]['metres']:.0f} m"
        panels[title] = {TRUE: x.poses, "predicted, Sim(3)": aligned(x.poses, found, "sim3")}
    marks = [SYNTHETIC] if synthetic else []
    marks += [f"{CONTAMINATED}: {known} of {len(keys)} frames were in this model's training"] if known else []
    for mark in marks:
        say(console, mark, "bold red")
    console.print(_table(scores))
    if any(score["grey"] for score in scores.values()):
        console.print("grey images were read", highlight=False)
    if settings.trajectory is not None:
        draw_trajectories(Path(settings.trajectory), panels, "m")
    return {
        "list": trajectories.name,
        "model": config.model,
        "synthetic": synthetic,
        "contaminated": known,
        "scale": predictor.card.scale,
        "sequences": scores,
    }


def _predicted(
    x: TrajectorySequence, predictor: Predictor, settings: TrajectoryOptions, console: Console
) -> Tensor:
    numbers = track(range(len(x.poses)), f"sequence {x.name}", console=console)
    images = (x.image(number) for number in numbers)
    return trajectory(
        predictor, images, lambda height, width: x.intrinsics, settings.batch_size, settings.refine_motion
    )


def _scores(x: TrajectorySequence, found: Tensor, ways: tuple[Alignment, ...]) -> dict[str, Any]:
    snippets = snippet_errors(x.poses, found)
    return {
        "frames": len(x.poses),
        "metres": float(distances(x.poses)[-1]),
        "grey": x.grey,
        "snippets": {
            "frames": SNIPPET,
            "count": len(snippets),
            "ate_mean": float(snippets.mean()),
            "ate_std": float(snippets.std(correction=0)),
        },
        "path": {way: asdict(path_errors(x.poses, found, way)) for way in ways},
    }


def _table(scores: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        title="Trajectories",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        caption=f"ATE-{SNIPPET}: the papers', m, over {SNIPPET} frames. Whole path: t_err %, r_err degrees "
        "per 100 m (over 100 to 800 m), ATE m, RPE m and degrees from frame to frame.",
        caption_justify="left",
    )
    first = ("", "frames", "m", f"ATE-{SNIPPET}", "aligned")
    for column in (*first, "t_err", "r_err", "ATE", "RPE", "RPE turn"):
        table.add_column(column, justify="left" if column in ("", "aligned") else "right", no_wrap=True)
    for name, score in scores.items():
        snippets = f"{score['snippets']['ate_mean']:.4f} ± {score['snippets']['ate_std']:.4f}"
        of_sequence: list[str | Text] = [Text(name), str(score["frames"]), f"{score['metres']:.0f}", snippets]
        for way, path in score["path"].items():
            numbers = [("–" if v is None else f"{v:.3f}") for v in path.values()]
            table.add_row(*of_sequence, ALIGNMENTS[way], *numbers)
            of_sequence = [""] * 4
    return table
