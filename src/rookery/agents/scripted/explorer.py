"""What experts that find their way step by step have in common: a memory, a look around, and wishes in order."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.scripted.memory import Eyes, Memory, cells_at, for_worlds
from rookery.agents.scripted.paths import Wish, approach
from rookery.types import Key, PyTree
from rookery.world.motion import FORWARD, delta
from rookery.world.state import State
from rookery.world.tiles import FLOOR


class Sees(NamedTuple):
    """All that an expert may decide by."""

    memory: Memory
    free: Bool[Array, "H W"]  # cells a way may lead over, as far as it knows
    here: Bool[Array, "H W"]  # the cell it stands on
    ahead: Bool[Array, "H W"]  # the cell it faces
    entered: Bool[Array, "H W"]  # the cell it stepped into just now, none where it did not step
    carrying: Bool[Array, ""]  # has something in hand
    paid: Bool[Array, ""]  # for the last action
    felt: Bool[Array, ""]  # paid or, as far as it can tell, punished for it


class Journey(NamedTuple):
    """What one expert remembers."""

    memory: Memory
    position: Int[Array, "2"]  # where it stood one step ago
    prestige: Float[Array, ""]  # and what it was worth
    aim: Int[Array, "2"]  # the cell it meant to step into; outside the map where it turned
    own: PyTree  # the task's


@dataclasses.dataclass(frozen=True)
class Explorer:
    """Policy for tasks on the grid. `seen` is (states of B worlds, slots i32[B]).

    A task's expert adds `blank`, its own memory at the start of an episode, and `wish`, what it would like now, the
    dearest first. It never meets the state: what its eyes do not see cannot matter. Whether it was paid it reads
    from its own prestige, which every agent shows: it rises when the agent is paid and at no other time. What it has
    not seen yet it explores last, the nearest first; with nothing left to see it looks at everything again.
    """

    eyes: Eyes

    privileged = True

    def blank(self) -> PyTree:
        """Of one world."""
        return ()

    def wish(self, own: PyTree, sees: Sees) -> tuple[PyTree, tuple[Wish, ...]]:
        """Own memory after this look, and what it would like."""
        raise NotImplementedError

    def init(self, key: Key) -> PyTree:
        return ()

    def initial_carry(self, batch: int) -> Journey:
        nowhere = jnp.full(2, -1, jnp.int32)
        return for_worlds(self._open(nowhere, jnp.float32(0)), batch)

    def act(self, params, carry: Journey, seen, is_first, key):
        states, slots = seen
        action, lost, carry = jax.vmap(self._act)(carry, states, slots, is_first)
        if self.eyes.collide:  # where agents are in each other's way for good, one has to step aside
            aside = jax.random.randint(key, action.shape, 0, FORWARD + 1)
            action = jnp.where(lost, aside, action)
        return action, carry, {}

    def follow(self, carry: Journey, seen, action: Int[Array, "B"]) -> Journey:
        """Its memories where another has acted in its place, in these states."""
        states, slots = seen

        def aim(state: State, slot, action):
            return jnp.where(action == FORWARD, state.position[slot] + delta(state.heading[slot]), -1)

        return carry._replace(aim=jax.vmap(aim)(states, slots, action))

    def _open(self, position, prestige) -> Journey:
        return Journey(self.eyes.blank(), position, prestige, jnp.full(2, -1, jnp.int32), self.blank())

    def _act(self, journey: Journey, state: State, slot, is_first):
        position, heading, prestige = state.position[slot], state.heading[slot], state.prestige[slot]
        opening = self._open(position, prestige)
        journey = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), opening, journey)
        memory = self.eyes.see(journey.memory, state, slot)
        paid = prestige > journey.prestige
        ahead, shape = position + delta(heading), memory.kind.shape
        stepped = paid | (position != journey.position).any()
        sees = Sees(
            memory=memory,
            free=memory.walkable & ~self.eyes.blocking(memory, state, slot),
            here=cells_at(position, shape),
            ahead=cells_at(ahead, shape),
            entered=cells_at(journey.aim, shape) & stepped,
            carrying=state.carrying[slot] != FLOOR,
            paid=paid,
            felt=paid | (prestige == 0) & (journey.prestige > 0),
        )
        own, wishes = self.wish(journey.own, sees)
        action, number = approach(wishes, position, heading)
        lost = number == len(wishes)
        memory = jax.tree.map(lambda new, old: jnp.where(lost, new, old), memory.stale(), memory)
        aim = jnp.where(action == FORWARD, ahead, -1)
        return action, lost, Journey(memory, position, prestige, aim, own)
