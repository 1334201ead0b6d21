"""How tiles and agents are drawn: polygons in a unit cell, the same in pictures, replays and on the game page.

(x, y), (0, 0) at the top left, (1, 1) at the bottom right.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.viz import colors

if TYPE_CHECKING:
    from collections.abc import Iterable

Color = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]

SUPERSAMPLING = 4  # shapes are drawn this much larger, then averaged down


@dataclasses.dataclass(frozen=True)
class Sprite:
    """How a kind of tile is drawn: its name in the legend, the color of its cell, the shapes on it, lowest first."""

    name: str
    background: Color
    shapes: tuple[tuple[Color, Points], ...] = ()
    label_background: Color | None = None  # color behind a number on the tile; None: the color of the cell

    def to_json(self) -> dict[str, Any]:
        """As board.js reads it."""
        shapes = [[color, [round(c, 3) for point in points for c in point]] for color, points in self.shapes]
        return {
            "name": self.name,
            "background": self.background,
            "shapes": shapes,
            "label_background": self.label_background or self.background,
        }


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def circle(x: float, y: float, radius: float, corners: int = 20) -> Points:
    turn = 2 * math.pi / corners
    return tuple((x + radius * math.cos(turn * i), y + radius * math.sin(turn * i)) for i in range(corners))


def rounded_rectangle(left: float, top: float, right: float, bottom: float, radius: float) -> Points:
    """A rectangle with round corners."""
    points = []
    for x, y, first in ((right, top, 270), (right, bottom, 0), (left, bottom, 90), (left, top, 180)):
        center_x = x - radius if x == right else x + radius
        center_y = y - radius if y == bottom else y + radius
        for step in range(5):
            angle = math.radians(first + step * 22.5)
            points.append((center_x + radius * math.cos(angle), center_y + radius * math.sin(angle)))
    return tuple(points)


def adjust_brightness(color: Color, amount: float) -> Color:
    """Lighter (above 0, towards white) or darker (below 0, towards black); 1 is all the way."""
    end = np.full(3, 255 if amount > 0 else 0)
    red, green, blue = np.rint(color + (end - color) * abs(amount)).astype(int)
    return int(red), int(green), int(blue)


def _bevel(color: Color, edge: float = 0.075) -> tuple[tuple[Color, Points], ...]:
    """A block lit from the upper left."""
    low, high = edge, 1 - edge
    return (
        (adjust_brightness(color, 0.18), ((0, 0), (1, 0), (high, low), (low, low))),
        (adjust_brightness(color, 0.1), ((0, 0), (low, low), (low, high), (0, 1))),
        (adjust_brightness(color, -0.24), ((0, 1), (low, high), (high, high), (1, 1))),
        (adjust_brightness(color, -0.14), ((1, 0), (1, 1), (high, high), (high, low))),
    )


def _goal_plate(color: Color) -> tuple[tuple[Color, Points], ...]:
    """A colored plate that lies on the floor."""
    return (
        (adjust_brightness(color, -0.35), rounded_rectangle(0.09, 0.11, 0.93, 0.95, 0.12)),
        (color, rounded_rectangle(0.07, 0.07, 0.93, 0.91, 0.12)),
        (adjust_brightness(color, 0.45), rectangle(0.18, 0.09, 0.82, 0.12)),
    )


def unknown_sprite(kind: int) -> Sprite:
    """A tile kind without a sprite of its own."""
    color = colors.tile_color(kind)
    return Sprite(f"tile kind {kind}", color, _bevel(color))


def sprite_of(kind: int) -> Sprite:
    """How a tile kind is drawn, also an unknown one."""
    return SPRITES.get(kind) or unknown_sprite(kind)


def ring(x: float, y: float, outer: float, inner: float) -> Points:
    """A disc with a hole, as one outline."""
    hole = circle(x, y, inner)
    return (*circle(x, y, outer), circle(x, y, outer)[0], hole[0], *hole[::-1])


def _with_shadows(*shapes: tuple[Color, Points]) -> tuple[tuple[Color, Points], ...]:
    """Shapes with shadows below them."""
    dark = adjust_brightness(colors.FLOOR_COLOR, -0.55)
    return (*((dark, tuple((x + 0.03, y + 0.04) for x, y in points)) for _, points in shapes), *shapes)


def _key(color: Color, x: float = 0.0, y: float = 0.0) -> tuple[tuple[Color, Points], ...]:
    """A key lying across the cell, moved by (x, y)."""
    return (
        (color, ring(0.31 + x, 0.5 + y, 0.18, 0.09)),
        (color, rectangle(0.46 + x, 0.45 + y, 0.88 + x, 0.55 + y)),
        (color, rectangle(0.66 + x, 0.5 + y, 0.73 + x, 0.68 + y)),
        (color, rectangle(0.8 + x, 0.5 + y, 0.87 + x, 0.72 + y)),
    )


def _goal(name: str, color: Color, shape: Points) -> Sprite:
    return Sprite(name, colors.FLOOR_COLOR, _with_shadows((color, shape)), color)


def _coin(name: str, color: Color, shape: Points) -> Sprite:
    rim = tuple((0.5 + 0.78 * (x - 0.5), 0.5 + 0.78 * (y - 0.5)) for x, y in shape)
    return Sprite(name, colors.FLOOR_COLOR, _with_shadows((adjust_brightness(color, 0.4), shape), (color, rim)))


_DOOR, _IRON, _KEY = (156, 98, 46), (206, 208, 214), (120, 214, 255)
_WATER, _WASTE, _STREAM = (38, 96, 150), (104, 88, 34), (62, 130, 172)
_POLYGON = {corners: circle(0.5, 0.5, 0.44, corners) for corners in (6, 20)}

# By tile kind. Up to 10: gridworld/tiles.py; from 64 on: render_state.py. Kinds differ in shape as well as in color.
SPRITES: dict[int, Sprite] = {
    0: Sprite("floor", colors.FLOOR_COLOR),
    1: Sprite("obstacle", colors.WALL_COLOR, _bevel(colors.WALL_COLOR)),
    2: Sprite("goal", colors.FLOOR_COLOR, _goal_plate(colors.GOAL_COLOR), colors.GOAL_COLOR),
    3: Sprite("key", colors.FLOOR_COLOR, _with_shadows(*_key(_KEY))),
    4: Sprite(
        "keys without end",
        colors.FLOOR_COLOR,
        (
            (adjust_brightness(_KEY, -0.62), rounded_rectangle(0.06, 0.06, 0.94, 0.94, 0.1)),
            *_key(adjust_brightness(_KEY, -0.25), 0, -0.17),
            *_key(_KEY, 0, 0.12),
        ),
    ),
    5: Sprite(
        "locked door",
        _DOOR,
        (
            *_bevel(_DOOR),
            (adjust_brightness(_DOOR, -0.3), rectangle(0.47, 0.08, 0.53, 0.92)),
            (_IRON, rounded_rectangle(0.34, 0.44, 0.66, 0.72, 0.05)),
            (_IRON, ring(0.5, 0.44, 0.15, 0.09)),
            (colors.INK_COLOR, circle(0.5, 0.57, 0.045)),
        ),
    ),
    6: Sprite(
        "open door",
        colors.FLOOR_COLOR,
        (
            (_DOOR, rectangle(0, 0, 0.16, 1)),
            (adjust_brightness(_DOOR, 0.2), rectangle(0.12, 0, 0.16, 1)),
            (_DOOR, rectangle(0.84, 0, 1, 1)),
            (adjust_brightness(_DOOR, -0.3), rectangle(0.84, 0, 0.88, 1)),
        ),
    ),
    7: _goal("goal, round", (0, 178, 130), _POLYGON[20]),
    8: _goal("goal, diamond", (236, 236, 236), ((0.5, 0.04), (0.96, 0.5), (0.5, 0.96), (0.04, 0.5))),
    9: _goal("goal, six-sided", (214, 130, 180), _POLYGON[6]),
    10: _goal("goal, peaked", (232, 146, 20), ((0.5, 0.06), (0.95, 0.42), (0.8, 0.93), (0.2, 0.93), (0.05, 0.42))),
    66: Sprite(
        "apple",
        colors.FLOOR_COLOR,
        _with_shadows(
            ((226, 62, 56), circle(0.5, 0.56, 0.3)),
            ((96, 186, 84), ((0.5, 0.28), (0.62, 0.1), (0.8, 0.14), (0.64, 0.28))),
        ),
    ),
    67: Sprite(
        "river",
        _WATER,
        tuple(
            (adjust_brightness(_WATER, 0.28), rectangle(x, y, x + 0.34, y + 0.06))
            for x, y in ((0.1, 0.24), (0.52, 0.48), (0.18, 0.72))
        ),
    ),
    68: Sprite(
        "waste",
        _WASTE,
        tuple(
            (adjust_brightness(_WASTE, light), circle(x, y, r))
            for x, y, r, light in ((0.3, 0.34, 0.17, -0.4), (0.68, 0.5, 0.2, -0.3), (0.36, 0.74, 0.15, 0.25))
        ),
    ),
    69: Sprite(
        "stream",
        _STREAM,
        tuple(
            (adjust_brightness(_STREAM, 0.3), rectangle(x, y, x + 0.34, y + 0.06))
            for x, y in ((0.1, 0.24), (0.52, 0.48), (0.18, 0.72))
        ),
    ),
    70: Sprite(
        "box",
        (140, 102, 60),
        (
            *_bevel((140, 102, 60)),
            ((98, 68, 36), ((0.14, 0.2), (0.2, 0.14), (0.86, 0.8), (0.8, 0.86))),
            ((98, 68, 36), ((0.8, 0.14), (0.86, 0.2), (0.2, 0.86), (0.14, 0.8))),
        ),
    ),
    73: Sprite("beam of fire", (250, 214, 92), (((255, 244, 190), rectangle(0.3, 0.3, 0.7, 0.7)),)),
    74: Sprite("beam of water", (150, 220, 236), (((222, 246, 252), circle(0.5, 0.5, 0.24)),)),
    80: Sprite("first move", (0, 114, 178), ((adjust_brightness((0, 114, 178), 0.25), circle(0.5, 0.5, 0.46)),)),
    81: Sprite(
        "second move", (213, 94, 0), ((adjust_brightness((213, 94, 0), -0.3), rectangle(0.08, 0.08, 0.92, 0.92)),)
    ),
    88: _coin("red coin", colors.PRESTIGE_LOW_COLOR, _POLYGON[6]),
    89: _coin("blue coin", colors.PRESTIGE_HIGH_COLOR, _POLYGON[20]),
}

# Corners of an agent that faces north, by role. Trained agents are triangles, scripted ones have a notch, random ones a
# blunt tip; a person also has a ring around it.
AGENT_SHAPES: dict[str, Points] = {
    "learning": ((0.5, 0.08), (0.9, 0.9), (0.1, 0.9)),
    "frozen": ((0.5, 0.08), (0.9, 0.9), (0.1, 0.9)),
    "scripted": ((0.5, 0.08), (0.9, 0.9), (0.5, 0.77), (0.1, 0.9)),
    "random": ((0.38, 0.12), (0.62, 0.12), (0.9, 0.9), (0.1, 0.9)),
    "person": ((0.5, 0.08), (0.9, 0.9), (0.1, 0.9)),
}
LABEL_POSITIONS = {"scripted": (0.5, 0.58)}
LABEL_POSITION = (0.5, 0.64)  # (x, y) of the agent's letter


def rotate_point(point: tuple[float, float], heading: int) -> tuple[float, float]:
    """A point of the unit cell, rotated about its center from north to `heading`."""
    x, y = point
    return ((x, y), (1 - y, x), (1 - x, 1 - y), (y, 1 - x))[int(heading)]


@functools.lru_cache(512)
def tile_image(kind: int, tile_size: int) -> np.ndarray:
    """uint8[tile_size, tile_size, 3]; with a hairline along the top and left from 6 pixels on."""
    from PIL import Image, ImageDraw

    sprite = sprite_of(kind)
    large = tile_size * SUPERSAMPLING
    image = Image.new("RGB", (large, large), sprite.background)
    pen = ImageDraw.Draw(image)
    if tile_size >= 6:
        pen.rectangle((0, 0, large, SUPERSAMPLING - 1), fill=colors.GRID_COLOR)
        pen.rectangle((0, 0, SUPERSAMPLING - 1, large), fill=colors.GRID_COLOR)
    for color, points in sprite.shapes:
        pen.polygon([(x * large, y * large) for x, y in points], fill=color)
    pixels = np.array(image.resize((tile_size, tile_size), Image.Resampling.BOX))
    pixels.setflags(write=False)
    return pixels


@functools.lru_cache(1024)
def agent_image(role: str, heading: int, color: Color, size: int) -> np.ndarray:
    """uint8[size, size, 4] with opacity: an agent in `color` with a light outline."""
    from PIL import Image, ImageDraw

    large = size * SUPERSAMPLING
    image = Image.new("RGBA", (large, large), (*colors.OUTLINE_COLOR, 0))
    corners = [tuple(c * large for c in rotate_point(corner, heading)) for corner in AGENT_SHAPES[role]]
    pen = ImageDraw.Draw(image)
    pen.polygon(corners, fill=(*color, 255))
    width = max(SUPERSAMPLING, round(large / 14))
    pen.line([*corners, corners[0], corners[1]], fill=(*colors.OUTLINE_COLOR, 255), width=width, joint="curve")
    if role == "person":
        edge = large * 0.02
        pen.ellipse((edge, edge, large - edge, large - edge), outline=(*colors.OUTLINE_COLOR, 255), width=width)
    # Transparent pixels have the color of the outline too, so that averaging makes no dark fringe.
    pixels = np.array(image.resize((size, size), Image.Resampling.BOX))
    pixels.setflags(write=False)
    return pixels


def sprite_data(kinds: Iterable[Any], numbered: bool) -> dict[str, Any]:
    """What board.js draws with: sprites of these tile kinds, shapes of agents, and colors."""
    sprites = {int(kind): sprite_of(int(kind)).to_json() for kind in sorted({*map(int, kinds), 0, 1, 2})}
    if numbered:
        sprites[2]["name"] = "goal, numbered"
    return {
        "kinds": sprites,
        "agent_shapes": {
            role: [list(LABEL_POSITIONS.get(role, LABEL_POSITION)), *map(list, shape)]
            for role, shape in AGENT_SHAPES.items()
        },
        "colors": {
            "grid": colors.GRID_COLOR,
            "ink": colors.INK_COLOR,
            "outline": colors.OUTLINE_COLOR,
            "prestige_low": colors.PRESTIGE_LOW_COLOR,
            "prestige_high": colors.PRESTIGE_HIGH_COLOR,
            "lines": colors.OKABE_ITO,
            "unseen_overlay": colors.UNSEEN_OVERLAY_COLOR,
            "unseen_brightness": colors.UNSEEN_BRIGHTNESS,
            "unseen_by_all_brightness": colors.UNSEEN_BY_ALL_BRIGHTNESS,
            "influence": colors.INFLUENCE_COLOR,
            "negative_influence": colors.NEGATIVE_INFLUENCE_COLOR,
        },
    }
