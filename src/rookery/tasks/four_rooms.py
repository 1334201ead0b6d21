"""Four Rooms: find the one goal in a house of four rooms, again and again.

Rules. Two walls cross in the middle; each of their four arms has one doorway. Doorways, goal, agents and any obstacles
are placed at random in each episode. An agent that enters the goal is paid 1 and placed elsewhere with a random
heading; the goal stays until the end of the episode (or it moves, or ends the episode: `when_reached`). Doorways and
the cells next to them are free of obstacles.

Source: Ndousse et al. 2021, section 3.4 and figure 6b (transfer): 17×17 cells, one goal, goal and obstacles random in
each episode. Rewards and episode length are not stated; here they are those of Goal Cycle, 1 and 250 steps.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.layout import empty_room
from rookery.gridworld.movement import DIRECTION_VECTORS
from rookery.gridworld.tiles import FLOOR, OBSTACLE
from rookery.tasks.checks import check_non_negative
from rookery.tasks.goal_reaching import GoalReachingState, GoalReachingTask
from rookery.tasks.grid_task import as_cells
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourRooms(GoalReachingTask):
    """Settings and rules."""

    kind: Literal["four-rooms"] = "four-rooms"
    height: int = 17
    width: int = 17
    num_obstacles: int = 0  # sampled; those next to a doorway are then removed

    def __post_init__(self) -> None:
        super().__post_init__()
        check_non_negative("num_obstacles", self.num_obstacles)
        if self.height < 5 or self.width < 5:
            raise ConfigError(f"four rooms do not fit into {self.height}×{self.width}; at least 5×5")
        self.check_capacity(1 + len(self.views) + self.num_obstacles)

    @property
    def base_tiles(self) -> np.ndarray:
        tiles = empty_room(self.height, self.width)
        tiles[self.height // 2] = OBSTACLE
        tiles[:, self.width // 2] = OBSTACLE
        return tiles

    @property
    def _wall_arms(self) -> tuple[np.ndarray, ...]:
        """Cells (row, col) of the four arms of the walls: north, south, west, east. Each i32[N, 2]."""
        row, col = self.height // 2, self.width // 2
        north = [(r, col) for r in range(1, row)]
        south = [(r, col) for r in range(row + 1, self.height - 1)]
        west = [(row, c) for c in range(1, col)]
        east = [(row, c) for c in range(col + 1, self.width - 1)]
        return tuple(np.array(arm, np.int32) for arm in (north, south, west, east))

    def generate(
        self, key: PRNGKey
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalReachingState]:
        """Open a doorway in each arm; place goal, obstacles and agents on different cells."""
        place_key, *door_keys = jax.random.split(key, 5)
        doors = jnp.stack(
            [
                jnp.asarray(arm)[jax.random.randint(door_key, (), 0, len(arm))]
                for arm, door_key in zip(self._wall_arms, door_keys, strict=True)
            ]
        )
        tiles, position, heading, task_state = self.place_goal_and_agents(
            place_key, jnp.asarray(self.base_tiles), as_cells(self.free_cells), None, self.num_obstacles
        )
        tiles = tiles.at[doors[:, 0], doors[:, 1]].set(FLOOR)
        if self.num_obstacles:
            row, col = jnp.moveaxis(doors[:, None] + jnp.array(DIRECTION_VECTORS), -1, 0)  # [4 doors, 4 neighbors]
            is_room = np.zeros((self.height, self.width), bool)
            is_room[tuple(self.free_cells.T)] = True
            blocked = jnp.asarray(is_room)[row, col] & (tiles[row, col] == OBSTACLE)
            tiles = tiles.at[row, col].set(jnp.where(blocked, FLOOR, tiles[row, col]))
        return tiles, position, heading, task_state
