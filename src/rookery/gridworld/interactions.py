"""Keys and doors: pick up, drop and toggle, in worlds whose spec has `has_objects`.

Pick up takes the key ahead into an empty hand; a rack remains a rack. Drop puts the key in hand on the floor ahead.
Toggle opens the locked door ahead and uses up the key in hand; it locks an open door in which no agent stands. All
agents move first; then they interact in the order of their index, so if two want the same key, the lower index gets it.

A doorway holds one agent at a time, and the door locks when that agent leaves it, on either side. An agent of
`dropout_slots` that is away from a doorway is not in the way, and the door stays open until it is back and steps out.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.gridworld.movement import direction_vector, step_movement
from rookery.gridworld.state import GridState, MoveResult
from rookery.gridworld.tiles import DOOR, FLOOR, KEY, KEY_RACK, OPEN_DOOR

PICK_UP, DROP, TOGGLE = 3, 4, 5


def step_interactions(state: GridState, action: Int[Array, "A"], collide: bool) -> tuple[GridState, MoveResult]:
    """Move, then interact: `movement.step_movement` for worlds with objects."""
    here = state.position[:, 0], state.position[:, 1]
    in_doorway = state.agent_mask & (state.tiles[here] == OPEN_DOOR)
    # A doorway in which an agent stands is closed to others.
    closed_tiles = state.tiles.at[here].min(jnp.where(in_doorway, jnp.uint8(DOOR), jnp.uint8(255)))
    moved, move_result = step_movement(state.replace(tiles=closed_tiles), action, collide)
    tiles, position = moved.tiles, moved.position
    if not collide:
        entered = move_result.moved & (tiles[position[:, 0], position[:, 1]] == OPEN_DOOR)
        together = (position[:, None] == position).all(-1) & entered[:, None] & entered
        too_late = jnp.tril(together, -1).any(-1)  # an agent of lower index entered in the same step
        position = jnp.where(too_late[:, None], state.position, position)
        move_result = move_result.replace(moved=move_result.moved & ~too_late)
    # A doorway whose agent stayed does not lock: it was closed for this step only.
    stayed = in_doorway & ~move_result.moved
    if state.away is not None:
        stayed |= _away(state) & (state.tiles[here] == OPEN_DOOR)
    tiles = tiles.at[here].max(jnp.where(stayed, jnp.uint8(OPEN_DOOR), jnp.uint8(0)))
    moved = moved.replace(tiles=tiles, position=position)
    for agent in range(len(action)):
        moved = _interact(moved, agent, action[agent])
    return moved, move_result


def _away(state: GridState) -> Bool[Array, "A"] | bool:
    """Which agents will return to the cell that they left."""
    return False if state.away is None else state.episode_agent_mask & ~state.agent_mask


def _interact(state: GridState, agent: int, action: Int[Array, ""]) -> GridState:
    """One agent picks up, drops or toggles what is on the cell ahead."""
    height, width = state.tiles.shape
    row, col = state.position[agent] + direction_vector(state.heading[agent])
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    can_act = state.agent_mask[agent] & inside
    row, col = row.clip(0, height - 1), col.clip(0, width - 1)
    kind, has_key = state.tiles[row, col], state.carrying[agent] != FLOOR
    on_cell = (state.position == jnp.stack([row, col])).all(-1)
    occupied = (on_cell & (state.agent_mask | _away(state))).any()
    takes = can_act & (action == PICK_UP) & ~has_key & ((kind == KEY) | (kind == KEY_RACK))
    drops = can_act & (action == DROP) & has_key & (kind == FLOOR)
    opens = can_act & (action == TOGGLE) & has_key & (kind == DOOR)
    locks = can_act & (action == TOGGLE) & (kind == OPEN_DOOR) & ~occupied
    new_kind = jnp.where(takes & (kind == KEY), FLOOR, kind)
    new_kind = jnp.where(drops, KEY, new_kind)
    new_kind = jnp.where(opens, OPEN_DOOR, jnp.where(locks, DOOR, new_kind))
    carrying = jnp.where(takes, KEY, jnp.where(drops | opens, FLOOR, state.carrying[agent]))
    return state.replace(
        tiles=state.tiles.at[row, col].set(new_kind.astype(jnp.uint8)),
        carrying=state.carrying.at[agent].set(carrying),
    )
