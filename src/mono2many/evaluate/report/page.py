"""One HTML file that shows how accurate depths are: no other file, no script, nothing fetched.

    outcome = score_frames(eval_set, predict, open_ground_truth(eval_set.frames))
    images = gallery(outcome, best_and_worst(outcome.rows[outcome.main].per_image))
    write_report("report.html", "Synthetic street", outcome.rows, images, {"Model": folder}, curve=points)

The page is page.html.jinja with the style sheet report.css; this module gathers the values that it shows.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import date
from itertools import groupby
from pathlib import Path

from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image
from torch import Tensor

from mono2many import __version__
from mono2many.evaluate.depth import Evaluation, Row, compare
from mono2many.evaluate.report import charts
from mono2many.evaluate.report.gallery import DISPARITY_LEGEND, ERROR_LEGEND, GalleryItem
from mono2many.evaluate.tables import COLUMNS, ratio_text
from mono2many.metrics.published import PublishedResult
from mono2many.types import InputError


def write_report(
    path: str | Path,
    title: str,
    evaluations: Mapping[Row, Evaluation],
    images: Sequence[GalleryItem] = (),
    facts: Mapping[str, str] | None = None,
    curve: Sequence[tuple[int, float]] | None = None,
    model: Row | None = None,
    published: Sequence[PublishedResult] = (),
    marks: Sequence[str] = (),
) -> Path:
    """Write the page and return its path; missing folders are made.

    `evaluations` holds the row `model` (by default the first) and any baselines, and `published` further
    results, all of the same protocol. `images` are shown in this order; of "Best 1", "Best 2" ... only the
    first is unfolded. `facts` are lines such as {"Data": ..., "Model": ...}; protocol, number of images, date
    and version are added. `curve` holds (training step, Abs Rel). `marks` are warnings, shown above all else.
    Raises InputError if the file cannot be written.
    """
    model = model or next(iter(evaluations))
    comparison = compare(evaluations, model)
    baseline = comparison.baseline if comparison else None
    text = _template().render(
        version=__version__,
        today=date.today().isoformat(),
        title=title,
        marks=marks,
        evaluations=evaluations,
        model=model,
        baseline=baseline,
        ratio=comparison.ratio if comparison else None,
        facts=facts or {},
        columns=COLUMNS,
        published=published,
        legends=[DISPARITY_LEGEND, ERROR_LEGEND],
        image_groups=_groups(images),
        charts=_charts(evaluations, model, baseline, curve),
        has_curve=bool(curve),
    )
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write the report to {path} ({error.strerror}); name a place that can be written"
        ) from error
    return path


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("mono2many.evaluate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"astuple": astuple, "ratio_text": ratio_text, "data_uri": data_uri}
    return environment.get_template("page.html.jinja")


def data_uri(image: UInt8[Tensor, "3 H W"], kind: str) -> str:
    """An RGB image as the text of an <img>'s src; `kind` is JPEG (photographs) or PNG (exact)."""
    buffer = io.BytesIO()
    options: dict[str, int] = {"quality": 85} if kind == "JPEG" else {"optimize": True}
    pixels = image.cpu().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _groups(images: Sequence[GalleryItem]) -> list[list[GalleryItem]]:
    """Neighbours whose labels differ in their number only."""
    groups = groupby(images, key=lambda item: item.label.rstrip("0123456789"))
    return [list(group) for _, group in groups]


def _charts(
    evaluations: Mapping[Row, Evaluation],
    model: Row,
    baseline: Row | None,
    curve: Sequence[tuple[int, float]] | None,
) -> list[tuple[str, str]]:
    """Headings and drawings (SVG); `baseline` is the row to compare with."""
    evaluation = evaluations[model]
    drawings = []
    if evaluation.ranges:
        shown = [row for row in (model, baseline) if row and evaluations[row].ranges]
        rows = {str(row): [part.metrics.abs_rel for part in evaluations[row].ranges] for row in shown}
        groups = [f"{part.low:g}–{part.high:g}" for part in evaluation.ranges]
        drawings.append(("Abs Rel by true depth", charts.bars(groups, rows, "true depth, m", "Abs Rel")))
    errors = [image.metrics.abs_rel for image in evaluation.per_image]
    drawings.append(("Abs Rel of each image", charts.histogram(errors, "Abs Rel")))
    if evaluation.spread > 0:
        scales = [image.ratio / evaluation.median_ratio for image in evaluation.per_image]
        drawings.append(("Scale of each image", charts.histogram(scales, "ratio / median ratio")))
    if curve:
        reference = (str(baseline), evaluations[baseline].metrics.abs_rel) if baseline else None
        drawings.append(("Abs Rel during training", charts.curve(curve, "Abs Rel", reference)))
    return drawings
