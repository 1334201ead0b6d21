"""Means over the entries that count."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def masked_mean(x: Float[Array, "..."] | Bool[Array, "..."], mask: Bool[Array, "..."]) -> Float[Array, ""]:
    """Mean of x over the entries where `mask` is True; 0 if there are none."""
    return jnp.sum(x * mask) / jnp.maximum(mask.sum(), 1)
