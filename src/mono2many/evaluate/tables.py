"""Evaluations as text."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple

from rich.console import Console
from rich.table import Table

from mono2many.evaluate.depth import Evaluation, Row
from mono2many.metrics.depth import DepthMetrics
from mono2many.metrics.published import PublishedResult
from mono2many.metrics.sparse import HOLE

COLUMNS = ("Abs Rel", "Sq Rel", "RMSE", "RMSE log", "a1", "a2", "a3")
"""The names under which papers print the fields of DepthMetrics, in order."""


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
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for column in COLUMNS:  # fits into 80 columns
        table.add_column(column, justify="right", no_wrap=True)
    best = min(e.metrics.abs_rel for e in evaluations.values())
    for row, evaluation in evaluations.items():
        style = "bold" if evaluation.metrics.abs_rel == best else None
        table.add_row(str(row), *cells(evaluation.metrics), style=style)
        for region, metrics in evaluation.regions.items():
            table.add_row(f"  {region}", *cells(metrics), style="dim")
        for part in evaluation.ranges:
            table.add_row(f"  {part.low:g} to {part.high:g} m", *cells(part.metrics), style="dim")
    for result in published:
        values = ("" if value is None else f"{value:.3f}" for value in result.values)
        table.add_row(result.method, *values, style="cyan")
    console.print(table)
    for source in dict.fromkeys(result.source for result in published):
        methods = ", ".join(result.method for result in published if result.source == source)
        console.print(f"published: {methods} ({source})", highlight=False, style="cyan", soft_wrap=True)
    for row, evaluation in evaluations.items():
        if row.metric or evaluation.protocol.align == "affine":  # no factor
            continue
        which = "median ratio" if evaluation.protocol.align == "median" else "ratio"
        console.print(f"{which} of {row}: {ratio_text(evaluation)}", highlight=False)


def ratio_text(evaluation: Evaluation) -> str:
    """Median ratio ± spread, as tables print it."""
    ratio = evaluation.median_ratio
    return (
        f"{ratio:.3f} ± {evaluation.spread:.3f}" if ratio >= 0.1 else f"{ratio:.2e} ± {evaluation.spread:.3f}"
    )


def holes_text(evaluations: Mapping[Row, Evaluation]) -> str:
    """One line; rows whose data do not say what moves are left out."""
    shares = [f"{row} {e.holes:.1%}" for row, e in evaluations.items() if e.holes is not None]
    return f"holes, moving pixels wrong by more than a factor {HOLE}: {', '.join(shares) or 'none known'}"


def cells(metrics: DepthMetrics) -> list[str]:
    return [f"{value:.3f}" for value in astuple(metrics)]
