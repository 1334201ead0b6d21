"""What each agent sees of the map: a square of cells turned to its heading, less what obstacles hide."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import OBSTACLE, TRANSPARENT


def view_cells(position: Int[Array, "2"], heading: Int[Array, ""], view: ViewConfig) -> Int[Array, "2 V V"]:
    """Map (row, col) of each cell of an agent's view; may lie outside the map."""
    ahead = view.agent_row - jnp.arange(view.size)[:, None]  # cells in front of the agent
    right = jnp.arange(view.size)[None, :] - view.size // 2
    north, east = heading == 0, heading == 1
    south, west = heading == 2, heading == 3
    ns = south.astype(jnp.int32) - north.astype(jnp.int32)
    ew = east.astype(jnp.int32) - west.astype(jnp.int32)
    row = position[0] + ahead * ns + right * ew
    col = position[1] + ahead * ew - right * ns
    return jnp.stack(jnp.broadcast_arrays(row, col))


def to_egocentric(target: Int[Array, "N 2"], position: Int[Array, "2"], heading: Int[Array, ""], view: ViewConfig):
    """Where map cells lie in an agent's view: (row, col), each i32[N]; may lie outside the view."""
    ns = (heading == 2).astype(jnp.int32) - (heading == 0).astype(jnp.int32)
    ew = (heading == 1).astype(jnp.int32) - (heading == 3).astype(jnp.int32)
    down, across = target[:, 0] - position[0], target[:, 1] - position[1]
    ahead = down * ns + across * ew
    right = down * ew - across * ns
    return view.agent_row - ahead, view.size // 2 + right


def visible_targets(
    position: Int[Array, "2"],
    heading: Int[Array, ""],
    visible: Bool[Array, "V V"],
    target: Int[Array, "N 2"],
    view: ViewConfig,
) -> Bool[Array, "N"]:
    """Which of N map cells an agent sees, given which cells of its view it sees."""
    row, col = to_egocentric(target, position, heading, view)
    within = (row >= 0) & (row < view.size) & (col >= 0) & (col < view.size)
    return within & visible[jnp.clip(row, 0, view.size - 1), jnp.clip(col, 0, view.size - 1)]


def crop(tiles: UInt8[Array, "H W"], position, heading, view: ViewConfig) -> UInt8[Array, "V V"]:
    """Tile kinds of an agent's view; beyond the map all is obstacle.

    A square is cut out as it lies on the map, then turned: copying rows is far cheaper than finding each cell.
    """
    ahead, behind, beside = view.agent_row, view.rows_behind, view.size // 2
    reach = max(ahead, behind, beside)
    padded = jnp.pad(tiles, reach, constant_values=OBSTACLE)
    up = jax.lax.select_n(heading, *map(jnp.int32, (ahead, beside, behind, beside)))
    left = jax.lax.select_n(heading, *map(jnp.int32, (beside, behind, beside, ahead)))
    corner = position + reach - jnp.stack([up, left])
    square = jax.lax.dynamic_slice(padded, corner, (view.size, view.size))
    return jax.lax.select_n(heading, *(jnp.rot90(square, turns) for turns in range(4)))


def is_transparent(kind: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether one can look through a tile of this kind."""
    dark = jnp.zeros(kind.shape, bool)
    for number, clear in enumerate(TRANSPARENT):
        if not clear:
            dark |= kind == number
    return ~dark


def line_of_sight(clear: Bool[Array, "V V"], view: ViewConfig) -> Bool[Array, "V V"]:
    """Which cells of a view are seen, given which can be looked through.

    The authors' sweep, not a flood fill: from the agent's row to the farthest, then to the nearest, each row
    first rightwards, then leftwards. A seen, clear cell reveals the next of its row in that direction, the
    cell of the next row, and the one diagonal between them. Its known asymmetries are kept: the leftmost
    column reveals nothing, and the farthest row reveals nothing beside itself.

    Rows are bit masks (bit c is column c), so a row's sweep is a few integer operations and fuses.
    They are handed on packed, several a word: were they stacked, XLA would sweep again for every cell.
    """
    size, center = view.size, view.size // 2
    full = (1 << size) - 1
    rightward = full & ~((1 << center) - 1)  # columns center … size-1
    leftward = (full >> (size - 2 - center)) & ~1  # columns center+1 … 1
    weights = (1 << jnp.arange(size)).astype(jnp.int32)
    open_row = jnp.sum(jnp.where(clear, weights, 0), -1)
    seen = [jnp.int32(0)] * size
    seen[view.agent_row] = jnp.int32(1 << center)

    def sweep(row: int, following: int | None):
        here, through = seen[row], open_row[row]
        for _ in range(center):
            here |= ((here & through & rightward) << 1) & full
        lit = here & through & rightward
        below = lit | (lit << 1) & full
        for _ in range(center + 1):
            here |= (here & through & leftward) >> 1
        lit = here & through & leftward
        below |= lit | (lit >> 1)
        seen[row] = here
        if following is not None:
            seen[following] |= below

    for row in range(view.agent_row, 0, -1):
        sweep(row, row - 1)
    for row in range(view.agent_row, size):
        sweep(row, row + 1 if row + 1 < size else None)
    each = 31 // size  # rows a word
    words = [sum(row << size * i for i, row in enumerate(seen[first : first + each])) for first in range(0, size, each)]
    row, col = np.indices((size, size))
    word = words[0]
    for index in range(1, len(words)):
        word = jnp.where(row >= index * each, words[index], word)
    return (word >> (row % each * size + col)) & 1 != 0


def agent_view(tiles, position, heading, view: ViewConfig):
    """Tile kinds and visibility of one agent's view: u8[V, V], bool[V, V]."""
    kind = crop(tiles, position, heading, view)
    if view.see_through_walls:
        return kind, jnp.ones(kind.shape, bool)
    return kind, line_of_sight(is_transparent(kind), view)
