"""Setting agents down anew in the midst of an episode."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.gridworld.state import GridState
from rookery.types import PRNGKey


def choose_vacant_cell(unit: Float[Array, ""], taken: Bool[Array, "N"]) -> Int[Array, ""]:
    """Number of a cell that is not taken, chosen uniformly by `unit` in [0, 1); the last cell where all are taken."""
    free = jnp.cumsum(~taken)
    wanted = (unit * free[-1]).astype(jnp.int32).clip(0, jnp.maximum(free[-1] - 1, 0))
    return jnp.minimum(jnp.sum(free <= wanted), len(taken) - 1)


def respawn_agents(
    key: PRNGKey, state: GridState, respawning: Bool[Array, "A"], cells: Int[Array, "N 2"], num_cells, collide: bool
) -> GridState:
    """Put each agent of `who` on one of the first `count` cells, uniformly, with any heading.

    Where agents collide only cells nobody stands on are considered, agent after agent; where there is none, the
    agent stays where it is. Where they overlap each is put anywhere.
    """
    agents = len(respawning)
    unit = jax.random.uniform(key, (agents, 2))
    heading = jnp.where(respawning, (unit[:, 1] * 4).astype(jnp.int32), state.heading)
    if not collide or agents == 1:
        chosen = (unit[:, 0] * num_cells).astype(jnp.int32).clip(0, num_cells - 1)
        position = jnp.where(respawning[:, None], cells[chosen], state.position)
        return state.replace(position=position, heading=heading)
    position = state.position
    for agent in range(agents):
        taken = ((cells[:, None] == position).all(-1) & state.agent_mask).any(-1) | (
            jnp.arange(len(cells)) >= num_cells
        )
        place = cells[choose_vacant_cell(unit[agent, 0], taken)]
        position = position.at[agent].set(jnp.where(respawning[agent] & ~taken.all(), place, position[agent]))
    return state.replace(position=position, heading=heading)
