"""Observations of social dilemmas: a square of cells around the agent, rotated to its heading, in colors."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rookery.gridworld.observation import triangle
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import UNSEEN_COLOR
from rookery.gridworld.visibility import crop
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import (
    APPLE,
    BOX,
    CLEAN_BEAM,
    EMPTY,
    FIRE_BEAM,
    NUM_DILEMMA_TILE_KINDS,
    RIVER,
    STREAM,
    WALL,
    WASTE,
)
from rookery.tasks.social_dilemmas.grid_ops import rectangle_bitmask

DILEMMA_TILE_COLORS = {
    EMPTY: (0, 0, 0),
    WALL: (120, 120, 120),
    APPLE: (0, 200, 60),
    RIVER: (40, 90, 160),
    WASTE: (115, 80, 40),
    STREAM: (90, 160, 220),
    BOX: (190, 150, 90),
}
BEAM_COLORS = {FIRE_BEAM: (255, 240, 0), CLEAN_BEAM: (150, 255, 255)}
SELF_COLOR = (255, 255, 255)
AGENT_COLORS = (
    (230, 40, 40), (150, 60, 255), (255, 140, 0), (255, 90, 200), (0, 220, 220),
    (170, 220, 0), (120, 30, 90), (250, 190, 150), (90, 90, 255), (0, 110, 90),
)  # fmt: skip
"""By index, the same for all viewers."""

AGENT_CODE = NUM_DILEMMA_TILE_KINDS + len(BEAM_COLORS)  # + 4·index + heading
SELF_CODE = AGENT_CODE + 4 * len(AGENT_COLORS)
UNSEEN_CODE = SELF_CODE + 1
NUM_MAP_CODES = UNSEEN_CODE + 1


def map_codes(state: DilemmaState, headings: bool = True) -> UInt8[Array, "H W"]:
    """Code of each cell of the map: its tile, a beam over it, or an agent over both.

    `headings`: include the headings of agents; otherwise all are 0, which is cheaper.
    """
    agent_mask = state.agent_mask
    agent_bits = rectangle_bitmask(state.position, state.position, agent_mask, state.tiles.shape)
    index = (31 - jax.lax.clz(agent_bits)).astype(jnp.uint8)
    agent = AGENT_CODE + 4 * index
    if headings:
        bit = jnp.uint32(1) << jnp.arange(len(agent_mask), dtype=jnp.uint32)
        for power in (1, 2):
            heading_bits = jnp.sum(jnp.where(state.heading & power != 0, bit, 0)).astype(jnp.uint32)
            agent += jnp.where(agent_bits & heading_bits != 0, power, 0).astype(jnp.uint8)
    ground = jnp.where(state.beam != 0, NUM_DILEMMA_TILE_KINDS - 1 + state.beam, state.tiles)
    return jnp.where(agent_bits != 0, agent, ground).astype(jnp.uint8)


def observe_dilemma(state: DilemmaState, view: ViewConfig) -> UInt8[Array, "A P P 3"]:
    """Observations of all agents, each in the middle and heading up. Absent agents see nothing; off the map is wall."""
    show_headings = view.tile_size > 1
    codes = jax.vmap(crop, (None, 0, 0, None))(map_codes(state, show_headings), state.position, state.heading, view)
    is_self = np.zeros((view.size, view.size), bool)
    is_self[view.agent_row, view.size // 2] = True
    codes = jnp.where(is_self, SELF_CODE, codes)
    codes = jnp.where(state.agent_mask[:, None, None], codes, UNSEEN_CODE)
    return jax.vmap(functools.partial(render_codes, tile_size=view.tile_size))(codes, state.heading)


def render_codes(codes: UInt8[Array, "h w"], heading: Int[Array, ""], tile_size: int) -> UInt8[Array, "P Q 3"]:
    """The image of codes, for a viewer of this heading, with `tile_size` pixels per side of a cell."""
    if tile_size == 1:
        return jnp.asarray(code_images(1)[0, :, 0, 0]).at[codes].get(mode="promise_in_bounds")
    tile_images = jnp.asarray(code_images(tile_size))[heading]
    image = tile_images.at[codes].get(mode="promise_in_bounds")  # [h, w, side, side, 3]
    height, width = codes.shape
    return image.swapaxes(1, 2).reshape(height * tile_size, width * tile_size, 3)


@functools.cache
def code_images(tile_size: int) -> np.ndarray:
    """Images of all codes, by the heading of the viewer. u8[4, CODES, side, side, 3].

    An agent is a square if a cell has one pixel, otherwise a triangle that points along its heading.
    """
    images = np.zeros((4, NUM_MAP_CODES, tile_size, tile_size, 3), np.uint8)
    for kind, color in DILEMMA_TILE_COLORS.items():
        images[:, kind] = color
    for kind, color in BEAM_COLORS.items():
        images[:, NUM_DILEMMA_TILE_KINDS - 1 + kind] = color
    cover = triangle(tile_size)[..., None] if tile_size > 1 else np.ones((4, 1, 1, 1))
    for index, color in enumerate(AGENT_COLORS):
        for heading in range(4):
            for viewer in range(4):
                images[viewer, AGENT_CODE + 4 * index + heading] = np.round(cover[(heading - viewer) % 4] * color)
    images[:, SELF_CODE] = np.round(cover[0] * SELF_COLOR)
    images[:, UNSEEN_CODE] = UNSEEN_COLOR
    return images
