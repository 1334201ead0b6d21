"""Advantage Alignment: an agent reinforces what is good for others as far as the past with them was good for it.

A*_t = N(A)_t + coef · gamma · (Σ_{k<t} gamma^{t-k} C(A)_k) · Σ_j C(A^j)_t, where A is the agent's own advantage and A^j
that of another agent j. After good times actions that are good for the others become more likely, after bad times less
likely, so that the others learn to make the times good. N and C normalize: to mean 0 over all steps of the update, or
at each step over its episodes, and standard deviation 1.

Source: Duque et al. 2025, arXiv:2406.14662, proximal Advantage Alignment: PPO with A* in the place of A. The published
code, too, normalizes advantages before it multiplies them: the product of two grows with the square of the rewards, and
while a critic still has to learn how much every episode loses, the past would always seem bad. There the mean is over
all steps; a critic's error depends on the steps that are left, so here the past is compared with that of the other
episodes. The paper takes A^j from the other agent's critic. Here it is estimated from the other agent's rewards alone:
its discounted return from t on. The learner receives the others' rewards and which of them are in the environment, and
nothing else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.learning.masking import masked_mean
from rookery.types import OthersInfo

ALIGNMENT_INFO = ("reward", "agent_mask")
"""What it receives of the other agents: names of `rookery.interfaces.REQUESTABLE_INFO`."""

_MIN_STD = 1e-8


def align_advantages(
    advantage: Float[Array, "T E"],
    others: OthersInfo | None,
    loss_mask: Bool[Array, "T E"],
    *,
    coef: float,
    gamma: float,
) -> Float[Array, "T E"]:
    """A* of E whole episodes of T steps; without gradient through what it is made of. With one episode it is N(A).

    Args:
      advantage: of the agent's own rewards. others: with `ALIGNMENT_INFO`.
      loss_mask: the agent's steps that count.
      coef: at least 0, the paper's β.
    """
    assert others is not None, "the other agents' rewards were not requested"
    assert others.reward is not None
    assert others.agent_mask is not None
    past = discounted_past(normalize_by_step(advantage, loss_mask), gamma)
    returns = discounted_returns(jnp.where(others.agent_mask, others.reward, 0.0)[..., 1:], gamma)
    of_others = normalize_by_step(returns, others.agent_mask[..., 1:]).sum(-1)
    centered = advantage - masked_mean(advantage, loss_mask)
    own = centered / (jnp.sqrt(masked_mean(centered**2, loss_mask)) + _MIN_STD)
    return own + coef * gamma * past * of_others


def discounted_past(x: Float[Array, "T ..."], gamma: float) -> Float[Array, "T ..."]:
    """Σ_{k<t} gamma^{t-k} x_k for every t; 0 at the first step."""

    def step(past, x):
        return gamma * (past + x), past

    return jax.lax.scan(step, jnp.zeros(x.shape[1:]), x)[1]


def discounted_returns(reward: Float[Array, "T ..."], gamma: float) -> Float[Array, "T ..."]:
    """Σ_{k≥t} gamma^{k-t} reward_k for every t."""

    def step(following, reward):
        return (total := reward + gamma * following), total

    return jax.lax.scan(step, jnp.zeros(reward.shape[1:]), reward, reverse=True)[1]


def normalize_by_step(x: Float[Array, "T E ..."], mask: Bool[Array, "T E ..."]) -> Float[Array, "T E ..."]:
    """Minus the mean over the episodes of the same step, over the standard deviation of what is left in all steps.

    Args:
      mask: what counts; the rest is 0.
    """
    mean = jnp.sum(x * mask, 1, keepdims=True) / jnp.maximum(mask.sum(1, keepdims=True), 1)
    centered = jnp.where(mask, x - mean, 0.0)
    return centered / (jnp.sqrt(masked_mean(centered**2, mask)) + _MIN_STD)
