"""Influence between agents as arrows, from who moved to who was moved: one geometry for pictures and board.js.

An arrow is as wide as its influence is large, in proportion to the largest of the whole recording, and at least a
hairline; its opacity goes with the root of that share, so that the faint are seen and the faintest vanish.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.show import colours
from rookery.show.recording import Recording
from rookery.show.sprites import SMOOTH, Points

WIDEST, ASIDE, ENDS, LONGEST_HEAD = 0.22, 0.13, 0.3, 0.4  # of a tile
"""The widest shaft; how far to the influencer's right it runs, so that two that face each other stay apart; how far
from either agent's middle it ends; the widest arrow's head."""


def outline(start: tuple[float, float], end: tuple[float, float], share: float, tile: float) -> Points:
    """The seven corners of an arrow between two agents' middles, (x, y) in pixels; () where they are one point.

    Args:
      share: of the largest influence, in (0, 1].
    """
    across, down = end[0] - start[0], end[1] - start[1]
    distance = math.hypot(across, down)
    if not distance:
        return ()
    ahead = across / distance, down / distance
    right = -ahead[1], ahead[0]  # y goes down
    trim = min(ENDS * tile, distance / 4)
    length = distance - 2 * trim
    half = max(0.5, share * WIDEST * tile / 2)
    head = min(length, max(0.14, share**0.5 * LONGEST_HEAD) * tile)
    wide = max(2 * half, head / 2)

    def point(along: float, aside: float) -> tuple[float, float]:
        along, aside = trim + along, ASIDE * tile + aside
        return (
            start[0] + along * ahead[0] + aside * right[0],
            start[1] + along * ahead[1] + aside * right[1],
        )

    neck = length - head
    return (
        point(0, -half), point(neck, -half), point(neck, -wide), point(length, 0), point(neck, wide),
        point(neck, half), point(0, half),
    )  # fmt: skip


def opacity(share: float) -> float:
    """Of an arrow: 0 to 1."""
    return math.sqrt(share)


def draw(picture: np.ndarray, recording: Recording, t: int, at: dict[int, tuple[float, float]], tile: int) -> None:
    """Draw moment t's arrows into a picture, u8[h, w, 3]. `at`: (x, y) of each agent's middle."""
    most = recording.most_influence
    for low, colour in ((False, colours.INFLUENCE), (True, colours.AGAINST)):
        found = [(abs(nats) / most, at[k], at[j]) for k, j, nats in recording.influenced(t) if (nats < 0) == low]
        _lay(picture, [(outline(start, end, share, tile), opacity(share)) for share, start, end in found], colour)


def sample(picture: np.ndarray, left: tuple[float, float], tile: int) -> None:
    """Draw the widest arrow for a legend, two tiles long, from (x, y)."""
    x, y = left[0] - ENDS * tile, left[1] - ASIDE * tile
    _lay(picture, [(outline((x, y), (x + (2 + 2 * ENDS) * tile, y), 1.0, tile), 1.0)], colours.INFLUENCE)


def _lay(picture, shapes, colour):
    """Lay polygons over a picture, smoothed, the later on top."""
    from PIL import Image, ImageDraw

    shapes = [(corners, full) for corners, full in shapes if corners]
    if not shapes:
        return
    height, width, _ = picture.shape
    points = np.array([corner for corners, _ in shapes for corner in corners])
    left, top = np.maximum(np.floor(points.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(points.max(0)).astype(int) + 1, (width, height))
    mask = Image.new("L", ((right - left) * SMOOTH, (bottom - top) * SMOOTH))
    pen = ImageDraw.Draw(mask)
    for corners, full in shapes:
        pen.polygon([((x - left) * SMOOTH, (y - top) * SMOOTH) for x, y in corners], fill=round(255 * full))
    cover = np.asarray(mask.resize((right - left, bottom - top), Image.Resampling.BOX), np.float32)[..., None] / 255
    box = picture[top:bottom, left:right]
    box[:] = np.rint(box * (1 - cover) + np.array(colour, np.float32) * cover).astype(np.uint8)
