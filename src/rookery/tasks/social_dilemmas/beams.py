"""Beams: three lanes of five cells, handled as bit masks (bit k is the lane's k-th cell)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from rookery.gridworld.movement import direction_vector
from rookery.tasks.social_dilemmas.grid_ops import is_solid, look_up, rectangle_bitmask
from rookery.tasks.social_dilemmas.tiles import CLEAN, CLEAN_BEAM, FIRE, FIRE_BEAM, NO_BEAM, RIVER, WASTE

BEAM_LENGTH = 5  # cells of a lane
BEAM_LANES = (0, 1, -1)  # cells to the right of the agent; the middle one starts ahead of it, the others beside it
BIT_VALUES = tuple(1 << k for k in range(BEAM_LENGTH))


class Beams(NamedTuple):
    """What the beams of one step did."""

    tiles: UInt8[Array, "H W"]  # cleaned
    beam: UInt8[Array, "H W"]  # covered cells; fire shows where both are
    hits: Bool[Array, "A A"]  # [i, j]: the fire of i hit j
    cleaned: Int[Array, "A"]  # waste cells each agent turned into river


def fire_beams(
    tiles: UInt8[Array, "H W"],
    position: Int[Array, "A 2"],
    heading: Int[Array, "A"],
    active: Bool[Array, "A"],
    action: Int[Array, "A"],
    priority: UInt32[Array, "A"],
    can_clean: bool,
) -> Beams:
    """Everybody who fires or cleans does so, one after another, the highest `lot` first.

    A lane ends before a wall, and at the first agent in it; that agent is hit, or the waste under it cleaned. A
    cleaning lane also ends at its first waste, which becomes river. The order matters only for cleaning: later
    beams reach past what earlier ones cleaned. `cleaning`: whether this world has that action.
    """
    fires = active & (action == FIRE)
    cleans = active & (action == CLEAN) if can_clean else jnp.zeros_like(fires)
    ahead, lane = direction_vector(heading), jnp.array(BEAM_LANES)
    first = position[:, None] + direction_vector((heading + 1) & 3)[:, None] * lane[:, None]
    first += ahead[:, None] * (lane == 0)[:, None]  # [A, 3, 2]
    cells = first[:, :, None] + ahead[:, None, None] * jnp.arange(BEAM_LENGTH)[:, None]  # [A, 3, LENGTH, 2]
    kinds = look_up(tiles, cells[..., 0], cells[..., 1])
    standing = (cells[:, :, :, None] == position).all(-1) & active  # [A, 3, LENGTH, A]
    walls, bodies = _pack_bits(is_solid(kinds)), _pack_bits(standing.any(-1))
    if can_clean:
        number = cells[..., 0] * tiles.shape[1] + cells[..., 1]
        waste = _waste_by_turn(walls, bodies, kinds == WASTE, number, cleans, priority)
        dirt = jnp.where(cleans[:, None], _pack_bits(waste), 0)
        covered, end = _lane_extent(walls, bodies | dirt)
        washed = _unpack_bits(end & dirt)  # [A, 3, LENGTH]
        cleaned = washed.sum((1, 2))
        spot = jnp.sum(jnp.where(washed[..., None], cells, 0), 2).reshape(-1, 2)
        tiles = jnp.where(rectangle_bitmask(spot, spot, washed.any(-1).reshape(-1), tiles.shape) != 0, RIVER, tiles)
    else:
        covered, end = _lane_extent(walls, bodies)
        cleaned = jnp.zeros_like(action)
    hits = (standing & _unpack_bits(end)[..., None]).any((1, 2)) & fires[:, None]
    last = first + ahead[:, None] * (jax.lax.population_count(covered) - 1)[..., None]
    corners = jnp.minimum(first, last).reshape(-1, 2), jnp.maximum(first, last).reshape(-1, 2)
    lit = (covered != 0) & (fires | cleans)[:, None]
    marks = rectangle_bitmask(*corners, lit.reshape(-1), tiles.shape)
    lanes_of_fire = jnp.repeat(fires, len(BEAM_LANES), total_repeat_length=lit.size)
    flames = jnp.sum(jnp.where(lanes_of_fire, jnp.uint32(1) << jnp.arange(lit.size, dtype=jnp.uint32), 0))
    burning = marks & flames.astype(jnp.uint32) != 0
    beam = jnp.where(burning, FIRE_BEAM, jnp.where(marks != 0, CLEAN_BEAM, NO_BEAM))
    return Beams(tiles.astype(jnp.uint8), beam.astype(jnp.uint8), hits, cleaned)


def _pack_bits(flags: Bool[Array, "A 3 K"]) -> Int[Array, "A 3"]:
    return jnp.sum(jnp.where(flags, jnp.array(BIT_VALUES), 0), -1)


def _unpack_bits(mask: Int[Array, "A 3"]) -> Bool[Array, "A 3 K"]:
    return mask[..., None] & jnp.array(BIT_VALUES) != 0


def _lane_extent(walls: Int[Array, "A 3"], stops: Int[Array, "A 3"]) -> tuple[Int[Array, "A 3"], Int[Array, "A 3"]]:
    """The cells a lane covers: up to the first wall, or up to and including the first stop; and that stop."""
    wall = walls | 1 << BEAM_LENGTH
    before_wall = (wall & -wall) - 1
    stop = stops & -stops & before_wall  # the lowest bit, or none
    return jnp.where(stop != 0, 2 * stop - 1, before_wall), stop


def _waste_by_turn(walls, bodies, waste, number, cleans, priority) -> Bool[Array, "A 3 K"]:
    """The waste each agent's lanes meet when its turn comes, the highest `lot` first."""
    agents = len(priority)
    before = (priority > priority[:, None]) | (
        (priority == priority[:, None]) & jnp.tril(jnp.ones((agents, agents), bool), -1)
    )
    rank = before.sum(1)

    def one(turn, waste):
        dirt = _pack_bits(waste)
        end = _lane_extent(walls, bodies | dirt)[1] & dirt
        mine = (rank == turn) & cleans
        gone = _unpack_bits(end) & mine[:, None, None]
        gone = jnp.sum(jnp.where(gone, number, 0), (0, 2))  # [3]; 0, a corner of the outer wall, is none
        return waste & ~((number[..., None] == gone).any(-1) & (rank > turn)[:, None, None])

    return jax.lax.fori_loop(0, agents - 1, one, waste)
