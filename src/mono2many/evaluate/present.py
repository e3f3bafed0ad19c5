"""What is shown of an Outcome: printed, as JSON, as an HTML page."""

from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from mono2many.data.marker import SYNTHETIC
from mono2many.evaluate.depth import CONTAMINATED, Outcome, Row, compare
from mono2many.evaluate.figures import training_curve
from mono2many.evaluate.predictors import BASELINES
from mono2many.evaluate.report.gallery import best_and_worst, best_median_worst, gallery
from mono2many.evaluate.report.page import write_report
from mono2many.evaluate.scoring import Scoring, without_neighbour
from mono2many.evaluate.tables import holes_text, print_table
from mono2many.metrics.published import PublishedResult, published
from mono2many.models.checkpoint import ModelCard
from mono2many.models.many import ManyDepth
from mono2many.models.starter import model_folder


def print_outcome(outcome: Outcome, s: Scoring, console: Console) -> None:
    """Its marks and tables; then the model beside the baselines, or what KITTI's server would say."""
    for mark in marks(outcome):
        console.print(mark, style="bold red", soft_wrap=True)
    synthetic = "SYNTHETIC. " if outcome.eval_set.synthetic else ""
    print_table(console, outcome.rows, published_beside(outcome), synthetic)
    against = compare(outcome.rows, outcome.main)
    if against is None:
        for row, server in _server_figures(outcome).items():
            text = f"SILog {server['silog']:.2f}, iRMSE {server['irmse']:.2f} 1/km of {row}"
            console.print(f"{text} (the formulas of KITTI's server)", highlight=False)
        return
    if s.predictor is not None and isinstance(s.predictor.model, ManyDepth):
        own = {row: e for row, e in outcome.rows.items() if row.method not in BASELINES and not row.metric}
        console.print(holes_text(own), highlight=False, soft_wrap=True)
    error, better = outcome.rows[outcome.main].metrics.abs_rel, f"better baseline ({against.baseline})"
    console.print(f"Abs Rel {error:.3f}: {against.ratio:.2f} of the {better}", highlight=False)
    if s.card is not None:
        console.print(f"depth is {unit_text(s.card)}", highlight=False, soft_wrap=True)


def marks(outcome: Outcome) -> list[str]:
    """What must not be overlooked."""
    found = [SYNTHETIC] if outcome.eval_set.synthetic else []
    if outcome.contaminated:
        of = len(outcome.eval_set.frames)
        found.append(f"{CONTAMINATED}: {outcome.contaminated} of {of} images were in this model's training")
    return found


def published_beside(outcome: Outcome) -> list[PublishedResult]:
    """Where the images are those of the papers, all of them."""
    return published(outcome.eval_set.protocol.name) if outcome.eval_set.complete else []


def unit_text(card: ModelCard) -> str:
    if card.scale != "metres":
        return card.scale
    return f"in metres (factor {card.factor:.4g} from {card.factor_from})"


def _server_figures(outcome: Outcome) -> dict[str, dict[str, float]]:
    def mean(name: str, row: Row) -> float:
        return fmean(getattr(score, name) for score in outcome.scores[row] if score is not None)

    return {str(row): {name: mean(name, row) for name in ("silog", "irmse")} for row in outcome.scores}


def figures(outcome: Outcome, s: Scoring) -> dict[str, Any]:
    """What --json holds."""
    eval_set, card, alone = outcome.eval_set, s.card, without_neighbour(outcome.eval_set, s)
    rows = {str(row): evaluation.to_json() for row, evaluation in outcome.rows.items()}
    scale = {} if card is None else {n: getattr(card, n) for n in ("scale", "factor", "factor_from")}
    against = compare(outcome.rows, outcome.main)
    if against is not None:
        better = str(against.baseline)
        return {"rows": rows, **scale, "ratio_to_better_guess": against.ratio, "better_guess": better}
    return {
        "list": eval_set.name,
        "listed": eval_set.listed,
        "protocol": asdict(eval_set.protocol),
        "synthetic": eval_set.synthetic,
        "contaminated": outcome.contaminated,
        **({} if alone is None else {"without_neighbour": alone}),
        "model": None if s.predictor is None else s.source,
        "predictions": s.source if s.predictor is None else None,
        **scale,
        "rows": rows,
        "server": _server_figures(outcome),
        "published": [asdict(result) for result in published_beside(outcome)],
    }


def report(path: str, outcome: Outcome, s: Scoring) -> None:
    """Write the HTML page, with some images (predicted again) as far as they are there."""
    eval_set = outcome.eval_set
    images = f"{eval_set.name}, {len(eval_set.frames)} of {eval_set.listed} images"
    facts = {
        "Data": eval_set.about or images,
        "Model" if s.predictor is not None else "Predictions": s.source,
    }
    if s.card is not None:
        facts |= {"Trained on": s.card.trained_on, "Depth": unit_text(s.card)}
    choose = best_median_worst if eval_set.baseline_frames else best_and_worst
    write_report(
        path,
        f"Depth on {eval_set.name}",
        outcome.rows,
        gallery(outcome, choose(outcome.rows[outcome.main].per_image)),
        facts,
        training_curve(model_folder(s.source) if s.predictor is not None else Path(s.source)) or None,
        outcome.main,
        published_beside(outcome),
        marks(outcome),
    )
