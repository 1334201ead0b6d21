"""Where things are at the start of an episode: drawn afresh, or read from ASCII text."""

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
    """A map read from text; hashable, so it can be part of a static configuration.

    `#` obstacle, `.` or space floor, `1`…`9` goals in cyclic order, `G` goals whose order is drawn each
    episode, `A` cells agents start in. What the text leaves open (too few goals, no `A`) is drawn at random.
    """

    tiles: tuple[tuple[int, ...], ...]  # H rows of W kinds
    numbered_goals: tuple[tuple[int, int], ...]  # in cyclic order
    unordered_goals: tuple[tuple[int, int], ...]
    spawn_cells: tuple[tuple[int, int], ...]

    @property
    def goals(self) -> tuple[tuple[int, int], ...]:
        """Of either kind."""
        return self.numbered_goals or self.unordered_goals

    @property
    def height(self) -> int:
        return len(self.tiles)

    @property
    def width(self) -> int:
        return len(self.tiles[0])


def parse_map(text: str, char_to_tile: Mapping[str, int] | None = None) -> AsciiMap:
    """Read a map. Raises ConfigError naming line and column (from 1) of what is malformed.

    marks: further letters a task allows, each with the tile kind it stands for.
    """
    char_to_tile = char_to_tile or {}
    known = " ".join(["# . (space) G 1-9 A", *char_to_tile])
    lines = text.rstrip("\n").split("\n")
    # A triple-quoted map opens with an empty line and closes with an indented one; a row of floor may be all spaces.
    if lines and not lines[0]:
        lines = lines[1:]
    while lines and not lines[-1].strip() and len(lines[-1]) != len(lines[0]):
        lines.pop()
    if not lines:
        raise ConfigError(f"the map is empty; it needs rows of {known}")
    width = len(lines[0])
    tiles, numbered, free, spawns = [], {}, [], []
    for r, line in enumerate(lines):
        if len(line) != width:
            column = min(len(line), width) + 1
            raise ConfigError(
                f"map line {r + 1}, column {column}: {len(line)} cells where line 1 has {width}; all lines must match"
            )
        row = []
        for c, mark in enumerate(line):
            where = f"map line {r + 1}, column {c + 1}"
            row.append(OBSTACLE if mark == WALL_CHAR else char_to_tile.get(mark, FLOOR))
            if mark in char_to_tile:
                continue
            if mark == GOAL_CHAR:
                free.append((r, c))
            elif mark.isascii() and mark.isdigit() and mark != "0":
                if int(mark) in numbered:
                    raise ConfigError(f"{where}: goal {mark} is already on the map; each number stands once")
                numbered[int(mark)] = (r, c)
            elif mark == SPAWN_CHAR:
                spawns.append((r, c))
            elif mark != WALL_CHAR and mark not in FLOOR_CHARS:
                raise ConfigError(f"{where}: {mark!r} is not known; allowed: {known}")
        tiles.append(tuple(row))
    missing = sorted(set(range(1, len(numbered) + 1)) - set(numbered))
    if missing:
        raise ConfigError(f"goal {missing[0]} is not on the map; numbered goals must run from 1 without a gap")
    if numbered and free:
        raise ConfigError("the map has both numbered goals and G; use one kind")
    return AsciiMap(tuple(tiles), tuple(numbered[k] for k in sorted(numbered)), tuple(free), tuple(spawns))


def empty_room(height: int, width: int) -> np.ndarray:
    """An empty room: obstacle all round, floor inside. u8[H, W]."""
    tiles = np.full((height, width), OBSTACLE, np.uint8)
    tiles[1:-1, 1:-1] = FLOOR
    return tiles


def sample_cells(key: PRNGKey, cells: Int[Array, "N 2"], count: int) -> Int[Array, "C 2"]:
    """`count` different cells of N, uniformly. Raises ConfigError if N < count (static shapes, so at trace time)."""
    return shuffle_cells(key, cells, count)[:count]


def shuffle_cells(
    key: PRNGKey, cells: Int[Array, "N 2"], count: int, num_candidates: Int[Array, ""] | None = None
) -> Int[Array, "N 2"]:
    """All cells, of which the first `count` are drawn uniformly and the rest follow in no particular order.

    With `total`, only the first so many cells take part and the others stay where they are.

    The first `count` steps of a Fisher-Yates shuffle: each costs one swap, where a sort of all N costs far
    more; a reset must be cheap. Raises ConfigError if N < count.
    """
    length = cells.shape[0]
    if count > length:
        raise ConfigError(f"{count} things do not fit on {length} free cells")
    if count == 0:
        return cells
    among = length if num_candidates is None else num_candidates
    unit = jax.random.uniform(key, (count,))
    last = jnp.arange(count)
    chosen = last + (unit * (among - last)).astype(jnp.int32).clip(0, among - 1 - last)

    def swap(i, deck):
        here, there = deck[i], deck[chosen[i]]
        return deck.at[chosen[i]].set(here).at[i].set(there)

    return cells[jax.lax.fori_loop(0, count, swap, jnp.arange(length))]
