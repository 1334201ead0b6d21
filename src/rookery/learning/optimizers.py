"""The optimizers of all learners: gradients clipped by their global norm, then Adam or RMSprop."""

from __future__ import annotations

from typing import Any, Literal

import jax
import optax
from jaxtyping import Array, Float

from rookery.types import PyTree


def make_optimizer(
    max_grad_norm: float | None, eps: float, kind: Literal["adam", "rmsprop"] = "adam", decay: float = 0.99
) -> optax.GradientTransformation:
    """An optimizer without its learning rate, which may change from update to update; see `apply_gradients`.

    Args:
      max_grad_norm: largest global norm of the gradients; None or 0: they are not clipped.
      eps: added to the denominator. decay: of RMSprop's mean of squares.
    """
    clip = optax.clip_by_global_norm(max_grad_norm) if max_grad_norm else optax.identity()
    if kind == "adam":
        return optax.chain(clip, optax.scale_by_adam(eps=eps))
    return optax.chain(clip, optax.scale_by_rms(decay=decay, eps=eps))


def apply_gradients(
    optimizer: optax.GradientTransformation,
    params: PyTree,
    opt_state: PyTree,
    grads: PyTree,
    learning_rate: float | Float[Array, ""],
) -> tuple[Any, PyTree]:
    """One step down the gradients. Returns the parameters and the optimizer's state."""
    updates, opt_state = optimizer.update(grads, opt_state, params)
    updates = jax.tree.map(lambda u: -learning_rate * u, updates)
    return optax.apply_updates(params, updates), opt_state
