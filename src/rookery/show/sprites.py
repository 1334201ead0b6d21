"""What tiles and agents look like: polygons in a unit cell, drawn alike by pictures, films and the game's page.

(x, y), (0, 0) at the top left, (1, 1) at the bottom right.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from rookery.show import colours

Colour = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]

SMOOTH = 4  # shapes are drawn this much larger, then averaged down


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A kind of tile: its name for the legend, the colour of its cell, and what lies on it, from below."""

    name: str
    ground: Colour
    shapes: tuple[tuple[Colour, Points], ...] = ()
    face: Colour | None = None  # what a mark on it stands on; None is the ground

    def data(self) -> dict:
        """As board.js reads it."""
        shapes = [[colour, [round(c, 3) for point in points for c in point]] for colour, points in self.shapes]
        return {"name": self.name, "ground": self.ground, "shapes": shapes, "face": self.face or self.ground}


def box(left: float, top: float, right: float, bottom: float) -> Points:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def disc(x: float, y: float, radius: float, corners: int = 20) -> Points:
    turn = 2 * math.pi / corners
    return tuple((x + radius * math.cos(turn * i), y + radius * math.sin(turn * i)) for i in range(corners))


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> Points:
    """A box with round corners."""
    points = []
    for x, y, first in ((right, top, 270), (right, bottom, 0), (left, bottom, 90), (left, top, 180)):
        centre_x = x - radius if x == right else x + radius
        centre_y = y - radius if y == bottom else y + radius
        for step in range(5):
            angle = math.radians(first + step * 22.5)
            points.append((centre_x + radius * math.cos(angle), centre_y + radius * math.sin(angle)))
    return tuple(points)


def shade(colour: Colour, light: float) -> Colour:
    """Lighter (above 0, towards white) or darker (below 0, towards black); 1 is all the way."""
    end = np.full(3, 255 if light > 0 else 0)
    red, green, blue = np.rint(colour + (end - colour) * abs(light)).astype(int)
    return int(red), int(green), int(blue)


def _relief(colour: Colour, edge: float = 0.075) -> tuple[tuple[Colour, Points], ...]:
    """A block lit from the upper left."""
    low, high = edge, 1 - edge
    return (
        (shade(colour, 0.18), ((0, 0), (1, 0), (high, low), (low, low))),
        (shade(colour, 0.1), ((0, 0), (low, low), (low, high), (0, 1))),
        (shade(colour, -0.24), ((0, 1), (low, high), (high, high), (1, 1))),
        (shade(colour, -0.14), ((1, 0), (1, 1), (high, high), (high, low))),
    )


def _plate(colour: Colour) -> tuple[tuple[Colour, Points], ...]:
    """A coloured plate that lies on the floor."""
    return (
        (shade(colour, -0.35), rounded(0.09, 0.11, 0.93, 0.95, 0.12)),
        (colour, rounded(0.07, 0.07, 0.93, 0.91, 0.12)),
        (shade(colour, 0.45), box(0.18, 0.09, 0.82, 0.12)),
    )


def other(kind: int) -> Sprite:
    """A kind nobody has drawn yet."""
    colour = colours.tile_colour(kind)
    return Sprite(f"tile kind {kind}", colour, _relief(colour))


def sprite(kind: int) -> Sprite:
    """How a tile kind is drawn, known or not."""
    return KNOWN.get(kind) or other(kind)


def ring(x: float, y: float, outer: float, inner: float) -> Points:
    """A disc with a hole, as one line round."""
    hole = disc(x, y, inner)
    return (*disc(x, y, outer), disc(x, y, outer)[0], hole[0], *hole[::-1])


def _on_floor(*shapes: tuple[Colour, Points]) -> tuple[tuple[Colour, Points], ...]:
    """Shapes over their shadows."""
    dark = shade(colours.FLOOR, -0.55)
    return (*((dark, tuple((x + 0.03, y + 0.04) for x, y in points)) for _, points in shapes), *shapes)


def _key(colour: Colour, x: float = 0.0, y: float = 0.0) -> tuple[tuple[Colour, Points], ...]:
    """A key lying across the cell, moved by (x, y)."""
    return (
        (colour, ring(0.31 + x, 0.5 + y, 0.18, 0.09)),
        (colour, box(0.46 + x, 0.45 + y, 0.88 + x, 0.55 + y)),
        (colour, box(0.66 + x, 0.5 + y, 0.73 + x, 0.68 + y)),
        (colour, box(0.8 + x, 0.5 + y, 0.87 + x, 0.72 + y)),
    )


