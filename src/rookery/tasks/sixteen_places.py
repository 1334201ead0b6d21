"""Sixteen Places: the goal is in one of 4×4 rooms; an agent that does not know which must search them all.

Rules. Rooms of equal size in rows and columns, with a doorway in the middle of every wall between two of them. The
goal is in the middle of one room, chosen at random in each episode; agents start anywhere. An agent that enters the
goal is paid 1 and placed elsewhere with a random heading; the goal stays until the end of the episode (or it moves to
another room, or ends the episode: `when_reached`). An agent whose view has `can_hide_goals` does not see the goal even
in front of it: it can find it only by watching the others.

Source: Borsa et al. 2019, Observational Learning by Reinforcement Learning: a teacher goes straight to the goal, at one
of sixteen places, and a student that sees the teacher learns faster. Sizes are not stated; these are our own.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.layout import empty_room
from rookery.gridworld.tiles import FLOOR, OBSTACLE
from rookery.tasks.goal_reaching import GoalReachingState, GoalReachingTask
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SixteenPlaces(GoalReachingTask):
    """Settings and rules. Height and width follow from the number of rooms and their size."""

    kind: Literal["sixteen-places"] = "sixteen-places"
    height: int = dataclasses.field(default=17, init=False)
    width: int = dataclasses.field(default=17, init=False)
    rooms: tuple[int, int] = (4, 4)  # number of rooms down and across
    room_size: tuple[int, int] = (3, 3)  # cells down and across, inside one room

    def __post_init__(self) -> None:
        for name, pair in (("rooms", self.rooms), ("room_size", self.room_size)):
            if min(pair) < 1:
                raise ConfigError(f"{name}={pair} must be two numbers of at least 1")
        for name, num_rooms, size in zip(("height", "width"), self.rooms, self.room_size, strict=True):
            object.__setattr__(self, name, num_rooms * (size + 1) + 1)
        super().__post_init__()
        if self.when_reached == "move goal" and len(self._goal_candidates) == 1:
            raise ConfigError("a goal with one possible cell cannot move; use more rooms")
        self.check_capacity(1 + len(self.views), "goals and agents")

    @property
    def _search_rule(self) -> str:
        return (
            f"Nothing else pays or costs anything. The goal is in the middle of one of {self.rooms[0] * self.rooms[1]} "
            "rooms, another one in each episode."
        )

    @property
    def base_tiles(self) -> np.ndarray:
        tiles = empty_room(self.height, self.width)
        (rooms_down, rooms_across), (room_height, room_width) = self.rooms, self.room_size
        tiles[:: room_height + 1] = OBSTACLE
        tiles[:, :: room_width + 1] = OBSTACLE
        rows, cols = self._room_centers
        for row in rows:
            for wall in range(1, rooms_across):
                tiles[row, wall * (room_width + 1)] = FLOOR
        for col in cols:
            for wall in range(1, rooms_down):
                tiles[wall * (room_height + 1), col] = FLOOR
        return tiles

    @property
    def _room_centers(self) -> tuple[list[int], list[int]]:
        """Middle row of each row of rooms, middle column of each column of rooms."""
        return tuple(
            [k * (size + 1) + (size + 1) // 2 for k in range(num_rooms)]
            for num_rooms, size in zip(self.rooms, self.room_size, strict=True)
        )  # type: ignore[return-value]

    @property
    def _goal_candidates(self) -> list[tuple[int, int]]:
        rows, cols = self._room_centers
        return [(row, col) for row in rows for col in cols]

    def generate(
        self, key: PRNGKey
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalReachingState]:
        """Place goal and agents on different cells."""
        candidates = self._goal_candidates
        others = [cell for cell in map(tuple, self.free_cells.tolist()) if cell not in set(candidates)]
        cells = jnp.array(candidates + others, jnp.int32)
        return self.place_goal_and_agents(key, jnp.asarray(self.base_tiles), cells, jnp.arange(len(candidates)))
