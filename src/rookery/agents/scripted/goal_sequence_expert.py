"""Scripted experts for goal sequence: one finds the order by trying and remembers it, the oracle is told."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

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
from rookery.types import PRNGKey, PyTree


class SequenceBelief(NamedTuple):
    """What it remembers of the order, a row of L goals that may come round."""

    goals: Int[Array, "L"]  # from the first; -1 where not yet known
    num_known: Int[Array, ""]  # how many are
    progress: Int[Array, ""]  # entered in this trial
    tried: Bool[Array, "K"]  # punished where the known part ends
    trial_step: Int[Array, ""]  # steps of the trial gone by


@dataclasses.dataclass(frozen=True)
class GoalSequenceExpert(GridExpert):
    """Follows the order as far as it knows it, then tries the nearest goal that may be next.

    That is any but the one just entered and those punished before at this place. It goes round other goals, unless
    there is no other way.
    """

    num_goals: int
    trial_steps: int
    length: int  # of the order: where it comes round, else no shorter than a trial

    def initial_task_memory(self) -> SequenceBelief:
        zero = jnp.int32(0)
        return SequenceBelief(
            jnp.full(self.length, -1, jnp.int32), zero, zero, jnp.zeros(self.num_goals, bool), -1 + zero
        )

    def subgoals(self, task_memory: SequenceBelief, belief: Belief):
        kinds = jnp.array(GOAL_KINDS[: self.num_goals], jnp.uint8)
        at = belief.map_memory.tiles == kinds[:, None, None]  # K, H, W
        row = self._update_belief(task_memory, (at & belief.entered).any((1, 2)), belief.rewarded)
        wanted = (at & self._candidates(row)[:, None, None]).any(0)
        around, frontier = belief.free & ~belief.map_memory.goals, belief.map_memory.frontier
        return row, (
            Subgoal(wanted, around),
            Subgoal(wanted, belief.free),
            Subgoal(frontier, around),
            Subgoal(frontier, belief.free),
        )

    def _update_belief(
        self, sequence_belief: SequenceBelief, entered: Bool[Array, "K"], rewarded: Bool[Array, ""]
    ) -> SequenceBelief:
        """After one step: which goal was entered, if any, and whether that was paid."""
        right, wrong = entered.any() & rewarded, entered.any() & ~rewarded
        at_end = (sequence_belief.progress == sequence_belief.num_known) & (sequence_belief.num_known < self.length)
        new = right & at_end
        tried = sequence_belief.tried | entered & wrong & at_end
        time = sequence_belief.trial_step + 1
        over = time >= self.trial_steps
        return SequenceBelief(
            goals=jnp.where(
                new & (jnp.arange(self.length) == sequence_belief.num_known), jnp.argmax(entered), sequence_belief.goals
            ),
            num_known=sequence_belief.num_known + new,
            progress=jnp.where(over, 0, sequence_belief.progress + right),
            tried=jnp.where(new, False, tried),
            trial_step=jnp.where(over, 0, time),
        )

    def _candidates(self, sequence_belief: SequenceBelief) -> Bool[Array, "K"]:
        goals = jnp.arange(self.num_goals)
        following = sequence_belief.goals[sequence_belief.progress % self.length]
        before = jnp.where(
            sequence_belief.progress > 0, sequence_belief.goals[(sequence_belief.progress - 1) % self.length], -1
        )
        untried = (goals != before) & ~sequence_belief.tried
        return jnp.where(following >= 0, goals == following, untried)


def make_goal_sequence_expert(task: Any, perception: Perception) -> GoalSequenceExpert:
    """The expert of a configured task."""
    return GoalSequenceExpert(perception, task.num_goals, task.trial_steps, len(task.sequence) or task.trial_steps)


class OracleState(NamedTuple):
    """What one oracle remembers."""

    progress: Int[Array, ""]  # goals it had entered in this trial
    goal_shift: Int[Array, ""]  # 0, or by how much it takes another goal for the next
    last_position: Int[Array, "2"]  # where it stood one step ago


@dataclasses.dataclass(frozen=True)
class OraclePolicy:
    """Knows which goal is next and goes there, round the others; now and then it errs.

    After each goal entered rightly it takes another for the next one with probability `noise`, until it has entered
    that. `seen` is (states of B worlds, slots i32[B]); an error is drawn from the key. Not for comparison with experts
    that are told nothing: it is there to be learnt from, and, as it errs, to be surpassed.

    Source: Cook et al. 2024, who corrupt what their oracle is told; 0.2 from their code.
    """

    num_goals: int
    noise: float = 0.2

    privileged = True

    def __post_init__(self):
        if not 0 <= self.noise <= 1:
            raise ConfigError(f"noise={self.noise} must lie in [0, 1]")

    def init(self, key: PRNGKey) -> PyTree:
        return ()

    def initial_carry(self, batch: int) -> OracleState:
        return broadcast_to_batch(OracleState(jnp.int32(0), jnp.int32(0), jnp.full(2, -1, jnp.int32)), batch)

    def act(self, params, carry: OracleState, obs, is_first, key):
        states, slots = obs
        err_key, other_key = jax.random.split(key)
        errs = jax.random.uniform(err_key, slots.shape) < self.noise
        drawn = jnp.where(errs, jax.random.randint(other_key, slots.shape, 1, self.num_goals), 0)
        action, carry = jax.vmap(self._act)(carry, states, slots, is_first, drawn)
        return action, carry, {}

    def _act(self, carry: OracleState, state: GridState, slot, is_first, sampled_shift):
        own, position = state.task, state.position[slot]
        progress = own.progress[slot]
        again = is_first | (progress < carry.progress)  # another episode or trial
        entered = (own.goals == position).all(-1).any() & (position != carry.last_position).any()
        shift = jnp.where(progress > carry.progress, sampled_shift, jnp.where(entered, 0, carry.goal_shift))
        shift = jnp.where(again, 0, shift)
        following = own.sequence[jnp.minimum(progress, len(own.sequence) - 1)]
        goals = jax.vmap(lambda cell: cell_mask(cell, state.tiles.shape))(own.goals)
        aim, free = goals[(following + shift) % self.num_goals], is_walkable(state.tiles)
        wishes = (Subgoal(aim, free & ~goals.any(0)), Subgoal(aim, free))
        action, _ = next_action(wishes, position, state.heading[slot])
        return action, OracleState(progress, shift, position)


def make_oracle(task: Any, noise: float = 0.2) -> OraclePolicy:
    """The oracle of a configured task. Raises ConfigError where the task has no sequence to tell."""
    kind = getattr(task, "kind", type(task).__name__)
    if kind != "goal-sequence":
        raise ConfigError(f"the task {kind!r} has no order an oracle could be told; only goal-sequence has")
    return OraclePolicy(task.num_goals, noise)
