"""One HTML file that says how good the depths are: no other file, no script, nothing fetched.

evaluations = evaluate_each({"model": predict, **guesses(training, protocol)}, reader, protocol)
pictures = gallery(predict, reader, protocol, evaluations["model"])
write_report("report.html", "Synthetic street", evaluations, pictures, {"Model": folder}, curve=points)
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import date
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from mono2many import __version__
from mono2many.evaluate import charts
from mono2many.evaluate.depth import COLUMNS, GUESSES, METRIC, MODEL, Evaluation, compare, ratio_text
from mono2many.evaluate.gallery import ERROR_LEGEND, MAP_LEGEND, Picture
from mono2many.metrics.published import PublishedResult
from mono2many.types import InputError

Row = tuple[str, Sequence[float | None], Sequence[str]]
"""Of a table: its name, the seven numbers, what stands behind them."""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="mono2many $version">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
$style</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">mono2many depth evaluation</p>
<h1>$title</h1>
$marks</header>
$body
</main>
</body>
</html>
""")

MEANINGS = {
    "Abs Rel": "mean of |truth − predicted| / truth",
    "Sq Rel": "mean of (truth − predicted)² / truth, metres",
    "RMSE": "root of the mean squared difference, metres",
    "RMSE log": "the same of natural logarithms",
    "a1, a2, a3": "share of pixels where the larger of truth and prediction is less than 1.25, 1.25², 1.25³ "
    "times the smaller",
    "Median ratio": "what a prediction is multiplied by to become metres, median(truth) / median(predicted) "
    "of its image: the middle one ± the standard deviation of ratio / middle",
    METRIC: "the model's depth in metres, by the factor stored with it: nothing is aligned to the truth",
    "single frame, static camera, teacher": "a model of several frames without its neighbours; matching the "
    "frame itself, as if the camera stood; the single-frame model that taught it",
    "per-pixel mean log depth": "a guess without looking: what each pixel shows on average in training",
    "constant": "a guess without looking: the same depth everywhere",
}


