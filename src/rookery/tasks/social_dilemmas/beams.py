"""Beams: three lanes of five cells, as bit masks (bit k is the k-th cell of the lane)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from rookery.gridworld.movement import direction_vector
from rookery.tasks.social_dilemmas.dilemma_tiles import CLEAN, CLEAN_BEAM, FIRE, FIRE_BEAM, NO_BEAM, RIVER, WASTE
from rookery.tasks.social_dilemmas.grid_ops import is_solid, look_up, rectangle_bitmask

BEAM_LENGTH = 5  # cells per lane
BEAM_LANES = (0, 1, -1)  # cells to the right of the agent; the middle lane starts ahead of it, the others next to it
BIT_VALUES = tuple(1 << k for k in range(BEAM_LENGTH))


class Beams(NamedTuple):
    """Effects of the beams of one step."""

    tiles: UInt8[Array, "H W"]  # after cleaning
    beam: UInt8[Array, "H W"]  # covered cells; fire, if both cover a cell
    hits: Bool[Array, "A A"]  # [i, j]: the fire beam of i hit j
    cleaned: Int[Array, "A"]  # waste cells each agent turned into river


def fire_beams(
    tiles: UInt8[Array, "H W"],
    position: Int[Array, "A 2"],
    heading: Int[Array, "A"],
    agent_mask: Bool[Array, "A"],
    action: Int[Array, "A"],
    priority: UInt32[Array, "A"],
    can_clean: bool,
) -> Beams:
    """All agents that fire or clean do so one after another, the highest `priority` first.

    A lane ends before a wall, and at the first agent in it; that agent is hit, or the waste under it is cleaned. A
    cleaning lane also ends at its first waste, which becomes river. The order matters only for cleaning: later beams
    reach past what earlier ones cleaned. `can_clean`: whether the task has that action.
    """
    fires = agent_mask & (action == FIRE)
    cleans = agent_mask & (action == CLEAN) if can_clean else jnp.zeros_like(fires)
    ahead, lane = direction_vector(heading), jnp.array(BEAM_LANES)
    first = position[:, None] + direction_vector((heading + 1) & 3)[:, None] * lane[:, None]
    first += ahead[:, None] * (lane == 0)[:, None]  # [A, 3, 2]
    cells = first[:, :, None] + ahead[:, None, None] * jnp.arange(BEAM_LENGTH)[:, None]  # [A, 3, LENGTH, 2]
    kinds = look_up(tiles, cells[..., 0], cells[..., 1])
    occupied_by = (cells[:, :, :, None] == position).all(-1) & agent_mask  # [A, 3, LENGTH, A]
    walls, bodies = _pack_bits(is_solid(kinds)), _pack_bits(occupied_by.any(-1))
    if can_clean:
        cell_index = cells[..., 0] * tiles.shape[1] + cells[..., 1]
        waste = _waste_by_turn(walls, bodies, kinds == WASTE, cell_index, cleans, priority)
        waste_bits = jnp.where(cleans[:, None], _pack_bits(waste), 0)
        covered, end = _lane_extent(walls, bodies | waste_bits)
        is_cleaned = _unpack_bits(end & waste_bits)  # [A, 3, LENGTH]
        cleaned = is_cleaned.sum((1, 2))
        cell = jnp.sum(jnp.where(is_cleaned[..., None], cells, 0), 2).reshape(-1, 2)
        tiles = jnp.where(rectangle_bitmask(cell, cell, is_cleaned.any(-1).reshape(-1), tiles.shape) != 0, RIVER, tiles)
    else:
        covered, end = _lane_extent(walls, bodies)
        cleaned = jnp.zeros_like(action)
    hits = (occupied_by & _unpack_bits(end)[..., None]).any((1, 2)) & fires[:, None]
    last = first + ahead[:, None] * (jax.lax.population_count(covered) - 1)[..., None]
    corners = jnp.minimum(first, last).reshape(-1, 2), jnp.maximum(first, last).reshape(-1, 2)
    is_active = (covered != 0) & (fires | cleans)[:, None]
    lane_bits = rectangle_bitmask(*corners, is_active.reshape(-1), tiles.shape)
    is_fire_lane = jnp.repeat(fires, len(BEAM_LANES), total_repeat_length=is_active.size)
    fire_bits = jnp.sum(jnp.where(is_fire_lane, jnp.uint32(1) << jnp.arange(is_active.size, dtype=jnp.uint32), 0))
    has_fire = lane_bits & fire_bits.astype(jnp.uint32) != 0
    beam = jnp.where(has_fire, FIRE_BEAM, jnp.where(lane_bits != 0, CLEAN_BEAM, NO_BEAM))
    return Beams(tiles.astype(jnp.uint8), beam.astype(jnp.uint8), hits, cleaned)


def _pack_bits(flags: Bool[Array, "A 3 K"]) -> Int[Array, "A 3"]:
    return jnp.sum(jnp.where(flags, jnp.array(BIT_VALUES), 0), -1)


def _unpack_bits(mask: Int[Array, "A 3"]) -> Bool[Array, "A 3 K"]:
    return mask[..., None] & jnp.array(BIT_VALUES) != 0


def _lane_extent(walls: Int[Array, "A 3"], stops: Int[Array, "A 3"]) -> tuple[Int[Array, "A 3"], Int[Array, "A 3"]]:
    """Cells that a lane covers: up to the first wall, or up to and including the first stop; and that stop, or 0."""
    wall = walls | 1 << BEAM_LENGTH
    before_wall = (wall & -wall) - 1
    stop = stops & -stops & before_wall  # the lowest bit, or 0
    return jnp.where(stop != 0, 2 * stop - 1, before_wall), stop


def _waste_by_turn(walls, bodies, waste, cell_index, cleans, priority) -> Bool[Array, "A 3 K"]:
    """The waste that the lanes of each agent meet in its turn, the highest `priority` first."""
    num_agents = len(priority)
    acts_before = (priority > priority[:, None]) | (
        (priority == priority[:, None]) & jnp.tril(jnp.ones((num_agents, num_agents), bool), -1)
    )
    rank = acts_before.sum(1)

    def clean(turn, waste):
        waste_bits = _pack_bits(waste)
        end = _lane_extent(walls, bodies | waste_bits)[1] & waste_bits
        has_turn = (rank == turn) & cleans
        is_cleaned = _unpack_bits(end) & has_turn[:, None, None]
        cleaned_cells = jnp.sum(jnp.where(is_cleaned, cell_index, 0), (0, 2))  # [3]; 0, a corner of the map, is none
        return waste & ~((cell_index[..., None] == cleaned_cells).any(-1) & (rank > turn)[:, None, None])

    return jax.lax.fori_loop(0, num_agents - 1, clean, waste)
