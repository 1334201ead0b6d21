"""What grows, each step, from one random word a cell."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.tasks.social_dilemmas.tiles import APPLE, EMPTY, WASTE

PROBABILITY_RESOLUTION = 1 << 24  # a chance is compared in steps of this fraction


def bernoulli(bits: UInt32[Array, "..."], prob: Float[Array, "..."]) -> Bool[Array, "..."]:
    """True with the given chance: never at 0, always at 1."""
    return (bits >> 8).astype(jnp.int32) < jnp.round(prob * PROBABILITY_RESOLUTION).astype(jnp.int32)


def grow_apples(
    tiles, orchard: Bool[ArrayLike, "H W"], occupied: Bool[Array, "H W"], prob, cell_bits
) -> UInt8[Array, "H W"]:
    """Apples appear on free cells of the orchard, never under an agent. `chance` is one number or f32[H, W]."""
    free = jnp.asarray(orchard) & (tiles == EMPTY) & ~occupied
    return jnp.where(free & bernoulli(cell_bits, prob), APPLE, tiles).astype(jnp.uint8)


def count_nearby_apples(tiles: UInt8[Array, "H W"]) -> Int[Array, "H W"]:
    """Apples on the eight cells around each. The outermost cells, which are wall, are not counted for: 0."""
    apple = (tiles == APPLE).astype(jnp.uint8)
    rows = apple[:-2] + apple[1:-1] + apple[2:]
    block = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return jnp.pad(block - apple[1:-1, 1:-1], 1)


def grow_waste(
    tiles, river: Bool[ArrayLike, "H W"], prob: Float[Array, ""], extra_bits: UInt32[Array, ""], cell_bits
) -> UInt8[Array, "H W"]:
    """At most one clean river cell turns to waste; agents on it are no hindrance.

    The rule tries the clean cells in random order, each with `chance`, until one succeeds. Of n cells one then
    succeeds with 1 - (1 - chance)^n, and each is equally likely to be it: two draws instead of a shuffle.
    """
    clean = jnp.asarray(river) & (tiles != WASTE)
    some = bernoulli(extra_bits, 1 - (1 - prob) ** clean.sum())
    # The cell's own number in the lowest bits makes all words differ.
    bits = (tiles.size - 1).bit_length()
    number = jnp.arange(tiles.size, dtype=jnp.uint32).reshape(tiles.shape)
    draw = jnp.where(clean, cell_bits >> bits << bits | number, 0)
    chosen = clean & some & (draw == draw.max())
    return jnp.where(chosen, WASTE, tiles).astype(jnp.uint8)


def river_waste_fraction(tiles: UInt8[Array, "H W"], river: Bool[ArrayLike, "H W"]) -> Float[Array, ""]:
    """Share of the river that is waste; 0 where there is no river."""
    return jnp.sum(tiles == WASTE) / jnp.maximum(jnp.sum(jnp.asarray(river)), 1)
