"""Intrinsic rewards of one learner: their parameters and state, and the trajectory with the rewards added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.errors import ConfigError
from rookery.extension_errors import check_result_shape, check_trainable, method_name
from rookery.interfaces import IntrinsicReward
from rookery.learning.masking import masked_mean
from rookery.learning.requested import only_requested
from rookery.types import PRNGKey, PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy

NONFINITE_STEP = "intrinsic_nonfinite_step"
"""Metric: the first step of an episode with an intrinsic reward that is not finite; -1 if all are finite."""

INFLUENCE_ON = "influence_on"
"""Metric: estimated influence per step on each other agent, f32[N], in the order of the slots after the agent's own."""


def message_reward(rewards: Sequence[IntrinsicReward]) -> IntrinsicReward:
    """The reward that the message policy learns from. Raises ConfigError if there is none."""
    for reward in rewards:
        if reward.pays_messages:
            return reward
    raise ConfigError(
        "a policy that sends messages needs an intrinsic reward for them, such as 'influence-messages'; "
        "with weight=0 it is the baseline without influence"
    )


def init_params(rewards: Sequence[IntrinsicReward], key: PRNGKey, policy: RecurrentPolicy) -> dict[str, PyTree]:
    """Initial parameters by kind, of the rewards that have any."""
    params: dict[str, PyTree] = {}
    for reward in rewards:
        # Numbered among those with parameters, so that a reward without any does not change the others'.
        reward_params = reward.init(jax.random.fold_in(key, len(params)), policy)
        check_trainable(method_name(reward, "init"), reward_params)
        if jax.tree.leaves(reward_params):
            params[reward.kind] = reward_params
    return params


def init_states(rewards: Sequence[IntrinsicReward], policy: RecurrentPolicy) -> dict[str, PyTree]:
    """Initial states by kind, of the rewards that keep any."""
    states = {reward.kind: reward.init_state(policy) for reward in rewards}
    return {kind: state for kind, state in states.items() if jax.tree.leaves(state)}


def add_intrinsic_rewards(
    rewards: Sequence[IntrinsicReward],
    policy: RecurrentPolicy,
    params: PyTree,
    states: dict[str, PyTree],
    trajectory: Trajectory,
    scale: float | Float[Array, ""],
    timesteps: float | Float[Array, ""],
) -> tuple[Trajectory, dict[str, PyTree], dict[str, jax.Array]]:
    """Add intrinsic rewards to those of the environment, and give messages theirs.

    Args:
      params: all of the learner's: {'policy', 'auxiliary', 'intrinsic'}. states: as from `init_states`.
      scale: factor on every weight. timesteps: environment steps of the run so far.
    Returns: the trajectory, the next states, and metrics. Rewards carry no gradient. A reward that is not finite stays
      so; the metric NONFINITE_STEP tells its step. 'intrinsic_abs/KIND', of the weighted reward, and 'extrinsic_abs'
      are mean absolute values per step, of influence the absolute value of its mean; 'extrinsic_abs/KIND' is what
      messages get of the environment's.
    """
    if not rewards:
        return trajectory, states, {}
    mask, total, metrics = trajectory.loss_mask, trajectory.reward, dict[str, jax.Array]()
    nonfinite = jnp.zeros(len(mask), bool)
    messages, next_states = trajectory.messages, dict(states)
    metrics["extrinsic_abs"] = masked_mean(jnp.abs(trajectory.reward), mask)
    for reward in rewards:
        own_trajectory = only_requested(reward, trajectory)
        state = reward.update_state(states.get(reward.kind, ()), params, policy, own_trajectory)
        if reward.kind in states:
            next_states[reward.kind] = state
        influence = reward.influence(params, policy, own_trajectory)
        if influence is None:
            own = reward.reward(params, policy, own_trajectory, state)
            check_result_shape(f"the result of reward() of {reward.kind!r}, [steps, episodes],", own, mask.shape)
        else:
            what = f"the result of influence() of {reward.kind!r}, [steps, episodes, other agents],"
            check_result_shape(what, influence, (*mask.shape, policy.num_agents - 1))
            own, mean = influence.sum(-1), mean_influence(influence, mask)
            metrics[INFLUENCE_ON] = metrics[INFLUENCE_ON] + mean if INFLUENCE_ON in metrics else mean
        own = jax.lax.stop_gradient(jnp.where(mask, own, 0.0))
        weight = scale * reward.weight_at(timesteps)
        nonfinite |= (~jnp.isfinite(own)).any(-1)
        metrics[f"intrinsic_reward/{reward.kind}"] = masked_mean(own, mask)
        metrics[f"intrinsic_weight/{reward.kind}"] = weight
        if not reward.measures_influence:
            metrics[f"intrinsic_abs/{reward.kind}"] = masked_mean(jnp.abs(weight * own), mask)
        else:
            # An estimate of influence by single actions ('pmi') scatters around 0 where there is none: scatter is not
            # influence, however large the weight.
            metrics[f"intrinsic_abs/{reward.kind}"] = jnp.abs(masked_mean(weight * own, mask))
            above_mean = own > masked_mean(own, mask)
            metrics[f"influence_above_mean_fraction/{reward.kind}"] = masked_mean(above_mean, mask)
        if reward.pays_messages:
            assert messages is not None, "a policy that sends no messages has none to reward"
            metrics[f"extrinsic_abs/{reward.kind}"] = abs(reward.extrinsic_coef) * metrics["extrinsic_abs"]
            messages = messages.replace(reward=reward.extrinsic_coef * trajectory.reward + weight * own)
        else:
            total = total + weight * own
    metrics[NONFINITE_STEP] = jnp.where(nonfinite.any(), jnp.argmax(nonfinite), -1).astype(jnp.float32)
    return trajectory.replace(reward=total, messages=messages), next_states, metrics


def mean_influence(influence: Float[Array, "T E N"], mask: Bool[Array, "T E"]) -> Float[Array, "N"]:
    """Mean influence per step on each other agent, over the steps that count."""
    return jnp.sum(influence * mask[..., None], (0, 1)) / jnp.maximum(mask.sum(), 1)
