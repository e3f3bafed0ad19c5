"""Three small drawings for the report, as SVG text that reads on light and dark pages."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR, MARK, GREY = "#d9804f", "#8a6fd1", "#888888"


def histogram(values: Sequence[float], label: str, bins: int = 24) -> str:
    """How many of the values (at least one, >= 0) lie where, with a dashed line at their median."""
    figure, axes = _drawing(label, "images")
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    axes.hist(ordered, bins=bins, color=BAR, rwidth=0.9)
    axes.locator_params("y", integer=True)
    axes.axvline(middle, color=MARK, linestyle="--")
    axes.set_title(f"median {middle:.3f}", color=GREY, fontsize=10)
    return _svg(figure)


def bars(groups: Sequence[str], rows: Mapping[str, Sequence[float]], below: str, beside: str) -> str:
    """In each group (at least one) a bar for each of one or two rows."""
    figure, axes = _drawing(below, beside)
    width = 0.8 / len(rows)
    for number, (colour, (name, values)) in enumerate(zip((BAR, MARK), rows.items(), strict=False)):
        places = [group + width * (number + 0.5) - 0.4 for group in range(len(groups))]
        axes.bar(places, values, 0.9 * width, color=colour, label=name)
    axes.set_xticks(range(len(groups)), groups)
    if len(rows) > 1:
        axes.legend(frameon=False, labelcolor=GREY, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return _svg(figure)


def curve(points: Sequence[tuple[int, float]], label: str, reference: tuple[str, float] | None = None) -> str:
    """A line through (step, value) points (at least one); `reference` is a named level, drawn dashed."""
    figure, axes = _drawing("training step", label)
    steps, values = zip(*sorted(points), strict=True)
    axes.plot(steps, values, color=BAR, marker="o", markersize=3)
    axes.annotate(
        f"{values[-1]:.3f}", (steps[-1], values[-1]), (0, 8), textcoords="offset points", color=GREY
    )
    if reference is not None:
        axes.axhline(reference[1], color=MARK, linestyle="--")
        axes.set_title(f"dashed: {reference[0]}, {reference[1]:.3f}", color=GREY, fontsize=10)
    axes.set_ylim(bottom=0)
    return _svg(figure)


def _drawing(below: str, beside: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(below, color=GREY)
    axes.set_ylabel(beside, color=GREY)
    axes.tick_params(colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    return figure, axes


def _svg(figure: "Figure") -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mono2many"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
