"""Figures of a study: learning curves, dots with intervals, bars of counts. Every call makes a new figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.errors import ConfigError
from rookery.intervals import mean_band, mean_interval
from rookery.storage.atomic import write_bytes
from rookery.viz.axes import (
    LEVEL_NAME_HEIGHT,
    LINE_STYLES,
    add_legend,
    draw_reference_levels,
    label_rows,
    new_axes,
    series_color,
    set_title,
    spread_level_names,
    stack_level_names,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rookery.intervals import Interval
    from rookery.significance import SurvivalCurve

MIN_INTERVAL_SEEDS = 3
"""From which an interval over seeds is drawn: that of two is 13 standard errors wide and would hide the seeds."""


def learning_curves(
    conditions: Mapping[str, tuple[Any, ...]],
    *,
    reference_levels: Mapping[str, float] | None = None,
    xlabel: str = "environment steps",
    ylabel: str = "return per episode",
    title: str = "",
    confidence: float = 0.95,
    linear_up_to: float | None = None,
) -> Figure:
    """Learning curves: a thin line per seed, a bold mean per condition and its interval. Returns a matplotlib Figure.

    Args:
      conditions: name → (x f[N], y f[seeds, N]). A NaN in y is a point that was not measured: its line has a gap there,
        and so have mean and band, because a mean over fewer seeds would be another quantity.
      reference_levels: name → y; a labeled horizontal line each, such as the experts' mean return.
      xlabel, ylabel: with their units.
      confidence: of the band, Student's t interval over seeds; no band with fewer than `MIN_INTERVAL_SEEDS`.
      linear_up_to: beyond plus and minus this the scale of y is logarithmic; None: nowhere.
    Raises: ConfigError if there are no conditions, or shapes do not fit.
    """
    if not conditions:
        raise ConfigError("learning_curves needs at least one condition")
    figure, axes = new_axes(7.2, 4.4)
    lines = []
    for i, (name, (x, y)) in enumerate(conditions.items()):
        x, y = np.asarray(x, float), np.asarray(y, float)
        if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x) or not y.size:
            raise ConfigError(f"condition {name!r}: x has shape {x.shape} and y {y.shape}, not [N] and [seeds, N]")
        color = series_color(i)
        axes.plot(x, y.T, color=color, alpha=0.35, linewidth=0.8)
        measured = np.isfinite(y).all(0)
        mean, low, high = np.full((3, len(x)), np.nan)
        mean[measured] = y[:, measured].mean(0)
        if len(y) >= MIN_INTERVAL_SEEDS and measured.any():
            low[measured], high[measured] = mean_band(y[:, measured], confidence=confidence)
            axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        lines += axes.plot(x, mean, color=color, linewidth=2.4, linestyle=LINE_STYLES[i % len(LINE_STYLES)])
    levels = draw_reference_levels(axes, reference_levels or {}, along="x")
    axes.set_xlabel(xlabel, parse_math=False)
    axes.set_ylabel(ylabel, parse_math=False)
    axes.margins(x=0.01)
    if linear_up_to is not None:
        _scale_beyond(axes, "y", linear_up_to)
    if max(np.max(x, initial=0) for x, _ in conditions.values()) >= 10_000:
        from matplotlib.ticker import EngFormatter

        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 20M instead of 2.0 with a separate 1e7
    max_seeds = max(len(y) for _, y in conditions.values())
    names = [f"{name} ({len(y)} seed{'s' if len(y) > 1 else ''})" for name, (_, y) in conditions.items()]
    band = f"band: {confidence:.0%} interval of the mean" if max_seeds >= MIN_INTERVAL_SEEDS else None
    add_legend(figure, lines, names, band)
    set_title(axes, title)
    spread_level_names(figure, levels)
    return figure


def interval_dots(
    conditions: Mapping[str, object],
    *,
    reference_levels: Mapping[str, float] | None = None,
    xlabel: str = "return per episode",
    title: str = "",
    confidence: float = 0.95,
    linear_up_to: float | None = None,
) -> Figure:
    """One row per condition: a dot per seed, a diamond for their mean, a bar for its interval. Returns a Figure.

    With fewer than `MIN_INTERVAL_SEEDS` seeds there is no bar.

    Args:
      conditions: name → f[seeds], finite.
      reference_levels: name → value; a labeled vertical line each.
      xlabel: with its unit.
      linear_up_to: beyond plus and minus this the scale is logarithmic; None: nowhere.
    Raises: ConfigError if there are no conditions, or one has no values or values that are not finite.
    """
    if not conditions:
        raise ConfigError("interval_dots needs at least one condition")
    figure, axes = new_axes(7.2, 1.3 + 0.55 * len(conditions))
    for i, (name, values) in enumerate(conditions.items()):
        values = np.asarray(values, float)
        try:
            mean, low, high = mean_interval(values, confidence)
        except ConfigError as error:
            raise ConfigError(f"condition {name!r}: {error}") from error
        # Spread downwards in a fixed pattern, so that dots of equal values can be counted and the bar stays visible.
        below = i + 0.2 + 0.09 * (np.arange(len(values)) % 3)
        axes.plot(values, below, "o", color=series_color(i), markersize=5, alpha=0.75, markeredgewidth=0)
        if len(values) >= MIN_INTERVAL_SEEDS:
            axes.plot([low, high], [i, i], color=series_color(i), linewidth=3, solid_capstyle="butt")
        axes.plot([mean], [i], "D", color=series_color(i), markersize=7, markeredgecolor="white")
    axes.set_ylim(len(conditions) - 0.4, -0.45)  # the first condition on top
    label_rows(axes, list(conditions))
    axes.grid(axis="y", visible=False)
    if linear_up_to is not None:
        _scale_beyond(axes, "x", linear_up_to)
    levels = draw_reference_levels(axes, reference_levels or {}, along="y")
    # Next to long names the axes are narrower than this label, which must stay inside the figure.
    place = "right" if max(map(len, conditions)) > 40 else "center"
    axes.set_xlabel(f"{xlabel}\n◆ mean, bar: its {confidence:.0%} interval, dots: seeds", loc=place, parse_math=False)
    set_title(axes, title, above=6 + LEVEL_NAME_HEIGHT * stack_level_names(figure, levels))
    return figure


def _scale_beyond(axes: Any, along: str, linear: float) -> None:
    """A scale that is linear around 0 and logarithmic beyond, with numbers in both parts that do not overlap."""
    axis = getattr(axes, f"{along}axis")
    low, high = getattr(axes, f"get_{along}lim")()
    getattr(axes, f"set_{along}scale")("symlog", linthresh=linear, linscale=1.5)
    powers = [10.0**number for number in range(12) if linear * 2 <= 10.0**number]
    sides = [*powers, linear, linear / 2]
    axis.set_ticks([0.0, *(sign * size for sign in (-1, 1) for size in sides if low <= sign * size <= high)])
    axis.set_major_formatter("{x:,g}")
    axis.minorticks_off()


def survival_curves(
    conditions: Mapping[str, tuple[SurvivalCurve, float]], *, xlabel: str, ylabel: str, title: str = ""
) -> Figure:
    """A step curve per condition: the fraction that has reached an event, with its interval. Returns a Figure.

    Args:
      conditions: name → (its curve, end of observation).
    Raises: ConfigError if there are no conditions.
    """
    if not conditions:
        raise ConfigError("survival_curves needs at least one condition")
    figure, axes = new_axes(7.2, 4.4)
    lines = []
    for i, (curve, end) in enumerate(conditions.values()):
        x = np.append(curve.time, max(end, curve.time[-1]))
        reached, low, high = (np.append(y, y[-1]) for y in (curve.reached, curve.low, curve.high))
        axes.fill_between(x, low, high, step="post", color=series_color(i), alpha=0.12, linewidth=0)
        style = LINE_STYLES[i % len(LINE_STYLES)]
        lines += axes.step(x, reached, where="post", color=series_color(i), linewidth=2.4, linestyle=style)
        if len(curve.censored):
            at = curve.reached[np.searchsorted(curve.time, curve.censored, side="right") - 1]
            axes.plot(curve.censored, at, "|", color=series_color(i), markersize=9)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(xlabel, parse_math=False)
    axes.set_ylabel(ylabel, parse_math=False)
    axes.margins(x=0.01)
    from matplotlib.ticker import EngFormatter

    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    add_legend(figure, lines, list(conditions), "band: 95 % interval of the fraction (log-log)")
    set_title(axes, title)
    return figure


def response_curves(
    points: Mapping[str, Sequence[tuple[float, Interval]]],
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """Measured fractions with their intervals, and a fitted curve through those of each name. Returns a Figure.

    Args:
      points: name → (x, fraction with interval) each. curves: name → f[N] at x f[N], the same names.
    Raises: ConfigError if there are no points, or names differ.
    """
    if not points or set(points) != set(curves):
        raise ConfigError(f"points of {list(points)} need a curve each, not those of {list(curves)}")
    figure, axes = new_axes(7.2, 4.4)
    lines = []
    width = (x[-1] - x[0]) * 0.004
    for i, (name, measured) in enumerate(points.items()):
        style = LINE_STYLES[i % len(LINE_STYLES)]
        lines += axes.plot(x, curves[name], color=series_color(i), linewidth=2.2, linestyle=style)
        place = np.array([at for at, _ in measured]) + (i - (len(points) - 1) / 2) * width * 3
        value, low, high = np.array([interval for _, interval in measured]).T
        axes.errorbar(place, value, (value - low, high - value), fmt="o", color=series_color(i), capsize=3, alpha=0.85)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(xlabel, parse_math=False)
    axes.set_ylabel(ylabel, parse_math=False)
    add_legend(figure, lines, list(points), "dots: measured, bars: 95 % interval")
    return figure


def count_bars(rows: Mapping[str, Mapping[str, int]], *, xlabel: str = "seeds", title: str = "") -> Figure:
    """One stacked bar per row, with the count of each kind written on its part. Returns a matplotlib Figure.

    Args:
      rows: name → kind → count; every row has the same kinds, in the order in which they are drawn.
    Raises: ConfigError if there are no rows, kinds differ, or a count is negative.
    """
    if not rows:
        raise ConfigError("count_bars needs at least one row")
    kinds = list(next(iter(rows.values())))
    for name, counts in rows.items():
        if list(counts) != kinds or min(counts.values()) < 0:
            raise ConfigError(
                f"row {name!r} has the counts {dict(counts)}; it needs a count of at least 0 for each of {kinds}"
            )
    more_lines = sum(text.count("\n") for text in (xlabel, title, *kinds, *rows))
    figure, axes = new_axes(7.2, 1.2 + 0.32 * len(rows) + 0.25 * more_lines)
    left, bars = np.zeros(len(rows)), []
    for i, kind in enumerate(kinds):
        width = np.array([counts[kind] for counts in rows.values()])
        bars.append(axes.barh(range(len(rows)), width, left=left, height=0.72, color=series_color(i), alpha=0.8))
        axes.bar_label(bars[-1], [str(w) if w else "" for w in width], label_type="center", fontsize=9)
        left += width
    label_rows(axes, list(rows))
    axes.grid(axis="y", visible=False)
    axes.locator_params("x", integer=True)
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row on top
    axes.set_xlabel(xlabel, parse_math=False)
    add_legend(figure, bars, kinds, None)
    set_title(axes, title)
    return figure


def parallel_coordinates(columns: Mapping[str, Sequence[str]], values: Sequence[float], label: str) -> Figure:
    """One line per configuration, through its value of every setting, colored by its result. Returns a Figure.

    Args:
      columns: setting → its value in each of N configurations; numbers if all texts are, logarithmic where they span
        two orders of magnitude, else categories.
      values: f[N], the results. label: what they are.
    Raises: ConfigError for no settings or no configurations.
    """
    if not columns or not len(values):
        raise ConfigError("parallel_coordinates needs at least one setting and one configuration")
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, axes = new_axes(2.4 + 1.6 * len(columns), 4.4)
    scaled = [_unit_positions(texts) for texts in columns.values()]
    colors = ScalarMappable(Normalize(min(values), max(values)), "viridis")
    for number in np.argsort(values):  # the best on top
        heights = [heights[number] for heights, _ in scaled]
        axes.plot(range(len(heights)), heights, marker="o", color=colors.to_rgba(values[number]), linewidth=1.2)
    for x, (_, ticks) in enumerate(scaled):
        axes.axvline(x, color="0.8", linewidth=0.8, zorder=0)
        for height, text in ticks:
            axes.annotate(
                text, (x, height), xytext=(4, 0), textcoords="offset points", fontsize=7, va="center", parse_math=False
            )
    axes.set_xticks(range(len(columns)), [name.split(".")[-1] for name in columns], parse_math=False)
    axes.set_yticks([])
    axes.set_xlim(-0.3, len(columns) - 0.4)
    figure.colorbar(colors, ax=axes).set_label(label, parse_math=False)
    return figure


def _unit_positions(texts: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights in [0, 1] of a setting's values, and the ticks that label them."""
    try:
        numbers = np.array([float(text) for text in texts])
        if numbers.min() > 0 and numbers.max() >= 100 * numbers.min():
            numbers = np.log10(numbers)
        span = float(np.ptp(numbers)) or 1.0
        heights = [float(height) for height in (numbers - numbers.min()) / span]
        order = np.argsort(heights)
        ends = dict.fromkeys((int(order[0]), int(order[-1])))
        return heights, [(heights[i], f"{float(texts[i]):.3g}") for i in ends]
    except ValueError:
        names = list(dict.fromkeys(texts))
        place = {name: i / max(len(names) - 1, 1) for i, name in enumerate(names)}
        return [place[text] for text in texts], [(height, name) for name, height in place.items()]


def save_figure(figure: Figure, path: Path, dpi: Any = "figure") -> None:
    """Write a figure in the format of the path's ending, whole or not at all. Raises: StorageError."""
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix[1:], dpi=dpi, facecolor="white")
    write_bytes(path, file.getvalue(), follow_link=True)


def figure_to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element: equal figures give equal text, and text is text, not shapes."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "rookery", "svg.fonttype": "none"}):
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=no_metadata, facecolor="white")
    # The lines before the element are for a separate file, and have addresses on the web.
    svg = file.getvalue()
    return svg[svg.index("<svg") :].strip()
