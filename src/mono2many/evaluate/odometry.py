"""Trajectories on KITTI odometry's sequences: the pose network's steps chained, beside the true poses.

The true poses are camera 0's, as the papers take them, also where the pictures are those of the colour camera
6 cm beside it.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from mono2many.commands.evaluate import EvaluateConfig
from mono2many.data.marker import MARKER, SYNTHETIC
from mono2many.datasets.kitti.splits import KittiFrame, as_raw, seen_frames
from mono2many.datasets.kitti_odometry import OdometryScoring
from mono2many.datasets.kitti_odometry.reader import SOURCE, OdometrySequence, open_sequence
from mono2many.evaluate.kitti import CONTAMINATED
from mono2many.io.trajectories import TRUE, draw_trajectories
from mono2many.metrics.odometry import SNIPPET, Alignment, aligned, distances, path_errors, snippet_errors
from mono2many.predict.predictor import Predictor, load
from mono2many.predict.trajectory import trajectory
from mono2many.types import InputError

TESTS = ("09", "10")
"""The papers' sequences."""
ALIGNMENTS: dict[Alignment, str] = {"sim3": "Sim(3)", "se3": "SE(3)", "none": "none"}


def evaluate_odometry(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    """Score a model's motion; print, draw and return the figures.

    Raises InputError for files that are missing or do not fit, and for frames seen in training.
    """
    settings = config.dataset
    assert config.model is not None, "only depth is scored without a model"
    assert isinstance(settings, OdometryScoring)
    predictor = load(config.model, config.device)
    root = settings.root
    synthetic = (root / MARKER).exists()
    sequences = [_opened(settings, root, name) for name in settings.sequences or _default(root)]
    seen = seen_frames(predictor.card.seen)
    frames = [as_raw(KittiFrame(x.name, n, x.eye)) for x in sequences for n in x.files]
    known = sum(frame in seen for frame in frames)
    if known and not settings.allow_contaminated:
        raise InputError(
            f"{config.model}: {known} of {len(frames)} frames of {' '.join(x.name for x in sequences)} were "
            "in this model's training (from here, or from the drives of KITTI raw that these sequences are): "
            "score it on others (--sequences), or all the same with --allow-contaminated"
        )
    metric = predictor.card.scale == "metres"
    marks = [SYNTHETIC] if synthetic else []
    marks += (
        [f"{CONTAMINATED}: {known} of {len(frames)} frames were in this model's training"] if known else []
    )
    ways: tuple[Alignment, ...] = ("sim3", "se3", "none") if metric else ("sim3",)
    scores: dict[str, dict[str, Any]] = {}
    panels: dict[str, dict[str, Tensor]] = {}
    for x in sequences:
        assert x.poses is not None
        true, found = x.poses[: len(x.files)], _found(settings, predictor, x, console)
        snippets = snippet_errors(true, found)
        scores[x.name] = {
            "frames": len(true),
            "metres": float(distances(true)[-1]),
            "grey": x.camera < 2,
            "snippets": {
                "frames": SNIPPET,
                "count": len(snippets),
                "ate_mean": float(snippets.mean()),
                "ate_std": float(snippets.std(correction=0)),
            },
            "path": {way: asdict(path_errors(true, found, way)) for way in ways},
        }
        title = f"{'SYNTHETIC ' if synthetic else ''}{x.name}, {scores[x.name]['metres']:.0f} m"
        panels[title] = {TRUE: true, "predicted, Sim(3)": aligned(true, found, "sim3")}
    for mark in marks:
        console.print(mark, style="bold red", soft_wrap=True)
    console.print(_table(scores))
    if any(score["grey"] for score in scores.values()):
        console.print("grey images were read", highlight=False)
    if settings.trajectory is not None:
        draw_trajectories(Path(settings.trajectory), panels, "m")
    return {
        "list": config.data.datatype,
        "model": config.model,
        "synthetic": synthetic,
        "contaminated": known,
        "scale": predictor.card.scale,
        "sequences": scores,
    }


def _default(root: Path) -> list[str]:
    there = [path.name for path in sorted((root / "sequences").glob("*")) if path.is_dir()]
    names = [n for n in there if n in TESTS] or [n for n in there if (root / "poses" / f"{n}.txt").exists()]
    if not names:
        raise InputError(
            f"{root}: no sequence with poses to score against (poses/NN.txt beside sequences/NN); "
            f"{SOURCE.format('poses.zip, _color.zip')}"
        )
    return names


def _opened(settings: OdometryScoring, root: Path, name: str) -> OdometrySequence:
    """All of its pictures are there, from the first on, with their poses."""
    sequence = open_sequence(root, name, "l", settings.grey, settings.allow_missing)
    if sequence is None:
        raise InputError(
            f"{root / 'sequences' / name}: no images (image_2 or image_0); {SOURCE.format('color.zip')}, or "
            "name others: --sequences"
        )
    missing = max(sequence.files) + 1 - len(sequence.files)
    if missing:
        raise InputError(
            f"{sequence.folder}: {missing} of the images up to {max(sequence.files)} are missing, and the "
            f"way is chained from each to the next; {SOURCE.format('color.zip')} again"
        )
    if sequence.poses is None:
        raise InputError(
            f"{root / 'poses' / name}.txt: no such file, no poses to score against (KITTI has those of 00 "
            f"to 10); {SOURCE.format('poses.zip')}, or name others: --sequences"
        )
    if len(sequence.files) < 2:
        raise InputError(f"{sequence.folder}: one image shows no motion; name others: --sequences")
    return sequence


def _found(settings: OdometryScoring, predictor: Predictor, x: OdometrySequence, console: Console) -> Tensor:
    def images() -> Iterator[Tensor]:
        numbers = range(len(x.files))
        yield from (x.image(n) for n in track(numbers, f"sequence {x.name}", console=console, transient=True))

    def camera(height: int, width: int) -> Tensor:
        return x.intrinsics

    return trajectory(predictor, images(), camera, settings.batch_size, settings.refine_motion)


def _table(scores: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Trajectories", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in (
        "",
        "frames",
        "m",
        f"ATE-{SNIPPET}",
        "aligned",
        "t_err",
        "r_err",
        "ATE",
        "RPE",
        "RPE turn",
    ):
        table.add_column(column, justify="left" if column in ("", "aligned") else "right", no_wrap=True)
    for name, score in scores.items():
        snippets = f"{score['snippets']['ate_mean']:.4f} ± {score['snippets']['ate_std']:.4f}"
        first = [name, str(score["frames"]), f"{score['metres']:.0f}", snippets]
        for way, path in score["path"].items():
            numbers = [("–" if v is None else f"{v:.3f}") for v in path.values()]
            table.add_row(*first, ALIGNMENTS[way], *numbers)
            first = [""] * 4
    table.caption = (
        f"ATE-{SNIPPET}: the papers', m, over {SNIPPET} frames. Whole path: t_err %, r_err degrees per 100 m "
        "(over 100 to 800 m), ATE m, RPE m and degrees from frame to frame."
    )
    table.caption_justify = "left"
    return table
