"""What is shown of an Outcome: printed, as JSON, as an HTML page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from mono2many.data.marker import SYNTHETIC
from mono2many.evaluate.depth import CONTAMINATED, Evaluation, Outcome, Row, compare
from mono2many.evaluate.predictors import BASELINES
from mono2many.evaluate.scoring import Scoring, without_neighbour
from mono2many.files import write_text
from mono2many.metrics.depth import COLUMNS, DepthMetrics
from mono2many.metrics.protocol import HOLE
from mono2many.metrics.published import PublishedResult, published
from mono2many.models.checkpoint import ModelCard
from mono2many.terminal import say


def print_outcome(outcome: Outcome, s: Scoring, console: Console) -> None:
    """Its marks and tables; then the model beside the baselines, or what KITTI's server would say."""
    for mark in marks(outcome):
        say(console, mark, "bold red")
    synthetic = "SYNTHETIC. " if outcome.eval_set.synthetic else ""
    print_table(console, outcome.rows, published_beside(outcome), synthetic)
    against = compare(outcome.rows, outcome.main)
    if against is None:
        for row, server in _server_figures(outcome).items():
            text = f"SILog {server['silog']:.2f}, iRMSE {server['irmse']:.2f} 1/km of {row}"
            console.print(f"{text} (the formulas of KITTI's server)", highlight=False)
        return
    own = {row: e for row, e in outcome.rows.items() if row.method not in BASELINES and not row.metric}
    if s.matching:
        shares = [f"{row} {e.holes:.1%}" for row, e in own.items() if e.holes is not None]
        text = f"holes, moving pixels wrong by more than a factor {HOLE}: {', '.join(shares) or 'none known'}"
        say(console, text)
    for name, found in own.items():
        if found.too_far:
            shares = [f"{region} {share:.1%}" for region, share in found.too_far.items()]
            say(console, f"too far by more than a factor {HOLE}, {name}: {', '.join(shares)}")
    error, better = outcome.rows[outcome.main].metrics.abs_rel, f"better baseline ({against.baseline})"
    console.print(f"Abs Rel {error:.3f}: {against.ratio:.2f} of the {better}", highlight=False)
    if s.card is not None:
        say(console, f"depth is {unit_text(s.card)}")


def print_table(
    console: Console,
    evaluations: Mapping[Row, Evaluation],
    published: Sequence[PublishedResult] = (),
    mark: str = "",
) -> None:
    """One row for each evaluation and, below it, for each of its regions and ranges; then what papers report.
    The title names the protocol, after `mark`."""
    protocols = sorted({evaluation.protocol.name for evaluation in evaluations.values()})
    images = next(iter(evaluations.values())).images
    title = f"{mark}Depth, protocol {'; '.join(protocols)}, {images} images"
    table = depth_table(COLUMNS, title=title, title_justify="left")
    best = min(e.metrics.abs_rel for e in evaluations.values())
    for row, evaluation in evaluations.items():
        style = "bold" if evaluation.metrics.abs_rel == best else None
        table.add_row(str(row), *cells(evaluation.metrics), style=style)
        parts = {f"  {region}": metrics for region, metrics in evaluation.regions.items()}
        parts |= {f"  {part.low:g} to {part.high:g} m": part.metrics for part in evaluation.ranges}
        for name, metrics in parts.items():
            table.add_row(name, *cells(metrics), style="dim")
    for result in published:
        values = ("" if value is None else f"{value:.3f}" for value in result.values)
        table.add_row(result.method, *values, style="cyan")
    console.print(table)
    for source in dict.fromkeys(result.source for result in published):
        methods = ", ".join(result.method for result in published if result.source == source)
        say(console, f"published: {methods} ({source})", "cyan")
    for row, evaluation in evaluations.items():
        if row.metric or evaluation.protocol.align == "affine":  # no factor
            continue
        which = "median ratio" if evaluation.protocol.align == "median" else "ratio"
        console.print(f"{which} of {row}: {evaluation.ratio_text}", highlight=False)


def depth_table(columns: Sequence[str], **settings: Any) -> Table:
    """For a name and the seven numbers in each row; fits into 80 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), **settings)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def cells(metrics: DepthMetrics) -> list[str]:
    return [f"{value:.3f}" for value in astuple(metrics)]


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
    eval_set, card = outcome.eval_set, s.card
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
        **({"without_neighbour": without_neighbour(eval_set, s)} if s.matching else {}),
        "model": None if s.predictor is None else s.source,
        "predictions": s.source if s.predictor is None else None,
        **scale,
        "rows": rows,
        "server": _server_figures(outcome),
        "published": [asdict(result) for result in published_beside(outcome)],
    }


def write_json(path: str | None, found: dict[str, Any]) -> None:
    """Write figures to the file that --json named, if it did."""
    if path is not None:
        write_text(path, json.dumps(found, indent=2) + "\n")


def report(path: str, outcome: Outcome, s: Scoring) -> None:
    """Write the HTML page, with some images (predicted again) as far as they are there."""
    from mono2many.evaluate.report.gallery import best_and_worst, gallery
    from mono2many.evaluate.report.page import write_report  # matplotlib is slow to import

    eval_set, card = outcome.eval_set, s.card
    facts = {"Data": f"{eval_set.name}, {len(eval_set.frames)} of {eval_set.listed} images"}
    facts["Predictions" if card is None else "Model"] = s.source
    if card is not None:
        facts |= {"Trained on": card.trained_on, "Depth": unit_text(card)}
    write_report(
        path,
        f"Depth on {eval_set.name}",
        outcome.rows,
        outcome.main,
        images=gallery(outcome, best_and_worst(outcome.rows[outcome.main].per_image)),
        facts=facts,
        published=published_beside(outcome),
        marks=marks(outcome),
    )
