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
from rookery.learning.auxiliary import Auxiliary
from rookery.learning.intrinsic import IntrinsicConfig, apply
from rookery.learning.on_policy import Learner, OnPolicy, Rates
from rookery.types import Key, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class A2C(OnPolicy):
    """Configuration; what a schedule changes is in `rates`."""

    kind: Literal["a2c"] = "a2c"
    sequence_length: int = 50  # steps
    minibatches: int = 1  # gradient steps an update, each on its own share of the batch
    discount: float = 0.99  # per step
    decay: float = 0.95  # lambda of the advantage estimate; 1 takes whole returns, as n steps to the end
    value_weight: float = 0.5
    normalise: bool = False  # advantages, over the steps of a batch that count
    optimiser_kind: Literal["rmsprop", "adam"] = "rmsprop"
    optimiser_decay: float = 0.99  # of RMSprop's mean of squares; Adam's are its usual
    optimiser_epsilon: float = 1e-5
    max_gradient_norm: float | None = 40.0  # global
    auxiliary: tuple[Auxiliary, ...] = ()
    intrinsic: tuple[IntrinsicConfig, ...] = ()

    clip = None
    advantage = "gae"
    rates: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-3,
        "entropy": 1e-3,
        "auxiliary_scale": 1.0,
        "intrinsic_scale": 1.0,
    }
    watched: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss", "entropy")

    def __post_init__(self):
        for field in ("sequence_length", "minibatches"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        for field in ("discount", "decay", "optimiser_decay"):
            if not 0 < getattr(self, field) <= 1:
                raise ConfigError(f"{field}={getattr(self, field)} must lie in (0, 1]")
        for field in ("value_weight", "optimiser_epsilon", "max_gradient_norm"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ConfigError(f"{field}={value} must be at least 0")
        if self.optimiser_kind not in ("rmsprop", "adam"):
            raise ConfigError(f"optimiser_kind={self.optimiser_kind!r} is not known; allowed: 'rmsprop', 'adam'")
        kinds = [auxiliary.kind for auxiliary in self.auxiliary]
        if len(set(kinds)) != len(kinds):
            raise ConfigError(f"auxiliary losses {kinds} must differ from each other")
        apply.check(self.intrinsic)

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        """What a step adds to the objective, whose slope is the policy gradient."""
        return log_prob * advantage

    def optimiser(self) -> optax.GradientTransformation:
        """Without its step size, which the rates bring."""
        clip = optax.clip_by_global_norm(self.max_gradient_norm) if self.max_gradient_norm else optax.identity()
        if self.optimiser_kind == "adam":
            return optax.chain(clip, optax.scale_by_adam(eps=self.optimiser_epsilon))
        return optax.chain(clip, optax.scale_by_rms(decay=self.optimiser_decay, eps=self.optimiser_epsilon))

    def check(self, episodes: int, steps: int) -> None:
        sequences = -(-steps // self.sequence_length) * episodes
        if sequences % self.minibatches:
            raise ConfigError(
                f"minibatches={self.minibatches} must divide the {sequences} sequences of an update "
                f"({episodes} episodes of {steps} steps, cut at {self.sequence_length})"
            )

    def learn(
        self, policy: RecurrentPolicy, state: Learner, trajectory: Trajectory, rates: Rates, key: Key
    ) -> tuple[Learner, dict[str, Float[Array, ""]]]:
        return update(self, policy, state, trajectory, rates, key)


def update(
    config: A2C, policy: RecurrentPolicy, learner: Learner, trajectory: Trajectory, rates: Rates, key: Key
) -> tuple[Learner, dict[str, Float[Array, ""]]]:
    """One update from one batch. Returns the new learner and the means of what its minibatches measured."""
    steps, episodes = trajectory.action.shape
    total = -(-steps // config.sequence_length) * episodes
    order = jax.random.permutation(key, total).reshape(config.minibatches, -1)
    fresh = ppo.refresh(config, policy, learner.params, trajectory)
    optimiser = config.optimiser()

    def minibatch(learner: Learner, chosen):
        batch = ppo.cut(config, trajectory, fresh, chosen)
        parts, slope = ppo.gradient(config, policy, learner.params, batch, rates)
        change, state = optimiser.update(slope, learner.optimiser, learner.params)
        change = jax.tree.map(lambda c: -rates.learning_rate * c, change)
        parts["gradient_norm"] = optax.global_norm(slope)
        return Learner(optax.apply_updates(learner.params, change), state), parts

    after, told = jax.lax.scan(minibatch, learner, order)
    return after, {name: jnp.mean(value) for name, value in told.items()}
