"""Prediction of the next observation, or reconstruction of the current one, from recurrent state and action.

Source: Ndousse et al. 2021, section 3.2.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import AuxiliaryLoss, LossInputs
from rookery.nn.modules import apply_module
from rookery.types import PRNGKey, PyTree, Sequences


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FramePrediction(AuxiliaryLoss):
    """A decoder from (output of the recurrent cell, one-hot action) to an observation, and its mean absolute error."""

    weight: float = 3.0

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Parameters of the decoder."""
        hidden, action = jnp.zeros((1, policy.network.hidden_size)), jnp.zeros((1, policy.num_actions))
        return self._decoder(policy).init(key, hidden, action)["params"]

    def predict(
        self, params: PyTree, policy: RecurrentPolicy, hidden: Float[Array, "N M"], action: Int[Array, "N"]
    ) -> Float[Array, "N ..."]:
        """The predicted observation; its targets lie in [0, 1]."""
        return apply_module(self._decoder(policy), params, hidden, jax.nn.one_hot(action, policy.num_actions))

    def _mean_abs_error(
        self, params: PyTree, inputs: LossInputs, target: UInt8[Array, "L N ..."]
    ) -> Float[Array, "L N"]:
        """Mean absolute error of every predicted observation, over its pixels and channels."""
        steps, count = inputs.batch.action.shape
        hidden, action = inputs.hidden.reshape(steps * count, -1), inputs.batch.action.reshape(steps * count)
        predicted = self.predict(params, inputs.policy, hidden, action)
        target = target.reshape(predicted.shape).astype(jnp.float32) / 255
        return jnp.abs(predicted - target).reshape(steps, count, -1).mean(-1)

    @staticmethod
    def _decoder(policy: RecurrentPolicy) -> nn.Module:
        return policy.network.decoder(policy.observation_shape, policy.num_actions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextFramePrediction(_FramePrediction):
    """Mean absolute error of the predicted next observation, never across episodes.

    Source: Ndousse et al. 2021, section 3.2.
    """

    kind: Literal["next-frame"] = "next-frame"

    def loss_mask(self, batch: Sequences) -> Bool[Array, "L N"]:
        return batch.loss_mask & ~batch.is_first[1:]

    def loss(self, params: PyTree, inputs: LossInputs) -> Float[Array, "L N"]:
        return self._mean_abs_error(params, inputs, inputs.batch.observation[1:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction(_FramePrediction):
    """Mean absolute error of the reconstructed current observation: the paper's ablation of prediction."""

    kind: Literal["reconstruction"] = "reconstruction"

    def loss(self, params: PyTree, inputs: LossInputs) -> Float[Array, "L N"]:
        return self._mean_abs_error(params, inputs, inputs.batch.observation[:-1])
