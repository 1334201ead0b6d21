"""Single goal: reach the one goal of a room, empty or cluttered, again and again.

Rules. One goal, drawn anew each episode or fixed. Who enters it is paid 1 and is set down elsewhere, facing
anywhere; the goal stays until the episode's end (or moves, or ends it: `when_reached`). Obstacles and agents are
placed anew each episode. With `map`, walls are as drawn; where several `G` are drawn, one of them is the goal of
an episode.

Source: Ndousse et al. 2021, the authors' single-goal environments; the talk's comparison with and without an expert
(novices learn no faster beside one) is made here.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError
from rookery.tasks.base import as_cells, check_count
from rookery.tasks.reach import ReachTask
from rookery.types import Key
from rookery.world.tiles import FLOOR


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleGoal(ReachTask):
    """Configuration and rules; one view an agent."""

    kind: Literal["single-goal"] = "single-goal"
    obstacles: int = 18  # Goal Cycle's: 15 % of the cells inside the border
    goal_at: tuple[int, int] | None = None  # (row, col); None: anywhere, or where the map says
    map: str | None = None  # ASCII, see world/layout.py; replaces height, width and obstacles

    def __post_init__(self):
        super().__post_init__()
        check_count("obstacles", self.obstacles)
        plan, places = self.plan, self._places
        if plan and len(plan.numbered_goals) > 1:
            raise ConfigError(
                f"the map has {len(plan.numbered_goals)} numbered goals; draw one, or several G of which one is chosen"
            )
        if self.goal_at is not None:
            world, (row, col) = self.world, self.goal_at
            if plan and plan.goals:
                raise ConfigError(f"goal_at={self.goal_at} and the map's own goal; use one of them")
            if not (0 <= row < world.height and 0 <= col < world.width) or self.room[row, col] != FLOOR:
                raise ConfigError(f"goal_at={self.goal_at} is not a floor cell of the {world.height}×{world.width} map")
            if plan and tuple(self.goal_at) in {tuple(map(int, cell)) for cell in plan.spawns}:
                raise ConfigError(f"goal_at={self.goal_at} is a start cell (A) of the map; name another")
        if self.when_reached == "move goal" and places is not None and len(places) == 1:
            raise ConfigError("a goal that has one place cannot move; leave goal_at out, or draw several G")
        agents = 0 if plan and plan.spawns else len(self.views)
        # Agents may start where the goal of another episode may be.
        self.fit(self._blocks + agents + 1, more=len(plan.goals) if plan else 0)

    @property
    def _blocks(self) -> int:
        return 0 if self.plan else self.obstacles

    @property
    def _places(self) -> tuple[tuple[int, int], ...] | None:
        """Where the goal may be; None: anywhere."""
        plan = self.plan
        if self.goal_at is not None:
            return (self.goal_at,)
        return (plan.goals or None) if plan else None

    def layout(self, key: Key):
        """Place goal, obstacles and agents on different cells."""
        plan, places, floor = self.plan, self._places, self.floor
        spawns = as_cells(plan.spawns) if plan and plan.spawns else None
        if places is None:
            return self.arrange(key, jnp.asarray(self.room), jnp.asarray(floor), None, self._blocks, spawns)
        # The goal's places first, so that their numbers are known.
        fixed = np.array(places, np.int32)
        other = floor[~(floor[:, None] == fixed).all(-1).any(-1)]
        cells = jnp.asarray(np.concatenate([fixed, other]))
        return self.arrange(key, jnp.asarray(self.room), cells, jnp.arange(len(fixed)), self._blocks, spawns)
