"""Placement at the start of an episode: random, or read from ASCII text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rookery.errors import ConfigError
from rookery.gridworld.tiles import FLOOR, OBSTACLE
from rookery.types import PRNGKey

WALL_CHAR, FLOOR_CHARS, GOAL_CHAR, SPAWN_CHAR = "#", ". ", "G", "A"


@dataclasses.dataclass(frozen=True)
class AsciiMap:
    """A map read from text; hashable, so that it can be part of a static configuration.

    `#` obstacle, `.` or space floor, `1`…`9` goals in cyclic order, `G` goals whose order is random in each episode,
    `A` start cells of agents. What the text leaves open (too few goals, no `A`) is placed at random.
    """

    tiles: tuple[tuple[int, ...], ...]  # H rows of W tile kinds
    numbered_goals: tuple[tuple[int, int], ...]  # in cyclic order
    unordered_goals: tuple[tuple[int, int], ...]
    spawn_cells: tuple[tuple[int, int], ...]

    @property
    def goals(self) -> tuple[tuple[int, int], ...]:
        """All goals, numbered or not."""
        return self.numbered_goals or self.unordered_goals

    @property
    def height(self) -> int:
        return len(self.tiles)

    @property
    def width(self) -> int:
        return len(self.tiles[0])


def parse_map(text: str, char_to_tile: Mapping[str, int] | None = None) -> AsciiMap:
    """Read a map.

    The empty first line and the closing line of a triple-quoted text are left out, and so is the indentation that all
    its rows share; write `.` for a floor column at its left edge. Without such lines, leading spaces are floor.

    Args:
      text: the rows of the map, separated by line breaks.
      char_to_tile: further characters that a task allows, with the tile kind of each.
    Raises: ConfigError, which names line and column (from 1) of the rows that are left, of what is malformed.
    """
    char_to_tile = char_to_tile or {}
    allowed = " ".join(["# . (space) G 1-9 A", *char_to_tile])
    lines = _map_rows(text)
    if not lines:
        raise ConfigError(f"the map is empty; it needs rows of {allowed}")
    width = len(lines[0])
    tiles, numbered, unordered, spawn_cells = [], {}, [], []
    for r, line in enumerate(lines):
        if len(line) != width:
            column = min(len(line), width) + 1
            raise ConfigError(
                f"map line {r + 1}, column {column}: {len(line)} cells where line 1 has {width}; all lines must match"
            )
        row = []
        for c, char in enumerate(line):
            where = f"map line {r + 1}, column {c + 1}"
            row.append(OBSTACLE if char == WALL_CHAR else char_to_tile.get(char, FLOOR))
            if char in char_to_tile:
                continue
            if char == GOAL_CHAR:
                unordered.append((r, c))
            elif char.isascii() and char.isdigit() and char != "0":
                if int(char) in numbered:
                    raise ConfigError(f"{where}: goal {char} is already on the map; use each number once")
                numbered[int(char)] = (r, c)
            elif char == SPAWN_CHAR:
                spawn_cells.append((r, c))
            elif char != WALL_CHAR and char not in FLOOR_CHARS:
                raise ConfigError(f"{where}: {char!r} is not known; allowed: {allowed}")
        tiles.append(tuple(row))
    missing = sorted(set(range(1, len(numbered) + 1)) - set(numbered))
    if missing:
        raise ConfigError(f"goal {missing[0]} is not on the map; numbered goals must run from 1 without a gap")
    if numbered and unordered:
        raise ConfigError("the map has both numbered goals and G; use one or the other")
    return AsciiMap(tuple(tiles), tuple(numbered[k] for k in sorted(numbered)), tuple(unordered), tuple(spawn_cells))


def _map_rows(text: str) -> list[str]:
    """The rows of a map, without what a triple-quoted text has around them."""
    all_lines = text.rstrip("\n").split("\n")
    # A triple-quoted map starts with an empty line and ends with an indented one; a row of floor may be all spaces.
    lines = all_lines[1:] if not all_lines[0] else all_lines[:]
    while lines and not lines[-1].strip() and len(lines[-1]) != len(lines[0]):
        lines.pop()
    if len(lines) == len(all_lines):
        return lines
    indentation = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    return [line[indentation:] for line in lines]


def empty_room(height: int, width: int) -> np.ndarray:
    """An empty room: floor with a border of obstacles. u8[H, W]."""
    tiles = np.full((height, width), OBSTACLE, np.uint8)
    tiles[1:-1, 1:-1] = FLOOR
    return tiles


def sample_cells(key: PRNGKey, cells: Int[Array, "N 2"], count: int) -> Int[Array, "C 2"]:
    """`count` different cells of N, uniformly at random. Raises ConfigError if N < count."""
    return shuffle_cells(key, cells, count)[:count]


def shuffle_cells(
    key: PRNGKey, cells: Int[Array, "N 2"], count: int, num_candidates: Int[Array, ""] | None = None
) -> Int[Array, "N 2"]:
    """All cells, the first `count` of them sampled uniformly, the rest in no particular order.

    `num_candidates`: only that many of the first cells take part; the others stay where they are. None: all.

    These are the first `count` steps of a Fisher-Yates shuffle, one swap each. Sorting all N would cost far more, and a
    reset must be cheap. Raises ConfigError if N < count.
    """
    length = cells.shape[0]
    if count > length:
        raise ConfigError(f"{count} items do not fit on {length} free cells")
    if count == 0:
        return cells
    total = length if num_candidates is None else num_candidates
    unit = jax.random.uniform(key, (count,))
    position = jnp.arange(count)
    chosen = position + (unit * (total - position)).astype(jnp.int32).clip(0, total - 1 - position)

    def swap(i, indices):
        first, second = indices[i], indices[chosen[i]]
        return indices.at[chosen[i]].set(first).at[i].set(second)

    return cells[jax.lax.fori_loop(0, count, swap, jnp.arange(length))]
