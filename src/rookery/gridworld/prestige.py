"""Prestige: the color of an agent, by which others see how much reward it got recently."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import nn


def update_prestige(prestige: jax.Array, reward: jax.Array, decay: jax.Array | float) -> jax.Array:
    """c_t = decay * c_{t-1} + r_t, or 0 after a negative reward. f32[A].

    Source: Ndousse et al. 2021, section 3.3, equation 4.
    """
    return jnp.where(reward < 0, 0.0, decay * prestige + reward)


def blue_fraction(prestige: jax.Array, rule: str) -> jax.Array:
    """How blue (rather than red) an agent is, in [0, 1]. f32[A].

    'tanh' is tanh(c/2), as in the reference code: red at c = 0. 'sigmoid' is as in the paper: purple at c = 0.
    """
    return jnp.tanh(prestige / 2) if rule == "tanh" else nn.sigmoid(prestige)
