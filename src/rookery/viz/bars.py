"""Figures of one agent: bars of numbers with their intervals, and lines over the steps of an episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.errors import ConfigError
from rookery.intervals import Interval
from rookery.viz.axes import LINE_STYLES, add_legend, label_rows, new_axes, series_color, set_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def interval_bars(rows: Mapping[str, Interval], *, xlabel: str, title: str = "") -> Figure:
    """One bar per number, from 0, with its 95 % interval; an undefined number has its name and "undefined".

    Args:
      rows: name to value and interval, the first on top.
      xlabel: with its unit.
    Raises: ConfigError if there are no rows.
    """
    if not rows:
        raise ConfigError("interval_bars needs at least one row")
    figure, axes = new_axes(7.2, 0.9 + 0.36 * len(rows))
    for i, (value, low, high) in enumerate(rows.values()):
        if not np.isfinite(value):
            axes.text(0, i, " undefined", va="center", fontsize=9, color="0.35")
            continue
        axes.barh(i, value, height=0.62, color=series_color(0), alpha=0.55)
        if np.isfinite(low):
            axes.plot([low, high], [i, i], color=series_color(0), linewidth=2.5, solid_capstyle="butt")
        axes.plot([value], [i], "D", color=series_color(0), markersize=6, markeredgecolor="white")
    axes.axvline(0, color="0.25", linewidth=1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    label_rows(axes, list(rows))
    axes.grid(axis="y", visible=False)
    place = "right" if _has_long_names(rows) else "center"
    axes.set_xlabel(f"{xlabel}; bar: 95 % interval over episodes", loc=place, parse_math=False)
    set_title(axes, title)
    return figure


def step_lines(
    lines: Mapping[str, Any],
    *,
    ylabel: str,
    xlabel: str = "step of the episode",
    shaded: tuple[float, float, str] | None = None,
    title: str = "",
) -> Figure:
    """One line per name over the steps of an episode.

    Args:
      lines: name to f[T].
      shaded: first and last step of a shaded part, and what it means.
    Raises: ConfigError if there are no lines.
    """
    if not lines:
        raise ConfigError("step_lines needs at least one line")
    figure, axes = new_axes(7.2, 3.8)
    drawn = []
    for i, values in enumerate(lines.values()):
        steps = np.arange(1, len(values) + 1)
        drawn += axes.plot(
            steps, values, color=series_color(i), linewidth=2.2, linestyle=LINE_STYLES[i % len(LINE_STYLES)]
        )
    if shaded is not None:
        first, last, meaning = shaded
        axes.axvspan(first, last, color="0.93", zorder=0)
        axes.annotate(meaning, ((first + last) / 2, 1), (0, -12), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", fontsize=9, color="0.35")  # fmt: skip
    axes.axhline(0, color="0.25", linewidth=0.8)
    axes.set_xlabel(xlabel, parse_math=False)
    axes.set_ylabel(ylabel, parse_math=False)
    axes.margins(x=0.01)
    add_legend(figure, drawn, list(lines), None)
    set_title(axes, title)
    return figure


def _has_long_names(rows: Mapping[str, Any]) -> bool:
    """Next to long names the axes are narrower than their label, which must stay inside the figure."""
    return max(map(len, rows)) > 30
