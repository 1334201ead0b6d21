"""Sixteen places: the goal is in one of 4×4 rooms; who does not know which must search them all.

Rules. Rooms of equal size in rows and columns, with a doorway in the middle of every wall between two of them. The
goal is in the middle of one room, drawn anew each episode; agents start anywhere. Who enters the goal is paid 1
and is set down elsewhere, facing anywhere; the goal stays until the episode's end (or moves to another room, or ends
it: `when_reached`). An agent with `hide_goals` in its view sees no goal even in front of it: only others tell it.

Source: Borsa et al. 2019, Observational Learning by Reinforcement Learning: a teacher goes straight to the goal, at one
of sixteen places, and a student that sees the teacher learns faster. Sizes are not printed; these are our own.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError
from rookery.tasks.reach import ReachTask
from rookery.types import Key
from rookery.world.layout import border
from rookery.world.tiles import FLOOR, OBSTACLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class SixteenPlaces(ReachTask):
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
        if self.when_reached == "move goal" and len(self._places) == 1:
            raise ConfigError("a goal that has one place cannot move; use more rooms")
        self.fit(1 + len(self.views), "goals and agents")

    @property
    def room(self) -> np.ndarray:
        tiles = border(self.height, self.width)
        (down, across), (tall, wide) = self.rooms, self.room_size
        tiles[:: tall + 1] = OBSTACLE
        tiles[:, :: wide + 1] = OBSTACLE
        rows, cols = self._middles
        for row in rows:
            for wall in range(1, across):
                tiles[row, wall * (wide + 1)] = FLOOR
        for col in cols:
            for wall in range(1, down):
                tiles[wall * (tall + 1), col] = FLOOR
        return tiles

    @property
    def _middles(self) -> tuple[list[int], list[int]]:
        """Middle row of each row of rooms, middle column of each column."""
        return tuple(
            [k * (size + 1) + (size + 1) // 2 for k in range(rooms)]
            for rooms, size in zip(self.rooms, self.room_size, strict=True)
        )  # type: ignore[return-value]

    @property
    def _places(self) -> list[tuple[int, int]]:
        rows, cols = self._middles
        return [(row, col) for row in rows for col in cols]

    def layout(self, key: Key):
        """Place goal and agents on different cells."""
        places = self._places
        rest = [cell for cell in map(tuple, self.floor.tolist()) if cell not in set(places)]
        cells = jnp.array(places + rest, jnp.int32)
        return self.arrange(key, jnp.asarray(self.room), cells, jnp.arange(len(places)))
