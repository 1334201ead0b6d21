"""Scripted cooperators and defectors of Harvest and Cleanup.

A defector walks to the nearest apple and eats it. A cooperator of Harvest eats only apples that enough others are next
to, so that they grow again. A cooperator of Cleanup cleans while there is so much waste that apples grow at less
than half their full rate, and eats while there is less. None of them fires at others. All are privileged: they read
states.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.gridworld.movement import direction_vector
from rookery.interfaces import Policy, PolicyRole
from rookery.tasks.social_dilemmas.beams import BEAM_LENGTH
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import (
    APPLE,
    CLEAN,
    MOVE_BACK,
    MOVE_FORWARD,
    MOVE_LEFT,
    MOVE_RIGHT,
    STAY,
    TURN_CLOCKWISE,
    TURN_COUNTERCLOCKWISE,
    WASTE,
)
from rookery.tasks.social_dilemmas.grid_ops import is_solid, look_up
from rookery.tasks.social_dilemmas.regrowth import count_nearby_apples
from rookery.types import PRNGKey, PyTree

FAR = 10_000
"""Cells; more than any distance on a map."""
DETOUR_PROBABILITY = 0.1
"""Of a step in a random direction instead of the best, so that agents get around what blocks them."""
SWITCH_PROBABILITY = 0.05
"""Per step, of a cooperator of Cleanup to do what the waste asks for."""
MIN_NEIGHBORS = 2
"""Apples next to one that a cooperator of Harvest eats, at least: near three it grows again
fastest, near one hardly."""


@dataclasses.dataclass(frozen=True)
class AppleEater(Policy):
    """Walks to the nearest apple that it may eat, around those that it may not; stays where there is none.

    A subclass says which apples it may eat, and what it does first.
    """

    privileged: ClassVar[bool] = True
    role: ClassVar[PolicyRole] = "scripted"

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        states, slots = obs
        return jax.vmap(self.choose)(states, slots, jax.random.split(key, len(slots))), carry, {}

    def choose(self, state: DilemmaState, slot: Int[Array, ""], key: PRNGKey) -> Int[Array, ""]:
        """The action of the agent in this slot."""
        apples = state.tiles == APPLE
        eats = apples & self.may_eat(state)
        return walk(state, slot, eats, apples & ~eats, key)

    def may_eat(self, state: DilemmaState) -> Bool[Array, "H W"]:
        """The cells on which it eats an apple."""
        return jnp.ones(state.tiles.shape, bool)


@dataclasses.dataclass(frozen=True)
class SustainableEater(AppleEater):
    """The cooperator of Harvest: leaves apples that have fewer than `min_neighbors` others on the cells around them."""

    min_neighbors: int = MIN_NEIGHBORS

    def may_eat(self, state: DilemmaState) -> Bool[Array, "H W"]:
        return count_nearby_apples(state.tiles) >= self.min_neighbors


@dataclasses.dataclass(frozen=True)
class RiverCleaner(AppleEater):
    """The cooperator of Cleanup. It cleans at first; `max_waste`: cells of waste that it tolerates.

    With more it begins to clean, with less it begins to eat, each with probability `switch_prob` per step, so that
    several of them do not all run to the river and back at once.
    """

    max_waste: float
    switch_prob: float = SWITCH_PROBABILITY

    def initial_carry(self, batch: int) -> Bool[Array, "B"]:
        return jnp.ones(batch, bool)

    def act(
        self, params: PyTree, carry: Bool[Array, "B"], obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        states, slots = obs
        switch_key, walk_key = jax.random.split(key)
        should_clean = (states.tiles == WASTE).sum((1, 2)) > self.max_waste
        switches = jax.random.uniform(switch_key, is_first.shape) < self.switch_prob
        cleans = is_first | jnp.where(switches, should_clean, carry)
        eating, _, _ = super().act(params, carry, obs, is_first, walk_key)
        cleaning = jax.vmap(clean)(states, slots, states.tiles == WASTE, jax.random.split(walk_key, len(slots)))
        return jnp.where(cleans, cleaning, eating), cleans, {}


def is_other_agent(state: DilemmaState, slot: Int[Array, ""], cells: Int[Array, "... 2"]) -> Bool[Array, "..."]:
    """Whether an agent other than that of a slot stands on each cell."""
    others = state.agent_mask & (jnp.arange(len(state.agent_mask)) != slot)
    return ((cells[..., None, :] == state.position).all(-1) & others).any(-1)


def walk(
    state: DilemmaState, slot: Int[Array, ""], targets: Bool[Array, "H W"], avoid: Bool[Array, "H W"], key: PRNGKey
) -> Int[Array, ""]:
    """The move that brings an agent nearest to a target, as the crow flies; `STAY` where there is none.

    It enters no solid tile, no other agent and no cell of `avoid`.
    """
    height, width = state.tiles.shape
    cells = state.position[slot] + jnp.concatenate([direction_vector(jnp.arange(4)), jnp.zeros((1, 2), jnp.int32)])
    row, col = cells[:, 0], cells[:, 1]
    occupied = is_other_agent(state, slot, cells)
    blocked = is_solid(look_up(state.tiles, row, col)) | occupied | avoid[row, col]
    blocked = blocked.at[-1].set(False)  # it can always stay
    distance = jnp.abs(jnp.arange(height)[:, None, None] - row) + jnp.abs(jnp.arange(width)[:, None] - col)
    nearest = jnp.where(targets[..., None], distance, FAR).min((0, 1))
    noise_key, detour_key = jax.random.split(key)
    noise = jax.random.uniform(noise_key, (5,))  # decides between equal moves
    cost = jnp.where(jax.random.uniform(detour_key) < DETOUR_PROBABILITY, 0.0, nearest) + noise
    best = jnp.argmin(jnp.where(blocked, 2.0 * FAR, cost))
    quarters = (best - state.heading[slot]) & 3
    move = jnp.array([MOVE_FORWARD, MOVE_RIGHT, MOVE_BACK, MOVE_LEFT])[quarters]
    return jnp.where(targets.any() & (best < 4), move, STAY)


def clean(state: DilemmaState, slot: Int[Array, ""], waste: Bool[Array, "H W"], key: PRNGKey) -> Int[Array, ""]:
    """Clean if a lane ahead reaches waste, else turn to where one does, else walk to the nearest waste.

    As the beam, a lane ends at a wall, and at the first other agent, under which it still cleans.
    """
    position, heading = state.position[slot], state.heading[slot]
    ahead = direction_vector(jnp.arange(4))
    right = direction_vector((jnp.arange(4) + 1) & 3)
    # The middle lane begins ahead of the agent, the others next to it: their first cells in each of four directions.
    first = jnp.concatenate([position + ahead, position + right, position - right])
    cells = first[:, None] + jnp.tile(ahead, (3, 1))[:, None] * jnp.arange(BEAM_LENGTH)[:, None]  # [12, LENGTH, 2]
    row, col = cells[..., 0], cells[..., 1]
    is_stop = is_solid(look_up(state.tiles, row, col)) | is_other_agent(state, slot, cells)
    is_open = jnp.cumsum(is_stop, 1) - is_stop == 0  # no stop before it
    reached = is_open & (look_up(waste.astype(jnp.uint8), row, col) == 1)
    in_direction = reached.any(1).reshape(3, 4).any(0)
    turn = jnp.where(in_direction[(heading - 1) & 3], TURN_COUNTERCLOCKWISE, TURN_CLOCKWISE)
    approach = walk(state, slot, waste, jnp.zeros(waste.shape, bool), key)
    return jnp.where(in_direction[heading], CLEAN, jnp.where(in_direction.any(), turn, approach))
