"""Scripted experts for goal sequence: one finds the order by trying and remembers it, the oracle knows it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.agents.scripted.grid_expert import Belief, GridExpert
from rookery.agents.scripted.paths import Subgoal, next_action
from rookery.agents.scripted.perception import Perception, broadcast_to_batch, cell_mask
from rookery.errors import ConfigError
from rookery.gridworld.movement import is_walkable
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import GOAL_KINDS
from rookery.interfaces import Policy, PolicyRole
from rookery.types import PRNGKey, PyTree


class SequenceBelief(NamedTuple):
    """What an expert knows of the order: a sequence of L goals, each one of K kinds; a goal may come more than once."""

    goals: Int[Array, "L"]  # from the first; -1 where not yet known
    num_known: Int[Array, ""]  # length of the known part
    progress: Int[Array, ""]  # correct goals entered in this trial
    tried: Bool[Array, "K"]  # penalized at the end of the known part
    trial_step: Int[Array, ""]  # steps since the trial began


@dataclasses.dataclass(frozen=True)
class GoalSequenceExpert(GridExpert):
    """Follows the order as far as it knows it, then tries the nearest goal that may be next.

    That is any goal except the one just entered and those that were penalized at this place before. It walks around
    other goals, unless there is no other way.
    """

    num_goals: int
    trial_steps: int
    length: int  # of the order if it repeats, else the steps of a trial, which no order can exceed

    def initial_task_memory(self) -> SequenceBelief:
        zero = jnp.int32(0)
        return SequenceBelief(
            goals=jnp.full(self.length, -1, jnp.int32),
            num_known=zero,
            progress=zero,
            tried=jnp.zeros(self.num_goals, bool),
            trial_step=-1 + zero,
        )

    def subgoals(self, task_memory: SequenceBelief, belief: Belief) -> tuple[SequenceBelief, tuple[Subgoal, ...]]:
        kinds = jnp.array(GOAL_KINDS[: self.num_goals], jnp.uint8)
        goal_cells = belief.map_memory.tiles == kinds[:, None, None]  # K, H, W
        order = self._update_belief(task_memory, (goal_cells & belief.entered).any((1, 2)), belief.rewarded)
        targets = (goal_cells & self._candidates(order)[:, None, None]).any(0)
        around_goals, frontier = belief.free & ~belief.map_memory.goals, belief.map_memory.frontier
        return order, (
            Subgoal(targets, around_goals),
            Subgoal(targets, belief.free),
            Subgoal(frontier, around_goals),
            Subgoal(frontier, belief.free),
        )

    def _update_belief(
        self, order: SequenceBelief, entered: Bool[Array, "K"], rewarded: Bool[Array, ""]
    ) -> SequenceBelief:
        """After one step: which goal was entered, if any, and whether that was rewarded."""
        right, wrong = entered.any() & rewarded, entered.any() & ~rewarded
        at_end = (order.progress == order.num_known) & (order.num_known < self.length)
        is_new = right & at_end
        trial_step = order.trial_step + 1
        trial_ended = trial_step >= self.trial_steps
        # An agent that another blocked in the last step of a trial is then moved to its start, as if it had entered.
        is_sure = ~trial_ended if self.perception.collide else True
        tried = order.tried | entered & wrong & at_end & is_sure
        return SequenceBelief(
            goals=jnp.where(is_new & (jnp.arange(self.length) == order.num_known), jnp.argmax(entered), order.goals),
            num_known=order.num_known + is_new,
            progress=jnp.where(trial_ended, 0, order.progress + right),
            tried=jnp.where(is_new, False, tried),
            trial_step=jnp.where(trial_ended, 0, trial_step),
        )

    def _candidates(self, order: SequenceBelief) -> Bool[Array, "K"]:
        """Goals that may be next."""
        goals = jnp.arange(self.num_goals)
        next_goal = order.goals[order.progress % self.length]
        last_goal = jnp.where(order.progress > 0, order.goals[(order.progress - 1) % self.length], -1)
        untried = (goals != last_goal) & ~order.tried
        return jnp.where(next_goal >= 0, goals == next_goal, untried)


def make_goal_sequence_expert(task: Any, perception: Perception) -> GoalSequenceExpert:
    """The expert of a configured task."""
    return GoalSequenceExpert(perception, task.num_goals, task.trial_steps, len(task.sequence) or task.trial_steps)


class OracleState(NamedTuple):
    """The memory of one oracle."""

    progress: Int[Array, ""]  # correct goals entered in this trial, one step ago
    goal_shift: Int[Array, ""]  # 0, or by how much it is wrong about the number of the next goal
    last_position: Int[Array, "2"]  # one step ago


@dataclasses.dataclass(frozen=True)
class OraclePolicy(Policy):
    """Knows which goal is next and walks there, around the others; sometimes it is wrong. Privileged.

    After each correct goal it takes another goal for the next one with probability `noise`, until it has entered that
    goal. Its errors are sampled from the key. It is there to be learned from and, as it errs, to be surpassed; it
    cannot be compared with experts that do not know the order.

    Source: Cook et al. 2024, whose oracle gets corrupted information; the probability 0.2 is from their code.
    """

    num_goals: int
    noise: float = 0.2

    privileged = True
    role: ClassVar[PolicyRole] = "scripted"

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise ConfigError(f"noise={self.noise} must lie in [0, 1]")

    def initial_carry(self, batch: int) -> OracleState:
        return broadcast_to_batch(OracleState(jnp.int32(0), jnp.int32(0), jnp.full(2, -1, jnp.int32)), batch)

    def act(
        self, params: PyTree, carry: OracleState, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], OracleState, dict[str, jax.Array]]:
        states, slots = obs
        error_key, shift_key = jax.random.split(key)
        is_error = jax.random.uniform(error_key, slots.shape) < self.noise
        sampled_shift = jnp.where(is_error, jax.random.randint(shift_key, slots.shape, 1, self.num_goals), 0)
        action, carry = jax.vmap(self._act)(carry, states, slots, is_first, sampled_shift)
        return action, carry, {}

    def _act(self, carry: OracleState, state: GridState, slot, is_first, sampled_shift):
        task_state, position = state.task, state.position[slot]
        progress = task_state.progress[slot]
        restarts = is_first | (progress < carry.progress)  # a new episode or trial
        entered = (task_state.goals == position).all(-1).any() & (position != carry.last_position).any()
        shift = jnp.where(progress > carry.progress, sampled_shift, jnp.where(entered, 0, carry.goal_shift))
        shift = jnp.where(restarts, 0, shift)
        next_goal = task_state.sequence[jnp.minimum(progress, len(task_state.sequence) - 1)]
        goals = jax.vmap(lambda cell: cell_mask(cell, state.tiles.shape))(task_state.goals)
        target, free = goals[(next_goal + shift) % self.num_goals], is_walkable(state.tiles)
        subgoals = (Subgoal(target, free & ~goals.any(0)), Subgoal(target, free))
        action, _ = next_action(subgoals, position, state.heading[slot])
        return action, OracleState(progress, shift, position)
