"""Recurrent advantage actor-critic of one independent learner: A3C in its synchronous form.

An update reads one batch of whole episodes once. Episodes are cut into sequences, from whose start gradients flow;
advantages are estimated over whole episodes. `minibatches` gradient steps take equal shares of the sequences in
shuffled order, as A3C's workers take theirs, whose gradients too are of parameters a little old. Memories at the
sequences' starts, values and advantages are those of the parameters at the update's start.

Source: Mnih et al. 2016, arXiv:1602.01783; Jaques et al. 2019, section 6.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning import ppo
from rookery.learning.actor_critic import ActorCritic, LearnerState, ScheduledHparams
from rookery.learning.auxiliary import AuxiliaryConfig
from rookery.learning.intrinsic import IntrinsicConfig, combine
from rookery.types import PRNGKey, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class A2C(ActorCritic):
    """Configuration; what a schedule changes is in `rates`."""

    kind: Literal["a2c"] = "a2c"
    sequence_length: int = 50  # steps
    num_minibatches: int = 1  # gradient steps an update, each on its own share of the batch
    gamma: float = 0.99  # per step
    gae_lambda: float = 0.95  # lambda of the advantage estimate; 1 takes whole returns, as n steps to the end
    vf_coef: float = 0.5
    normalize_advantages: bool = False  # advantages, over the steps of a batch that count
    optimizer_kind: Literal["rmsprop", "adam"] = "rmsprop"
    optimizer_decay: float = 0.99  # of RMSprop's mean of squares; Adam's are its usual
    optimizer_eps: float = 1e-5
    max_grad_norm: float | None = 40.0  # global
    auxiliary: tuple[AuxiliaryConfig, ...] = ()
    intrinsic: tuple[IntrinsicConfig, ...] = ()

    clip_eps = None
    advantage = "gae"
    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-3,
        "ent_coef": 1e-3,
        "aux_loss_scale": 1.0,
        "intrinsic_scale": 1.0,
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss", "entropy")

    def __post_init__(self):
        for field in ("sequence_length", "num_minibatches"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        for field in ("gamma", "gae_lambda", "optimizer_decay"):
            if not 0 < getattr(self, field) <= 1:
                raise ConfigError(f"{field}={getattr(self, field)} must lie in (0, 1]")
        for field in ("vf_coef", "optimizer_eps", "max_grad_norm"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ConfigError(f"{field}={value} must be at least 0")
        if self.optimizer_kind not in ("rmsprop", "adam"):
            raise ConfigError(f"optimizer_kind={self.optimizer_kind!r} is not known; allowed: 'rmsprop', 'adam'")
        kinds = [auxiliary.kind for auxiliary in self.auxiliary]
        if len(set(kinds)) != len(kinds):
            raise ConfigError(f"auxiliary losses {kinds} must differ from each other")
        combine.check_distinct_kinds(self.intrinsic)

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        """What a step adds to the objective, whose slope is the policy gradient."""
        return log_prob * advantage

    def optimizer(self) -> optax.GradientTransformation:
        """Without its step size, which the rates bring."""
        clip = optax.clip_by_global_norm(self.max_grad_norm) if self.max_grad_norm else optax.identity()
        if self.optimizer_kind == "adam":
            return optax.chain(clip, optax.scale_by_adam(eps=self.optimizer_eps))
        return optax.chain(clip, optax.scale_by_rms(decay=self.optimizer_decay, eps=self.optimizer_eps))

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
    """One update from one batch. Returns the new learner and the means of what its minibatches measured."""
    steps, episodes = trajectory.action.shape
    total = -(-steps // config.sequence_length) * episodes
    order = jax.random.permutation(key, total).reshape(config.num_minibatches, -1)
    fresh = ppo.recompute(config, policy, learner_state.params, trajectory)
    optimizer = config.optimizer()

    def minibatch(learner: LearnerState, chosen):
        batch = ppo.take_sequences(config, trajectory, fresh, chosen)
        parts, slope = ppo.gradient(config, policy, learner.params, batch, hparams)
        change, state = optimizer.update(slope, learner.opt_state, learner.params)
        change = jax.tree.map(lambda c: -hparams.learning_rate * c, change)
        parts["grad_norm"] = optax.global_norm(slope)
        return LearnerState(optax.apply_updates(learner.params, change), state), parts

    after, told = jax.lax.scan(minibatch, learner_state, order)
    return after, {name: jnp.mean(value) for name, value in told.items()}
