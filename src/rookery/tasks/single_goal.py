"""Single goal: reach the one goal of a room, empty or cluttered, again and again.

Rules. One goal, at a random cell in each episode or at a fixed one. An agent that enters it is paid 1 and placed
elsewhere with a random heading; the goal stays until the end of the episode (or it moves, or ends the episode:
`when_reached`). Obstacles and agents are placed at random in each episode. With `map`, the walls are those of the map;
if it has several `G`, one of them is the goal of an episode.

Source: the single-goal environments of the reference code of Ndousse et al. 2021. The first author's talk of 2020
compares learning with and without an expert in this task.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.tiles import FLOOR
from rookery.tasks.checks import check_non_negative
from rookery.tasks.goal_reaching import GoalReachingState, GoalReachingTask
from rookery.tasks.grid_task import as_cells
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleGoal(GoalReachingTask):
    """Settings and rules."""

    kind: Literal["single-goal"] = "single-goal"
    num_obstacles: int = 18  # as in Goal Cycle: 15 % of the cells inside the border
    goal_at: tuple[int, int] | None = None  # (row, col); None: anywhere, or as on the map
    map: str | None = None  # ASCII, see gridworld/layout.py; replaces height, width and obstacles

    def __post_init__(self) -> None:
        super().__post_init__()
        check_non_negative("num_obstacles", self.num_obstacles)
        ascii_map, candidates = self.ascii_map, self._goal_candidates
        if ascii_map and len(ascii_map.numbered_goals) > 1:
            raise ConfigError(
                f"the map has {len(ascii_map.numbered_goals)} numbered goals; "
                "use one, or several G of which one is chosen"
            )
        if self.goal_at is not None:
            spec, (row, col) = self.grid_spec, self.goal_at
            if ascii_map and ascii_map.goals:
                raise ConfigError(f"goal_at={self.goal_at} and the map has a goal, too; remove one of them")
            if not (0 <= row < spec.height and 0 <= col < spec.width) or self.base_tiles[row, col] != FLOOR:
                raise ConfigError(f"goal_at={self.goal_at} is not a floor cell of the {spec.height}×{spec.width} map")
            if ascii_map and tuple(self.goal_at) in {tuple(map(int, cell)) for cell in ascii_map.spawn_cells}:
                raise ConfigError(f"goal_at={self.goal_at} is a start cell (A) of the map; choose another cell")
        num_goal_cells = len(self.free_cells) if candidates is None else len(candidates)
        if self.when_reached == "move goal" and num_goal_cells == 1:
            raise ConfigError(
                "a goal with one possible cell cannot move; leave out goal_at, or put several G on the map"
            )
        num_agents = 0 if ascii_map and ascii_map.spawn_cells else len(self.views)
        # Agents may start on a cell that is the goal of another episode.
        self.check_capacity(
            self._num_sampled_obstacles + num_agents + 1, extra_cells=len(ascii_map.goals) if ascii_map else 0
        )

    @property
    def _num_sampled_obstacles(self) -> int:
        return 0 if self.ascii_map else self.num_obstacles

    @property
    def _goal_candidates(self) -> tuple[tuple[int, int], ...] | None:
        """Cells (row, col) where the goal may be; None: anywhere."""
        ascii_map = self.ascii_map
        if self.goal_at is not None:
            return (self.goal_at,)
        return (ascii_map.goals or None) if ascii_map else None

    def generate(
        self, key: PRNGKey
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalReachingState]:
        """Place goal, obstacles and agents on different cells."""
        ascii_map, free_cells = self.ascii_map, self.free_cells
        tiles, num_obstacles = jnp.asarray(self.base_tiles), self._num_sampled_obstacles
        spawn_cells = as_cells(ascii_map.spawn_cells) if ascii_map and ascii_map.spawn_cells else None
        if self._goal_candidates is None:
            return self.place_goal_and_agents(key, tiles, jnp.asarray(free_cells), None, num_obstacles, spawn_cells)
        # The candidates for the goal come first, so that their indices are known.
        candidates = np.array(self._goal_candidates, np.int32)
        others = free_cells[~(free_cells[:, None] == candidates).all(-1).any(-1)]
        cells = jnp.asarray(np.concatenate([candidates, others]))
        indices = jnp.arange(len(candidates))
        return self.place_goal_and_agents(key, tiles, cells, indices, num_obstacles, spawn_cells)
