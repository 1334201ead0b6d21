"""Scripted experts for Goal Cycle without hidden knowledge: they find the order by trying.

They keep the chain of goals they were rewarded for. While the chain is incomplete they walk to the nearest goal that
may come next: one that is not in the chain and was not penalized since the last reward. Once the chain holds all goals
they follow it around. Whether an entry was rewarded they read from their own prestige, which every agent shows: it
rises when the agent is rewarded and at no other time. `make_expert` refuses tasks in which it would not.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.scripted.cycle_belief import CycleBelief
from rookery.agents.scripted.grid_expert import Belief, GridExpert
from rookery.agents.scripted.paths import DETOUR_COST, Subgoal, path_costs, unreachable_cost
from rookery.agents.scripted.perception import broadcast_to_batch
from rookery.gridworld.movement import FORWARD, LEFT, RIGHT, direction_vector, is_walkable
from rookery.gridworld.state import GridState
from rookery.interfaces import Policy, PolicyRole
from rookery.types import PRNGKey, PyTree


class PlannerState(NamedTuple):
    """The memory of one planner, for K goals."""

    cost: Int[Array, "K 4 H W"]  # actions to enter goal k from (heading, row, col)
    order: CycleBelief  # of goals by number
    last_position: Int[Array, "2"]  # one step ago
    last_prestige: Float[Array, ""]  # one step ago


@dataclasses.dataclass(frozen=True)
class GoalCyclePlanner(Policy):
    """Sees the whole map and plans the shortest paths once per episode. Privileged: reads states."""

    num_goals: int
    height: int
    width: int

    privileged = True
    role: ClassVar[PolicyRole] = "scripted"

    @property
    def _unreachable(self) -> int:
        return unreachable_cost(self.height, self.width)

    def initial_carry(self, batch: int) -> PlannerState:
        blank = PlannerState(
            cost=jnp.full((self.num_goals, 4, self.height, self.width), self._unreachable, jnp.int32),
            order=CycleBelief.initial(self.num_goals, self.num_goals),
            last_position=jnp.zeros(2, jnp.int32),
            last_prestige=jnp.float32(0),
        )
        return broadcast_to_batch(blank, batch)

    def act(
        self, params: PyTree, carry: PlannerState, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PlannerState, dict[str, jax.Array]]:
        states, slots = obs
        # All episodes of a batch begin together, so paths are planned once per episode and not at every step.
        carry = jax.lax.cond(
            is_first.any(), lambda: jax.vmap(self._opening_state)(carry, states, slots, is_first), lambda: carry
        )
        action, carry = jax.vmap(self._act)(carry, states, slots)
        return action, carry, {}

    def _opening_state(self, carry: PlannerState, state: GridState, slot, is_first) -> PlannerState:
        opening = PlannerState(
            cost=path_costs(~is_walkable(state.tiles), state.task.goals),
            order=CycleBelief.initial(self.num_goals, self.num_goals),
            last_position=state.position[slot],
            last_prestige=state.prestige[slot],
        )
        return jax.tree.map(lambda new, old: jnp.where(is_first, new, old), opening, carry)

    def _act(self, carry: PlannerState, state: GridState, slot):
        position = state.position[slot]
        on_goal = (state.task.goals == position).all(-1)
        entered = on_goal.any() & (position != carry.last_position).any()
        order = carry.order.update(entered, jnp.argmax(on_goal), state.prestige[slot] > carry.last_prestige)
        action = self.walk(carry.cost, self.candidates(order, state), state, slot)
        return action, PlannerState(carry.cost, order, position, state.prestige[slot])

    def candidates(self, order: CycleBelief, state: GridState) -> Bool[Array, "K"]:
        """Goals that may come next, of those that are there."""
        if state.task.num_goals is None:
            return order.candidates
        return order.candidates_of(state.task.num_goals) & (jnp.arange(self.num_goals) < state.task.num_goals)

    def walk(
        self, goal_costs: Int[Array, "K 4 H W"], candidates: Bool[Array, "K"], state: GridState, slot: Int[Array, ""]
    ) -> Int[Array, ""]:
        """The next action on a shortest path to the nearest of the candidate goals.

        Args:
          goal_costs: of `path_costs`.
        """
        position, heading = state.position[slot], state.heading[slot]
        row, col = position
        cost_here = goal_costs[:, :, row, col]  # K, 4
        # Of equally near goals the first on the map, not the first by number: numbers contain the hidden order.
        map_index = state.task.goals @ jnp.array([self.width, 1])
        distance = jnp.where(candidates, cost_here[:, heading], 2 * self._unreachable)
        # In two comparisons: one number of both would not fit into 32 bits on large maps.
        is_nearest = distance == distance.min()
        target = jnp.argmin(jnp.where(is_nearest, map_index, self.height * self.width))
        cost = goal_costs[target]
        step = direction_vector(heading)
        next_row, next_col = row + step[0], col + step[1]
        goal = state.task.goals[target]
        arrives = (next_row == goal[0]) & (next_col == goal[1])
        crossing = (state.task.goals == jnp.stack([next_row, next_col])).all(-1).any() & ~arrives
        walk = 1 + DETOUR_COST * crossing + jnp.where(arrives, 0, cost[heading, next_row, next_col])
        inside = (next_row >= 0) & (next_row < self.height) & (next_col >= 0) & (next_col < self.width)
        walk = jnp.where(inside & is_walkable(state.tiles[next_row, next_col]), walk, self._unreachable)
        left = 1 + cost[(heading - 1) % 4, row, col]
        right = 1 + cost[(heading + 1) % 4, row, col]
        action = jnp.argmin(jnp.stack([walk, left, right]))
        return jnp.stack([jnp.int32(FORWARD), jnp.int32(LEFT), jnp.int32(RIGHT)])[action]


class ScoutMemory(NamedTuple):
    """What a scout remembers in addition to its map."""

    order: CycleBelief  # of goals by the cell they are in, numbered row by row
    goals: Bool[Array, "H W"]  # cells known to hold a goal


@dataclasses.dataclass(frozen=True)
class GoalCycleScout(GridExpert):
    """Sees what its own view shows, and remembers it.

    It tries goals as soon as it has seen one that may come next, and otherwise walks to the nearest cell it has not
    seen. It walks around other goals, unless there is no other way. A goal that is hidden from it is known once it was
    rewarded or penalized there.
    """

    num_goals: int

    def initial_task_memory(self) -> ScoutMemory:
        shape = (self.perception.height, self.perception.width)
        return ScoutMemory(order=CycleBelief.initial(self.num_goals, shape[0] * shape[1]), goals=jnp.zeros(shape, bool))

    def subgoals(self, task_memory: ScoutMemory, belief: Belief) -> tuple[ScoutMemory, tuple[Subgoal, ...]]:
        goals = task_memory.goals | belief.map_memory.goals | (belief.entered & belief.rewarded_or_penalized)
        entered = goals & belief.entered
        order = task_memory.order.update(entered.any(), jnp.argmax(entered), belief.rewarded)
        targets = goals & order.candidates.reshape(goals.shape)
        around_goals, frontier = belief.free & ~goals, belief.map_memory.frontier
        return ScoutMemory(order, goals), (
            Subgoal(targets, around_goals),
            Subgoal(targets, belief.free),
            Subgoal(frontier, around_goals),
            Subgoal(frontier, belief.free),
        )
