"""Keys and doors: picking up, dropping, opening, in worlds whose spec has `objects`.

Pick up: takes the key ahead into an empty hand; a rack stays a rack. Drop: lays the key in hand on the floor ahead.
Toggle: opens the locked door ahead, which uses the key in hand up; locks an open door nobody stands in. Each happens
in agent order after all have walked, so of two that want one key the lower number gets it.

A doorway holds one agent at a time, and the door locks when that one steps out of it, on whichever side.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Int

from rookery.gridworld.movement import direction_vector, step_movement
from rookery.gridworld.state import GridState, MoveResult
from rookery.gridworld.tiles import DOOR, FLOOR, KEY, KEY_RACK, OPEN_DOOR

PICK_UP, DROP, TOGGLE = 3, 4, 5


def step_interactions(state: GridState, action: Int[Array, "A"], collide: bool) -> tuple[GridState, MoveResult]:
    """Walk, then handle things: `motion.move` for worlds with objects."""
    here = state.position[:, 0], state.position[:, 1]
    in_doorway = state.agent_mask & (state.tiles[here] == OPEN_DOOR)
    # While somebody stands in it a doorway is closed to others.
    shut = state.tiles.at[here].min(jnp.where(in_doorway, jnp.uint8(DOOR), jnp.uint8(255)))
    moved, events = step_movement(state.replace(tiles=shut), action, collide)
    tiles, position = moved.tiles, moved.position
    if not collide:
        entered = events.moved & (tiles[position[:, 0], position[:, 1]] == OPEN_DOOR)
        together = (position[:, None] == position).all(-1) & entered[:, None] & entered
        late = jnp.tril(together, -1).any(-1)  # a lower number went in at the same step
        position = jnp.where(late[:, None], state.position, position)
        events = events.replace(moved=events.moved & ~late)
    # Nobody who stayed in a doorway locks it: it is only kept shut for this step.
    stayed = in_doorway & ~events.moved
    tiles = tiles.at[here].max(jnp.where(stayed, jnp.uint8(OPEN_DOOR), jnp.uint8(0)))
    moved = moved.replace(tiles=tiles, position=position)
    for agent in range(len(action)):
        moved = _interact(moved, agent, action[agent])
    return moved, events


def _interact(state: GridState, agent: int, action: Int[Array, ""]) -> GridState:
    """One agent picks up, drops or toggles what is ahead of it."""
    height, width = state.tiles.shape
    row, col = state.position[agent] + direction_vector(state.heading[agent])
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    able = state.agent_mask[agent] & inside
    row, col = row.clip(0, height - 1), col.clip(0, width - 1)
    kind, holds = state.tiles[row, col], state.carrying[agent] != FLOOR
    occupied = ((state.position == jnp.stack([row, col])).all(-1) & state.agent_mask).any()
    takes = able & (action == PICK_UP) & ~holds & ((kind == KEY) | (kind == KEY_RACK))
    drops = able & (action == DROP) & holds & (kind == FLOOR)
    opens = able & (action == TOGGLE) & holds & (kind == DOOR)
    locks = able & (action == TOGGLE) & (kind == OPEN_DOOR) & ~occupied
    new = jnp.where(takes & (kind == KEY), FLOOR, kind)
    new = jnp.where(drops, KEY, new)
    new = jnp.where(opens, OPEN_DOOR, jnp.where(locks, DOOR, new))
    hand = jnp.where(takes, KEY, jnp.where(drops | opens, FLOOR, state.carrying[agent]))
    return state.replace(
        tiles=state.tiles.at[row, col].set(new.astype(jnp.uint8)),
        carrying=state.carrying.at[agent].set(hand),
    )
