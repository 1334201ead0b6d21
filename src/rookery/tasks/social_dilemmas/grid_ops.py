"""Reading and marking a few cells of a map without an operation per cell."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from rookery.tasks.social_dilemmas.dilemma_tiles import SOLID


def is_solid(kind: UInt8[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a tile of this kind stops agents and beams."""
    solid = jnp.zeros(kind.shape, bool)
    for number in SOLID:
        solid |= kind == number
    return solid


def look_up(tiles: UInt8[Array, "H W"], row: Int[Array, "..."], col: Int[Array, "..."]) -> UInt8[Array, "..."]:
    """Tile kinds at some cells. The result is undefined for cells off the map; callers stop at the outer wall."""
    return tiles.reshape(-1).at[row * tiles.shape[1] + col].get(mode="clip")


def rectangle_bitmask(
    low: Int[Array, "N 2"], high: Int[Array, "N 2"], on: Bool[Array, "N"], shape: tuple[int, ...]
) -> UInt32[Array, "H W"]:
    """For each cell, which of N <= 32 rectangles (corners included) cover it: bit n for rectangle n.

    Rows and columns are tested separately, then combined by one `and` per cell. This is far cheaper than N tests per
    cell, or a scatter. `on`: the rectangles that count.
    """
    bit = jnp.where(on, jnp.uint32(1) << jnp.arange(len(on), dtype=jnp.uint32), 0).astype(jnp.uint32)

    def covers(axis: int):
        line = jnp.arange(shape[axis])[:, None]
        return jnp.sum(jnp.where((low[:, axis] <= line) & (line <= high[:, axis]), bit, 0), -1).astype(jnp.uint32)

    return covers(0)[:, None] & covers(1)
