"""Random network distillation: a reward for observations that a trained network cannot yet predict.

It has everything an intrinsic reward can have: parameters, a loss that trains them, and a state that is kept from
update to update (a running mean square, which keeps the reward's size).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp

from rookery.interfaces import IntrinsicReward


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomNetworkDistillation(IntrinsicReward):
    """Error of the predicted features of the next observation. Source: Burda et al. 2018, arXiv:1810.12894."""

    kind: Literal["rnd"] = "rnd"
    weight: float = 0.1
    num_features: int = 32
    decay: float = 0.9  # of the running mean square, per update

    def init(self, key, policy):
        size = math.prod(policy.observation_shape)
        draw = lambda k: jax.random.normal(k, (size, self.num_features)) / size**0.5  # noqa: E731
        target_key, predictor_key = jax.random.split(key)
        return {"target": draw(target_key), "predictor": draw(predictor_key)}

    def init_state(self, policy):
        return {"mean_square": jnp.float32(1.0)}

    def error(self, reward_params, observation):
        """Squared error f32[...] for observations u8[..., *observation_shape]. The target is never trained."""
        x = observation.reshape(*observation.shape[:2], -1).astype(jnp.float32) / 255
        target = jax.lax.stop_gradient(jnp.tanh(x @ reward_params["target"]))
        return ((jnp.tanh(x @ reward_params["predictor"]) - target) ** 2).sum(-1)

    def update_state(self, state, params, policy, trajectory):
        error = self.error(self.own_params(params), trajectory.observation[1:])
        mean_square = jnp.sum(error**2 * trajectory.loss_mask) / jnp.maximum(trajectory.loss_mask.sum(), 1)
        return {"mean_square": self.decay * state["mean_square"] + (1 - self.decay) * mean_square}

    def reward(self, params, policy, trajectory, state):
        error = self.error(self.own_params(params), trajectory.observation[1:])
        return error / jnp.sqrt(state["mean_square"] + 1e-8)  # f32[T, E]

    def loss_mask(self, batch):
        return batch.loss_mask

    def loss(self, params, inputs, carry):
        return self.error(self.own_params(params), inputs.batch.observation[1:])  # f32[L, N]
