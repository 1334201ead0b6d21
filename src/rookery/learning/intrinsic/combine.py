"""From a trajectory as it was played to one with its intrinsic rewards paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.errors import ConfigError
from rookery.learning.intrinsic.base import BaseIntrinsicReward
from rookery.learning.intrinsic.message_influence import MessageInfluence
from rookery.learning.intrinsic.moa import MOAInfluence
from rookery.types import PRNGKey, PyTree, Trajectory

NONFINITE_STEP = "intrinsic_nonfinite_step"
"""Metric: the first step of an episode with an intrinsic reward that is not finite; -1 where all are."""


def check_distinct_kinds(rewards: Sequence[BaseIntrinsicReward]) -> None:
    """Raises ConfigError for two of one kind."""
    kinds = [plug.kind for plug in rewards]
    if len(set(kinds)) != len(kinds):
        raise ConfigError(f"intrinsic rewards {kinds} must differ from each other")


def trainable(rewards: Sequence[BaseIntrinsicReward]) -> tuple[MOAInfluence, ...]:
    """Those with parameters and a loss of their own."""
    return tuple(plug for plug in rewards if isinstance(plug, MOAInfluence))


def message_influence(rewards: Sequence[BaseIntrinsicReward]) -> MessageInfluence:
    """What the agent learns to say by. Raises ConfigError where there is nothing."""
    for plug in rewards:
        if isinstance(plug, MessageInfluence):
            return plug
    raise ConfigError("a policy that speaks needs the intrinsic reward 'influence-messages'; weight=0 leaves it unpaid")


def init_params(rewards: Sequence[BaseIntrinsicReward], key: PRNGKey, policy: Any) -> dict[str, PyTree]:
    """Parameters by kind, of those that have any."""
    return {plug.kind: plug.init(jax.random.fold_in(key, i), policy) for i, plug in enumerate(trainable(rewards))}


def add_intrinsic_rewards(
    rewards: Sequence[BaseIntrinsicReward], policy: Any, params: PyTree, trajectory: Trajectory, scale, timesteps
) -> tuple[Trajectory, dict[str, jax.Array]]:
    """The trajectory with what actions earn, and what messages earn, all in all; and what there is to tell of it.

    Args:
      scale: f32[], on every weight. steps: f32[], environment steps of the run so far.
    Rewards carry no gradient. What is not finite stays so, and is told as `FAULT`.
    """
    if not rewards:
        return trajectory, {}
    mask, total, told = trajectory.loss_mask, trajectory.reward, {}
    fault = jnp.zeros(len(mask), bool)
    said = trajectory.messages
    for plug in rewards:
        if isinstance(plug, MOAInfluence):
            each = plug.influence_on(params, policy, trajectory)
            own, told = each.sum(-1), told | mean_influence(each, mask)
        else:
            own = plug.reward(params, policy, trajectory)
        own = jax.lax.stop_gradient(jnp.where(mask, own, 0.0))
        weight = scale * plug.weight_at(timesteps)
        fault |= (~jnp.isfinite(own)).any(-1)
        told |= {f"intrinsic_reward/{plug.kind}": _masked_mean(own, mask), f"intrinsic_weight/{plug.kind}": weight}
        if plug.kind.startswith("influence"):
            told[f"influence_above_mean_fraction/{plug.kind}"] = _masked_mean(own > _masked_mean(own, mask), mask)
        if isinstance(plug, MessageInfluence):
            assert said is not None, "a policy that does not speak has no messages to pay"
            said = said.replace(reward=plug.extrinsic_coef * trajectory.reward + weight * own)
        else:
            total = total + weight * own
    told[NONFINITE_STEP] = jnp.where(fault.any(), jnp.argmax(fault), -1).astype(jnp.float32)
    return trajectory.replace(reward=total, messages=said), told


INFLUENCE_ON = "influence_on"
"""What a model tells of its agent's influence on each other agent, f32[N], those of the slots after its own first."""


def mean_influence(influence: Float[Array, "T E N"], loss_mask: Bool[Array, "T E"]) -> dict[str, jax.Array]:
    return {INFLUENCE_ON: jnp.sum(influence * loss_mask[..., None], (0, 1)) / jnp.maximum(loss_mask.sum(), 1)}


def _masked_mean(x: jax.Array, loss_mask: Bool[Array, "T E"]) -> Float[Array, ""]:
    return jnp.sum(x * loss_mask) / jnp.maximum(loss_mask.sum(), 1)
