"""Turning, and moving all at once."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

from rookery.gridworld.movement import direction_vector
from rookery.tasks.social_dilemmas.grid_ops import is_solid, look_up
from rookery.tasks.social_dilemmas.tiles import (
    MOVE_BACK,
    MOVE_FORWARD,
    MOVE_LEFT,
    MOVE_RIGHT,
    TURN_CLOCKWISE,
    TURN_COUNTERCLOCKWISE,
)


def turn_agents(heading: Int[Array, "A"], action: Int[Array, "A"]) -> Int[Array, "A"]:
    """Headings after turning a quarter, or not."""
    quarter = (action == TURN_CLOCKWISE).astype(jnp.int32) - (action == TURN_COUNTERCLOCKWISE).astype(jnp.int32)
    return (heading + quarter) & 3


def target_cells(tiles, position, heading, action, active) -> Int[Array, "A 2"]:
    """The cell each agent wants: beside it where it moves and no wall is there, else its own. i32[A, 2]."""
    # Quarters clockwise from the heading: ahead 0, right 1, back 2, left 3.
    quarters = (action == MOVE_RIGHT) + 2 * (action == MOVE_BACK) + 3 * (action == MOVE_LEFT)
    moves = active & ((action == MOVE_FORWARD) | (quarters > 0))
    target = position + direction_vector((heading + quarters) & 3)
    moves &= ~is_solid(look_up(tiles, target[:, 0], target[:, 1]))
    return jnp.where(moves[:, None], target, position)


def resolve_moves(
    position: Int[Array, "A 2"], target: Int[Array, "A 2"], active: Bool[Array, "A"], priority: UInt32[Array, "A"]
) -> Int[Array, "A 2"]:
    """Where agents stand who all move at once to the cells they want. i32[A, 2].

    Several who want one cell: the highest `lot` gets it, whoever it is. Two who want each other's cells stay.
    Nobody enters a cell whose owner stays; one may follow an owner who leaves, and a ring moves as a whole.
    """
    agents = len(position)
    other = ~jnp.eye(agents, dtype=bool) & active
    wants = (target != position).any(-1)
    into = (target[:, None] == position).all(-1) & other & wants[:, None]  # [i, j]: i wants the cell of j
    same = (target[:, None] == target).all(-1) & other & wants
    # Equal lots, however rare, go to the lower number.
    above = (priority > priority[:, None]) | (
        (priority == priority[:, None]) & jnp.tril(jnp.ones((agents, agents), bool), -1)
    )
    stays = ~wants | (same & above).any(1) | (into & into.T).any(1)
    for _ in range(agents - 1):  # the longest queue behind one who stays
        stays |= (into & stays).any(1)
    return jnp.where(stays[:, None], position, target)
