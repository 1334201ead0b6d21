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
from rookery.extension_errors import check_result_shape, check_same_types, method_name
from rookery.interfaces import AuxiliaryLoss, HealthInputs, LossInputs
from rookery.learning.auxiliary.frame_errors import FrameError, FrameErrorName, check_frame_error, make_frame_error
from rookery.learning.auxiliary.frame_health import FrameSample, frame_health
from rookery.nn.modules import DECODER_UNITS, apply_module, init_module
from rookery.types import PRNGKey, PyTree, Sequences


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FramePrediction(AuxiliaryLoss):
    """A decoder from (output of the recurrent cell, one-hot action) to an observation, and its error."""

    weight: float = 3.0
    error: FrameErrorName = "auto"
    """`absolute`, `squared`; for symbolic observations also `balanced`, a squared error in which tiles, agents and the
    rest count alike, and `cross-entropy`. `auto`: the paper's absolute error for pixels, the cross-entropy for symbolic
    observations, else `squared`. Named `absolute`, the decoder has ReLU units; otherwise tanh, which cannot die."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_frame_error(self.kind, self.error)

    def validate(self, policy: RecurrentPolicy) -> None:
        self._error(policy)

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Parameters of the decoder."""
        hidden, action = jnp.zeros((1, policy.network.hidden_size)), jnp.zeros((1, policy.num_actions))
        return self._error(policy).initialize(init_module(self._decoder(policy), key, hidden, action))

    def predict(
        self, params: PyTree, policy: RecurrentPolicy, hidden: Float[Array, "N M"], action: Int[Array, "N"]
    ) -> Float[Array, "N ..."]:
        """The predicted observation; its targets lie in [0, 1]. By cross-entropy, the probability of each channel."""
        return self._error(policy).prediction(self._output(params, policy, hidden, action))

    def _mean_error(self, params: PyTree, inputs: LossInputs, target: UInt8[Array, "L N ..."]) -> Float[Array, "L N"]:
        """Mean error of every predicted observation, over its elements."""
        steps, count = inputs.batch.action.shape
        hidden, action = inputs.hidden.reshape(steps * count, -1), inputs.batch.action.reshape(steps * count)
        output = self._output(params, inputs.policy, hidden, action)
        target = target.reshape(output.shape).astype(jnp.float32) / 255
        return self._error(inputs.policy).errors(output, target).reshape(steps, count, -1).mean(-1)

    def _output(
        self, params: PyTree, policy: RecurrentPolicy, hidden: Float[Array, "N M"], action: Int[Array, "N"]
    ) -> Float[Array, "N ..."]:
        output = apply_module(self._decoder(policy), params, hidden, jax.nn.one_hot(action, policy.num_actions))
        what = f"{method_name(policy.network, 'decoder')}: the array of predicted observations"
        shape = (len(hidden), *policy.observation_shape)
        check_result_shape(what, output, shape)
        check_same_types(what, output, jax.ShapeDtypeStruct(shape, jnp.float32))
        return output

    def _error(self, policy: RecurrentPolicy) -> FrameError:
        return make_frame_error(self.kind, self.error, policy)

    def _decoder(self, policy: RecurrentPolicy) -> nn.Module:
        return policy.decoder(self._error(policy).activation)

    def _health(
        self,
        params: PyTree,
        inputs: HealthInputs,
        target: UInt8[Array, "T E ..."],
        before: UInt8[Array, "T E ..."],
        mask: Bool[Array, "T E"],
    ) -> dict[str, Float[Array, ""]]:
        """The health of the prediction of `target`. `before`: the observation that a copy predicts."""
        policy, trajectory = inputs.policy, inputs.trajectory
        hidden, action = inputs.hidden.reshape(mask.size, -1), trajectory.action.reshape(-1)
        output, sown = self._decoder(policy).apply(
            {"params": params}, hidden, jax.nn.one_hot(action, policy.num_actions), mutable=["intermediates"]
        )
        units: Array | None = dict(sown or {}).get("intermediates", {}).get(DECODER_UNITS, (None,))[0]

        def flat(observation):
            return observation.reshape(output.shape).astype(jnp.float32) / 255

        sample = FrameSample(output, flat(target), flat(before), mask.reshape(-1), units)
        return frame_health(self._error(policy), sample, inputs.agent_scores)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextFramePrediction(_FramePrediction):
    """Error of the predicted next observation, never across episodes.

    Source: Ndousse et al. 2021, section 3.2.
    """

    kind: Literal["next-frame"] = "next-frame"

    def loss_mask(self, batch: Sequences) -> Bool[Array, "L N"]:
        return batch.loss_mask & ~batch.is_first[1:]

    def loss(self, params: PyTree, inputs: LossInputs) -> Float[Array, "L N"]:
        return self._mean_error(params, inputs, inputs.batch.observation[1:])

    def health(self, params: PyTree, inputs: HealthInputs) -> dict[str, Float[Array, ""]]:
        observation, is_first = inputs.trajectory.observation, inputs.trajectory.is_first
        mask = inputs.trajectory.loss_mask & ~is_first[1:]
        return self._health(params, inputs, target=observation[1:], before=observation[:-1], mask=mask)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reconstruction(_FramePrediction):
    """Error of the reconstructed current observation: the paper's ablation of prediction."""

    kind: Literal["reconstruction"] = "reconstruction"

    def loss(self, params: PyTree, inputs: LossInputs) -> Float[Array, "L N"]:
        return self._mean_error(params, inputs, inputs.batch.observation[:-1])

    def health(self, params: PyTree, inputs: HealthInputs) -> dict[str, Float[Array, ""]]:
        """A copy is here one of the observation before: the current one is the target."""
        observation, is_first = inputs.trajectory.observation, inputs.trajectory.is_first
        before = jnp.concatenate([observation[:1], observation[:-2]])
        mask = inputs.trajectory.loss_mask & ~is_first[:-1]
        return self._health(params, inputs, target=observation[:-1], before=before, mask=mask)
