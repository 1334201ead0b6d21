"""Four rooms: find the one goal in a house of four rooms, again and again.

Rules. Two walls cross in the middle; each of their four arms has one doorway, drawn anew each episode, as are the
goal, the agents and any obstacles. Who enters the goal is paid 1 and is set down elsewhere, facing anywhere; the
goal stays until the episode's end (or moves, or ends it: `when_reached`). No obstacle is ever put into a doorway
or in front of one.

Source: Ndousse et al. 2021, figure 6b (transfer): 17×17, one goal, goal and obstacles random each
episode. Rewards and length are not printed; here they are Goal Cycle's 1 and 250 steps.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError
from rookery.tasks.base import as_cells, check_count
from rookery.tasks.reach import ReachTask
from rookery.types import Key
from rookery.world.layout import border
from rookery.world.motion import DELTA
from rookery.world.tiles import FLOOR, OBSTACLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourRooms(ReachTask):
    """Configuration and rules; one view an agent."""

    kind: Literal["four-rooms"] = "four-rooms"
    height: int = 17
    width: int = 17
    obstacles: int = 0  # drawn; those that would stand in front of a doorway are left out

    def __post_init__(self):
        super().__post_init__()
        check_count("obstacles", self.obstacles)
        if self.height < 5 or self.width < 5:
            raise ConfigError(f"four rooms do not fit into {self.height}×{self.width}; at least 5×5")
        self.fit(1 + len(self.views) + self.obstacles)

    @property
    def room(self) -> np.ndarray:
        tiles = border(self.height, self.width)
        tiles[self.height // 2] = OBSTACLE
        tiles[:, self.width // 2] = OBSTACLE
        return tiles

    @property
    def _arms(self) -> tuple[np.ndarray, ...]:
        """Cells of the walls' four arms: north, south, west, east. Each i32[N, 2]."""
        row, col = self.height // 2, self.width // 2
        north = [(r, col) for r in range(1, row)]
        south = [(r, col) for r in range(row + 1, self.height - 1)]
        west = [(row, c) for c in range(1, col)]
        east = [(row, c) for c in range(col + 1, self.width - 1)]
        return tuple(np.array(arm, np.int32) for arm in (north, south, west, east))

    def layout(self, key: Key):
        """Open a doorway in each arm; place goal, obstacles and agents on different cells."""
        place_key, *door_keys = jax.random.split(key, 5)
        doors = jnp.stack(
            [
                jnp.asarray(arm)[jax.random.randint(door_key, (), 0, len(arm))]
                for arm, door_key in zip(self._arms, door_keys, strict=True)
            ]
        )
        tiles, position, heading, own = self.arrange(
            place_key, jnp.asarray(self.room), as_cells(self.floor), None, self.obstacles
        )
        tiles = tiles.at[doors[:, 0], doors[:, 1]].set(FLOOR)
        if self.obstacles:
            row, col = jnp.moveaxis(doors[:, None] + jnp.array(DELTA), -1, 0)  # 4 doors, 4 neighbours
            inner = np.zeros((self.height, self.width), bool)
            inner[tuple(self.floor.T)] = True
            blocked = jnp.asarray(inner)[row, col] & (tiles[row, col] == OBSTACLE)
            tiles = tiles.at[row, col].set(jnp.where(blocked, FLOOR, tiles[row, col]))
        return tiles, position, heading, own
