"""Turning, and moving at the same time."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from rookery.gridworld.movement import direction_vector
from rookery.tasks.social_dilemmas.dilemma_tiles import (
    MOVE_BACK,
    MOVE_FORWARD,
    MOVE_LEFT,
    MOVE_RIGHT,
    TURN_CLOCKWISE,
    TURN_COUNTERCLOCKWISE,
)
from rookery.tasks.social_dilemmas.grid_ops import is_solid, look_up


def turn_agents(heading: Int[Array, "A"], action: Int[Array, "A"]) -> Int[Array, "A"]:
    """Headings after each agent turned by a quarter, or not at all."""
    quarter = (action == TURN_CLOCKWISE).astype(jnp.int32) - (action == TURN_COUNTERCLOCKWISE).astype(jnp.int32)
    return (heading + quarter) & 3


def target_cells(
    tiles: UInt8[Array, "H W"],
    position: Int[Array, "A 2"],
    heading: Int[Array, "A"],
    action: Int[Array, "A"],
    agent_mask: Bool[Array, "A"],
) -> Int[Array, "A 2"]:
    """The cell that each agent wants: a neighbor if it moves and no wall is there, else its own. i32[A, 2]."""
    # Quarters clockwise from the heading: ahead 0, right 1, back 2, left 3.
    quarters = (action == MOVE_RIGHT) + 2 * (action == MOVE_BACK) + 3 * (action == MOVE_LEFT)
    moves = agent_mask & ((action == MOVE_FORWARD) | (quarters > 0))
    target = position + direction_vector((heading + quarters) & 3)
    moves &= ~is_solid(look_up(tiles, target[:, 0], target[:, 1]))
    return jnp.where(moves[:, None], target, position)


def resolve_moves(
    position: Int[Array, "A 2"], target: Int[Array, "A 2"], agent_mask: Bool[Array, "A"], priority: UInt32[Array, "A"]
) -> Int[Array, "A 2"]:
    """Positions after all agents move at the same time to the cells they want. i32[A, 2].

    Of several agents that want the same cell, the one of the highest `priority` gets it. Two agents that want each
    other's cells stay. No agent enters a cell whose agent stays; an agent may follow one that leaves, also in a ring.
    If an agent outside the ring gets one of its cells, the agent that wanted it stays, and so do all others of the ring
    and the agent outside.
    """
    num_agents = len(position)
    other = ~jnp.eye(num_agents, dtype=bool) & agent_mask
    wants = (target != position).any(-1)
    into = (target[:, None] == position).all(-1) & other & wants[:, None]  # [i, j]: i wants the cell of j
    same = (target[:, None] == target).all(-1) & other & wants
    # Of equal priorities, which are rare, the lower index wins.
    outranks = (priority > priority[:, None]) | (
        (priority == priority[:, None]) & jnp.tril(jnp.ones((num_agents, num_agents), bool), -1)
    )
    stays = ~wants | (same & outranks).any(1) | (into & into.T).any(1)
    for _ in range(num_agents - 1):  # the longest queue behind an agent that stays
        stays |= (into & stays).any(1)
    return jnp.where(stays[:, None], position, target)
