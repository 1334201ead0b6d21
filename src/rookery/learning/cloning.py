"""Behavior cloning: a recurrent policy learns to do what an expert did, and earns nothing.

The policy reads whole episodes of the expert's, as the expert saw them, and is moved towards the action the
expert took at every step: -log pi(expert's action | what was seen so far). No value, no auxiliary loss; the encoder,
memory and policy head are those of the agent trained by reward. Gradients flow through whole episodes, so that no
memory is ever stale.

Source: Ndousse et al. 2021, appendix 7.4 and figure 11.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.types import PRNGKey, PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class BehaviorCloning:
    """Configuration. The step size falls in a straight line to `last_learning_rate`."""

    kind: Literal["behavior-cloning"] = "behavior-cloning"
    epochs: int = 20  # passes over the episodes learned from
    minibatch_size: int = 16  # in a minibatch, whole
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    max_grad_norm: float | None = 0.5  # global
    adam_eps: float = 1e-5
    validation_fraction: float = 0.1  # share of the worlds whose episodes are only judged by

    def __post_init__(self):
        for field in ("epochs", "minibatch_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        for field in ("learning_rate", "final_learning_rate", "max_grad_norm", "adam_eps"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ConfigError(f"{field}={value} must be at least 0")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction={self.validation_fraction} must lie in (0, 1)")

    def optimizer(self) -> optax.GradientTransformation:
        """Adam without its step size."""
        clip = optax.clip_by_global_norm(self.max_grad_norm) if self.max_grad_norm else optax.identity()
        return optax.chain(clip, optax.scale_by_adam(eps=self.adam_eps))

    def learning_rate_at(self, epoch: Int[Array, ""]) -> Float[Array, ""]:
        """Step size of an epoch, counted from 0."""
        share = epoch / max(self.epochs - 1, 1)
        return self.learning_rate + (self.final_learning_rate - self.learning_rate) * share


class CloningState(NamedTuple):
    """All of one pupil."""

    params: PyTree  # the policy's
    opt_state: PyTree
    best_params: PyTree  # parameters after the epoch that was best on the episodes held out
    best_loss: Float[Array, ""]  # nats an action, held out; infinite before the first epoch


def init_cloning(config: BehaviorCloning, policy: RecurrentPolicy, key: PRNGKey) -> CloningState:
    """A pupil that knows nothing."""
    params = policy.init(key)
    return CloningState(params, config.optimizer().init(params), jax.tree.map(jnp.copy, params), jnp.float32(jnp.inf))


def summed_loss(
    policy: RecurrentPolicy, params: PyTree, batch: Trajectory
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Of E whole episodes: the sum of -log pi(action) over the steps that count, in nats; and how many steps count
    ('steps') and in how many of them the likeliest action was the expert's ('hits')."""
    episodes = batch.action.shape[1]
    logits, _, _, _ = policy.unroll(params, policy.initial_carry(episodes), batch.observation[:-1], batch.is_first[:-1])
    log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.action[..., None], -1)[..., 0]
    hits = jnp.sum((logits.argmax(-1) == batch.action) & batch.loss_mask)
    told = {"num_steps": batch.loss_mask.sum(), "num_correct": hits}
    return -jnp.sum(log_prob * batch.loss_mask), {name: count.astype(jnp.float32) for name, count in told.items()}


def train_epoch(
    config: BehaviorCloning,
    policy: RecurrentPolicy,
    clone: CloningState,
    data: Trajectory,
    learning_rate: Float[Array, ""],
    key: PRNGKey,
) -> tuple[CloningState, dict[str, Float[Array, ""]]]:
    """One pass in shuffled minibatches of whole episodes; what is left over waits for another pass.

    Returns the pupil and the means over the pass: 'loss' in nats an action, and 'accuracy'.
    """
    episodes = data.action.shape[1]
    size = min(config.minibatch_size, episodes)
    order = jax.random.permutation(key, episodes)[: episodes // size * size].reshape(-1, size)
    optimizer = config.optimizer()

    def minibatch(loop, chosen):
        params, state = loop
        batch = jax.tree.map(lambda x: x[:, chosen], data)
        (nats, told), slope = jax.value_and_grad(lambda p: summed_loss(policy, p, batch), has_aux=True)(params)
        slope = jax.tree.map(lambda g: g / jnp.maximum(told["num_steps"], 1), slope)
        change, state = optimizer.update(slope, state, params)
        params = optax.apply_updates(params, jax.tree.map(lambda c: -learning_rate * c, change))
        return (params, state), {"summed_nll": nats, **told}

    (params, state), told = jax.lax.scan(minibatch, (clone.params, clone.opt_state), order)
    return clone._replace(params=params, opt_state=state), _mean_metrics(told)


def evaluate_cloning(
    config: BehaviorCloning, policy: RecurrentPolicy, params: PyTree, data: Trajectory
) -> dict[str, Float[Array, ""]]:
    """'loss' (nats an action) and 'accuracy' on episodes not learned from."""
    episodes = data.action.shape[1]
    size = min(config.minibatch_size, episodes)
    count = -(-episodes // size)
    # The last part is filled up with the first episode, which counts only once.
    order = jnp.concatenate([jnp.arange(episodes), jnp.zeros(count * size - episodes, jnp.int32)])
    counts = jnp.arange(count * size) < episodes

    def part(chosen):
        which, real = chosen
        batch = jax.tree.map(lambda x: x[:, which], data)
        nats, told = summed_loss(policy, params, batch.replace(loss_mask=batch.loss_mask & real))
        return {"summed_nll": nats, **told}

    return _mean_metrics(jax.lax.map(part, (order.reshape(count, size), counts.reshape(count, size))))


def keep_best(clone: CloningState, loss: Float[Array, ""]) -> CloningState:
    """Remember the present parameters if they are the best so far on the episodes held out."""
    better = loss < clone.best_loss
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), clone.params, clone.best_params)
    return clone._replace(best_params=best, best_loss=jnp.where(better, loss, clone.best_loss))


def _mean_metrics(outputs: dict[str, Float[Array, "N"]]) -> dict[str, Float[Array, ""]]:
    steps = jnp.maximum(outputs["num_steps"].sum(), 1)
    return {"loss": outputs["summed_nll"].sum() / steps, "accuracy": outputs["num_correct"].sum() / steps}
