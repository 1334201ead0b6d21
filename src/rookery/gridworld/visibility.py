"""What each agent sees of the map: a square of cells rotated to its heading, minus the cells that obstacles hide."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import OBSTACLE, TRANSPARENT, has_property


def view_cells(position: Int[Array, "2"], heading: Int[Array, ""], view: ViewConfig) -> Int[Array, "2 V V"]:
    """(row, col) on the map of each cell of an agent's view; may lie outside the map."""
    ahead = view.agent_row - jnp.arange(view.size)[:, None]  # cells in front of the agent
    right = jnp.arange(view.size)[None, :] - view.size // 2
    north, east = heading == 0, heading == 1
    south, west = heading == 2, heading == 3
    ns = south.astype(jnp.int32) - north.astype(jnp.int32)
    ew = east.astype(jnp.int32) - west.astype(jnp.int32)
    row = position[0] + ahead * ns + right * ew
    col = position[1] + ahead * ew - right * ns
    return jnp.stack(jnp.broadcast_arrays(row, col))


def to_egocentric(
    target: Int[Array, "N 2"], position: Int[Array, "2"], heading: Int[Array, ""], view: ViewConfig
) -> tuple[Int[Array, "N"], Int[Array, "N"]]:
    """(row, col) of map cells in an agent's view, each i32[N]; may lie outside the view."""
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
    """Which of N map cells an agent sees, given the visible cells of its view."""
    row, col = to_egocentric(target, position, heading, view)
    within = (row >= 0) & (row < view.size) & (col >= 0) & (col < view.size)
    return within & visible[jnp.clip(row, 0, view.size - 1), jnp.clip(col, 0, view.size - 1)]


def crop(
    tiles: UInt8[Array, "H W"], position: Int[Array, "2"], heading: Int[Array, ""], view: ViewConfig
) -> UInt8[Array, "V V"]:
    """Tile kinds of an agent's view; cells beyond the map are obstacles.

    A square is cut out of the map and then rotated: copying rows is far cheaper than looking up each cell.
    """
    ahead, behind, side = view.agent_row, view.rows_behind, view.size // 2
    padding = max(ahead, behind, side)
    padded = jnp.pad(tiles, padding, constant_values=OBSTACLE)
    up = jax.lax.select_n(heading, *map(jnp.int32, (ahead, side, behind, side)))
    left = jax.lax.select_n(heading, *map(jnp.int32, (side, behind, side, ahead)))
    corner = position + padding - jnp.stack([up, left])
    square = jax.lax.dynamic_slice(padded, corner, (view.size, view.size))
    return jax.lax.select_n(heading, *(jnp.rot90(square, turns) for turns in range(4)))


def is_transparent(kind: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether agents can look through a tile of this kind."""
    return has_property(kind, TRANSPARENT)


def line_of_sight(clear: Bool[Array, "V V"], view: ViewConfig) -> Bool[Array, "V V"]:
    """Which cells of a view are visible, given which are transparent.

    This is the sweep of the reference code, not a flood fill: from the agent's row to the farthest, then to the
    nearest, each row first to the right, then to the left. A visible, transparent cell makes visible the next cell of
    its row in that direction, the cell in the next row, and the one diagonally between them. The known asymmetries of
    the reference code are kept: the leftmost column makes nothing visible, and neither does the farthest row in its own
    row.

    Rows are bit masks (bit c is column c), so that the sweep of a row is a few integer operations that XLA fuses. They
    are passed on packed, several per word: if they were stacked, XLA would repeat the sweep for every cell.
    """
    size, center = view.size, view.size // 2
    full = (1 << size) - 1
    rightward = full & ~((1 << center) - 1)  # columns center … size-1
    leftward = (full >> (size - 2 - center)) & ~1  # columns center+1 … 1
    weights = (1 << jnp.arange(size)).astype(jnp.int32)
    clear_bits = jnp.sum(jnp.where(clear, weights, 0), -1)
    visible = [jnp.int32(0)] * size
    visible[view.agent_row] = jnp.int32(1 << center)

    def sweep(row: int, following: int | None):
        bits, transparent = visible[row], clear_bits[row]
        for _ in range(center):
            bits |= ((bits & transparent & rightward) << 1) & full
        passing = bits & transparent & rightward
        next_bits = passing | (passing << 1) & full
        for _ in range(center + 1):
            bits |= (bits & transparent & leftward) >> 1
        passing = bits & transparent & leftward
        next_bits |= passing | (passing >> 1)
        visible[row] = bits
        if following is not None:
            visible[following] |= next_bits

    for row in range(view.agent_row, 0, -1):
        sweep(row, row - 1)
    for row in range(view.agent_row, size):
        sweep(row, row + 1 if row + 1 < size else None)
    rows_per_word = 31 // size
    words = [
        sum(row << size * i for i, row in enumerate(visible[first : first + rows_per_word]))
        for first in range(0, size, rows_per_word)
    ]
    row, col = np.indices((size, size))
    word = words[0]
    for index in range(1, len(words)):
        word = jnp.where(row >= index * rows_per_word, words[index], word)
    return (word >> (row % rows_per_word * size + col)) & 1 != 0


def agent_view(
    tiles: UInt8[Array, "H W"], position: Int[Array, "2"], heading: Int[Array, ""], view: ViewConfig
) -> tuple[UInt8[Array, "V V"], Bool[Array, "V V"]]:
    """Tile kinds and visibility of one agent's view: u8[V, V], bool[V, V]."""
    kind = crop(tiles, position, heading, view)
    if view.see_through_walls:
        return kind, jnp.ones(kind.shape, bool)
    return kind, line_of_sight(is_transparent(kind), view)
