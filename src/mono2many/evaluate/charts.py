"""Two small drawings for the report, as SVG text. Colours come from the page (report.css)."""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 28, 40
"""Margins around the plotted area, in the drawing's own units."""


def histogram(values: Sequence[float], label: str, bins: int = 24) -> str:
    """How many of the values (at least one, finite, >= 0) lie where, with a dashed line at their median.

    The last bar also holds what lies beyond the axis, which ends at the 98th percentile.
    """
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    x_ticks = nice_ticks(max(ordered[math.ceil(0.98 * len(ordered)) - 1], 1e-3))
    end = x_ticks[-1]
    counts = [0.0] * bins
    for value in ordered:
        counts[min(int(value / end * bins), bins - 1)] += 1.0
    y_ticks = nice_ticks(max(counts), whole=True)
    step = (WIDTH - LEFT - RIGHT) / bins
    bars = [
        f'<rect class="bar" x="{LEFT + i * step + 1:.1f}" y="{_y(count, y_ticks[-1]):.1f}" '
        f'width="{step - 2:.1f}" height="{HEIGHT - BOTTOM - _y(count, y_ticks[-1]):.1f}" rx="2"/>'
        for i, count in enumerate(counts)
        if count
    ]
    x = _x(min(middle, end), end)
    anchor = "end" if x > 0.75 * WIDTH else "start"
    marker = (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 14}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="note" x="{x + (5 if anchor == "start" else -5):.1f}" y="{TOP - 8}" '
        f'text-anchor="{anchor}">median {middle:.3f}</text>'
    )
    parts = [_axes(x_ticks, y_ticks, label, "images"), *bars, marker]
    return _svg(f"Histogram of {label} over {len(values)} images, median {middle:.3f}", parts)


def curve(points: Sequence[tuple[int, float]], label: str, reference: tuple[str, float] | None = None) -> str:
    """A line through (step, value) points (at least one, values finite and >= 0), the last one marked.

    `reference` is a named value drawn as a dashed level.
    """
    points = sorted(points)
    highest = max([value for _, value in points] + ([reference[1]] if reference else []))
    x_ticks, y_ticks = nice_ticks(max(float(points[-1][0]), 1.0), whole=True), nice_ticks(max(highest, 1e-3))
    at = [(_x(float(step), x_ticks[-1]), _y(value, y_ticks[-1])) for step, value in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    floor = HEIGHT - BOTTOM
    (first_x, _), (last_x, last_y) = at[0], at[-1]
    level = _y(reference[1], y_ticks[-1]) if reference else floor
    above = last_y <= level  # the two labels keep away from each other
    anchor = "end" if last_x > 0.85 * WIDTH else "start"
    parts = [
        _axes(x_ticks, y_ticks, "training step", label),
        f'<polygon class="area" points="{first_x:.1f},{floor} {line} {last_x:.1f},{floor}"/>',
    ]
    if reference:
        below = above and level < floor - 18
        parts.append(
            f'<line class="mark" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>'
            f'<text class="quiet" x="{WIDTH - RIGHT}" y="{level + (14 if below else -6):.1f}" '
            f'text-anchor="end">{escape(reference[0])} {reference[1]:.3f}</text>'
        )
    parts += [
        f'<polyline class="line" points="{line}"/>',
        f'<circle class="dot" cx="{last_x:.1f}" cy="{last_y:.1f}" r="4"/>',
        f'<text class="note" x="{last_x:.1f}" y="{last_y + (-10 if above else 18):.1f}" '
        f'text-anchor="{anchor}">{points[-1][1]:.3f}</text>',
    ]
    return _svg(f"{label} during training, {points[-1][1]:.3f} at step {points[-1][0]}", parts)


def nice_ticks(highest: float, whole: bool = False) -> list[float]:
    """Three to seven round numbers from 0 up to the first one that is not below `highest` > 0."""
    magnitude = 10 ** math.floor(math.log10(highest / 4))
    steps = [factor * magnitude for factor in (1.0, 2.0, 2.5, 5.0, 10.0)]
    if whole:
        steps = [step for step in steps if step >= 1 and step == int(step)] or [1.0]
    step = next((s for s in steps if highest / s <= 5 + 1e-9), steps[-1])
    return [step * i for i in range(math.ceil(highest / step - 1e-9) + 1)]


def _x(value: float, end: float) -> float:
    return LEFT + value / end * (WIDTH - LEFT - RIGHT)


def _y(value: float, end: float) -> float:
    return HEIGHT - BOTTOM - value / end * (HEIGHT - BOTTOM - TOP)


def _axes(x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, y_label: str) -> str:
    parts = []
    for tick in y_ticks:
        y = _y(tick, y_ticks[-1])
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for tick in x_ticks:
        x = _x(tick, x_ticks[-1])
        anchor = "end" if tick == x_ticks[-1] else "middle"
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{_number(tick)}</text>'
        )
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(f'<text class="name" x="{LEFT - 38}" y="{TOP - 16}">{escape(y_label)}</text>')
    return "".join(parts)


def _number(value: float) -> str:
    """1000 -> 1k, 0.30000000000000004 -> 0.3."""
    return f"{value / 1000:.6g}k" if value >= 1000 else f"{value:.6g}"


def _svg(description: str, parts: Sequence[str]) -> str:
    label = escape(description, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
