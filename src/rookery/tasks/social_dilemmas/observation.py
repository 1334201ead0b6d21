"""What each agent sees: a square of cells round it, turned to its heading, in colors."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from rookery.gridworld.observation import triangle
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.visibility import crop
from rookery.tasks.social_dilemmas.grid_ops import rectangle_bitmask
from rookery.tasks.social_dilemmas.state import DilemmaState
from rookery.tasks.social_dilemmas.tiles import (
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
"""By number, the same for whoever looks."""
DILEMMA_UNSEEN_COLOR = (35, 25, 30)

AGENT_CODE = NUM_DILEMMA_TILE_KINDS + len(BEAM_COLORS)  # + 4·number + heading
SELF_CODE = AGENT_CODE + 4 * len(AGENT_COLORS)
UNSEEN_CODE = SELF_CODE + 1
NUM_MAP_CODES = UNSEEN_CODE + 1


def map_codes(state: DilemmaState, headings: bool = True) -> UInt8[Array, "H W"]:
    """What each cell of the map shows: its tile, a beam over it, or an agent over both.

    `headings`: tell the agents' headings; all look north if not, which is cheaper.
    """
    on = state.agent_mask
    who = rectangle_bitmask(state.position, state.position, on, state.tiles.shape)
    number = (31 - jax.lax.clz(who)).astype(jnp.uint8)
    agent = AGENT_CODE + 4 * number
    if headings:
        bit = jnp.uint32(1) << jnp.arange(len(on), dtype=jnp.uint32)
        for power in (1, 2):
            turned = jnp.sum(jnp.where(state.heading & power != 0, bit, 0)).astype(jnp.uint32)
            agent += jnp.where(who & turned != 0, power, 0).astype(jnp.uint8)
    ground = jnp.where(state.beam != 0, NUM_DILEMMA_TILE_KINDS - 1 + state.beam, state.tiles)
    return jnp.where(who != 0, agent, ground).astype(jnp.uint8)


def observe_dilemma(state: DilemmaState, view: ViewConfig) -> UInt8[Array, "A P P 3"]:
    """What every agent sees, itself in the middle and looking up. The absent see nothing. Beyond the map is wall."""
    many = view.tile_size > 1
    seen = jax.vmap(crop, (None, 0, 0, None))(map_codes(state, many), state.position, state.heading, view)
    middle = np.zeros((view.size, view.size), bool)
    middle[view.agent_row, view.size // 2] = True
    seen = jnp.where(middle, SELF_CODE, seen)
    seen = jnp.where(state.agent_mask[:, None, None], seen, UNSEEN_CODE)
    return jax.vmap(functools.partial(render_codes, tile_size=view.tile_size))(seen, state.heading)


def render_codes(seen: UInt8[Array, "h w"], heading: Int[Array, ""], tile_size: int) -> UInt8[Array, "P Q 3"]:
    """Color codes seen by someone of this heading, `side` pixels a cell."""
    if tile_size == 1:
        return jnp.asarray(code_images(1)[0, :, 0, 0]).at[seen].get(mode="promise_in_bounds")
    looks = jnp.asarray(code_images(tile_size))[heading]
    picture = looks.at[seen].get(mode="promise_in_bounds")  # [h, w, side, side, 3]
    height, width = seen.shape
    return picture.swapaxes(1, 2).reshape(height * tile_size, width * tile_size, 3)


@functools.cache
def code_images(tile_size: int) -> np.ndarray:
    """Pictures of all codes, by the viewer's heading. u8[4, CODES, side, side, 3].

    Agents are squares of one pixel; where there are more they are triangles along their heading.
    """
    looks = np.zeros((4, NUM_MAP_CODES, tile_size, tile_size, 3), np.uint8)
    for kind, color in DILEMMA_TILE_COLORS.items():
        looks[:, kind] = color
    for kind, color in BEAM_COLORS.items():
        looks[:, NUM_DILEMMA_TILE_KINDS - 1 + kind] = color
    cover = triangle(tile_size)[..., None] if tile_size > 1 else np.ones((4, 1, 1, 1))
    for number, color in enumerate(AGENT_COLORS):
        for heading in range(4):
            for viewer in range(4):
                looks[viewer, AGENT_CODE + 4 * number + heading] = np.round(cover[(heading - viewer) % 4] * color)
    looks[:, SELF_CODE] = np.round(cover[0] * SELF_COLOR)
    looks[:, UNSEEN_CODE] = DILEMMA_UNSEEN_COLOR
    return looks
