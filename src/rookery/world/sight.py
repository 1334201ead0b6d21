"""What each agent sees of the map: a square of cells turned to its heading, less what obstacles hide."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.world.spec import View
from rookery.world.tiles import OBSTACLE, TRANSPARENT


def view_cells(position: Int[Array, "2"], heading: Int[Array, ""], view: View) -> Int[Array, "2 V V"]:
    """Map (row, col) of each cell of an agent's view; may lie outside the map."""
    ahead = view.row - jnp.arange(view.size)[:, None]  # cells in front of the agent
    right = jnp.arange(view.size)[None, :] - view.size // 2
    north, east = heading == 0, heading == 1
    south, west = heading == 2, heading == 3
    ns = south.astype(jnp.int32) - north.astype(jnp.int32)
    ew = east.astype(jnp.int32) - west.astype(jnp.int32)
    row = position[0] + ahead * ns + right * ew
    col = position[1] + ahead * ew - right * ns
    return jnp.stack(jnp.broadcast_arrays(row, col))


def to_view(target: Int[Array, "N 2"], position: Int[Array, "2"], heading: Int[Array, ""], view: View):
    """Where map cells lie in an agent's view: (row, col), each i32[N]; may lie outside the view."""
    ns = (heading == 2).astype(jnp.int32) - (heading == 0).astype(jnp.int32)
    ew = (heading == 1).astype(jnp.int32) - (heading == 3).astype(jnp.int32)
    down, across = target[:, 0] - position[0], target[:, 1] - position[1]
    ahead = down * ns + across * ew
    right = down * ew - across * ns
    return view.row - ahead, view.size // 2 + right


def crop(tiles: Int[Array, "H W"], position, heading, view: View) -> Int[Array, "V V"]:
    """Tile kinds of an agent's view; beyond the map all is obstacle."""
    height, width = tiles.shape
    row, col = view_cells(position, heading, view)
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    flat = jnp.clip(row, 0, height - 1) * width + jnp.clip(col, 0, width - 1)
    return jnp.where(inside, tiles.reshape(-1)[flat], OBSTACLE)


def transparent(kind: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether one can look through a tile of this kind."""
    dark = jnp.zeros(kind.shape, bool)
    for number, clear in enumerate(TRANSPARENT):
        if not clear:
            dark |= kind == number
    return ~dark


def line_of_sight(clear: Bool[Array, "V V"], view: View) -> Bool[Array, "V V"]:
    """Which cells of a view are seen, given which can be looked through.

    The authors' sweep, not a flood fill: from the agent's row to the farthest, then to the nearest, each row
    first rightwards, then leftwards. A seen, clear cell reveals the next of its row in that direction, the
    cell of the next row, and the one diagonal between them. Its known asymmetries are kept: the leftmost
    column reveals nothing, and the farthest row reveals nothing beside itself.

    Rows are bit masks (bit c is column c), so a row's sweep is a few integer operations and fuses.
    """
    size, centre = view.size, view.size // 2
    full = (1 << size) - 1
    rightward = full & ~((1 << centre) - 1)  # columns centre … size-1
    leftward = (full >> (size - 2 - centre)) & ~1  # columns centre+1 … 1
    weights = (1 << jnp.arange(size)).astype(jnp.int32)
    open_row = [jnp.sum(jnp.where(clear[r], weights, 0)) for r in range(size)]
    seen = [jnp.int32(0)] * size
    seen[view.row] = jnp.int32(1 << centre)

    def sweep(row: int, following: int | None):
        here, through = seen[row], open_row[row]
        for _ in range(centre):
            here |= ((here & through & rightward) << 1) & full
        lit = here & through & rightward
        below = lit | (lit << 1) & full
        for _ in range(centre + 1):
            here |= (here & through & leftward) >> 1
        lit = here & through & leftward
        below |= lit | (lit >> 1)
        seen[row] = here
        if following is not None:
            seen[following] |= below

    for row in range(view.row, 0, -1):
        sweep(row, row - 1)
    for row in range(view.row, size):
        sweep(row, row + 1 if row + 1 < size else None)
    bits = jnp.stack(seen)
    return (bits[:, None] >> jnp.arange(size)[None, :]) & 1 != 0


def look(tiles, position, heading, view: View):
    """Tile kinds and visibility of one agent's view: i32[V, V], bool[V, V]."""
    kind = crop(tiles, position, heading, view)
    if view.see_through_walls:
        return kind, jnp.ones(kind.shape, bool)
    return kind, line_of_sight(transparent(kind), view)
