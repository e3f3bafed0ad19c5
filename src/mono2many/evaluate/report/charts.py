"""The report's charts, as SVG text that can be read on light and dark pages."""

import io
from collections.abc import Mapping, Sequence
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ORANGE, PURPLE, GREY = "#d9804f", "#8a6fd1", "#888888"


def histogram(values: Sequence[float], label: str, bins: int = 24) -> str:
    """Number of images by value (at least one, >= 0), with a dashed line at the median."""
    figure, axes = _axes(label, "images")
    middle = median(values)
    axes.hist(values, bins=bins, color=ORANGE, rwidth=0.9)
    axes.locator_params("y", integer=True)
    axes.axvline(middle, color=PURPLE, linestyle="--")
    axes.set_title(f"median {middle:.3f}", color=GREY, fontsize=10)
    return _svg(figure)


def bars(groups: Sequence[str], rows: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> str:
    """In each group (at least one) a bar for each of one or two rows."""
    figure, axes = _axes(x_label, y_label)
    width = 0.8 / len(rows)
    for number, (colour, (name, values)) in enumerate(zip((ORANGE, PURPLE), rows.items(), strict=False)):
        centres = [group + width * (number + 0.5) - 0.4 for group in range(len(groups))]
        axes.bar(centres, values, 0.9 * width, color=colour, label=name)
    axes.set_xticks(range(len(groups)), groups)
    if len(rows) > 1:
        axes.legend(frameon=False, labelcolor=GREY, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return _svg(figure)


def curve_chart(
    points: Sequence[tuple[int, float]], label: str, reference: tuple[str, float] | None = None
) -> str:
    """A line through (step, value) points (at least one); `reference` is a named level, drawn dashed."""
    figure, axes = _axes("training step", label)
    steps, values = zip(*sorted(points), strict=True)
    axes.plot(steps, values, color=ORANGE, marker="o", markersize=3)
    axes.annotate(
        f"{values[-1]:.3f}", (steps[-1], values[-1]), (0, 8), textcoords="offset points", color=GREY
    )
    if reference is not None:
        name, level = reference
        axes.axhline(level, color=PURPLE, linestyle="--")
        axes.set_title(f"dashed: {name}, {level:.3f}", color=GREY, fontsize=10)
    axes.set_ylim(bottom=0)
    return _svg(figure)


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x_label, color=GREY)
    axes.set_ylabel(y_label, color=GREY)
    axes.tick_params(colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    return figure, axes


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mono2many"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration
