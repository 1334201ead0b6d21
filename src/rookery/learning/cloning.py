"""Behavior cloning: a recurrent policy is trained to imitate an expert's actions, without reward.

The policy reads whole episodes of the expert with the expert's observations, and is trained to take the expert's action
at every step: the loss is -log pi(expert's action | observations so far). There is no value and no auxiliary loss; the
encoder, recurrent cell and policy head are those of an agent trained by reward. Gradients flow through whole episodes,
so that no recurrent state is ever stale.

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
from rookery.learning.configs import check_range
from rookery.learning.optimizers import apply_gradients, make_optimizer
from rookery.limits import NumericFields
from rookery.types import PRNGKey, PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class BehaviorCloning(NumericFields):
    """Settings. The learning rate falls linearly to `final_learning_rate`."""

    kind: Literal["behavior-cloning"] = "behavior-cloning"
    epochs: int = 20  # passes over the training episodes
    minibatch_size: int = 16  # in whole episodes
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    max_grad_norm: float | None = 0.5  # global
    adam_eps: float = 1e-5
    validation_fraction: float = 0.1  # of the environments; their episodes are used for validation only

    def __post_init__(self) -> None:
        check_range(self, ("epochs", "minibatch_size"), low=1)
        check_range(self, ("learning_rate", "final_learning_rate", "max_grad_norm"))
        check_range(self, ("adam_eps",), exclude_low=True)
        check_range(self, ("validation_fraction",), high=1, exclude_low=True, exclude_high=True)

    def optimizer(self) -> optax.GradientTransformation:
        """Adam, without its learning rate."""
        return make_optimizer(self.max_grad_norm, self.adam_eps)

    def learning_rate_at(self, epoch: Int[Array, ""]) -> Float[Array, ""]:
        """Learning rate of an epoch, counted from 0."""
        fraction = epoch / max(self.epochs - 1, 1)
        return self.learning_rate + (self.final_learning_rate - self.learning_rate) * fraction


class CloningState(NamedTuple):
    """Everything that is kept of one clone between epochs."""

    params: PyTree  # the policy's
    opt_state: PyTree
    best_params: PyTree  # after the epoch with the lowest validation loss
    best_loss: Float[Array, ""]  # the lowest validation loss, nats per action; infinite before the first epoch


def init_cloning(config: BehaviorCloning, policy: RecurrentPolicy, key: PRNGKey) -> CloningState:
    """An untrained clone."""
    params = policy.init(key)
    return CloningState(params, config.optimizer().init(params), jax.tree.map(jnp.copy, params), jnp.float32(jnp.inf))


def summed_loss(
    policy: RecurrentPolicy, params: PyTree, batch: Trajectory
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The sum of -log pi(action) over the steps of E whole episodes that count, in nats; and counts.

    Counts are 'num_steps', the steps that count, and 'num_correct', those whose most probable action is the expert's.
    """
    episodes = batch.action.shape[1]
    logits, _, _, _ = policy.unroll(params, policy.initial_carry(episodes), batch.observation[:-1], batch.is_first[:-1])
    log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.action[..., None], -1)[..., 0]
    num_correct = jnp.sum((logits.argmax(-1) == batch.action) & batch.loss_mask)
    counts = {"num_steps": batch.loss_mask.sum(), "num_correct": num_correct}
    return -jnp.sum(log_prob * batch.loss_mask), {name: count.astype(jnp.float32) for name, count in counts.items()}


def train_epoch(
    config: BehaviorCloning,
    policy: RecurrentPolicy,
    state: CloningState,
    data: Trajectory,
    learning_rate: Float[Array, ""],
    key: PRNGKey,
) -> tuple[CloningState, dict[str, Float[Array, ""]]]:
    """One pass in shuffled minibatches of whole episodes; episodes that do not fill a minibatch wait for another pass.

    Returns: the next state, and means over the pass: 'loss' in nats per action, and 'accuracy'.
    """
    episodes = data.action.shape[1]
    size = min(config.minibatch_size, episodes)
    order = jax.random.permutation(key, episodes)[: episodes // size * size].reshape(-1, size)
    optimizer = config.optimizer()

    def minibatch(loop, indices):
        params, opt_state = loop
        batch = jax.tree.map(lambda x: x[:, indices], data)
        (nll, counts), grads = jax.value_and_grad(lambda p: summed_loss(policy, p, batch), has_aux=True)(params)
        grads = jax.tree.map(lambda g: g / jnp.maximum(counts["num_steps"], 1), grads)
        loop = apply_gradients(optimizer, params, opt_state, grads, learning_rate)
        return loop, {"summed_nll": nll, **counts}

    (params, opt_state), sums = jax.lax.scan(minibatch, (state.params, state.opt_state), order)
    return state._replace(params=params, opt_state=opt_state), _mean_metrics(sums)


def evaluate_cloning(
    config: BehaviorCloning, policy: RecurrentPolicy, params: PyTree, data: Trajectory
) -> dict[str, Float[Array, ""]]:
    """'loss' (nats per action) and 'accuracy' on episodes that were not trained on."""
    episodes = data.action.shape[1]
    size = min(config.minibatch_size, episodes)
    count = -(-episodes // size)
    # The last part is filled up with copies of the first episode, which are masked.
    order = jnp.concatenate([jnp.arange(episodes), jnp.zeros(count * size - episodes, jnp.int32)])
    valid = jnp.arange(count * size) < episodes

    def part(inputs):
        indices, valid = inputs
        batch = jax.tree.map(lambda x: x[:, indices], data)
        nll, counts = summed_loss(policy, params, batch.replace(loss_mask=batch.loss_mask & valid))
        return {"summed_nll": nll, **counts}

    return _mean_metrics(jax.lax.map(part, (order.reshape(count, size), valid.reshape(count, size))))


def keep_best(state: CloningState, loss: Float[Array, ""]) -> CloningState:
    """Keep the current parameters as the best ones if this validation loss is the lowest so far."""
    better = loss < state.best_loss
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, state.best_params)
    return state._replace(best_params=best, best_loss=jnp.where(better, loss, state.best_loss))


def _mean_metrics(sums: dict[str, Float[Array, "N"]]) -> dict[str, Float[Array, ""]]:
    num_steps = jnp.maximum(sums["num_steps"].sum(), 1)
    return {"loss": sums["summed_nll"].sum() / num_steps, "accuracy": sums["num_correct"].sum() / num_steps}
