"""Images in figures: maps, and views as agents see or predict them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.gridworld.spec import CHANNELS
from rookery.gridworld.tiles import FLOOR, GOAL

CHANNEL_COLORS = {
    "unseen": (35, 25, 30), "obstacle": (110, 100, 70), "goal": (255, 255, 0),
    "agent ahead": (90, 170, 255), "agent right": (90, 170, 255), "agent back": (90, 170, 255),
    "agent left": (90, 170, 255),
}  # fmt: skip
"""Color of a symbolic channel at full strength; floor is black."""
OTHER_TILE_GRAY = 0.55


def view_to_rgb(view: np.ndarray) -> np.ndarray:
    """A view f[H, W, C] in [0, 1], pixels or symbolic, observed or predicted, as colors f[H, W, 3] in [0, 1]."""
    view = np.clip(view, 0, 1)
    if view.shape[-1] == 3:
        return view
    image = np.zeros((*view.shape[:-1], 3))
    for number, name in enumerate(CHANNELS):
        if name in CHANNEL_COLORS:
            strength = view[..., number, None]
            image = image * (1 - strength) + strength * np.array(CHANNEL_COLORS[name]) / 255
    return image


def draw_tile_maps(maps: list[Any]) -> Any:
    """Maps side by side, i[H, W] tile kinds each: floor black, goals yellow, all else gray. matplotlib Figure."""
    images = []
    for kinds in maps:
        kinds = np.array(kinds)
        image = np.full((*kinds.shape, 3), OTHER_TILE_GRAY)
        image[kinds == FLOOR] = 0.0
        image[kinds == GOAL] = (1.0, 1.0, 0.0)
        images.append(image)
    return image_grid([images])


def image_grid(rows: list[list[np.ndarray]], titles: list[str] | None = None, labels: list[str] | None = None) -> Any:
    """Images f[H, W, 3] in rows. matplotlib Figure.

    Args:
      titles: of the columns. labels: of the rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(map(len, rows))
    figure = Figure(figsize=(1.5 * columns + 0.8, 1.6 * len(rows) + 0.4), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for r, row in enumerate(rows):
        for c in range(columns):
            axes[r, c].set_xticks([])
            axes[r, c].set_yticks([])
            if c < len(row):
                axes[r, c].imshow(row[c], interpolation="nearest", vmin=0, vmax=1)
            else:
                axes[r, c].set_visible(False)
            if r == 0 and titles:
                axes[r, c].set_title(titles[c], fontsize=9, parse_math=False)
            if c == 0 and labels:
                axes[r, c].set_ylabel(labels[r], fontsize=9, parse_math=False)
    return figure