def _goal(name: str, colour: Colour, shape: Points) -> Sprite:
    return Sprite(name, colours.FLOOR, _on_floor((colour, shape)), colour)


_DOOR, _IRON, _KEY = (156, 98, 46), (206, 208, 214), (120, 214, 255)
_WATER, _WASTE, _STREAM = (38, 96, 150), (104, 88, 34), (62, 130, 172)
_POLYGON = {corners: disc(0.5, 0.5, 0.44, corners) for corners in (6, 20)}

# By number. Up to 10: world/tiles.py. From 64 on tasks' own kinds, 72 their beams, 80 moves at a table: runs/scene.py.
# What only a hue told apart, a shape tells too.
KNOWN: dict[int, Sprite] = {
    0: Sprite("floor", colours.FLOOR),
    1: Sprite("obstacle", colours.WALL, _relief(colours.WALL)),
    2: Sprite("goal", colours.FLOOR, _plate(colours.GOAL), colours.GOAL),
    3: Sprite("key", colours.FLOOR, _on_floor(*_key(_KEY))),
    4: Sprite(
        "keys without end",
        colours.FLOOR,
        (
            (shade(_KEY, -0.62), rounded(0.06, 0.06, 0.94, 0.94, 0.1)),
            *_key(shade(_KEY, -0.25), 0, -0.17),
            *_key(_KEY, 0, 0.12),
        ),
    ),
    5: Sprite(
        "locked door",
        _DOOR,
        (
            *_relief(_DOOR),
            (shade(_DOOR, -0.3), box(0.47, 0.08, 0.53, 0.92)),
            (_IRON, rounded(0.34, 0.44, 0.66, 0.72, 0.05)),
            (_IRON, ring(0.5, 0.44, 0.15, 0.09)),
            (colours.INK, disc(0.5, 0.57, 0.045)),
        ),
    ),
    6: Sprite(
        "open door",
        colours.FLOOR,
        (
            (_DOOR, box(0, 0, 0.16, 1)),
            (shade(_DOOR, 0.2), box(0.12, 0, 0.16, 1)),
            (_DOOR, box(0.84, 0, 1, 1)),
            (shade(_DOOR, -0.3), box(0.84, 0, 0.88, 1)),
        ),
    ),
    7: _goal("goal, round", (0, 178, 130), _POLYGON[20]),
    8: _goal("goal, diamond", (236, 236, 236), ((0.5, 0.04), (0.96, 0.5), (0.5, 0.96), (0.04, 0.5))),
    9: _goal("goal, six-sided", (214, 130, 180), _POLYGON[6]),
    10: _goal("goal, peaked", (232, 146, 20), ((0.5, 0.06), (0.95, 0.42), (0.8, 0.93), (0.2, 0.93), (0.05, 0.42))),
    66: Sprite(
        "apple",
        colours.FLOOR,
        _on_floor(
            ((226, 62, 56), disc(0.5, 0.56, 0.3)),
            ((96, 186, 84), ((0.5, 0.28), (0.62, 0.1), (0.8, 0.14), (0.64, 0.28))),
        ),
    ),
    67: Sprite(
        "river",
        _WATER,
        tuple(
            (shade(_WATER, 0.28), box(x, y, x + 0.34, y + 0.06)) for x, y in ((0.1, 0.24), (0.52, 0.48), (0.18, 0.72))
        ),
    ),
    68: Sprite(
        "waste",
        _WASTE,
        tuple(
            (shade(_WASTE, light), disc(x, y, r))
            for x, y, r, light in ((0.3, 0.34, 0.17, -0.4), (0.68, 0.5, 0.2, -0.3), (0.36, 0.74, 0.15, 0.25))
        ),
    ),
    69: Sprite(
        "stream",
        _STREAM,
        tuple(
            (shade(_STREAM, 0.3), box(x, y, x + 0.34, y + 0.06)) for x, y in ((0.1, 0.24), (0.52, 0.48), (0.18, 0.72))
        ),
    ),
    70: Sprite(
        "box",
        (140, 102, 60),
        (
            *_relief((140, 102, 60)),
            ((98, 68, 36), ((0.14, 0.2), (0.2, 0.14), (0.86, 0.8), (0.8, 0.86))),
            ((98, 68, 36), ((0.8, 0.14), (0.86, 0.2), (0.2, 0.86), (0.14, 0.8))),
        ),
    ),
    73: Sprite("beam of fire", (250, 214, 92), (((255, 244, 190), box(0.3, 0.3, 0.7, 0.7)),)),
    74: Sprite("beam of water", (150, 220, 236), (((222, 246, 252), disc(0.5, 0.5, 0.24)),)),
    80: Sprite("first move", (0, 114, 178), ((shade((0, 114, 178), 0.25), disc(0.5, 0.5, 0.46)),)),
    81: Sprite("second move", (213, 94, 0), ((shade((213, 94, 0), -0.3), box(0.08, 0.08, 0.92, 0.92)),)),
}

