"""Predict the reward of the action just chosen: an auxiliary loss with one dense layer of its own."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from rookery.interfaces import AuxiliaryLoss


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardPrediction(AuxiliaryLoss):
    """Squared error of the predicted reward. Source: Jaderberg et al. 2016, arXiv:1611.05397 (its third task)."""

    kind: Literal["reward-prediction"] = "reward-prediction"

    def init(self, key, policy):
        size = policy.network.hidden_size + policy.num_actions
        return {"kernel": 0.01 * jax.random.normal(key, (size,)), "bias": jnp.zeros(())}

    def loss(self, params, inputs):
        action = jax.nn.one_hot(inputs.batch.action, inputs.policy.num_actions)
        x = jnp.concatenate([inputs.hidden, action], -1)  # f32[L, N, M + A]
        predicted = x @ params["kernel"] + params["bias"]
        return (predicted - inputs.batch.reward) ** 2  # f32[L, N], as `loss_mask`