def write_report(
    path: str | Path,
    title: str,
    evaluations: Mapping[str, Evaluation],
    pictures: Sequence[Picture] = (),
    facts: Mapping[str, str] | None = None,
    curve: Sequence[tuple[int, float]] | None = None,
    model: str = MODEL,
    published: Sequence[PublishedResult] = (),
    marks: Sequence[str] = (),
) -> Path:
    """Write the page and return its path; the folder is made where it is missing.

    `evaluations` holds the row `model` and any guesses, and `published` results, all of the same protocol.
    `pictures` follow each other; of "Best 1", "Best 2" ... the first is shown openly. `facts` are lines such
    as {"Data": ..., "Model": ...}; protocol, images, date and version are added. `curve` holds (training
    step, Abs Rel). `marks` say above everything what must not be overlooked. Raises InputError if the file
    cannot be written.
    """
    evaluation = evaluations[model]
    evaluated = {
        **(facts or {}),
        "Protocol": evaluation.protocol,
        "Images": f"{evaluation.images}",
        "Median ratio": ratio_text(evaluation),
        "Date": date.today().isoformat(),
        "Version": f"mono2many {__version__}",
    }
    sections = (
        _hero(evaluations, model),
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(text)}</dd></div>" for n, text in evaluated.items())
        + "</dl>",
        _metrics_section(evaluations, model, published),
        _regions_section(evaluations, model),
        _gallery_section(pictures),
        _ranges_section(evaluation),
        _charts_section(evaluations, model, curve),
        "<details><summary>What the numbers mean</summary><dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in MEANINGS.items())
        + "</dl></details>",
    )
    text = PAGE.substitute(
        title=escape(title),
        version=escape(__version__),
        style=files("mono2many.evaluate").joinpath("report.css").read_text(encoding="utf-8"),
        marks="".join(f'<p class="mark">{escape(mark)}</p>\n' for mark in marks),
        body="\n".join(section for section in sections if section),
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


def _hero(evaluations: Mapping[str, Evaluation], model: str) -> str:
    """The one figure: the model's Abs Rel against the better guess."""
    abs_rel = {name: evaluation.metrics.abs_rel for name, evaluation in evaluations.items()}
    if evaluations.keys() & set(GUESSES):
        comparison = compare(evaluations, model)
        figure = f"{comparison.ratio:.2f}<small>×</small>"
        says = (
            f"the error of the better guess without looking: Abs Rel <b>{abs_rel[model]:.3f}</b> against "
            f"{abs_rel[comparison.better_guess]:.3f} of {escape(comparison.better_guess)}."
        )
        if comparison.ratio >= 1:
            says += " <b>The model is no better than not looking.</b>"
    else:
        figure = f"{abs_rel[model]:.3f}"
        says = "Abs Rel: the mean of |truth − predicted| / truth. No guess was evaluated beside it."
    longest = max(abs_rel.values()) or 1.0
    bars = "".join(
        f"<div{_class(name, model)}><dt>{escape(name)}</dt><dd>{value:.3f}</dd>"
        f'<i style="--size:{100 * value / longest:.1f}%"></i></div>'
        for name, value in abs_rel.items()
    )
    return (
        f'<section class="hero card"><div><p class="figure">{figure}</p><p class="says">{says}</p></div>'
        f'<dl class="bars">{bars}</dl></section>'
    )


def _metrics_section(
    evaluations: Mapping[str, Evaluation], model: str, published: Sequence[PublishedResult]
) -> str:
    evaluation = evaluations[model]
    rows = [
        (name, astuple(e.metrics), (ratio_text(e) if not name.startswith(METRIC) else "not aligned",))
        for name, e in evaluations.items()
    ]
    hint = f"Protocol {evaluation.protocol}, mean over {evaluation.images} images."
    text = _section("Metrics", hint, _table(rows, model, "Median ratio"))
    if published:
        rows = [(model, astuple(evaluation.metrics), ("this report",))]
        rows += [(p.method, p.values, (p.source,)) for p in published]
        hint = f"By the same protocol, {evaluation.protocol}; – where none was published."
        text += _section("Published numbers", hint, _table(rows, model, "Source"))
    return text


def _regions_section(evaluations: Mapping[str, Evaluation], model: str) -> str:
    rows = [
        (f"{name}, {region}", astuple(metrics), ())
        for name, evaluation in evaluations.items()
        for region, metrics in evaluation.regions.items()
    ]
    hint = "Each region is scored with the scale of its whole image."
    return _section("What stands still and what moves", hint, _table(rows, model)) if rows else ""


def _ranges_section(evaluation: Evaluation) -> str:
    rows = [
        (f"{r.low:g} to {r.high:g} m", astuple(r.metrics), (f"{r.pixels:,}", f"{r.images}"))
        for r in evaluation.ranges
    ]
    hint = "Each range is scored with the scale of its whole image, as a mean over the images that have it."
    return _section("Near and far, by true depth", hint, _table(rows, "", "Pixels", "Images")) if rows else ""


def _section(heading: str, hint: str, content: str) -> str:
    return f'<section><h2>{heading}</h2><p class="hint">{escape(hint)}</p>{content}</section>'


def _table(rows: Sequence[Row], model: str, *further: str) -> str:
    arrows = ("↓",) * 4 + ("↑",) * 3
    heads = [f"{column} {arrow}" for column, arrow in zip(COLUMNS, arrows, strict=True)] + [*further]
    body = "".join(
        f'<tr{_class(name, model)}><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{'–' if value is None else f'{value:.3f}'}</td>" for value in values)
        + "".join(f"<td>{escape(text)}</td>" for text in texts)
        + "</tr>"
        for name, values, texts in rows
    )
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return (
        f'<div class="scroll card"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _gallery_section(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return ""
    legends = "".join(
        f'<span>{escape(low)} <i style="background:linear-gradient(90deg,{colours})"></i> '
        f"{escape(high)}</span>"
        for low, colours, high in (MAP_LEGEND, ERROR_LEGEND)
    )
    legends += "<span>errors are black where the truth is not measured</span>"
    return (
        f'<section><h2>Pictures</h2><div class="legends">{legends}</div>'
        + "".join(_group(*group) for _, group in groupby(pictures, lambda p: p.label.rstrip("0123456789")))
        + "</section>"
    )


def _group(first: Picture, *others: Picture) -> str:
    """The first openly, the others behind a line to click."""
    if not others:
        return _picture(first)
    ends = (others[0], others[-1])
    summary = " to ".join(dict.fromkeys(p.label for p in ends))
    errors = "Abs Rel " + " to ".join(dict.fromkeys(f"{p.abs_rel:.3f}" for p in ends))
    return (
        f'{_picture(first)}<details class="more"><summary>{escape(summary)} <span>{errors}</span></summary>'
        + "".join(map(_picture, others))
        + "</details>"
    )


def _picture(picture: Picture) -> str:
    height, width = picture.image.shape[-2:]
    maps = (
        ("input", data_uri(picture.image, "JPEG")),
        ("predicted disparity", data_uri(picture.prediction, "JPEG")),
        ("true disparity", data_uri(picture.truth, "PNG")),
        ("relative error", data_uri(picture.error, "PNG")),
    )
    figures = "".join(
        f'<figure><img src="{uri}" alt="{name} of {escape(picture.caption, quote=True)}" width="{width}" '
        f'height="{height}"><figcaption>{name}</figcaption></figure>'
        for name, uri in maps
    )
    return (
        f'<article class="picture card"><header><b>{escape(picture.label)}</b>'
        f"<span>{escape(picture.caption)}</span><span>Abs Rel {picture.abs_rel:.3f}</span></header>"
        f'<div class="maps{" square" if width < 1.5 * height else ""}">{figures}</div></article>'
    )


def _charts_section(
    evaluations: Mapping[str, Evaluation], model: str, curve: Sequence[tuple[int, float]] | None
) -> str:
    evaluation, drawings = evaluations[model], []
    better = compare(evaluations, model).better_guess if evaluations.keys() & set(GUESSES) else None
    if evaluation.ranges:
        shown = [name for name in (model, better) if name and evaluations[name].ranges]
        rows = {name: [r.metrics.abs_rel for r in evaluations[name].ranges] for name in shown}
        ranges = [f"{r.low:g}–{r.high:g}" for r in evaluation.ranges]
        drawings.append(("Abs Rel, near and far", charts.bars(ranges, rows, "true depth, m", "Abs Rel")))
    values = [image.metrics.abs_rel for image in evaluation.per_image]
    drawings.append(("Abs Rel, image by image", charts.histogram(values, "Abs Rel")))
    if evaluation.spread > 0:
        values = [image.ratio / evaluation.median_ratio for image in evaluation.per_image]
        drawings.append(("Scale, image by image", charts.histogram(values, "ratio / median ratio")))
    if curve:
        reference = (better, evaluations[better].metrics.abs_rel) if better else None
        drawings.append(("Abs Rel during training", charts.curve(curve, "Abs Rel", reference)))
    heading = "Spread and training" if curve else "Spread"
    cards = "".join(f'<div class="card"><h3>{name}</h3>{svg}</div>' for name, svg in drawings)
    return f'<section><h2>{heading}</h2><div class="charts">{cards}</div></section>'


def _class(name: str, model: str) -> str:
    return ' class="model"' if name == model or name.startswith(f"{model}, ") else ""


def data_uri(image: UInt8[Tensor, "3 H W"], kind: str) -> str:
    """An RGB picture as text that an <img> shows; `kind` is JPEG (photographs) or PNG (exact)."""
    buffer = io.BytesIO()
    pixels = image.cpu().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
