"""Influence between agents as arrows from the influencer to the influenced agent; board.js has the same geometry.

The width of an arrow is proportional to its influence as a fraction of the largest in the recording, and at least a
hairline. Its opacity is the square root of that fraction, so that small influences are visible and tiny ones vanish.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.viz import colors
from rookery.viz.recording import Recording
from rookery.viz.sprites import SUPERSAMPLING, Points

MAX_ARROW_WIDTH, SIDE_OFFSET, END_MARGIN, MAX_HEAD_WIDTH = 0.22, 0.13, 0.3, 0.4  # of a tile
"""The widest shaft; how far to the right of the influencer it is drawn, so that arrows in both directions stay
apart; how far from the center of either agent it ends; the widest arrowhead."""


def arrow_outline(start: tuple[float, float], end: tuple[float, float], fraction: float, tile_size: float) -> Points:
    """The seven corners of an arrow between the centers of two agents, (x, y) in pixels; () if the centers coincide.

    Args:
      fraction: of the largest influence, in (0, 1].
    """
    across, down = end[0] - start[0], end[1] - start[1]
    distance = math.hypot(across, down)
    if not distance:
        return ()
    ahead = across / distance, down / distance
    right = -ahead[1], ahead[0]  # y goes down
    trim = min(END_MARGIN * tile_size, distance / 4)
    length = distance - 2 * trim
    half = max(0.5, fraction * MAX_ARROW_WIDTH * tile_size / 2)
    head = min(length, max(0.14, fraction**0.5 * MAX_HEAD_WIDTH) * tile_size)
    wide = max(2 * half, head / 2)

    def point(along: float, sideways: float) -> tuple[float, float]:
        along, sideways = trim + along, SIDE_OFFSET * tile_size + sideways
        return (
            start[0] + along * ahead[0] + sideways * right[0],
            start[1] + along * ahead[1] + sideways * right[1],
        )

    neck = length - head
    return (
        point(0, -half), point(neck, -half), point(neck, -wide), point(length, 0), point(neck, wide),
        point(neck, half), point(0, half),
    )  # fmt: skip


def arrow_opacity(fraction: float) -> float:
    """Opacity of an arrow, 0 to 1. fraction: of the largest influence."""
    return math.sqrt(fraction)


def draw_arrows(
    picture: np.ndarray, recording: Recording, t: int, centers: dict[int, tuple[float, float]], tile_size: int
) -> None:
    """Draw the arrows of state t into a picture, u8[h, w, 3]. `centers`: (x, y) of each agent."""
    max_influence = recording.max_influence
    for negative, color in ((False, colors.INFLUENCE_COLOR), (True, colors.NEGATIVE_INFLUENCE_COLOR)):
        pairs = [
            (abs(nats) / max_influence, centers[k], centers[j])
            for k, j, nats in recording.influence_pairs(t)
            if (nats < 0) == negative
        ]
        _fill_polygons(
            picture,
            [
                (arrow_outline(start, end, fraction, tile_size), arrow_opacity(fraction))
                for fraction, start, end in pairs
            ],
            color,
        )


def draw_legend_arrow(picture: np.ndarray, left: tuple[float, float], tile_size: int) -> None:
    """Draw the widest arrow for a legend, two tiles long, from (x, y)."""
    x, y = left[0] - END_MARGIN * tile_size, left[1] - SIDE_OFFSET * tile_size
    _fill_polygons(
        picture,
        [(arrow_outline((x, y), (x + (2 + 2 * END_MARGIN) * tile_size, y), 1.0, tile_size), 1.0)],
        colors.INFLUENCE_COLOR,
    )


def _fill_polygons(picture, shapes, color):
    """Draw antialiased polygons with their opacity into a picture, later ones on top."""
    from PIL import Image, ImageDraw

    shapes = [(corners, opacity) for corners, opacity in shapes if corners]
    if not shapes:
        return
    height, width, _ = picture.shape
    points = np.array([corner for corners, _ in shapes for corner in corners])
    left, top = np.maximum(np.floor(points.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(points.max(0)).astype(int) + 1, (width, height))
    mask = Image.new("L", ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING))
    pen = ImageDraw.Draw(mask)
    for corners, opacity in shapes:
        pen.polygon(
            [((x - left) * SUPERSAMPLING, (y - top) * SUPERSAMPLING) for x, y in corners], fill=round(255 * opacity)
        )
    cover = np.asarray(mask.resize((right - left, bottom - top), Image.Resampling.BOX), np.float32)[..., None] / 255
    box = picture[top:bottom, left:right]
    box[:] = np.rint(box * (1 - cover) + np.array(color, np.float32) * cover).astype(np.uint8)
