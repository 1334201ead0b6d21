"""Placing agents elsewhere during an episode."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.gridworld.state import GridState
from rookery.types import PRNGKey


def choose_vacant_cell(unit: Float[Array, ""], taken: Bool[Array, "N"]) -> Int[Array, ""]:
    """Index of a cell that is not taken, chosen uniformly by `unit` in [0, 1); the last cell if all are taken."""
    num_free = jnp.cumsum(~taken)
    rank = (unit * num_free[-1]).astype(jnp.int32).clip(0, jnp.maximum(num_free[-1] - 1, 0))
    return jnp.minimum(jnp.sum(num_free <= rank), len(taken) - 1)


def respawn_agents(
    key: PRNGKey,
    state: GridState,
    respawning: Bool[Array, "A"],
    cells: Int[Array, "N 2"],
    num_cells: Any,
    collide: bool,
) -> GridState:
    """Place each agent of `respawning` on one of the first `num_cells` cells, uniformly, with a random heading.

    If agents collide, only cells without an agent count, agent after agent; if there is none, the agent stays where it
    is. Otherwise several agents may share a cell.
    """
    num_agents = len(respawning)
    unit = jax.random.uniform(key, (num_agents, 2))
    heading = jnp.where(respawning, (unit[:, 1] * 4).astype(jnp.int32), state.heading)
    if not collide or num_agents == 1:
        chosen = (unit[:, 0] * num_cells).astype(jnp.int32).clip(0, num_cells - 1)
        position = jnp.where(respawning[:, None], cells[chosen], state.position)
        return state.replace(position=position, heading=heading)
    position = state.position
    for agent in range(num_agents):
        taken = ((cells[:, None] == position).all(-1) & state.agent_mask).any(-1) | (
            jnp.arange(len(cells)) >= num_cells
        )
        cell = cells[choose_vacant_cell(unit[agent, 0], taken)]
        position = position.at[agent].set(jnp.where(respawning[agent] & ~taken.all(), cell, position[agent]))
    return state.replace(position=position, heading=heading)
