"""Predict what will be seen next, or reconstruct what is seen now, from memory and action.

Source: Ndousse et al. 2021, section 4.1, equation 3, and the reconstruction ablation of section 5.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.nn.modules import apply_module
from rookery.types import PRNGKey, PyTree


def masked_mean(x: Float[Array, "..."], mask: Bool[Array, "..."]) -> Float[Array, ""]:
    """Mean over the entries that count; 0 where none does."""
    return jnp.sum(x * mask) / jnp.maximum(mask.sum(), 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FramePrediction:
    """A decoder from (memory output, one-hot action) to a picture, and its mean absolute error."""

    weight: float = 3.0

    def __post_init__(self):
        if self.weight < 0:
            raise ConfigError(f"auxiliary weight={self.weight} must be at least 0")

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Parameters of the decoder."""
        hidden, action = jnp.zeros((1, policy.network.hidden_size)), jnp.zeros((1, policy.num_actions))
        return self._decoder(policy).init(key, hidden, action)["params"]

    def predict(
        self, params: PyTree, policy: RecurrentPolicy, hidden: Float[Array, "N M"], action: Int[Array, "N"]
    ) -> Float[Array, "N ..."]:
        """The predicted picture, about [0, 1]."""
        return apply_module(self._decoder(policy), params, hidden, jax.nn.one_hot(action, policy.num_actions))

    def _summed_error(self, params, policy, hidden, action, target, loss_mask):
        """Sum over the steps that count of the mean absolute error of each picture."""
        steps, agents = action.shape
        predicted = self.predict(params, policy, hidden.reshape(steps * agents, -1), action.reshape(steps * agents))
        target = target.reshape(predicted.shape).astype(jnp.float32) / 255
        error = jnp.abs(predicted - target).reshape(steps, agents, -1).mean(-1)
        return jnp.sum(error * loss_mask)

    @staticmethod
    def _decoder(policy: RecurrentPolicy):
        return policy.network.decoder(policy.observation_shape, policy.num_actions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextFramePrediction(_FramePrediction):
    """Mean absolute error of the predicted next observation; never across episodes."""

    kind: Literal["next-frame"] = "next-frame"

    def loss_mask(self, step_mask: Bool[Array, "L N"], next_is_first: Bool[Array, "L N"]) -> Bool[Array, "L N"]:
        """The steps whose error counts."""
        return step_mask & ~next_is_first

    def loss(
        self,
        params: PyTree,
        policy: RecurrentPolicy,
        hidden: Float[Array, "L N M"],
        observation: UInt8[Array, "L+1 N ..."],
        action: Int[Array, "L N"],
        loss_mask: Bool[Array, "L N"],
    ) -> Float[Array, ""]:
        """Summed over the steps that count; the caller divides, so that parts of a minibatch add up."""
        return self._summed_error(params, policy, hidden, action, observation[1:], loss_mask)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction(_FramePrediction):
    """Mean absolute error of the reconstructed present observation: the ablation."""

    kind: Literal["reconstruction"] = "reconstruction"

    def loss_mask(self, step_mask, next_is_first) -> Bool[Array, "L N"]:
        """As `NextFrame.counts`."""
        return step_mask

    def loss(self, params, policy, hidden, observation, action, loss_mask) -> Float[Array, ""]:
        """As `NextFrame.loss`."""
        return self._summed_error(params, policy, hidden, action, observation[:-1], loss_mask)
