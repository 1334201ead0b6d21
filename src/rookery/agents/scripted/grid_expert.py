"""The base class of experts that choose their path step by step: a memory of the map, beliefs, ordered subgoals."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.scripted.paths import Subgoal, next_action
from rookery.agents.scripted.perception import MapMemory, Perception, broadcast_to_batch, cell_mask
from rookery.gridworld.movement import FORWARD, direction_vector
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import FLOOR
from rookery.interfaces import Policy, PolicyRole
from rookery.limits import check_type
from rookery.types import PRNGKey, PyTree


class Belief(NamedTuple):
    """Everything an expert may base its decision on."""

    map_memory: MapMemory
    free: Bool[Array, "H W"]  # cells that can be walked over, as far as it knows
    here: Bool[Array, "H W"]  # the cell it stands on
    ahead: Bool[Array, "H W"]  # the cell it faces
    entered: Bool[Array, "H W"]  # the cell its last action entered; none if it did not move
    carrying: Bool[Array, ""]  # it carries something
    rewarded: Bool[Array, ""]  # for the last action
    rewarded_or_penalized: Bool[Array, ""]  # for the last action; penalties only as far as it can tell


class GridExpertState(NamedTuple):
    """The memory of one expert."""

    map_memory: MapMemory
    last_position: Int[Array, "2"]  # one step ago
    last_prestige: Float[Array, ""]  # one step ago
    target_cell: Int[Array, "2"]  # the cell its last action was to enter; outside the map if it turned
    task_memory: PyTree  # of the task's expert


@dataclasses.dataclass(frozen=True)
class GridExpert(Policy):
    """Base class of scripted experts for tasks on the grid. Privileged: `obs` is (states, slots i32[B]).

    An expert for a task defines `subgoals`, what to do now in order of priority, and `initial_task_memory`. Neither
    gets the state, so that nothing the agent does not perceive can matter. Whether it was rewarded it reads from its
    own prestige, which every agent shows: it rises when the agent is rewarded and at no other time, unless rewards are
    not positive or `prestige_decay` is close to 0. Experts explore cells they have not seen last, the nearest first;
    once everything is seen, they look at everything again.
    """

    perception: Perception

    privileged = True
    role: ClassVar[PolicyRole] = "scripted"

    def __post_init__(self) -> None:
        check_type(
            "perception", self.perception, Perception, "a Perception, as Perception.from_spec(task.grid_spec, 'full')"
        )

    def initial_task_memory(self) -> PyTree:
        """The task's own memory in one environment before an episode. Default: none."""
        return ()

    def subgoals(self, task_memory: PyTree, belief: Belief) -> tuple[PyTree, tuple[Subgoal, ...]]:
        """Required. The task's own memory after this observation, and the subgoals, the most important first."""
        raise NotImplementedError(f"{type(self).__name__} needs a method subgoals(task_memory, belief)")

    def initial_carry(self, batch: int) -> GridExpertState:
        nowhere = jnp.full(2, -1, jnp.int32)
        return broadcast_to_batch(self._opening_state(nowhere, jnp.float32(0)), batch)

    def act(
        self, params: PyTree, carry: GridExpertState, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], GridExpertState, dict[str, jax.Array]]:
        states, slots = obs
        action, is_stuck, carry = jax.vmap(self._act)(carry, states, slots, is_first)
        if self.perception.collide:  # where agents block each other for good, one of them has to step aside
            random_action = jax.random.randint(key, action.shape, 0, FORWARD + 1)
            action = jnp.where(is_stuck, random_action, action)
        return action, carry, {}

    def set_executed_action(self, carry: GridExpertState, obs: Any, action: Int[Array, "B"]) -> GridExpertState:
        states, slots = obs

        def target_cell(state: GridState, slot, action):
            return jnp.where(action == FORWARD, state.position[slot] + direction_vector(state.heading[slot]), -1)

        return carry._replace(target_cell=jax.vmap(target_cell)(states, slots, action))

    def _opening_state(self, position, prestige) -> GridExpertState:
        return GridExpertState(
            self.perception.initial_memory(), position, prestige, jnp.full(2, -1, jnp.int32), self.initial_task_memory()
        )

    def _act(self, carry: GridExpertState, state: GridState, slot, is_first):
        position, heading, prestige = state.position[slot], state.heading[slot], state.prestige[slot]
        opening = self._opening_state(position, prestige)
        carry = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), opening, carry)
        map_memory = self.perception.observe(carry.map_memory, state, slot)
        rewarded = prestige > carry.last_prestige
        ahead, shape = position + direction_vector(heading), map_memory.tiles.shape
        stepped = rewarded | (position != carry.last_position).any()
        belief = Belief(
            map_memory=map_memory,
            free=map_memory.walkable & ~self.perception.blocked_cells(map_memory, state, slot),
            here=cell_mask(position, shape),
            ahead=cell_mask(ahead, shape),
            entered=cell_mask(carry.target_cell, shape) & stepped,
            carrying=state.carrying[slot] != FLOOR,
            rewarded=rewarded,
            rewarded_or_penalized=rewarded | (prestige == 0) & (carry.last_prestige > 0),
        )
        task_memory, subgoals = self.subgoals(carry.task_memory, belief)
        action, number = next_action(subgoals, position, heading)
        is_stuck = number == len(subgoals)
        map_memory = jax.tree.map(lambda new, old: jnp.where(is_stuck, new, old), map_memory.mark_stale(), map_memory)
        target_cell = jnp.where(action == FORWARD, ahead, -1)
        return action, is_stuck, GridExpertState(map_memory, position, prestige, target_cell, task_memory)
