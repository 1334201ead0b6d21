"""Observations: `pixels` for convolutional networks, `symbolic` and `objects` for small ones.

All have the same information, except that `symbolic` does not show keys and doors, nor which goal is which.

The content of a cell is one number, its code: 0 for unseen, else 1 + kind·APPEARANCES_PER_TILE + appearance. The
appearance is 0 for the bare tile, else 1 + heading·256 + blue of the agent on it, plus CARRYING_OFFSET if that agent
carries something. A table holds the bytes of every code, so that rendering is copying.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from rookery.gridworld.prestige import blue_fraction
from rookery.gridworld.spec import CHANNELS, OBJECT_CHANNELS, GridSpec, ViewConfig
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import (
    DOOR,
    FLOOR,
    GOAL,
    GOAL_KINDS,
    KEY,
    KEY_RACK,
    NUM_TILE_KINDS,
    OBSTACLE,
    OPEN_DOOR,
    TILE_COLORS,
    UNSEEN_COLOR,
)
from rookery.gridworld.visibility import agent_view, to_egocentric
from rookery.types import Observation

if TYPE_CHECKING:
    from jax.typing import ArrayLike

CARRYING_OFFSET = 4 * 256
APPEARANCES_PER_TILE = 1 + 2 * CARRYING_OFFSET
NUM_CELL_CODES = 1 + NUM_TILE_KINDS * APPEARANCES_PER_TILE


class Viewer(NamedTuple):
    """The agent that observes; with a leading axis, several agents whose views have the same geometry."""

    agent_index: Int[Array, ""] | int
    position: Int[Array, "2"]
    heading: Int[Array, ""]
    is_present: Bool[Array, ""]
    can_hide_goals: Bool[Array, ""] | bool


def observe_grid(
    state: GridState, agent: int, view: ViewConfig
) -> tuple[UInt8[Array, "V V"], Bool[Array, "V V"], Bool[Array, "A V V"]]:
    """View of one agent: tile kinds u8[V, V] (goals already hidden), visible bool[V, V], agents seen bool[A, V, V]."""
    return _observe_grid(state, _viewer(state, agent, view), view)


def _viewer(state: GridState, agent: Int[Array, ""] | int, view: ViewConfig) -> Viewer:
    return Viewer(agent, state.position[agent], state.heading[agent], state.agent_mask[agent], view.can_hide_goals)


def _observe_grid(state: GridState, viewer: Viewer, view: ViewConfig):
    kind, visible = agent_view(state.tiles, viewer.position, viewer.heading, view)
    visible &= viewer.is_present  # absent agents see nothing
    is_goal = (kind == GOAL) | (kind >= GOAL_KINDS[1])
    kind = jnp.where(viewer.can_hide_goals & state.goals_masked & is_goal, FLOOR, kind)
    row, col = to_egocentric(state.position, viewer.position, viewer.heading, view)
    cells = jnp.arange(view.size)
    on_cell = (row[:, None, None] == cells[:, None]) & (col[:, None, None] == cells)
    can_be_seen = (
        state.agent_mask
        if state.invisible_agents is None
        else state.agent_mask & ~state.invisible_agents[viewer.agent_index]
    )
    return kind, visible, on_cell & can_be_seen[:, None, None] & visible


def observe_agent(state: GridState, agent: int, spec: GridSpec) -> UInt8[Array, "..."]:
    """Observation of one agent, u8[ViewConfig.shape]. Before it enters the world, all cells are unseen."""
    return observe_with_view(state, agent, spec.views[agent], spec)


def observe_with_view(
    state: GridState, agent: Int[Array, ""] | int, view: ViewConfig, spec: GridSpec
) -> UInt8[Array, "..."]:
    """What an agent would observe with any view, u8[ViewConfig.shape]."""
    return _encode_view(state, _blue(state, spec), _viewer(state, agent, view), view)


def observe_all(state: GridState, spec: GridSpec) -> Observation:
    """Observations of all agents: u8[A, ...], or a tuple with one array per agent if views differ in shape.

    Agents whose views differ at most in `can_hide_goals` are rendered together: few large kernels are faster than many
    small ones, and the result needs no further copy.
    """
    blue = _blue(state, spec)
    can_hide_goals = jnp.array([view.can_hide_goals for view in spec.views])
    viewers = Viewer(jnp.arange(spec.num_agents), state.position, state.heading, state.agent_mask, can_hide_goals)
    geometries = [dataclasses.replace(view, can_hide_goals=False) for view in spec.views]
    observations = {}
    for view in dict.fromkeys(geometries):
        encode: Any = functools.partial(_encode_view, state, blue, view=view)
        encode_all = jax.vmap(encode)
        if geometries.count(view) == spec.num_agents:
            return encode_all(viewers)
        slots = np.array([slot for slot, other in enumerate(geometries) if other == view])
        group = encode_all(jax.tree.map(lambda values, slots=slots: values[slots], viewers))
        observations.update(zip(slots.tolist(), group, strict=True))
    in_order = tuple(observations[slot] for slot in range(spec.num_agents))
    return jnp.stack(in_order) if len({view.shape for view in spec.views}) == 1 else in_order


def _blue(state: GridState, spec: GridSpec) -> Int[Array, "A"]:
    return jnp.round(255 * blue_fraction(state.prestige, spec.prestige_rule)).astype(jnp.int32)


def _encode_view(state: GridState, blue, viewer: Viewer, view: ViewConfig) -> UInt8[Array, "..."]:
    kind, visible, agents = _observe_grid(state, viewer, view)
    relative = (state.heading - viewer.heading) % 4
    # If several agents share a cell, the viewer is on top, then the agent of the lowest index.
    index = jnp.arange(len(blue))
    layer = jnp.where(index == viewer.agent_index, len(blue) + 1, len(blue) - index)
    encode = render_pixels if view.observation_type == "pixels" else encode_symbolic
    return encode(kind, visible, agents, relative, blue, view, layer, state.carrying != FLOOR)


def render_pixels(
    kind: Array,
    visible: Array,
    agents: ArrayLike,
    relative: ArrayLike,
    blue: ArrayLike,
    view: ViewConfig,
    layer: Array | None = None,
    carrying: Array | None = None,
) -> UInt8[Array, "P P 3"]:
    """An image with `tile_size` pixels per side of a cell: tiles in their colors, agents as triangles, red to blue.

    Arguments are those of `cell_codes`. There is one lookup per line of pixels: XLA compiles it to a copy of
    consecutive bytes. From a lookup of whole tiles, interleaved afterwards, it would make a search for each byte.
    """
    codes = cell_codes(kind, visible, agents, relative, blue, layer, carrying)
    lines = np.moveaxis(pixel_table(view.tile_size), 1, 0)
    copies = [jnp.asarray(line).at[codes].get(mode="promise_in_bounds") for line in lines]
    return jnp.stack(copies, 1).reshape(view.size * view.tile_size, -1, 3)


def encode_symbolic(
    kind: Array,
    visible: Array,
    agents: ArrayLike,
    relative: ArrayLike,
    blue: ArrayLike,
    view: ViewConfig,
    layer: Array | None = None,
    carrying: Array | None = None,
) -> UInt8[Array, "V V C"]:
    """One channel of 0 or 255 per name in CHANNELS or OBJECT_CHANNELS; "prestige" is how blue the agent is."""
    codes = cell_codes(kind, visible, agents, relative, blue, layer, carrying)
    table = symbol_table() if view.observation_type == "symbolic" else object_table()
    return jnp.asarray(table).at[codes].get(mode="promise_in_bounds")


def cell_codes(
    kind: Array,
    visible: Array,
    agents: ArrayLike,
    relative: ArrayLike,
    blue: ArrayLike,
    layer: Array | None = None,
    carrying: Array | None = None,
) -> Int[Array, "V V"]:
    """Code of each cell of a view.

    Args:
      kind: int[V, V], tile kinds.
      visible: bool[V, V].
      agents: bool[A, V, V], the cells where each agent is seen.
      relative: i32[A], heading relative to that of the viewer.
      blue: int[A], 0 to 255.
      layer: i32[A] from 1, all different; of several agents in a cell the highest is shown. None: the first agent.
      carrying: bool[A], whether the agent has something in hand. None: no agent has.
    """
    agents, relative, blue = (jnp.asarray(x) for x in (agents, relative, blue))
    layer = jnp.arange(len(agents), 0, -1) if layer is None else layer
    bits = NUM_CELL_CODES.bit_length()
    appearance = (layer << bits) + 1 + relative * 256 + blue.astype(jnp.int32)
    if carrying is not None:
        appearance += CARRYING_OFFSET * carrying
    # The bare tile is layer 0, in every cell.
    in_cell = visible & jnp.pad(agents, ((1, 0), (0, 0), (0, 0)), constant_values=True)
    layers = jnp.pad(appearance, (1, 0))[:, None, None] + (1 + kind.astype(jnp.int32) * APPEARANCES_PER_TILE)
    # The maximum comes last because XLA does not fuse it into the lookups that follow. Any costly operation after it
    # would be repeated for every byte of the image.
    return jnp.max(jnp.where(in_cell, layers, 0), 0) & ((1 << bits) - 1)


def triangle(tile_size: int) -> np.ndarray:
    """Coverage of a tile by the triangle of an agent, by heading relative to the viewer. f32[4, side, side].

    Heading 0 points up. Coverage is measured on an 8×8 grid of points in each pixel.
    """
    points = (np.arange(tile_size * 8) + 0.5) / (tile_size * 8)
    down, right = np.meshgrid(points, points, indexing="ij")
    inside = (np.abs(right - 0.5) <= (down - 0.1) * 0.45) & (down >= 0.1) & (down <= 0.92)
    up = inside.reshape(tile_size, 8, tile_size, 8).mean((1, 3)).astype(np.float32)
    return np.stack([np.rot90(up, -turns) for turns in range(4)])


@functools.cache
def pixel_table(tile_size: int) -> np.ndarray:
    """Image of every code: tiles in their colors, agents as triangles, red to blue. u8[CODES, side, side·3].

    A key in hand is in the upper left corner, a third of the side, and so is invisible in tiles of less than 3 pixels.
    """
    cover = np.round(triangle(tile_size) * 255).astype(np.int32)[:, None, :, :, None]  # [4, 1, side, side, 1]
    blue = np.arange(256)
    agent = np.stack([255 - blue, 0 * blue, blue], -1)[:, None, None, :]  # [256, 1, 1, 3]
    table = np.empty((NUM_CELL_CODES, tile_size, tile_size, 3), np.uint8)
    table[0] = UNSEEN_COLOR
    tiles = table[1:].reshape(NUM_TILE_KINDS, APPEARANCES_PER_TILE, tile_size, tile_size, 3)
    for tile, color in zip(tiles, TILE_COLORS.astype(np.int32), strict=True):
        tile[0] = color
        tile[1:] = np.tile(
            ((color * 255 + (agent - color) * cover + 127) // 255).reshape(-1, tile_size, tile_size, 3), (2, 1, 1, 1)
        )
        tile[1 + CARRYING_OFFSET :, : tile_size // 3, : tile_size // 3] = TILE_COLORS[KEY]
    return table.reshape(NUM_CELL_CODES, tile_size, tile_size * 3)


@functools.cache
def symbol_table() -> np.ndarray:
    """Channels of every code: 0 or 255 for each of CHANNELS; the last is how blue the agent is. u8[CODES, C]."""
    table = np.zeros((NUM_CELL_CODES, len(CHANNELS)), np.uint8)
    table[0, CHANNELS.index("unseen")] = 255
    tiles = table[1:].reshape(NUM_TILE_KINDS, APPEARANCES_PER_TILE, len(CHANNELS))
    tiles[[OBSTACLE, DOOR], :, CHANNELS.index("obstacle")] = 255
    tiles[GOAL_KINDS, :, CHANNELS.index("goal")] = 255
    agents = tiles[:, 1:].reshape(NUM_TILE_KINDS, 2, 4, 256, len(CHANNELS))
    for heading, name in enumerate(("agent ahead", "agent right", "agent back", "agent left")):
        agents[:, :, heading, :, CHANNELS.index(name)] = 255
    agents[..., CHANNELS.index("prestige")] = np.arange(256)
    return table


@functools.cache
def object_table() -> np.ndarray:
    """Channels of every code, for OBJECT_CHANNELS: those of `symbol_table` and more. u8[CODES, C]."""
    table = np.zeros((NUM_CELL_CODES, len(OBJECT_CHANNELS)), np.uint8)
    table[:, : len(CHANNELS)] = symbol_table()
    tiles = table[1:].reshape(NUM_TILE_KINDS, APPEARANCES_PER_TILE, len(OBJECT_CHANNELS))
    channel_names = {KEY: "key", KEY_RACK: "key", DOOR: "door", OPEN_DOOR: "open door"}
    channel_names |= {kind: f"goal {number}" for number, kind in enumerate(GOAL_KINDS, 1) if number > 1}
    for kind, name in channel_names.items():
        tiles[kind, :, OBJECT_CHANNELS.index(name)] = 255
    tiles[:, 1 + CARRYING_OFFSET :, OBJECT_CHANNELS.index("carrying")] = 255
    return table
