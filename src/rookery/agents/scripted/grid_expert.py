"""What experts that find their way step by step have in common: a memory, a look around, and wishes in order."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.scripted.paths import Subgoal, next_action
from rookery.agents.scripted.perception import MapMemory, Perception, broadcast_to_batch, cell_mask
from rookery.gridworld.movement import FORWARD, direction_vector
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import FLOOR
from rookery.types import PRNGKey, PyTree


class Belief(NamedTuple):
    """All that an expert may decide by."""

    map_memory: MapMemory
    free: Bool[Array, "H W"]  # cells a way may lead over, as far as it knows
    here: Bool[Array, "H W"]  # the cell it stands on
    ahead: Bool[Array, "H W"]  # the cell it faces
    entered: Bool[Array, "H W"]  # the cell it stepped into just now, none where it did not step
    carrying: Bool[Array, ""]  # has something in hand
    rewarded: Bool[Array, ""]  # for the last action
    rewarded_or_penalized: Bool[Array, ""]  # paid or, as far as it can tell, punished for it


class GridExpertState(NamedTuple):
    """What one expert remembers."""

    map_memory: MapMemory
    last_position: Int[Array, "2"]  # where it stood one step ago
    last_prestige: Float[Array, ""]  # and what it was worth
    target_cell: Int[Array, "2"]  # the cell it meant to step into; outside the map where it turned
    task_memory: PyTree  # the task's


@dataclasses.dataclass(frozen=True)
class GridExpert:
    """Policy for tasks on the grid. `seen` is (states of B worlds, slots i32[B]).

    A task's expert adds `blank`, its own memory at the start of an episode, and `wish`, what it would like now, the
    dearest first. It never meets the state: what its eyes do not see cannot matter. Whether it was paid it reads
    from its own prestige, which every agent shows: it rises when the agent is paid and at no other time. What it has
    not seen yet it explores last, the nearest first; with nothing left to see it looks at everything again.
    """

    perception: Perception

    privileged = True

    def initial_task_memory(self) -> PyTree:
        """Of one world."""
        return ()

    def subgoals(self, task_memory: PyTree, belief: Belief) -> tuple[PyTree, tuple[Subgoal, ...]]:
        """Own memory after this look, and what it would like."""
        raise NotImplementedError

    def init(self, key: PRNGKey) -> PyTree:
        return ()

    def initial_carry(self, batch: int) -> GridExpertState:
        nowhere = jnp.full(2, -1, jnp.int32)
        return broadcast_to_batch(self._opening_state(nowhere, jnp.float32(0)), batch)

    def act(self, params, carry: GridExpertState, obs, is_first, key):
        states, slots = obs
        action, lost, carry = jax.vmap(self._act)(carry, states, slots, is_first)
        if self.perception.collide:  # where agents are in each other's way for good, one has to step aside
            aside = jax.random.randint(key, action.shape, 0, FORWARD + 1)
            action = jnp.where(lost, aside, action)
        return action, carry, {}

    def set_executed_action(self, carry: GridExpertState, obs, action: Int[Array, "B"]) -> GridExpertState:
        """Its memories where another has acted in its place, in these states."""
        states, slots = obs

        def aim(state: GridState, slot, action):
            return jnp.where(action == FORWARD, state.position[slot] + direction_vector(state.heading[slot]), -1)

        return carry._replace(target_cell=jax.vmap(aim)(states, slots, action))

    def _opening_state(self, position, prestige) -> GridExpertState:
        return GridExpertState(
            self.perception.initial_memory(), position, prestige, jnp.full(2, -1, jnp.int32), self.initial_task_memory()
        )

    def _act(self, carry: GridExpertState, state: GridState, slot, is_first):
        position, heading, prestige = state.position[slot], state.heading[slot], state.prestige[slot]
        opening = self._opening_state(position, prestige)
        carry = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), opening, carry)
        memory = self.perception.observe(carry.map_memory, state, slot)
        paid = prestige > carry.last_prestige
        ahead, shape = position + direction_vector(heading), memory.tiles.shape
        stepped = paid | (position != carry.last_position).any()
        sees = Belief(
            map_memory=memory,
            free=memory.walkable & ~self.perception.blocked_cells(memory, state, slot),
            here=cell_mask(position, shape),
            ahead=cell_mask(ahead, shape),
            entered=cell_mask(carry.target_cell, shape) & stepped,
            carrying=state.carrying[slot] != FLOOR,
            rewarded=paid,
            rewarded_or_penalized=paid | (prestige == 0) & (carry.last_prestige > 0),
        )
        own, wishes = self.subgoals(carry.task_memory, sees)
        action, number = next_action(wishes, position, heading)
        lost = number == len(wishes)
        memory = jax.tree.map(lambda new, old: jnp.where(lost, new, old), memory.mark_stale(), memory)
        aim = jnp.where(action == FORWARD, ahead, -1)
        return action, lost, GridExpertState(memory, position, prestige, aim, own)
