"""Advantage-weighted regression: imitate one's own actions, the more the better they turned out."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from rookery.errors import ConfigError
from rookery.learning.a2c import a2c_update
from rookery.learning.actor_critic import ActorCritic
from rookery.learning.configs import AuxiliaryLossConfig, IntrinsicRewardConfig
from rookery.learning.optimizers import make_optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdvantageWeightedRegression(ActorCritic):
    """Settings; the base class adds auxiliary losses and intrinsic rewards.

    Source: Peng et al. 2019, arXiv:1910.00177.
    """

    kind: Literal["awr"] = "awr"
    sequence_length: int = 25  # steps
    num_minibatches: int = 4  # gradient steps per update
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95
    vf_coef: float = 0.5
    normalize_advantages: bool = True
    temperature: float = 1.0  # of the weights exp(advantage / temperature)
    max_weight: float = 20.0
    max_grad_norm: float | None = 1.0
    auxiliary: tuple[AuxiliaryLossConfig, ...] = ()
    intrinsic: tuple[IntrinsicRewardConfig, ...] = ()

    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-4,  # this and the next two: a run takes those of the group, which have these defaults
        "ent_coef": 1e-5,
        "aux_loss_scale": 1.0,
        "intrinsic_scale": 1.0,
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss")

    def __post_init__(self):
        super().__post_init__()
        if self.temperature <= 0 or self.max_weight <= 0:
            raise ConfigError(f"temperature={self.temperature} and max_weight={self.max_weight} must be above 0")

    def surrogate(self, log_prob, old_log_prob, advantage):
        weight = jnp.minimum(jnp.exp(advantage / self.temperature), self.max_weight)
        return log_prob * jax.lax.stop_gradient(weight)

    def optimizer(self):
        return make_optimizer(self.max_grad_norm, 1e-8)

    def validate(self, episodes, steps):
        sequences = -(-steps // self.sequence_length) * episodes
        if sequences % self.num_minibatches:
            raise ConfigError(
                f"num_minibatches={self.num_minibatches} must divide the {sequences} sequences of an update"
            )

    def learn(self, policy, state, trajectory, hparams, key):
        return a2c_update(self, policy, state, trajectory, hparams, key)
