"""Scripted experts for goal sequence: one finds the order by trying and remembers it, the oracle is told."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.agents.scripted.explorer import Explorer, Sees
from rookery.agents.scripted.memory import Eyes, cells_at, for_worlds
from rookery.agents.scripted.paths import Wish, approach
from rookery.errors import ConfigError
from rookery.types import Key, PyTree
from rookery.world.motion import passable
from rookery.world.state import State
from rookery.world.tiles import GOALS


class Row(NamedTuple):
    """What it remembers of the order, a row of L goals that may come round."""

    goals: Int[Array, "L"]  # from the first; -1 where not yet known
    known: Int[Array, ""]  # how many are
    progress: Int[Array, ""]  # entered in this trial
    tried: Bool[Array, "K"]  # punished where the known part ends
    time: Int[Array, ""]  # steps of the trial gone by


@dataclasses.dataclass(frozen=True)
class Sequencer(Explorer):
    """Follows the order as far as it knows it, then tries the nearest goal that may be next.

    That is any but the one just entered and those punished before at this place. It goes round other goals, unless
    there is no other way.
    """

    goals: int
    trial_steps: int
    length: int  # of the order: where it comes round, else no shorter than a trial

    def blank(self) -> Row:
        zero = jnp.int32(0)
        return Row(jnp.full(self.length, -1, jnp.int32), zero, zero, jnp.zeros(self.goals, bool), -1 + zero)

    def wish(self, own: Row, sees: Sees):
        kinds = jnp.array(GOALS[: self.goals], jnp.uint8)
        at = sees.memory.kind == kinds[:, None, None]  # K, H, W
        row = self._learn(own, (at & sees.entered).any((1, 2)), sees.paid)
        wanted = (at & self._may_be_next(row)[:, None, None]).any(0)
        around, frontier = sees.free & ~sees.memory.goals, sees.memory.frontier
        return row, (Wish(wanted, around), Wish(wanted, sees.free), Wish(frontier, around), Wish(frontier, sees.free))

    def _learn(self, row: Row, entered: Bool[Array, "K"], paid: Bool[Array, ""]) -> Row:
        """After one step: which goal was entered, if any, and whether that was paid."""
        right, wrong = entered.any() & paid, entered.any() & ~paid
        at_end = (row.progress == row.known) & (row.known < self.length)
        new = right & at_end
        tried = row.tried | entered & wrong & at_end
        time = row.time + 1
        over = time >= self.trial_steps
        return Row(
            goals=jnp.where(new & (jnp.arange(self.length) == row.known), jnp.argmax(entered), row.goals),
            known=row.known + new,
            progress=jnp.where(over, 0, row.progress + right),
            tried=jnp.where(new, False, tried),
            time=jnp.where(over, 0, time),
        )

    def _may_be_next(self, row: Row) -> Bool[Array, "K"]:
        goals = jnp.arange(self.goals)
        following = row.goals[row.progress % self.length]
        before = jnp.where(row.progress > 0, row.goals[(row.progress - 1) % self.length], -1)
        untried = (goals != before) & ~row.tried
        return jnp.where(following >= 0, goals == following, untried)


def sequencer(task: Any, eyes: Eyes) -> Sequencer:
    """The expert of a configured task."""
    return Sequencer(eyes, task.goals, task.trial_steps, len(task.sequence) or task.trial_steps)


class Told(NamedTuple):
    """What one oracle remembers."""

    progress: Int[Array, ""]  # goals it had entered in this trial
    shift: Int[Array, ""]  # 0, or by how much it takes another goal for the next
    position: Int[Array, "2"]  # where it stood one step ago


@dataclasses.dataclass(frozen=True)
class Oracle:
    """Knows which goal is next and goes there, round the others; now and then it errs.

    After each goal entered rightly it takes another for the next one with probability `noise`, until it has entered
    that. `seen` is (states of B worlds, slots i32[B]); an error is drawn from the key. Not for comparison with experts
    that are told nothing: it is there to be learnt from, and, as it errs, to be surpassed.

    Source: Cook et al. 2024, who corrupt what their oracle is told; 0.2 from their code.
    """

    goals: int
    noise: float = 0.2

    privileged = True

    def __post_init__(self):
        if not 0 <= self.noise <= 1:
            raise ConfigError(f"noise={self.noise} must lie in [0, 1]")

    def init(self, key: Key) -> PyTree:
        return ()

    def initial_carry(self, batch: int) -> Told:
        return for_worlds(Told(jnp.int32(0), jnp.int32(0), jnp.full(2, -1, jnp.int32)), batch)

    def act(self, params, carry: Told, seen, is_first, key):
        states, slots = seen
        err_key, other_key = jax.random.split(key)
        errs = jax.random.uniform(err_key, slots.shape) < self.noise
        drawn = jnp.where(errs, jax.random.randint(other_key, slots.shape, 1, self.goals), 0)
        action, carry = jax.vmap(self._act)(carry, states, slots, is_first, drawn)
        return action, carry, {}

    def _act(self, told: Told, state: State, slot, is_first, drawn):
        own, position = state.task, state.position[slot]
        progress = own.progress[slot]
        again = is_first | (progress < told.progress)  # another episode or trial
        entered = (own.goals == position).all(-1).any() & (position != told.position).any()
        shift = jnp.where(progress > told.progress, drawn, jnp.where(entered, 0, told.shift))
        shift = jnp.where(again, 0, shift)
        following = own.sequence[jnp.minimum(progress, len(own.sequence) - 1)]
        goals = jax.vmap(lambda cell: cells_at(cell, state.tiles.shape))(own.goals)
        aim, free = goals[(following + shift) % self.goals], passable(state.tiles)
        wishes = (Wish(aim, free & ~goals.any(0)), Wish(aim, free))
        action, _ = approach(wishes, position, state.heading[slot])
        return action, Told(progress, shift, position)


def oracle(task: Any, noise: float = 0.2) -> Oracle:
    """The oracle of a configured task. Raises ConfigError where the task has no sequence to tell."""
    kind = getattr(task, "kind", type(task).__name__)
    if kind != "goal-sequence":
        raise ConfigError(f"the task {kind!r} has no order an oracle could be told; only goal-sequence has")
    return Oracle(task.goals, noise)
