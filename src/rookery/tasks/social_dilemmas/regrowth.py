"""Growth of apples and waste in each step, from one random 32-bit word per cell."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, EMPTY, WASTE

PROBABILITY_RESOLUTION = 1 << 24  # probabilities are rounded to multiples of 1 / this


def bernoulli(bits: UInt32[Array, "..."], prob: Float[Array, "..."]) -> Bool[Array, "..."]:
    """True with the given probability: never at 0, always at 1."""
    return (bits >> 8).astype(jnp.int32) < jnp.round(prob * PROBABILITY_RESOLUTION).astype(jnp.int32)


def grow_apples(
    tiles: UInt8[Array, "H W"],
    orchard: Bool[ArrayLike, "H W"],
    occupied: Bool[Array, "H W"],
    prob: Float[Array, "..."],
    cell_bits: UInt32[Array, "H W"],
) -> UInt8[Array, "H W"]:
    """Apples appear on free cells of the orchard, never under an agent. `prob`: f32[] or f32[H, W]."""
    free = jnp.asarray(orchard) & (tiles == EMPTY) & ~occupied
    return jnp.where(free & bernoulli(cell_bits, prob), APPLE, tiles).astype(jnp.uint8)


def count_nearby_apples(tiles: UInt8[Array, "H W"]) -> Int[Array, "H W"]:
    """Number of apples on the eight cells around each cell; 0 for the outermost cells, which are wall."""
    apple = (tiles == APPLE).astype(jnp.uint8)
    rows = apple[:-2] + apple[1:-1] + apple[2:]
    block = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return jnp.pad(block - apple[1:-1, 1:-1], 1)


def grow_waste(
    tiles: UInt8[Array, "H W"],
    river: Bool[ArrayLike, "H W"],
    prob: Float[Array, ""],
    extra_bits: UInt32[Array, ""],
    cell_bits: UInt32[Array, "H W"],
) -> UInt8[Array, "H W"]:
    """At most one clean river cell turns into waste, also under an agent.

    The rule tries the clean cells in random order, each with probability `prob`, until one succeeds. So one of n cells
    succeeds with probability 1 - (1 - prob)^n, and each is equally likely: two random numbers instead of a shuffle.
    """
    clean = jnp.asarray(river) & (tiles != WASTE)
    grows = bernoulli(extra_bits, 1 - (1 - prob) ** clean.sum())
    # The index of the cell in the lowest bits makes all words different.
    index_bits = (tiles.size - 1).bit_length()
    index = jnp.arange(tiles.size, dtype=jnp.uint32).reshape(tiles.shape)
    rank = jnp.where(clean, cell_bits >> index_bits << index_bits | index, 0)
    chosen = clean & grows & (rank == rank.max())
    return jnp.where(chosen, WASTE, tiles).astype(jnp.uint8)


def river_waste_fraction(tiles: UInt8[Array, "H W"], river: Bool[ArrayLike, "H W"]) -> Float[Array, ""]:
    """Fraction of the river that is waste; 0 if there is no river."""
    return jnp.sum(tiles == WASTE) / jnp.maximum(jnp.sum(jnp.asarray(river)), 1)
