"""Figures of social dilemmas: Schelling diagrams and cross-play matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rookery.errors import ConfigError
from rookery.intervals import Interval
from rookery.viz.axes import add_legend, new_axes, series_color, set_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def schelling_curves(
    cooperator: Sequence[Interval], defector: Sequence[Interval], *, ylabel: str = "return per episode", title: str = ""
) -> Figure:
    """Returns of a cooperator and of a defector against the number of other cooperators. Returns a Figure.

    Args:
      cooperator, defector: for 0, 1, … other cooperators.
    Raises: ConfigError if there are none, or not equally many.
    """
    if not cooperator or len(cooperator) != len(defector):
        raise ConfigError(
            f"schelling_curves needs a cooperator and a defector for each number of others, not {len(cooperator)} and "
            f"{len(defector)}"
        )
    figure, axes = new_axes(5.6, 3.8)
    x, lines = np.arange(len(cooperator)), []
    for i, (intervals, marker, style) in enumerate(((cooperator, "o", "-"), (defector, "s", "--"))):
        value, low, high = np.array(intervals, float).T
        axes.fill_between(x, low, high, color=series_color(i), alpha=0.2, linewidth=0)
        lines += axes.plot(x, value, color=series_color(i), marker=marker, linestyle=style, linewidth=2.4, markersize=7)
    axes.set_xticks(x)
    axes.set_xlabel("other agents that cooperate")
    axes.set_ylabel(ylabel, parse_math=False)
    add_legend(figure, lines, ["cooperator", "defector"], "band: 95 % interval over episodes")
    set_title(axes, title)
    return figure


def cross_play_matrix(
    names: Sequence[str], returns: np.ndarray, *, label: str = "return per episode", title: str = ""
) -> Figure:
    """The return of every agent (rows) with every other (columns), as colors and numbers. Returns a Figure.

    Args:
      returns: f[K, K], finite, for K names.
    Raises: ConfigError for another shape.
    """
    size = len(names)
    if returns.shape != (size, size) or not size:
        raise ConfigError(f"cross_play_matrix needs an entry for each pair of {size} names, not {returns.shape}")
    side = 2.2 + 0.46 * size
    figure, axes = new_axes(side + 1.2, side)
    image = axes.imshow(returns, cmap="viridis")
    middle = (returns.min() + returns.max()) / 2
    if size <= 20:
        for i, j in np.ndindex(size, size):
            color = "black" if returns[i, j] > middle else "white"
            axes.text(j, i, f"{returns[i, j]:.3g}", ha="center", va="center", fontsize=8, color=color)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(range(size), names, fontsize=8, parse_math=False)
    axes.tick_params(axis="x", rotation=90)
    axes.grid(visible=False)
    axes.set_xlabel("the other agents")
    axes.set_ylabel("agent whose return it is")
    figure.colorbar(image, ax=axes).set_label(label, parse_math=False)
    set_title(axes, title)
    return figure
