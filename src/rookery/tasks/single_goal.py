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
from rookery.gridworld.tiles import FLOOR
from rookery.tasks.base import as_cells, check_non_negative
from rookery.tasks.goal_reaching import GoalReachingTask
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleGoal(GoalReachingTask):
    """Configuration and rules; one view an agent."""

    kind: Literal["single-goal"] = "single-goal"
    num_obstacles: int = 18  # Goal Cycle's: 15 % of the cells inside the border
    goal_at: tuple[int, int] | None = None  # (row, col); None: anywhere, or where the map says
    map: str | None = None  # ASCII, see world/layout.py; replaces height, width and obstacles

    def __post_init__(self):
        super().__post_init__()
        check_non_negative("num_obstacles", self.num_obstacles)
        plan, places = self.ascii_map, self._goal_candidates
        if plan and len(plan.numbered_goals) > 1:
            raise ConfigError(
                f"the map has {len(plan.numbered_goals)} numbered goals; draw one, or several G of which one is chosen"
            )
        if self.goal_at is not None:
            world, (row, col) = self.grid_spec, self.goal_at
            if plan and plan.goals:
                raise ConfigError(f"goal_at={self.goal_at} and the map's own goal; use one of them")
            if not (0 <= row < world.height and 0 <= col < world.width) or self.base_tiles[row, col] != FLOOR:
                raise ConfigError(f"goal_at={self.goal_at} is not a floor cell of the {world.height}×{world.width} map")
            if plan and tuple(self.goal_at) in {tuple(map(int, cell)) for cell in plan.spawn_cells}:
                raise ConfigError(f"goal_at={self.goal_at} is a start cell (A) of the map; name another")
        if self.when_reached == "move goal" and places is not None and len(places) == 1:
            raise ConfigError("a goal that has one place cannot move; leave goal_at out, or draw several G")
        agents = 0 if plan and plan.spawn_cells else len(self.views)
        # Agents may start where the goal of another episode may be.
        self.check_capacity(self._num_sampled_obstacles + agents + 1, extra_cells=len(plan.goals) if plan else 0)

    @property
    def _num_sampled_obstacles(self) -> int:
        return 0 if self.ascii_map else self.num_obstacles

    @property
    def _goal_candidates(self) -> tuple[tuple[int, int], ...] | None:
        """Where the goal may be; None: anywhere."""
        plan = self.ascii_map
        if self.goal_at is not None:
            return (self.goal_at,)
        return (plan.goals or None) if plan else None

    def generate(self, key: PRNGKey):
        """Place goal, obstacles and agents on different cells."""
        plan, places, floor = self.ascii_map, self._goal_candidates, self.free_cells
        spawns = as_cells(plan.spawn_cells) if plan and plan.spawn_cells else None
        if places is None:
            return self.place_goal_and_agents(
                key, jnp.asarray(self.base_tiles), jnp.asarray(floor), None, self._num_sampled_obstacles, spawns
            )
        # The goal's places first, so that their numbers are known.
        fixed = np.array(places, np.int32)
        other = floor[~(floor[:, None] == fixed).all(-1).any(-1)]
        cells = jnp.asarray(np.concatenate([fixed, other]))
        return self.place_goal_and_agents(
            key, jnp.asarray(self.base_tiles), cells, jnp.arange(len(fixed)), self._num_sampled_obstacles, spawns
        )
