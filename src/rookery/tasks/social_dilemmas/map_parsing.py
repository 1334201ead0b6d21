"""Maps of social dilemmas, read from ASCII text."""

from __future__ import annotations

import dataclasses
import functools
import textwrap
from typing import Any

import numpy as np

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas.dilemma_tiles import BOX, CHAR_TO_TILE, EMPTY, RIVER, WALL, WASTE

MAP_LEGEND = (
    "# wall, . floor, A start cell, 0-9 start cell of that agent, "
    "o apple, ',' apple cell without apple, ~ river, w waste, = stream, + box"
)
OTHER_PROGRAMS = {
    "@": "wall, here #",
    "P": "a start cell, here A",
    "B": "an apple cell, here o or ','",
    "H": "waste, here w",
    "R": "river, here ~",
    "S": "stream, here =",
}
"""Characters of the maps of the sequential social dilemma games (Vinitsky et al.) that mean nothing here."""


@dataclasses.dataclass(frozen=True, eq=False)
class DilemmaMap:
    """A map at the start of an episode, and the cells on which something may grow. H×W cells, N start cells."""

    tiles: np.ndarray  # u8[H, W]
    orchard: np.ndarray  # bool[H, W]; apples grow here only
    river: np.ndarray  # bool[H, W]; waste grows here only
    box: np.ndarray  # bool[H, W]
    spawn_cells: np.ndarray  # i32[N, 2], for any agent
    assigned_spawn_cells: np.ndarray  # i32[M, 2], of agents 0 to M-1; M = 0 if the map has none

    @property
    def height(self) -> int:
        return self.tiles.shape[0]

    @property
    def width(self) -> int:
        return self.tiles.shape[1]


@functools.cache
def parse_dilemma_map(text: str) -> DilemmaMap:
    """Read a map, with characters as in MAP_LEGEND.

    The outermost cells must all be wall. Agents start on `A`, at random in each episode, or on the digits 0, 1, …

    Raises: ConfigError, which names line and column (from 1) of what is malformed.
    """
    lines = textwrap.dedent(text).strip("\n").split("\n")
    width = len(lines[0])
    if len(lines) < 3 or width < 3:
        raise ConfigError(f"a map of {len(lines)}×{width} has no room inside its walls; use at least 3×3")
    assigned: dict[int, tuple[int, int]] = {}
    spawn_cells = []
    for r, line in enumerate(lines):
        if len(line) != width:
            column = min(len(line), width) + 1
            raise ConfigError(
                f"map line {r + 1}, column {column}: {len(line)} cells where line 1 has {width}; all lines must match"
            )
        for c, char in enumerate(line):
            where = f"map line {r + 1}, column {c + 1}"
            if char not in CHAR_TO_TILE:
                hint = f"; in other programs it is {OTHER_PROGRAMS[char]}" if char in OTHER_PROGRAMS else ""
                raise ConfigError(f"{where}: {char!r} is not known{hint}; allowed: {MAP_LEGEND}")
            if (r in (0, len(lines) - 1) or c in (0, width - 1)) and char != "#":
                raise ConfigError(f"{where}: {char!r} at the edge; the outermost cells must all be wall (#)")
            if char == "A":
                spawn_cells.append((r, c))
            elif char.isdigit():
                if int(char) in assigned:
                    raise ConfigError(f"{where}: agent {char} already has a start cell; use each number once")
                assigned[int(char)] = (r, c)
    missing = sorted(set(range(len(assigned))) - set(assigned))
    if missing:
        raise ConfigError(f"agent {missing[0]} has no start cell; the numbers on a map must run from 0 without a gap")
    if assigned and spawn_cells:
        raise ConfigError("the map has both numbered start cells and A; use one or the other")
    chars = np.array([list(line) for line in lines])
    tiles = np.vectorize(CHAR_TO_TILE.__getitem__, otypes=[np.uint8])(chars)
    return DilemmaMap(
        tiles=tiles,
        orchard=np.isin(chars, ("o", ",")),
        river=np.isin(tiles, (RIVER, WASTE)),
        box=tiles == BOX,
        spawn_cells=np.array(spawn_cells, np.int32).reshape(-1, 2),
        assigned_spawn_cells=np.array([assigned[n] for n in sorted(assigned)], np.int32).reshape(-1, 2),
    )


def map_to_text(tiles: Any, orchard: Any, position: Any = (), heading: Any = ()) -> str:
    """Tiles as text in the characters of maps, with agents as ^ > v <."""
    char_of = {kind: char for char, kind in reversed(CHAR_TO_TILE.items()) if kind not in (EMPTY, WALL)}
    char_of |= {EMPTY: ".", WALL: "#"}
    bare_orchard = orchard & (np.asarray(tiles) == EMPTY)
    rows = [
        ["," if bare else char_of[int(kind)] for kind, bare in zip(*line, strict=True)]
        for line in zip(tiles, bare_orchard, strict=True)
    ]
    for (row, col), direction in zip(position, heading, strict=True):
        rows[row][col] = "^>v<"[direction]
    return "\n".join("".join(row) for row in rows)
