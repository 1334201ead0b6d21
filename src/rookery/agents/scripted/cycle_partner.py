"""Partners in Goal Cycle to be learned from, or not: experts, anti-experts, experts in another order, random movers.

All see the whole map and walk shortest paths; they differ in the goal that they choose. What a partner does is a number
in its parameters, so that one compiled program serves every kind.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner, PlannerState
from rookery.gridworld.movement import FORWARD
from rookery.gridworld.state import GridState
from rookery.types import PRNGKey

PartnerBehavior = Literal["discovers", "knows", "misleads", "reverses"]
"""How a partner chooses its goals. All begin with the nearest.

"discovers": finds the order by trying, as the scripted expert. "knows": follows the hidden order from the start.
"misleads": an anti-expert: it knows the order, and after its first entry, which pays, always enters the nearest goal
that costs it the penalty, other than the one it entered last. "reverses": follows the order backwards; to itself it is
an expert."""
PARTNER_BEHAVIORS: tuple[PartnerBehavior, ...] = ("discovers", "knows", "misleads", "reverses")


class PartnerParams(NamedTuple):
    """What a partner does: one number each, or one for each of B partners."""

    behavior: Int[Array, "*B"]  # index into PARTNER_BEHAVIORS
    noise: Float[Array, "*B"]  # probability of a random turn or step instead, at each step; 1: a random mover


class PartnerState(NamedTuple):
    """The memory of one partner."""

    planner: PlannerState
    last_entered: Int[Array, ""]  # the goal it entered last; -1 before the first
    last_reversed: Int[Array, ""]  # the goal it entered last in the reversed order


@dataclasses.dataclass(frozen=True)
class CyclePartner(GoalCyclePlanner):
    """A partner in Goal Cycle. Privileged: reads states. Parameters: `PartnerParams`."""

    @staticmethod
    def params(behavior: PartnerBehavior, noise: float = 0.0) -> PartnerParams:
        """The parameters of a kind of partner."""
        return PartnerParams(jnp.int32(PARTNER_BEHAVIORS.index(behavior)), jnp.float32(noise))

    def init(self, key: PRNGKey) -> PartnerParams:
        return self.params("discovers")

    def initial_carry(self, batch: int) -> PartnerState:
        none = jnp.full(batch, -1, jnp.int32)
        return PartnerState(super().initial_carry(batch), none, none)

    def act(
        self, params: PartnerParams, carry: PartnerState, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PartnerState, dict[str, jax.Array]]:
        states, slots = obs
        planner = jax.lax.cond(
            is_first.any(),
            lambda: jax.vmap(self._opening_state)(carry.planner, states, slots, is_first),
            lambda: carry.planner,
        )
        none = jnp.int32(-1)
        carry = PartnerState(
            planner, jnp.where(is_first, none, carry.last_entered), jnp.where(is_first, none, carry.last_reversed)
        )
        behavior = jnp.broadcast_to(params.behavior, slots.shape)
        action, carry = jax.vmap(self._choose)(behavior, carry, states, slots)
        noise_key, action_key = jax.random.split(key)
        is_random = jax.random.uniform(noise_key, action.shape) < params.noise
        random_action = jax.random.randint(action_key, action.shape, 0, FORWARD + 1)
        return jnp.where(is_random, random_action, action), carry, {}

    def _choose(self, behavior: Int[Array, ""], carry: PartnerState, state: GridState, slot: Int[Array, ""]):
        planner, position = carry.planner, state.position[slot]
        on_goal = (state.task.goals == position).all(-1)
        entered, goal = on_goal.any() & (position != planner.last_position).any(), jnp.argmax(on_goal)
        order = planner.order.update(entered, goal, state.prestige[slot] > planner.last_prestige)
        last_entered = jnp.where(entered, goal, carry.last_entered)
        num_goals = self.num_goals if state.task.num_goals is None else state.task.num_goals
        is_next = (carry.last_reversed < 0) | (goal == (carry.last_reversed - 1) % num_goals)
        last_reversed = jnp.where(entered & is_next, goal, carry.last_reversed)

        goals, last_rewarded = jnp.arange(self.num_goals), state.task.last_goal[slot]
        is_successor = goals == (last_rewarded + 1) % num_goals
        candidates = jax.lax.select_n(
            behavior,
            self.candidates(order, state),
            is_successor | (last_rewarded < 0),
            (~is_successor & (goals != last_entered)) | (last_rewarded < 0),
            (goals == (last_reversed - 1) % num_goals) | (last_reversed < 0),
        )
        action = self.walk(planner.cost, candidates, state, slot)
        planner = PlannerState(planner.cost, order, position, state.prestige[slot])
        return action, PartnerState(planner, last_entered, last_reversed)
