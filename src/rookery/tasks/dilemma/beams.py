"""Beams: three lanes of five cells, handled as bit masks (bit k is the lane's k-th cell)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from rookery.tasks.dilemma.cells import is_solid, look_up, stamp
from rookery.tasks.dilemma.tiles import CLEAN, CLEAN_BEAM, FIRE, FIRE_BEAM, NO_BEAM, RIVER, WASTE
from rookery.world.motion import delta

LENGTH = 5  # cells of a lane
LANES = (0, 1, -1)  # cells to the right of the agent; the middle one starts ahead of it, the others beside it
BITS = tuple(1 << k for k in range(LENGTH))


class Beams(NamedTuple):
    """What the beams of one step did."""

    tiles: UInt8[Array, "H W"]  # cleaned
    beam: UInt8[Array, "H W"]  # covered cells; fire shows where both are
    hits: Bool[Array, "A A"]  # [i, j]: the fire of i hit j
    cleaned: Int[Array, "A"]  # waste cells each agent turned into river


def cast(
    tiles: UInt8[Array, "H W"],
    position: Int[Array, "A 2"],
    heading: Int[Array, "A"],
    active: Bool[Array, "A"],
    action: Int[Array, "A"],
    lot: UInt32[Array, "A"],
    cleaning: bool,
) -> Beams:
    """Everybody who fires or cleans does so, one after another, the highest `lot` first.

    A lane ends before a wall, and at the first agent in it; that agent is hit, or the waste under it cleaned. A
    cleaning lane also ends at its first waste, which becomes river. The order matters only for cleaning: later
    beams reach past what earlier ones cleaned. `cleaning`: whether this world has that action.
    """
    fires = active & (action == FIRE)
    cleans = active & (action == CLEAN) if cleaning else jnp.zeros_like(fires)
    ahead, lane = delta(heading), jnp.array(LANES)
    first = position[:, None] + delta((heading + 1) & 3)[:, None] * lane[:, None]
    first += ahead[:, None] * (lane == 0)[:, None]  # [A, 3, 2]
    cells = first[:, :, None] + ahead[:, None, None] * jnp.arange(LENGTH)[:, None]  # [A, 3, LENGTH, 2]
    kinds = look_up(tiles, cells[..., 0], cells[..., 1])
    standing = (cells[:, :, :, None] == position).all(-1) & active  # [A, 3, LENGTH, A]
    walls, bodies = _bits(is_solid(kinds)), _bits(standing.any(-1))
    if cleaning:
        number = cells[..., 0] * tiles.shape[1] + cells[..., 1]
        waste = _waste_in_turn(walls, bodies, kinds == WASTE, number, cleans, lot)
        dirt = jnp.where(cleans[:, None], _bits(waste), 0)
        covered, end = _reach(walls, bodies | dirt)
        washed = _has(end & dirt)  # [A, 3, LENGTH]
        cleaned = washed.sum((1, 2))
        spot = jnp.sum(jnp.where(washed[..., None], cells, 0), 2).reshape(-1, 2)
        tiles = jnp.where(stamp(spot, spot, washed.any(-1).reshape(-1), tiles.shape) != 0, RIVER, tiles)
    else:
        covered, end = _reach(walls, bodies)
        cleaned = jnp.zeros_like(action)
    hits = (standing & _has(end)[..., None]).any((1, 2)) & fires[:, None]
    last = first + ahead[:, None] * (jax.lax.population_count(covered) - 1)[..., None]
    corners = jnp.minimum(first, last).reshape(-1, 2), jnp.maximum(first, last).reshape(-1, 2)
    lit = (covered != 0) & (fires | cleans)[:, None]
    marks = stamp(*corners, lit.reshape(-1), tiles.shape)
    lanes_of_fire = jnp.repeat(fires, len(LANES), total_repeat_length=lit.size)
    flames = jnp.sum(jnp.where(lanes_of_fire, jnp.uint32(1) << jnp.arange(lit.size, dtype=jnp.uint32), 0))
    burning = marks & flames.astype(jnp.uint32) != 0
    beam = jnp.where(burning, FIRE_BEAM, jnp.where(marks != 0, CLEAN_BEAM, NO_BEAM))
    return Beams(tiles.astype(jnp.uint8), beam.astype(jnp.uint8), hits, cleaned)


def _bits(flags: Bool[Array, "A 3 K"]) -> Int[Array, "A 3"]:
    return jnp.sum(jnp.where(flags, jnp.array(BITS), 0), -1)


def _has(mask: Int[Array, "A 3"]) -> Bool[Array, "A 3 K"]:
    return mask[..., None] & jnp.array(BITS) != 0


def _reach(walls: Int[Array, "A 3"], stops: Int[Array, "A 3"]) -> tuple[Int[Array, "A 3"], Int[Array, "A 3"]]:
    """The cells a lane covers: up to the first wall, or up to and including the first stop; and that stop."""
    wall = walls | 1 << LENGTH
    before_wall = (wall & -wall) - 1
    stop = stops & -stops & before_wall  # the lowest bit, or none
    return jnp.where(stop != 0, 2 * stop - 1, before_wall), stop


def _waste_in_turn(walls, bodies, waste, number, cleans, lot) -> Bool[Array, "A 3 K"]:
    """The waste each agent's lanes meet when its turn comes, the highest `lot` first."""
    agents = len(lot)
    before = (lot > lot[:, None]) | ((lot == lot[:, None]) & jnp.tril(jnp.ones((agents, agents), bool), -1))
    rank = before.sum(1)

    def one(turn, waste):
        dirt = _bits(waste)
        end = _reach(walls, bodies | dirt)[1] & dirt
        mine = (rank == turn) & cleans
        gone = _has(end) & mine[:, None, None]
        gone = jnp.sum(jnp.where(gone, number, 0), (0, 2))  # [3]; 0, a corner of the outer wall, is none
        return waste & ~((number[..., None] == gone).any(-1) & (rank > turn)[:, None, None])

    return jax.lax.fori_loop(0, agents - 1, one, waste)
