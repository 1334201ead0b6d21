"""Maps read from ASCII text."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas.tiles import BOX, CHAR_TO_TILE, EMPTY, RIVER, WALL, WASTE

MAP_LEGEND = (
    "# wall, . floor, A start, 0-9 start of that agent, "
    "o apple, ',' bare apple ground, ~ river, w waste, = stream, + box"
)


@dataclasses.dataclass(frozen=True, eq=False)
class DilemmaMap:
    """A map at the start of an episode, and where things may grow. H×W cells, N start cells."""

    tiles: np.ndarray  # u8[H, W]
    orchard: np.ndarray  # bool[H, W]; apples grow here and nowhere else
    river: np.ndarray  # bool[H, W]; waste grows here and nowhere else
    box: np.ndarray  # bool[H, W]
    spawn_cells: np.ndarray  # i32[N, 2], for anybody
    assigned_spawn_cells: np.ndarray  # i32[M, 2], of agent 0 … M-1 each; M = 0 where the map has none

    @property
    def height(self) -> int:
        return self.tiles.shape[0]

    @property
    def width(self) -> int:
        return self.tiles.shape[1]


@functools.cache
def parse_dilemma_map(text: str) -> DilemmaMap:
    """Read a map. Raises ConfigError naming line and column (from 1) of what is malformed.

    The outermost cells must all be wall. Agents start on `A`, drawn anew each episode, or on the digits 0, 1, …
    """
    lines = text.strip("\n").split("\n")
    width = len(lines[0])
    if len(lines) < 3 or width < 3:
        raise ConfigError(f"a map of {len(lines)}×{width} has no room inside its walls; at least 3×3")
    own: dict[int, tuple[int, int]] = {}
    starts = []
    for r, line in enumerate(lines):
        if len(line) != width:
            column = min(len(line), width) + 1
            raise ConfigError(
                f"map line {r + 1}, column {column}: {len(line)} cells where line 1 has {width}; all lines must match"
            )
        for c, mark in enumerate(line):
            where = f"map line {r + 1}, column {c + 1}"
            if mark not in CHAR_TO_TILE:
                raise ConfigError(f"{where}: {mark!r} is not known; allowed: {MAP_LEGEND}")
            if (r in (0, len(lines) - 1) or c in (0, width - 1)) and mark != "#":
                raise ConfigError(f"{where}: {mark!r} at the edge; the outermost cells must all be wall (#)")
            if mark == "A":
                starts.append((r, c))
            elif mark.isdigit():
                if int(mark) in own:
                    raise ConfigError(f"{where}: agent {mark} already has a start; each number stands once")
                own[int(mark)] = (r, c)
    missing = sorted(set(range(len(own))) - set(own))
    if missing:
        raise ConfigError(f"agent {missing[0]} has no start; numbers on a map must run from 0 without a gap")
    if own and starts:
        raise ConfigError("the map has both numbered starts and A; use one kind")
    marks = np.array([list(line) for line in lines])
    tiles = np.vectorize(CHAR_TO_TILE.__getitem__, otypes=[np.uint8])(marks)
    return DilemmaMap(
        tiles=tiles,
        orchard=np.isin(marks, ("o", ",")),
        river=np.isin(tiles, (RIVER, WASTE)),
        box=tiles == BOX,
        spawn_cells=np.array(starts, np.int32).reshape(-1, 2),
        assigned_spawn_cells=np.array([own[n] for n in sorted(own)], np.int32).reshape(-1, 2),
    )


def map_to_text(tiles, orchard, position=(), heading=()) -> str:
    """Tiles as text in the marks of maps, agents as ^ > v < on them."""
    mark_of = {kind: mark for mark, kind in reversed(CHAR_TO_TILE.items()) if kind not in (EMPTY, WALL)}
    mark_of |= {EMPTY: ".", WALL: "#"}
    bare = orchard & (np.asarray(tiles) == EMPTY)
    rows = [
        ["," if b else mark_of[int(kind)] for kind, b in zip(*line, strict=True)]
        for line in zip(tiles, bare, strict=True)
    ]
    for (row, col), way in zip(position, heading, strict=True):
        rows[row][col] = "^>v<"[way]
    return "\n".join("".join(row) for row in rows)
