"""Advantage Alignment: an agent reinforces what is good for others as far as the past with them was good for it.

A*_t = A_t + coef · gamma · (Σ_{k<t} gamma^{t-k} A_k) · Σ_j A^j_t, where A is the agent's own advantage and A^j that of
another agent j. After good times actions that are good for the others become more likely, after bad times less likely,
so that the others learn to make the times good.

Source: Duque et al. 2025, arXiv:2406.14662, proximal Advantage Alignment: PPO with A* in the place of A. The paper
takes A^j from the other agent's critic. Here it is estimated from the other agent's rewards alone: its discounted
return from t on, minus the mean of that over the episodes of the update. The learner receives the others' rewards and
which of them are in the environment, and nothing else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.types import OthersInfo

ALIGNMENT_INFO = ("reward", "agent_mask")
"""What it receives of the other agents: names of `rookery.interfaces.REQUESTABLE_INFO`."""


def align_advantages(
    advantage: Float[Array, "T E"],
    others: OthersInfo | None,
    loss_mask: Bool[Array, "T E"],
    *,
    coef: float,
    gamma: float,
) -> Float[Array, "T E"]:
    """A* of E whole episodes of T steps; without gradient through what it is made of.

    Args:
      advantage: of the agent's own rewards. others: with `ALIGNMENT_INFO`.
      loss_mask: the agent's steps that count.
      coef: at least 0, the paper's β.
    """
    assert others is not None, "the other agents' rewards were not requested"
    assert others.reward is not None
    assert others.agent_mask is not None
    past = discounted_past(jnp.where(loss_mask, advantage, 0.0), gamma)
    of_others = return_advantages(others.reward[..., 1:], others.agent_mask[..., 1:], gamma).sum(-1)
    return advantage + coef * gamma * past * of_others


def discounted_past(x: Float[Array, "T ..."], gamma: float) -> Float[Array, "T ..."]:
    """Σ_{k<t} gamma^{t-k} x_k for every t; 0 at the first step."""

    def step(past, x):
        return gamma * (past + x), past

    return jax.lax.scan(step, jnp.zeros(x.shape[1:]), x)[1]


def return_advantages(reward: Float[Array, "T E N"], mask: Bool[Array, "T E N"], gamma: float) -> Float[Array, "T E N"]:
    """Discounted return from each step on, minus its mean over the episodes in which the agent is there; else 0."""

    def step(following, reward):
        return (total := reward + gamma * following), total

    rewards = jnp.where(mask, reward, 0.0)
    returns = jax.lax.scan(step, jnp.zeros(reward.shape[1:]), rewards, reverse=True)[1]
    mean = jnp.sum(returns * mask, 1, keepdims=True) / jnp.maximum(mask.sum(1, keepdims=True), 1)
    return jnp.where(mask, returns - mean, 0.0)
