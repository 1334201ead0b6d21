"""Sixteen places: the goal is in one of 4×4 rooms; who does not know which must search them all.

Rules. Rooms of equal size in rows and columns, with a doorway in the middle of every wall between two of them. The
goal is in the middle of one room, drawn anew each episode; agents start anywhere. Who enters the goal is paid 1
and is set down elsewhere, facing anywhere; the goal stays until the episode's end (or moves to another room, or ends
it: `when_reached`). An agent with `can_hide_goals` in its view sees no goal even in front of it: only others tell it.

Source: Borsa et al. 2019, Observational Learning by Reinforcement Learning: a teacher goes straight to the goal, at one
of sixteen places, and a student that sees the teacher learns faster. Sizes are not printed; these are our own.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError
from rookery.gridworld.layout import empty_room
from rookery.gridworld.tiles import FLOOR, OBSTACLE
from rookery.tasks.goal_reaching import GoalReachingTask
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SixteenPlaces(GoalReachingTask):
    """Configuration and rules; one view an agent. Height and width follow from rooms and their size."""

    kind: Literal["sixteen-places"] = "sixteen-places"
    height: int = dataclasses.field(default=17, init=False)
    width: int = dataclasses.field(default=17, init=False)
    rooms: tuple[int, int] = (4, 4)  # down, across
    room_size: tuple[int, int] = (3, 3)  # cells down and across inside one room

    def __post_init__(self):
        for name, pair in (("rooms", self.rooms), ("room_size", self.room_size)):
            if min(pair) < 1:
                raise ConfigError(f"{name}={pair} must hold numbers of at least 1")
        for name, rooms, size in zip(("height", "width"), self.rooms, self.room_size, strict=True):
            object.__setattr__(self, name, rooms * (size + 1) + 1)
        super().__post_init__()
        if self.when_reached == "move goal" and len(self._goal_candidates) == 1:
            raise ConfigError("a goal that has one place cannot move; use more rooms")
        self.check_capacity(1 + len(self.views), "goals and agents")

    @property
    def base_tiles(self) -> np.ndarray:
        tiles = empty_room(self.height, self.width)
        (down, across), (tall, wide) = self.rooms, self.room_size
        tiles[:: tall + 1] = OBSTACLE
        tiles[:, :: wide + 1] = OBSTACLE
        rows, cols = self._room_centers
        for row in rows:
            for wall in range(1, across):
                tiles[row, wall * (wide + 1)] = FLOOR
        for col in cols:
            for wall in range(1, down):
                tiles[wall * (tall + 1), col] = FLOOR
        return tiles

    @property
    def _room_centers(self) -> tuple[list[int], list[int]]:
        """Middle row of each row of rooms, middle column of each column."""
        return tuple(
            [k * (size + 1) + (size + 1) // 2 for k in range(rooms)]
            for rooms, size in zip(self.rooms, self.room_size, strict=True)
        )  # type: ignore[return-value]

    @property
    def _goal_candidates(self) -> list[tuple[int, int]]:
        rows, cols = self._room_centers
        return [(row, col) for row in rows for col in cols]

    def generate(self, key: PRNGKey):
        """Place goal and agents on different cells."""
        places = self._goal_candidates
        rest = [cell for cell in map(tuple, self.free_cells.tolist()) if cell not in set(places)]
        cells = jnp.array(places + rest, jnp.int32)
        return self.place_goal_and_agents(key, jnp.asarray(self.base_tiles), cells, jnp.arange(len(places)))
