"""How far one agent's choice changed other agents' policies: the measure behind every form of influence.

Source: Jaques et al. 2019, basic influence, with its appendix on mutual information.
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rookery.errors import ConfigError

Divergence = Literal["kl", "jsd", "pmi"]


def check_divergence(kind: str, divergence: str) -> None:
    """Raises ConfigError, naming the `kind` of reward, for an unknown divergence."""
    allowed = get_args(Divergence)
    if divergence not in allowed:
        raise ConfigError(f"{kind}: divergence={divergence!r} is not known; allowed: {', '.join(map(repr, allowed))}")


def influence(
    conditional_logits: Float[Array, "K N A"],
    own_logits: Float[Array, "K"],
    choice: Int[Array, ""],
    response: Int[Array, "N"],
    divergence: Divergence = "kl",
) -> Float[Array, "N"]:
    """How far an agent's choice changed the policies of N other agents, in nats. One step; callers vmap.

    Args:
      conditional_logits: the other agents' logits for each of the K possible choices.
      own_logits: the agent's logits over its choices; they weight the choices it did not take.
      choice: the choice it took.
      response: what each other agent then did; used by 'pmi' alone, and -1 if nothing.
      divergence: 'kl', KL(policy given the choice || marginal policy); 'jsd', their Jensen-Shannon divergence, at most
        ln 2; 'pmi', the pointwise mutual information log p(response given choice) / p(response), which may be negative.
    The mean over the choices of 'kl', and over choices and responses of 'pmi', is the mutual information of both.
    """
    conditional = jax.nn.log_softmax(conditional_logits)
    marginal = jax.nn.logsumexp(conditional + jax.nn.log_softmax(own_logits)[:, None, None], axis=0)
    taken = conditional[choice]
    if divergence == "pmi":
        index = jnp.maximum(response, 0)[:, None]
        return (jnp.take_along_axis(taken, index, -1) - jnp.take_along_axis(marginal, index, -1))[:, 0]
    if divergence == "jsd":
        middle = jnp.logaddexp(taken, marginal) - jnp.log(2.0)
        return 0.5 * (_kl(taken, middle) + _kl(marginal, middle))
    return _kl(taken, marginal)


def _kl(log_p: Float[Array, "N A"], log_q: Float[Array, "N A"]) -> Float[Array, "N"]:
    """KL(p || q)."""
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), -1)


def batched_influence(
    conditional_logits: Float[Array, "K M N A"],
    own_logits: Float[Array, "M K"],
    choice: Int[Array, "M"],
    response: Int[Array, "M N"],
    divergence: Divergence,
) -> Float[Array, "M N"]:
    """`influence` of M steps at once, without gradient."""
    batched = jax.vmap(lambda c, o, k, r: influence(c, o, k, r, divergence), (1, 0, 0, 0))
    return jax.lax.stop_gradient(batched(conditional_logits, own_logits, choice, response))


def exclude_self(x: Float[Array, "... A"] | Int[Array, "... A"] | None) -> jax.Array:
    """A field of `OthersInfo` without the agent itself, which comes first: [..., A - 1]."""
    assert x is not None, "the field was not requested"
    return x[..., 1:]
