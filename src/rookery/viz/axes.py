"""What every figure is made with: axes, colors, legends, titles, and labels that are never read as mathematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rookery.errors import ConfigError
from rookery.viz.colors import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVEL_NAME_HEIGHT = 12  # points
LINE_STYLES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))  # lines differ without color too


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of width × height inches with one pair of axes; without pyplot, which keeps global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)  # sets figure.canvas
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def series_color(i: int) -> tuple[float, float, float]:
    """The color of the i-th series, red, green and blue in [0, 1]; the eighth is the first again."""
    red, green, blue = OKABE_ITO[i % len(OKABE_ITO)]
    return red / 255, green / 255, blue / 255


def label_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, … of the vertical axis."""
    axes.set_yticks(range(len(names)), [""] * len(names))
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_parse_math(False)
        label.set_text(name)
    # Tick labels lose a text set on them; a formatter keeps it.
    axes.yaxis.set_major_formatter(lambda value, _: names[round(value)])


def draw_reference_levels(axes: Axes, levels: Mapping[str, float], along: Literal["x", "y"]) -> list[Any]:
    """Dotted lines behind the data, with their name at one end.

    Args:
      along: the axis to which the lines are parallel.
    Returns: the names, as matplotlib's annotations.
    Raises: ConfigError for a level that is not finite.
    """
    names = []
    style = {"color": "0.25", "linewidth": 1.2, "linestyle": ":", "zorder": 1.6}
    for name, value in levels.items():
        if not np.isfinite(value):
            raise ConfigError(f"level {name!r} is {value}; it must be finite")
        if along == "x":
            axes.axhline(value, **style)
            text = axes.annotate(
                name, (1, value), (-3, 3), xycoords=("axes fraction", "data"), textcoords="offset points"
            )
            text.set_horizontalalignment("right")
        else:
            axes.axvline(value, **style)
            text = axes.annotate(
                name, (value, 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points"
            )
            text.set_horizontalalignment("center")
        text.set(fontsize=9, color="0.25", parse_math=False)
        text.set_bbox({"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5})
        names.append(text)
    return names


def stack_level_names(figure: Figure, names: Sequence[Any]) -> int:
    """Raise names over vertical lines into further rows where they would cover each other. Returns the rows.

    Args:
      names: from `draw_reference_levels`, of a figure that has all else that it will have but a title.
    """
    if len(names) > 1:
        figure.draw_without_rendering()  # where texts are is known only then
    ends: list[float] = []  # of the rows, from the bottom
    for name in sorted(names, key=lambda name: name.get_window_extent().x0):
        box = name.get_window_extent()
        row = next((number for number, end in enumerate(ends) if end < box.x0), len(ends))
        ends[row : row + 1] = [box.x1 + 4]
        name.xyann = (0, 3 + LEVEL_NAME_HEIGHT * row)
    return len(ends)


def spread_level_names(figure: Figure, names: Sequence[Any]) -> None:
    """Move names over horizontal lines to the left, into further columns, where they would cover each other.

    Args:
      names: as for `stack_level_names`.
    """
    if len(names) < 2:
        return
    figure.draw_without_rendering()
    columns: list[list[Any]] = []  # of boxes, from the right
    pixels_per_point = figure.dpi / 72
    for name in sorted(names, key=lambda name: name.get_window_extent().y0):
        box = name.get_window_extent()
        column = next((n for n, boxes in enumerate(columns) if boxes[-1].y1 < box.y0), len(columns))
        columns[column : column + 1] = [[*(columns[column] if column < len(columns) else ()), box]]
        widths = (max(box.width for box in boxes) / pixels_per_point + 6 for boxes in columns[:column])
        name.xyann = (-3 - sum(widths), 3)


def add_legend(figure: Figure, lines: Sequence[Any], names: Sequence[str], title: str | None) -> None:
    """A legend above the axes. Texts are set afterwards, because a name with a leading "_" would be left out."""
    columns = max(1, min(len(names), 3, 100 // (max(map(len, names)) + 10)))  # as many as fit into the width
    legend = figure.legend(
        lines, [f"{'x' * len(name)}" for name in names], loc="outside upper left", ncols=columns,
        frameon=False, fontsize=9, title=title, title_fontsize=8, alignment="left", handlelength=3.2,
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


def set_title(axes: Axes, title: str, above: float = 6) -> None:
    """A title at the left; none if it is empty.

    Args:
      above: distance in points, more where the names of reference levels are drawn.
    """
    if title:
        axes.set_title(title, loc="left", fontsize=11, parse_math=False, pad=above)
