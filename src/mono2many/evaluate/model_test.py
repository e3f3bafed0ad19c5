"""`model_test.py`: the newest model on KITTI's test lists."""

from pathlib import Path
from typing import Any

from rich.console import Console

from mono2many.data.marker import SYNTHETIC
from mono2many.datasets.base import TestListOptions
from mono2many.datasets.kitti import KittiScoring
from mono2many.datasets.kitti.files import improved_path
from mono2many.datasets.kitti.splits import split_frames
from mono2many.datasets.kitti.test_list import PAPERS, kitti_eval_set
from mono2many.evaluate.present import cells, depth_table, figures, marks, report, write_json
from mono2many.evaluate.scoring import Scoring, score_set
from mono2many.evaluate.settings import ModelTestConfig
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.models.starter import best_of
from mono2many.predict.predictor import load
from mono2many.terminal import say, text_console
from mono2many.types import InputError

IMPROVED = "kitti_eigen_benchmark"
COLUMNS = ("abs_rel", "sqrt_rel", "rmse", "rmse_log", "a1", "a2", "a3")


def model_test(config: ModelTestConfig, console: Console | None = None) -> dict[str, Any]:
    """Score the newest model on both of KITTI's test lists, in one table; return the figures by list."""
    console = console or text_console()
    folder = best_of(config.model) if config.model is not None else newest_model(Path(config.out))
    options = TestListOptions(
        flip=config.flip, batch_size=config.batch_size, workers=config.workers, allow_contaminated=True
    )
    root, scoring = Path(config.data), Scoring(str(folder), load(folder, config.device), options)
    about = scoring.card.trained_on if scoring.card is not None else ""
    say(console, f"model {folder}, trained on {about or 'unknown data'}")
    table, notes = depth_table(COLUMNS), list[str]()
    found: dict[str, Any] = {"model": str(folder), "lists": {}}
    for name, protocol in PAPERS.items():
        improved = name == IMPROVED
        if improved and not any(improved_path(root, frame).exists() for frame in split_frames(name, "test")):
            notes.append(f"no improved depth (data_depth_annotated.zip) is there: {name} not scored")
            continue
        # improved depth is a download of its own: what there is of it counts
        allow_missing = config.allow_missing or improved
        settings = KittiScoring(data=config.data, allow_missing=allow_missing)
        eval_set = kitti_eval_set(name, settings, PROTOCOLS[protocol], scoring.card)
        outcome = score_set(eval_set, scoring, console)
        found["lists"][name] = figures(outcome, scoring)
        table.title = SYNTHETIC if eval_set.synthetic else None
        for row, evaluation in outcome.rows.items():
            table.add_row(row.text(name), *cells(evaluation.metrics))
        main = outcome.rows[outcome.main]
        notes += [f"{name}: {mark}" for mark in marks(outcome) if mark != SYNTHETIC]  # the table's title
        notes.append(
            f"{name}: {main.images} of {eval_set.listed} images, protocol {main.protocol.name}, median ratio "
            f"{main.ratio_text}"
        )
        if config.report is not None and not improved:
            report(config.report, outcome, scoring)
    console.print(table)
    for line in notes:
        say(console, line)
    write_json(config.json, found)
    return found


def newest_model(out: Path) -> Path:
    """The model folder below `out` that was written last; of a run its best model. InputError: none."""
    found = sorted(out.rglob("model.safetensors"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(f"{out}: no model in it; train one (--out), or name one: --model FOLDER")
    run = found[-1].parent.parent if found[-1].parent.name == "best" else found[-1].parent
    return best_of(run)
