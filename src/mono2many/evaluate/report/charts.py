"""The report's charts, as SVG text that can be read on light and dark pages."""

import io
from collections.abc import Sequence
from statistics import median

import matplotlib
from matplotlib.figure import Figure

ORANGE, PURPLE, GREY = "#d9804f", "#8a6fd1", "#888888"


def histogram(values: Sequence[float], label: str, bins: int = 24) -> str:
    """Number of images by value (at least one, >= 0), with a dashed line at the median."""
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
