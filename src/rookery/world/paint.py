"""An agent's view as numbers: `pixels` for convolutions, `symbolic` and `objects` for small networks.

The same information, but that `symbolic` shows neither keys nor doors, nor one goal from another.

What a cell shows is one number, its code: 0 unseen, else 1 + kind·LOOKS + look; a look is 0 for the bare tile, else
1 + heading·256 + blue of the agent on it, and 1024 more if that one carries something. A table holds the bytes of every
code, so painting is copying.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from rookery.types import Observation
from rookery.world.prestige import blue_share
from rookery.world.sight import look, to_view
from rookery.world.spec import CHANNELS, OBJECT_CHANNELS, View, WorldSpec
from rookery.world.state import State
from rookery.world.tiles import (
    COLOR,
    DOOR,
    FLOOR,
    GOAL,
    GOALS,
    KEY,
    KEY_RACK,
    KINDS,
    OBSTACLE,
    OPEN_DOOR,
    UNSEEN_COLOR,
)

CARRYING = 4 * 256
LOOKS = 1 + 2 * CARRYING
CODES = 1 + KINDS * LOOKS


class Viewer(NamedTuple):
    """Whose view it is; with a leading axis, several of one geometry."""

    number: Int[Array, ""] | int
    position: Int[Array, "2"]
    heading: Int[Array, ""]
    active: Bool[Array, ""]
    hides: Bool[Array, ""] | bool  # goals, in the episodes that hide them


def perceive(state: State, agent: int, view: View):
    """Kinds u8[V, V] (goals already hidden), seen bool[V, V], agents bool[A, V, V] of one agent's view."""
    return _perceive(state, _viewer(state, agent, view), view)


def _viewer(state: State, agent: Int[Array, ""] | int, view: View) -> Viewer:
    return Viewer(agent, state.position[agent], state.heading[agent], state.active[agent], view.hide_goals)


def _perceive(state: State, viewer: Viewer, view: View):
    kind, seen = look(state.tiles, viewer.position, viewer.heading, view)
    seen &= viewer.active  # the absent see nothing
    is_goal = (kind == GOAL) | (kind >= GOALS[1])
    kind = jnp.where(viewer.hides & state.goals_hidden & is_goal, FLOOR, kind)
    row, col = to_view(state.position, viewer.position, viewer.heading, view)
    cells = jnp.arange(view.size)
    at = (row[:, None, None] == cells[:, None]) & (col[:, None, None] == cells)
    shown = state.active if state.hidden is None else state.active & ~state.hidden[viewer.number]
    return kind, seen, at & shown[:, None, None] & seen


def observe(state: State, agent: int, spec: WorldSpec) -> UInt8[Array, "..."]:
    """What one agent sees, u8[View.shape]. Before it enters the world, all is unseen."""
    return observe_by(state, agent, spec.views[agent], spec)


def observe_by(state: State, agent: Int[Array, ""] | int, view: View, spec: WorldSpec) -> UInt8[Array, "..."]:
    """What one agent would see by any view, u8[View.shape]."""
    return _observe(state, _blue(state, spec), _viewer(state, agent, view), view)


def observe_all(state: State, spec: WorldSpec) -> Observation:
    """What every agent sees: u8[A, ...], or a tuple with one array an agent where views differ in shape.

    Agents whose views differ at most in `hide_goals` are painted together: few large kernels are faster than
    many small ones, and their pictures already lie side by side.
    """
    blue = _blue(state, spec)
    hides = jnp.array([view.hide_goals for view in spec.views])
    everyone = Viewer(jnp.arange(spec.agents), state.position, state.heading, state.active, hides)
    geometry = [dataclasses.replace(view, hide_goals=False) for view in spec.views]
    pictures = {}
    for view in dict.fromkeys(geometry):
        one: Any = functools.partial(_observe, state, blue, view=view)
        paint = jax.vmap(one)
        if geometry.count(view) == spec.agents:
            return paint(everyone)
        slots = np.array([slot for slot, other in enumerate(geometry) if other == view])
        group = paint(jax.tree.map(lambda values, slots=slots: values[slots], everyone))
        pictures.update(zip(slots.tolist(), group, strict=True))
    in_order = tuple(pictures[slot] for slot in range(spec.agents))
    return jnp.stack(in_order) if len({view.shape for view in spec.views}) == 1 else in_order


def _blue(state: State, spec: WorldSpec) -> Int[Array, "A"]:
    return jnp.round(255 * blue_share(state.prestige, spec.prestige_rule)).astype(jnp.int32)


def _observe(state: State, blue, viewer: Viewer, view: View) -> UInt8[Array, "..."]:
    kind, seen, agents = _perceive(state, viewer, view)
    relative = (state.heading - viewer.heading) % 4
    # Where several agents share a cell the viewer is drawn on top, then the lowest number.
    number = jnp.arange(len(blue))
    layer = jnp.where(number == viewer.number, len(blue) + 1, len(blue) - number)
    encode = pixels if view.kind == "pixels" else symbols
    return encode(kind, seen, agents, relative, blue, view, layer, state.carrying != FLOOR)


def pixels(kind, seen, agents, relative, blue, view: View, layer=None, carrying=None) -> UInt8[Array, "P P 3"]:
    """A picture of `tile_pixels` a cell: tiles in their colours, agents as triangles from red to blue.

    Arguments as `codes` takes them. One look-up a line of pixels: XLA makes each a copy of consecutive bytes, where
    from a look-up of whole tiles, interleaved afterwards, it makes a search for each byte.
    """
    found = codes(kind, seen, agents, relative, blue, layer, carrying)
    lines = np.moveaxis(pixel_table(view.tile_pixels), 1, 0)
    copies = [jnp.asarray(line).at[found].get(mode="promise_in_bounds") for line in lines]
    return jnp.stack(copies, 1).reshape(view.size * view.tile_pixels, -1, 3)


