"""How far one agent's choice moved others' policies: the measure behind every form of influence.

Source: Jaques et al. 2019, section 3, equations 1 to 3, and appendix 10.1 (mutual information).
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rookery.errors import ConfigError

Form = Literal["kl", "jsd", "pmi"]


def check_form(kind: str, form: str) -> None:
    if form not in get_args(Form):
        raise ConfigError(f"{kind}: divergence={form!r} is not known; allowed: {', '.join(map(repr, get_args(Form)))}")


def influence(
    conditional: Float[Array, "K N A"],
    own: Float[Array, "K"],
    choice: Int[Array, ""],
    answer: Int[Array, "N"],
    form: Form = "kl",
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
    conditional = jax.nn.log_softmax(conditional)
    marginal = jax.nn.logsumexp(conditional + jax.nn.log_softmax(own)[:, None, None], axis=0)
    taken = conditional[choice]
    if form == "pmi":
        at = jnp.maximum(answer, 0)[:, None]
        return (jnp.take_along_axis(taken, at, -1) - jnp.take_along_axis(marginal, at, -1))[:, 0]
    if form == "jsd":
        middle = jnp.logaddexp(taken, marginal) - jnp.log(2.0)
        return 0.5 * (_divergence(taken, middle) + _divergence(marginal, middle))
    return _divergence(taken, marginal)


def _divergence(p: Float[Array, "N A"], q: Float[Array, "N A"]) -> Float[Array, "N"]:
    """KL(p || q) of log-probabilities."""
    return jnp.sum(jnp.exp(p) * (p - q), -1)


def influences(
    conditional: Float[Array, "K M N A"],
    own: Float[Array, "M K"],
    choice: Int[Array, "M"],
    answer: Int[Array, "M N"],
    form: Form,
) -> Float[Array, "M N"]:
    """`influence` of M steps at once, carrying no gradient."""
    each = jax.vmap(lambda c, o, k, a: influence(c, o, k, a, form), (1, 0, 0, 0))
    told = each(conditional, own, choice, answer)
    return jax.lax.stop_gradient(told)
