"""From a trajectory as it was played to one with its intrinsic rewards paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.errors import ConfigError
from rookery.learning.intrinsic.base import Intrinsic
from rookery.learning.intrinsic.messages import MessageInfluence
from rookery.learning.intrinsic.moa import ModelledInfluence
from rookery.types import Key, PyTree, Trajectory

FAULT = "intrinsic_fault"
"""Metric: the first step of an episode with an intrinsic reward that is not finite; -1 where all are."""


def check(plugs: Sequence[Intrinsic]) -> None:
    """Raises ConfigError for two of one kind."""
    kinds = [plug.kind for plug in plugs]
    if len(set(kinds)) != len(kinds):
        raise ConfigError(f"intrinsic rewards {kinds} must differ from each other")


def models(plugs: Sequence[Intrinsic]) -> tuple[ModelledInfluence, ...]:
    """Those with parameters and a loss of their own."""
    return tuple(plug for plug in plugs if isinstance(plug, ModelledInfluence))


def speech(plugs: Sequence[Intrinsic]) -> MessageInfluence:
    """What the agent learns to say by. Raises ConfigError where there is nothing."""
    for plug in plugs:
        if isinstance(plug, MessageInfluence):
            return plug
    raise ConfigError("a policy that speaks needs the intrinsic reward 'influence-messages'; weight=0 leaves it unpaid")


def init(plugs: Sequence[Intrinsic], key: Key, policy: Any) -> dict[str, PyTree]:
    """Parameters by kind, of those that have any."""
    return {plug.kind: plug.init(jax.random.fold_in(key, i), policy) for i, plug in enumerate(models(plugs))}


def pay(
    plugs: Sequence[Intrinsic], policy: Any, params: PyTree, trajectory: Trajectory, scale, steps
) -> tuple[Trajectory, dict[str, jax.Array]]:
    """The trajectory with what actions earn, and what messages earn, all in all; and what there is to tell of it.

    Args:
      scale: f32[], on every weight. steps: f32[], environment steps of the run so far.
    Rewards carry no gradient. What is not finite stays so, and is told as `FAULT`.
    """
    if not plugs:
        return trajectory, {}
    mask, total, told = trajectory.mask, trajectory.reward, {}
    fault = jnp.zeros(len(mask), bool)
    said = trajectory.speech
    for plug in plugs:
        if isinstance(plug, ModelledInfluence):
            each = plug.influence_on(params, policy, trajectory)
            own, told = each.sum(-1), told | moved(each, mask)
        else:
            own = plug.reward(params, policy, trajectory)
        own = jax.lax.stop_gradient(jnp.where(mask, own, 0.0))
        weight = scale * plug.weight_at(steps)
        fault |= (~jnp.isfinite(own)).any(-1)
        told |= {f"intrinsic/{plug.kind}": _mean(own, mask), f"intrinsic_weight/{plug.kind}": weight}
        if plug.kind.startswith("influence"):
            told[f"above_mean/{plug.kind}"] = _mean(own > _mean(own, mask), mask)
        if isinstance(plug, MessageInfluence):
            assert said is not None, "a policy that does not speak has no messages to pay"
            said = said.replace(reward=plug.environment * trajectory.reward + weight * own)
        else:
            total = total + weight * own
    told[FAULT] = jnp.where(fault.any(), jnp.argmax(fault), -1).astype(jnp.float32)
    return trajectory.replace(reward=total, speech=said), told


INFLUENCE_ON = "influence_on"
"""What a model tells of its agent's influence on each other agent, f32[N], those of the slots after its own first."""


def moved(influence: Float[Array, "T E N"], mask: Bool[Array, "T E"]) -> dict[str, jax.Array]:
    return {INFLUENCE_ON: jnp.sum(influence * mask[..., None], (0, 1)) / jnp.maximum(mask.sum(), 1)}


def _mean(x: jax.Array, mask: Bool[Array, "T E"]) -> Float[Array, ""]:
    return jnp.sum(x * mask) / jnp.maximum(mask.sum(), 1)