def symbols(kind, seen, agents, relative, blue, view: View, layer=None, carrying=None) -> UInt8[Array, "V V C"]:
    """One channel of 0 or 255 for each of the view's channels; "prestige" is the shown agent's blue share."""
    found = codes(kind, seen, agents, relative, blue, layer, carrying)
    table = symbol_table() if view.kind == "symbolic" else object_table()
    return jnp.asarray(table).at[found].get(mode="promise_in_bounds")


def codes(kind, seen, agents, relative, blue, layer=None, carrying=None) -> Int[Array, "V V"]:
    """What each cell of a view shows.

    Args:
      kind: int[V, V]. seen: bool[V, V].
      agents: bool[A, V, V], where each is seen. relative: i32[A], its heading to the viewer's. blue: int[A].
      layer: i32[A] from 1, all different; the highest agent in a cell is shown. None: the first is the highest.
      carrying: bool[A], who has something in hand. None: nobody.
    """
    agents, relative, blue = (jnp.asarray(x) for x in (agents, relative, blue))
    layer = jnp.arange(len(agents), 0, -1) if layer is None else layer
    bits = CODES.bit_length()
    looks = (layer << bits) + 1 + relative * 256 + blue.astype(jnp.int32)
    if carrying is not None:
        looks += CARRYING * carrying
    # The bare tile is layer 0, in every cell.
    shown = seen & jnp.pad(agents, ((1, 0), (0, 0), (0, 0)), constant_values=True)
    layers = jnp.pad(looks, (1, 0))[:, None, None] + (1 + kind.astype(jnp.int32) * LOOKS)
    # The maximum comes last because XLA does not fuse it into the look-ups that follow. Anything costly after it
    # would be computed again for every byte of the picture.
    return jnp.max(jnp.where(shown, layers, 0), 0) & ((1 << bits) - 1)


def triangle(side: int) -> np.ndarray:
    """Coverage of a tile by an agent's triangle, by heading relative to the viewer. f32[4, side, side].

    Ahead is up. Coverage is counted on an 8×8 grid of points in each pixel.
    """
    points = (np.arange(side * 8) + 0.5) / (side * 8)
    down, right = np.meshgrid(points, points, indexing="ij")
    inside = (np.abs(right - 0.5) <= (down - 0.1) * 0.45) & (down >= 0.1) & (down <= 0.92)
    up = inside.reshape(side, 8, side, 8).mean((1, 3)).astype(np.float32)
    return np.stack([np.rot90(up, -turns) for turns in range(4)])


@functools.cache
def pixel_table(side: int) -> np.ndarray:
    """Pictures: tiles in their colours, agents as triangles from red to blue. u8[CODES, side, side·3].

    A key in hand shows in the upper left corner, a third of the side, so not where a tile has fewer than 3 pixels.
    """
    cover = np.round(triangle(side) * 255).astype(np.int32)[:, None, :, :, None]  # [4, 1, side, side, 1]
    blue = np.arange(256)
    agent = np.stack([255 - blue, 0 * blue, blue], -1)[:, None, None, :]  # [256, 1, 1, 3]
    table = np.empty((CODES, side, side, 3), np.uint8)
    table[0] = UNSEEN_COLOR
    tiles = table[1:].reshape(KINDS, LOOKS, side, side, 3)
    for tile, color in zip(tiles, COLOR.astype(np.int32), strict=True):
        tile[0] = color
        tile[1:] = np.tile(
            ((color * 255 + (agent - color) * cover + 127) // 255).reshape(-1, side, side, 3), (2, 1, 1, 1)
        )
        tile[1 + CARRYING :, : side // 3, : side // 3] = COLOR[KEY]
    return table.reshape(CODES, side, side * 3)


@functools.cache
def symbol_table() -> np.ndarray:
    """One channel of 0 or 255 for each of CHANNELS; the last is the shown agent's blue. u8[CODES, C]."""
    table = np.zeros((CODES, len(CHANNELS)), np.uint8)
    table[0, CHANNELS.index("unseen")] = 255
    tiles = table[1:].reshape(KINDS, LOOKS, len(CHANNELS))
    tiles[[OBSTACLE, DOOR], :, CHANNELS.index("obstacle")] = 255
    tiles[GOALS, :, CHANNELS.index("goal")] = 255
    agents = tiles[:, 1:].reshape(KINDS, 2, 4, 256, len(CHANNELS))
    for heading, name in enumerate(("agent ahead", "agent right", "agent back", "agent left")):
        agents[:, :, heading, :, CHANNELS.index(name)] = 255
    agents[..., CHANNELS.index("prestige")] = np.arange(256)
    return table


@functools.cache
def object_table() -> np.ndarray:
    """`symbol_table` with the channels of things: one for each of OBJECT_CHANNELS. u8[CODES, C]."""
    table = np.zeros((CODES, len(OBJECT_CHANNELS)), np.uint8)
    table[:, : len(CHANNELS)] = symbol_table()
    tiles = table[1:].reshape(KINDS, LOOKS, len(OBJECT_CHANNELS))
    shown = {KEY: "key", KEY_RACK: "key", DOOR: "door", OPEN_DOOR: "open door"}
    shown |= {kind: f"goal {number}" for number, kind in enumerate(GOALS, 1) if number > 1}
    for kind, name in shown.items():
        tiles[kind, :, OBJECT_CHANNELS.index(name)] = 255
    tiles[:, 1 + CARRYING :, OBJECT_CHANNELS.index("carrying")] = 255
    return table
