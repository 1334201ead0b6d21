"""Recurrent advantage actor-critic (A2C) of one independent learner: A3C in its synchronous form.

An update reads one batch of whole episodes once. Episodes are cut into sequences, and gradients flow back to the start
of a sequence; advantages are estimated over whole episodes. Each of `num_minibatches` gradient steps takes an equal
part of the sequences in shuffled order, as the workers of A3C do, whose gradients too are of slightly older parameters.
Recurrent states at the starts of the sequences, values and advantages are those of the parameters at the start of the
update.

Source: Mnih et al. 2016, arXiv:1602.01783; used by Jaques et al. 2019.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from rookery import keys
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning.actor_critic import (
    ActorCritic,
    LearnerState,
    ScheduledHparams,
    gradient,
    num_sequences,
    recompute,
    take_sequences,
)
from rookery.learning.configs import AuxiliaryLossConfig, IntrinsicRewardConfig, check_range
from rookery.learning.optimizers import apply_gradients, make_optimizer
from rookery.types import PRNGKey, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class A2C(ActorCritic):
    """Settings; `hparams` are those that a schedule may change."""

    kind: Literal["a2c"] = "a2c"
    sequence_length: int = 50  # steps
    num_minibatches: int = 1  # gradient steps per update, each on its own part of the batch
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95  # of the advantage estimate; at 1 it uses returns to the end of the episode
    vf_coef: float = 0.5
    normalize_advantages: bool = False  # over the steps of a batch that count
    optimizer_kind: Literal["rmsprop", "adam"] = "rmsprop"
    optimizer_decay: float = 0.99  # of RMSprop's mean of squares; Adam has its usual numbers
    optimizer_eps: float = 1e-5
    max_grad_norm: float | None = 40.0  # global
    auxiliary: tuple[AuxiliaryLossConfig, ...] = ()
    intrinsic: tuple[IntrinsicRewardConfig, ...] = ()

    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-3,
        "ent_coef": 1e-3,
        "aux_loss_scale": 1.0,
        "intrinsic_scale": 1.0,
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss", "entropy")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, ("optimizer_decay",), high=1, exclude_low=True, exclude_high=True)
        check_range(self, ("optimizer_eps",), exclude_low=True)
        if self.optimizer_kind not in ("rmsprop", "adam"):
            raise ConfigError(f"optimizer_kind={self.optimizer_kind!r} is not known; allowed: 'rmsprop', 'adam'")

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        return log_prob * advantage

    def optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.max_grad_norm, self.optimizer_eps, self.optimizer_kind, self.optimizer_decay)

    def validate(self, episodes: int, steps: int) -> None:
        sequences = -(-steps // self.sequence_length) * episodes
        if sequences % self.num_minibatches:
            raise ConfigError(
                f"num_minibatches={self.num_minibatches} must divide the {sequences} sequences of an update "
                f"({episodes} episodes of {steps} steps, cut at {self.sequence_length})"
            )

    def learn(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        hparams: ScheduledHparams,
        key: PRNGKey,
    ) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
        return a2c_update(self, policy, state, trajectory, hparams, key)


def a2c_update(
    config: A2C,
    policy: RecurrentPolicy,
    learner_state: LearnerState,
    trajectory: Trajectory,
    hparams: ScheduledHparams,
    key: PRNGKey,
) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
    """One update from one batch. Returns the next state, and the means of the minibatches' metrics."""
    order = jax.random.permutation(key, num_sequences(config, trajectory)).reshape(config.num_minibatches, -1)
    loss_keys = jax.random.split(jax.random.fold_in(key, keys.LOSSES), config.num_minibatches)
    recomputed = recompute(config, policy, learner_state.params, trajectory)
    optimizer = config.optimizer()

    def minibatch(state: LearnerState, inputs):
        indices, loss_key = inputs
        batch = take_sequences(config, trajectory, recomputed, indices)
        terms, grads = gradient(config, policy, state.params, batch, hparams, loss_key)
        params, opt_state = apply_gradients(optimizer, state.params, state.opt_state, grads, hparams.learning_rate)
        terms["grad_norm"] = optax.tree.norm(grads)
        return state._replace(params=params, opt_state=opt_state), terms

    state, metrics = jax.lax.scan(minibatch, learner_state, (order, loss_keys))
    return state, {name: jnp.mean(value) for name, value in metrics.items()}
