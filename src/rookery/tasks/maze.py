"""Maze: find the one goal of a fresh maze, again and again.

Rules. The maze is drawn anew each episode: a tree of corridors, so there is exactly one way between any two cells
(`loops` opens further walls). Goal and agents may be anywhere in it. Who enters the goal is paid 1 and is set down
elsewhere, facing anywhere; maze and goal stay until the episode's end (or the goal moves, or ends it:
`when_reached`).

The maze is dug by a walk that goes to a neighbor not yet visited, chosen at random, and steps back along its way
where there is none: long corridors, few crossings.

Source: Ndousse et al. 2021, figures 6c and 10 (transfer): 19×19, one goal, goal and obstacles random each
episode. How mazes were drawn, rewards and length are not printed; the last two are Goal Cycle's 1 and 250 steps.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rookery.errors import ConfigError
from rookery.gridworld.layout import sample_cells
from rookery.gridworld.movement import DIRECTION_VECTORS
from rookery.gridworld.tiles import FLOOR, OBSTACLE
from rookery.tasks.base import as_cells, check_non_negative
from rookery.tasks.goal_reaching import GoalReachingTask
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Maze(GoalReachingTask):
    """Configuration and rules; one view an agent."""

    kind: Literal["maze"] = "maze"
    height: int = 19
    width: int = 19
    num_loops: int = 0  # walls opened beyond those of the tree; each makes one more way round

    def __post_init__(self):
        super().__post_init__()
        if self.height % 2 == 0 or self.width % 2 == 0 or self.height < 5 or self.width < 5:
            raise ConfigError(f"a maze of {self.height}×{self.width} has no room for walls; use odd numbers from 5")
        check_non_negative("num_loops", self.num_loops)
        rows, cols = self._chamber_grid
        shut = rows * (cols - 1) + cols * (rows - 1) - (rows * cols - 1)
        if self.num_loops > shut:
            raise ConfigError(f"num_loops={self.num_loops}: a maze of {self.height}×{self.width} has {shut} walls to open")
        agents, cells = len(self.views), 2 * rows * cols - 1 + self.num_loops
        if agents + 1 > cells:
            raise ConfigError(f"{agents} agents and a goal do not fit on the {cells} free cells; make it larger")

    @property
    def _chamber_grid(self) -> tuple[int, int]:
        """Chambers down and across: the cells of odd row and column."""
        return self.height // 2, self.width // 2

    def generate(self, key: PRNGKey):
        """Dig a maze; place goal and agents on different cells of it."""
        dig_key, loop_key, place_key = jax.random.split(key, 3)
        rows, cols = self._chamber_grid
        chambers = as_cells([(2 * r + 1, 2 * c + 1) for r in range(rows) for c in range(cols)])
        openings = carve_maze(dig_key, rows, cols)
        tiles = jnp.full((self.height, self.width), OBSTACLE, jnp.uint8)
        tiles = tiles.at[chambers[:, 0], chambers[:, 1]].set(FLOOR).at[openings[:, 0], openings[:, 1]].set(FLOOR)
        cells = jnp.concatenate([chambers, openings])
        if self.num_loops:
            walls = as_cells([
                (r, c) for r in range(1, self.height - 1) for c in range(1, self.width - 1) if (r + c) % 2
            ])  # fmt: skip
            shut = jnp.argsort(tiles[walls[:, 0], walls[:, 1]] != OBSTACLE, stable=True)
            opened = sample_cells(loop_key, walls[shut[: len(walls) - len(openings)]], self.num_loops)
            tiles = tiles.at[opened[:, 0], opened[:, 1]].set(FLOOR)
            cells = jnp.concatenate([cells, opened])
        return self.place_goal_and_agents(place_key, tiles, cells)


def carve_maze(key: PRNGKey, rows: int, cols: int) -> Int[Array, "N 2"]:
    """The walls to open between rows×cols chambers so that they form a tree: N = rows·cols - 1 cells (row, col).

    A depth-first walk enters each chamber but the first once and leaves each but the first once, backwards, so its
    length is known: 2·N steps. Chambers are numbered row by row, with a closed rim so that no neighbor needs a test.
    """
    wide = cols + 2
    first = wide + 1
    steps = jnp.array([row * wide + col for row, col in DIRECTION_VECTORS], jnp.int32)
    rim = np.ones((rows + 2, wide), bool)
    rim[1:-1, 1:-1] = False
    count = rows * cols - 1
    unit = jax.random.uniform(key, (2 * count,))

    def walk(t, carry):
        here, depth, visited, trail, walls, dug = carry
        ways = ~visited[here + steps]
        wanted = (unit[t] * ways.sum()).astype(jnp.int32)
        onward = ways.any()
        there = here + steps[jnp.argmax(jnp.cumsum(ways) > wanted)]  # by the way that has `wanted` others before it
        there = jnp.where(onward, there, trail[depth - 1])
        # Chamber (r, c) of this numbering is the cell (2r - 1, 2c - 1); a wall is in the middle of two.
        wall = jnp.stack([here // wide + there // wide, here % wide + there % wide]) - 1
        walls = walls.at[dug].set(wall)  # of a step back it is overwritten by the next, or lies beyond the end
        trail = trail.at[depth].set(here)
        depth = jnp.where(onward, depth + 1, depth - 1)
        return there, depth, visited.at[there].set(True), trail, walls, dug + onward

    start = (
        jnp.int32(first),
        jnp.int32(0),
        jnp.asarray(rim.reshape(-1)).at[first].set(True),
        jnp.zeros(count + 1, jnp.int32),
        jnp.zeros((count + 1, 2), jnp.int32),
        jnp.int32(0),
    )
    return jax.lax.fori_loop(0, 2 * count, walk, start)[4][:count]
