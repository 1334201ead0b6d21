"""Turning and walking."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rookery.gridworld.state import GridState, MoveResult
from rookery.gridworld.tiles import WALKABLE

LEFT, RIGHT, FORWARD = 0, 1, 2
DIRECTION_VECTORS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # (row, col) of a step north, east, south, west


def direction_vector(heading: Int[Array, "..."]) -> Int[Array, "... 2"]:
    """The step ahead as (row, col). Arithmetic rather than a table: it fuses, a gather does not."""
    row = (heading == 2).astype(jnp.int32) - (heading == 0).astype(jnp.int32)
    col = (heading == 1).astype(jnp.int32) - (heading == 3).astype(jnp.int32)
    return jnp.stack([row, col], -1)


def step_movement(state: GridState, action: Int[Array, "A"], collide: bool) -> tuple[GridState, MoveResult]:
    """Turn and walk all agents for one step; absent agents do nothing.

    Where agents collide they act one after another in an order drawn afresh each step, and a cell an
    active agent stands on is closed. Where they overlap the order cannot matter, so none is drawn.
    """
    active = state.agent_mask
    turn = (action == RIGHT).astype(jnp.int32) - (action == LEFT).astype(jnp.int32)
    heading = jnp.where(active, (state.heading + turn) % 4, state.heading)
    target = state.position + direction_vector(heading)
    height, width = state.tiles.shape
    row, col = target[:, 0], target[:, 1]
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    kind = state.tiles.reshape(-1)[jnp.clip(row, 0, height - 1) * width + jnp.clip(col, 0, width - 1)]
    wants = active & (action == FORWARD) & inside & is_walkable(kind)

    if collide and len(active) > 1:
        order = jax.random.permutation(jax.random.fold_in(state.key, state.step), len(active))
        position = state.position
        for rank in range(len(active)):
            mover = order[rank]
            standing = (position == target[mover]).all(-1) & active & (jnp.arange(len(active)) != mover)
            free = wants[mover] & ~standing.any()
            position = position.at[mover].set(jnp.where(free, target[mover], position[mover]))
    else:
        position = jnp.where(wants[:, None], target, state.position)
    moved = (position != state.position).any(-1)
    return state.replace(position=position, heading=heading), MoveResult(moved=moved, action=action)


def is_walkable(kind: Int[Array, "..."]) -> jax.Array:
    """Whether an agent may enter a tile of this kind."""
    closed = jnp.zeros(kind.shape, bool)
    for number, is_open in enumerate(WALKABLE):
        if not is_open:
            closed |= kind == number
    return ~closed


def spawn_delayed(state: GridState, spawn_delay: Int[Array, "A"], collide: bool) -> GridState:
    """Bring in the agents whose delay is over. Where agents collide, one waits until its cell is free."""
    due = state.episode_agent_mask & (state.step >= spawn_delay)
    if not collide:
        return state.replace(agent_mask=due)
    active = state.agent_mask & state.episode_agent_mask
    for agent in range(len(due)):
        standing = (state.position == state.position[agent]).all(-1) & active
        free = ~standing.at[agent].set(False).any()
        active = active.at[agent].set(active[agent] | (due[agent] & free))
    return state.replace(agent_mask=active)
