"""Scripted expert for tasks in which every goal is rewarded each time: find one, walk there, and repeat."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from rookery.agents.scripted.grid_expert import Belief, GridExpert
from rookery.agents.scripted.paths import Subgoal


@dataclasses.dataclass(frozen=True)
class GoalSeeker(GridExpert):
    """Walks to the nearest goal it knows of, or explores. A hidden goal is known once it was rewarded there."""

    def initial_task_memory(self) -> Bool[Array, "H W"]:
        return jnp.zeros((self.perception.height, self.perception.width), bool)

    def subgoals(
        self, task_memory: Bool[Array, "H W"], belief: Belief
    ) -> tuple[Bool[Array, "H W"], tuple[Subgoal, ...]]:
        # Goals found by their reward are kept apart from the map: where they are hidden, the view shows floor.
        rewarded_cells = jnp.where(
            belief.entered.any(), task_memory & ~belief.entered | belief.entered & belief.rewarded, task_memory
        )
        goals = rewarded_cells | belief.map_memory.goals
        return rewarded_cells, (Subgoal(goals, belief.free), Subgoal(belief.map_memory.frontier, belief.free))
