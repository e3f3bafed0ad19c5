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
from pathlib import Path
from string import Template

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from mono2many import __version__
from mono2many.evaluate import charts
from mono2many.evaluate.depth import COLUMNS, METRIC, MODEL, Evaluation, compare, ratio_text
from mono2many.evaluate.gallery import ERROR_LEGEND, MAP_LEGEND, Picture
from mono2many.metrics.depth import DepthMetrics
from mono2many.types import InputError

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
</header>
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
) -> Path:
    """Write the page and return its path; the folder is made where it is missing.

    `evaluations` holds the row `model` and any guesses, all of the same protocol. `facts` are lines such as
    {"Data": ..., "Model": ...}; protocol, images, date and version are added. `curve` holds (training step,
    Abs Rel). Raises InputError if the file cannot be written.
    """
    path = Path(path)
    text = page(title, evaluations, pictures, facts or {}, curve, model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write the report to {path} ({error.strerror}); name a place that can be written"
        ) from error
    return path


def page(
    title: str,
    evaluations: Mapping[str, Evaluation],
    pictures: Sequence[Picture],
    facts: Mapping[str, str],
    curve: Sequence[tuple[int, float]] | None,
    model: str,
) -> str:
    """The report as text. Arguments as in `write_report`."""
    evaluation = evaluations[model]
    evaluated = {
        **facts,
        "Protocol": evaluation.protocol,
        "Images": f"{evaluation.images}",
        "Median ratio": ratio_text(evaluation),
        "Date": date.today().isoformat(),
        "Version": f"mono2many {__version__}",
    }
    sections = (
        _hero(evaluations, model),
        '<dl class="facts">' + "".join(_fact(name, value) for name, value in evaluated.items()) + "</dl>",
        _metrics_section(evaluations, model),
        _regions_section(evaluations, model),
        _gallery_section(pictures),
        _charts_section(evaluations, model, curve),
        "<details><summary>What the numbers mean</summary><dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in MEANINGS.items())
        + "</dl></details>",
    )
    style = files("mono2many.evaluate").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(section for section in sections if section)
    return PAGE.substitute(title=escape(title), version=escape(__version__), style=style, body=body)


def _hero(evaluations: Mapping[str, Evaluation], model: str) -> str:
    """The one figure: the model's Abs Rel against the better guess."""
    abs_rel = {name: evaluation.metrics.abs_rel for name, evaluation in evaluations.items()}
    if len(evaluations) > 1:
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


def _metrics_section(evaluations: Mapping[str, Evaluation], model: str) -> str:
    rows = {name: evaluation.metrics for name, evaluation in evaluations.items()}
    extra = {name: (ratio_text(e) if name != METRIC else "not aligned",) for name, e in evaluations.items()}
    return (
        "<section><h2>Metrics</h2>"
        f'<p class="hint">Protocol {escape(evaluations[model].protocol)}, mean over '
        f"{evaluations[model].images} images.</p>"
        + _table(rows, ("Median ratio",), extra, model)
        + "</section>"
    )


def _regions_section(evaluations: Mapping[str, Evaluation], model: str) -> str:
    rows = {
        f"{name}, {region}": metrics
        for name, evaluation in evaluations.items()
        for region, metrics in evaluation.regions.items()
    }
    if not rows:
        return ""
    return (
        "<section><h2>What stands still and what moves</h2>"
        '<p class="hint">Each region is scored with the scale of its whole image.</p>'
        + _table(rows, (), {}, model)
        + "</section>"
    )


def _table(
    rows: Mapping[str, DepthMetrics],
    extra_columns: Sequence[str],
    extra: Mapping[str, Sequence[str]],
    model: str,
) -> str:
    arrows = ("↓",) * 4 + ("↑",) * 3
    heads = [f"{column} {arrow}" for column, arrow in zip(COLUMNS, arrows, strict=True)] + list(extra_columns)
    body = "".join(
        f'<tr{_class(name, model)}><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{value:.3f}</td>" for value in astuple(metrics))
        + "".join(f"<td>{escape(text)}</td>" for text in extra.get(name, ()))
        + "</tr>"
        for name, metrics in rows.items()
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
    return (
        "<section><h2>Pictures</h2>"
        f'<div class="legends">{legends}</div>' + "".join(map(_picture, pictures)) + "</section>"
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
    values = [image.metrics.abs_rel for image in evaluations[model].per_image]
    drawings = [("Abs Rel, image by image", charts.histogram(values, "Abs Rel"))]
    if curve:
        others = [name for name in evaluations if name != model]
        better = compare(evaluations, model).better_guess if others else None
        reference = (better, evaluations[better].metrics.abs_rel) if better else None
        drawings.append(("Abs Rel during training", charts.curve(curve, "Abs Rel", reference)))
    heading = "Spread and training" if curve else "Spread"
    cards = "".join(f'<div class="card"><h3>{name}</h3>{svg}</div>' for name, svg in drawings)
    return f'<section><h2>{heading}</h2><div class="charts">{cards}</div></section>'


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _class(name: str, model: str) -> str:
    return ' class="model"' if name == model or name.startswith(f"{model}, ") else ""


def data_uri(image: UInt8[Tensor, "3 H W"], kind: str) -> str:
    """An RGB picture as text that an <img> shows; `kind` is JPEG (photographs) or PNG (exact)."""
    buffer = io.BytesIO()
    pixels = image.cpu().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