# An agent that faces north, by role: the tip, then round. Who learned is a triangle; a script has a notch, chance
# is blunt, a person has a ring about it besides.
BODIES: dict[str, Points] = {
    "learning": ((0.5, 0.08), (0.9, 0.9), (0.1, 0.9)),
    "frozen": ((0.5, 0.08), (0.9, 0.9), (0.1, 0.9)),
    "scripted": ((0.5, 0.08), (0.9, 0.9), (0.5, 0.77), (0.1, 0.9)),
    "random": ((0.38, 0.12), (0.62, 0.12), (0.9, 0.9), (0.1, 0.9)),
    "person": ((0.5, 0.08), (0.9, 0.9), (0.1, 0.9)),
}
MARKS_AT = {"scripted": (0.5, 0.58)}
MARK_AT = (0.5, 0.64)  # (x, y) of its letter


def turn(point: tuple[float, float], heading: int) -> tuple[float, float]:
    """A point of the unit box, turned about its centre from north to `heading`."""
    x, y = point
    return ((x, y), (1 - y, x), (1 - x, 1 - y), (y, 1 - x))[int(heading)]


@functools.lru_cache(512)
def tile_stamp(kind: int, tile: int) -> np.ndarray:
    """uint8[tile, tile, 3]; a hairline along the top and left where there is room."""
    from PIL import Image, ImageDraw

    look = sprite(kind)
    large = tile * SMOOTH
    image = Image.new("RGB", (large, large), look.ground)
    pen = ImageDraw.Draw(image)
    if tile >= 6:
        pen.rectangle((0, 0, large, SMOOTH - 1), fill=colours.GRID)
        pen.rectangle((0, 0, SMOOTH - 1, large), fill=colours.GRID)
    for colour, points in look.shapes:
        pen.polygon([(x * large, y * large) for x, y in points], fill=colour)
    stamp = np.array(image.resize((tile, tile), Image.Resampling.BOX))
    stamp.setflags(write=False)
    return stamp


@functools.lru_cache(1024)
def agent_stamp(role: str, heading: int, colour: Colour, size: int) -> np.ndarray:
    """uint8[size, size, 4] with opacity: `colour` inside a light outline."""
    from PIL import Image, ImageDraw

    large = size * SMOOTH
    image = Image.new("RGBA", (large, large), (*colours.OUTLINE, 0))
    corners = [tuple(c * large for c in turn(corner, heading)) for corner in BODIES[role]]
    pen = ImageDraw.Draw(image)
    pen.polygon(corners, fill=(*colour, 255))
    width = max(SMOOTH, round(large / 14))
    pen.line([*corners, corners[0], corners[1]], fill=(*colours.OUTLINE, 255), width=width, joint="curve")
    if role == "person":
        edge = large * 0.02
        pen.ellipse((edge, edge, large - edge, large - edge), outline=(*colours.OUTLINE, 255), width=width)
    # Fully clear pixels have the outline's colour too, so averaging leaves no dark fringe.
    stamp = np.array(image.resize((size, size), Image.Resampling.BOX))
    stamp.setflags(write=False)
    return stamp


def board_data(kinds, numbered: bool) -> dict:
    """The looks board.js draws with: of these tile kinds, of agents, and the colours all share."""
    looks = {int(kind): sprite(int(kind)).data() for kind in sorted({*map(int, kinds), 0, 1, 2})}
    if numbered:
        looks[2]["name"] = "goal, numbered"
    return {
        "kinds": looks,
        "bodies": {role: [list(MARKS_AT.get(role, MARK_AT)), *map(list, body)] for role, body in BODIES.items()},
        "colours": {
            "grid": colours.GRID,
            "ink": colours.INK,
            "outline": colours.OUTLINE,
            "low": colours.PRESTIGE_LOW,
            "high": colours.PRESTIGE_HIGH,
            "lines": colours.OKABE_ITO,
            "night": colours.NIGHT,
            "dim": colours.DIM,
            "glimmer": colours.GLIMMER,
            "influence": colours.INFLUENCE,
            "against": colours.AGAINST,
        },
    }
