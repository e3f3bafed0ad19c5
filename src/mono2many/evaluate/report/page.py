"""One HTML file that shows how accurate depths are: no other file, no script, nothing fetched.

    outcome = score_frames(eval_set, predict)
    images = gallery(outcome, best_and_worst(outcome.rows[outcome.main].per_image))
    write_report("report.html", "Synthetic street", outcome.rows, outcome.main, images, {"Model": folder})

The page is page.html.jinja with the style sheet report.css; this module gathers the values that it shows.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import date
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from jaxtyping import UInt8
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from mono2many import __version__
from mono2many.evaluate.depth import Evaluation, Row, compare
from mono2many.evaluate.report.gallery import ERROR_LIMIT, GalleryItem
from mono2many.files import write_text
from mono2many.metrics.depth import COLUMNS
from mono2many.metrics.protocol import HOLE
from mono2many.metrics.published import PublishedResult

REPORT = "mono2many.evaluate.report"
ORANGE, PURPLE, GREY = "#d9804f", "#8a6fd1", "#888888"


def write_report(
    path: str | Path,
    title: str,
    evaluations: Mapping[Row, Evaluation],
    model: Row,
    images: Sequence[GalleryItem] = (),
    facts: Mapping[str, str] | None = None,
    published: Sequence[PublishedResult] = (),
    marks: Sequence[str] = (),
) -> None:
    """Write the page; missing folders are made.

    `evaluations` holds the row `model` and any baselines, and `published` further results, all of the same
    protocol. `images` are shown in this order; of "Best 1", "Best 2" ... only the first is unfolded. `facts`
    are lines such as {"Data": ..., "Model": ...}; protocol, number of images, date and version are added.
    `marks` are warnings, shown above all else. Raises InputError if
    the file cannot be written.
    """
    comparison = compare(evaluations, model)
    baseline = comparison.baseline if comparison else None
    groups = groupby(images, key=lambda item: item.label.rstrip("0123456789"))
    shown = evaluations[model]
    values = {"Abs Rel": [image.metrics.abs_rel for image in shown.per_image]}
    if shown.spread > 0:
        values["ratio / median ratio"] = [image.ratio / shown.median_ratio for image in shown.per_image]
    render(
        path,
        "page.html.jinja",
        today=date.today().isoformat(),
        title=title,
        marks=marks,
        evaluations=evaluations,
        model=model,
        baseline=baseline,
        ratio=comparison.ratio if comparison else None,
        facts=facts or {},
        columns=COLUMNS,
        hole=HOLE,
        published=published,
        error_limit=ERROR_LIMIT,
        image_groups=[list(group) for _, group in groups],
        charts={label: histogram(of_image, label) for label, of_image in values.items()},
    )


def render(path: str | Path, template: str, package: str = REPORT, **values: Any) -> None:
    """Write the page of a package's template. InputError where that fails."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader(REPORT, ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"astuple": astuple, "data_uri": data_uri}
    write_text(path, environment.get_template(template).render(version=__version__, **values))


def data_uri(image: UInt8[Tensor, "3 H W"], kind: str) -> str:
    """An RGB image as the text of an <img>'s src; `kind` is JPEG (photographs) or PNG (exact)."""
    buffer = io.BytesIO()
    options: dict[str, int] = {"quality": 85} if kind == "JPEG" else {"optimize": True}
    pixels = image.cpu().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def histogram(values: Sequence[float], label: str, bins: int = 24) -> str:
    """Number of images by value (at least one, >= 0), with a dashed line at the median: SVG text that can be
    read on light and dark pages."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(label, color=GREY)
    axes.set_ylabel("images", color=GREY)
    axes.tick_params(colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    middle = median(values)
    axes.hist(values, bins=bins, color=ORANGE, rwidth=0.9)
    axes.locator_params("y", integer=True)
    axes.axvline(middle, color=PURPLE, linestyle="--")
    axes.set_title(f"median {middle:.3f}", color=GREY, fontsize=10)
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mono2many"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration
