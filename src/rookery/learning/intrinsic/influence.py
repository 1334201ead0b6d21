"""How far one agent's choice moved others' policies: the measure behind every form of influence.

Source: Jaques et al. 2019, section 3, equations 1 to 3, and appendix 10.1 (mutual information).
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rookery.errors import ConfigError

Divergence = Literal["kl", "jsd", "pmi"]


def check_divergence(kind: str, divergence: str) -> None:
    if divergence not in get_args(Divergence):
        raise ConfigError(
            f"{kind}: divergence={divergence!r} is not known; allowed: {', '.join(map(repr, get_args(Divergence)))}"
        )


def influence(
    conditional_logits: Float[Array, "K N A"],
    own_logits: Float[Array, "K"],
    choice: Int[Array, ""],
    response: Int[Array, "N"],
    divergence: Divergence = "kl",
) -> Float[Array, "N"]:
    """How far my choice moved each of N listeners' policies. Nats; one step, callers vmap.

    Args:
      conditional: listeners' logits for each of my K choices.
      own: my logits over the choices when I chose: what the choices I did not take are averaged with.
      choice: which one I took. answer: what each listener then did; only 'pmi' looks at it, and -1 is nothing.
      form: 'kl', KL(given my choice || marginal); 'jsd', their Jensen-Shannon divergence, at most ln 2; 'pmi',
        log p(answer given my choice) / p(answer), which may be negative.
    The mean over my choices of 'kl', and of 'pmi' over answers too, is the mutual information of choice and answer.
    """
    conditional_logits = jax.nn.log_softmax(conditional_logits)
    marginal = jax.nn.logsumexp(conditional_logits + jax.nn.log_softmax(own_logits)[:, None, None], axis=0)
    taken = conditional_logits[choice]
    if divergence == "pmi":
        at = jnp.maximum(response, 0)[:, None]
        return (jnp.take_along_axis(taken, at, -1) - jnp.take_along_axis(marginal, at, -1))[:, 0]
    if divergence == "jsd":
        middle = jnp.logaddexp(taken, marginal) - jnp.log(2.0)
        return 0.5 * (_divergence(taken, middle) + _divergence(marginal, middle))
    return _divergence(taken, marginal)


def _divergence(p: Float[Array, "N A"], q: Float[Array, "N A"]) -> Float[Array, "N"]:
    """KL(p || q) of log-probabilities."""
    return jnp.sum(jnp.exp(p) * (p - q), -1)


def batched_influence(
    conditional_logits: Float[Array, "K M N A"],
    own_logits: Float[Array, "M K"],
    choice: Int[Array, "M"],
    response: Int[Array, "M N"],
    divergence: Divergence,
) -> Float[Array, "M N"]:
    """`influence` of M steps at once, carrying no gradient."""
    each = jax.vmap(lambda c, o, k, a: influence(c, o, k, a, divergence), (1, 0, 0, 0))
    told = each(conditional_logits, own_logits, choice, response)
    return jax.lax.stop_gradient(told)
