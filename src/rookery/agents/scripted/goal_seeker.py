"""Scripted expert for tasks in which every goal pays each time: find one, walk there, and again."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from rookery.agents.scripted.grid_expert import Belief, GridExpert
from rookery.agents.scripted.paths import Subgoal


@dataclasses.dataclass(frozen=True)
class GoalSeeker(GridExpert):
    """Walks to the nearest goal it knows of, else explores. A goal hidden from it is known once it was paid there."""

    def initial_task_memory(self) -> Bool[Array, "H W"]:
        return jnp.zeros((self.perception.height, self.perception.width), bool)

    def subgoals(self, task_memory: Bool[Array, "H W"], belief: Belief):
        # Felt goals are remembered apart: to look at them would be to see floor.
        felt = jnp.where(
            belief.entered.any(), task_memory & ~belief.entered | belief.entered & belief.rewarded, task_memory
        )
        goals = felt | belief.map_memory.goals
        return felt, (Subgoal(goals, belief.free), Subgoal(belief.map_memory.frontier, belief.free))
