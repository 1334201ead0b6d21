"""Whether a learner's mechanisms are alive: what its losses and rewards measure of themselves on held-out episodes.

A claim about a mechanism can only be tested where the mechanism works: an auxiliary loss that predicts no better than a
constant teaches the policy nothing. `training.mechanism_health` judges these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from rookery.extension_errors import checked_instance
from rookery.interfaces import AuxiliaryLoss, HealthInputs, IntrinsicReward
from rookery.learning.requested import only_requested
from rookery.nn.cells import over_axes_of
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy

SHARED_LAYERS = ("encoder", "memory")
"""The policy's parameters that all losses of a learner train together."""


def measure_losses(
    auxiliary: Sequence[AuxiliaryLoss],
    intrinsic: Sequence[IntrinsicReward],
    policy: RecurrentPolicy,
    params: PyTree,
    trajectory: Trajectory,
    agent_scores: Callable[[Array], Array | None],
) -> dict[str, Float[Array, ""]]:
    """What auxiliary losses and intrinsic rewards measure of themselves, as `KIND/NAME`.

    Args:
      params: all of the learner's: {'policy', 'auxiliary', 'intrinsic'}.
    """
    inputs = health_inputs(policy, params["policy"], trajectory, agent_scores)
    metrics = {}
    for loss in auxiliary:
        own_inputs = inputs._replace(trajectory=only_requested(loss, trajectory))
        measured = checked_instance(loss, "health", loss.health(params["auxiliary"][loss.kind], own_inputs), dict)
        metrics |= {f"{loss.kind}/{name}": value for name, value in measured.items()}
    for reward in intrinsic:
        own_inputs = inputs._replace(trajectory=only_requested(reward, trajectory))
        measured = checked_instance(reward, "health", reward.health(params, own_inputs), dict)
        metrics |= {f"{reward.kind}/{name}": value for name, value in measured.items()}
    return metrics


def health_inputs(
    policy: RecurrentPolicy,
    policy_params: PyTree,
    trajectory: Trajectory,
    agent_scores: Callable[[Array], Array | None],
) -> HealthInputs:
    """What losses and rewards measure their health on: the trajectory, and what the policy makes of it."""
    observation, is_first = trajectory.observation[:-1], trajectory.is_first[:-1]
    comms_obs = None if trajectory.comms_obs is None else trajectory.comms_obs[:-1]
    initial = policy.initial_carry(is_first.shape[1])
    hidden = policy.unroll(policy_params, initial, observation, is_first, comms_obs)[2]
    return HealthInputs(policy, policy_params, trajectory, hidden, agent_scores)


def gradient_norms(
    losses: Callable[[PyTree], dict[str, Float[Array, ""]]], policy_params: PyTree
) -> dict[str, Float[Array, ""]]:
    """The norm of each loss's gradient on the layers that all losses share, as `grad_norm/NAME`.

    Args:
      losses: the policy's parameters to losses by name.
    """
    shared = {name: policy_params[name] for name in SHARED_LAYERS}
    jacobian = jax.jacrev(lambda layers: losses({**policy_params, **layers}))(shared)
    return {f"grad_norm/{name}": optax.tree.norm(grads) for name, grads in jacobian.items()}


def relative_state_error(stale: PyTree, fresh: PyTree, mask: Bool[Array, "..."] | None = None) -> Float[Array, ""]:
    """Distance of stale recurrent states from fresh ones, as a fraction of the fresh ones' norm; 0 if those are 0.

    Args:
      stale, fresh: arrays [..., F], or with further axes. mask: the states that count, bool[...]; None: all.
    """
    sums = []
    for a, b in zip(jax.tree.leaves(stale), jax.tree.leaves(fresh), strict=True):
        weight = 1.0 if mask is None else over_axes_of(a, mask)
        sums.append((jnp.sum(weight * (a - b) ** 2), jnp.sum(weight * b**2)))
    distance, norm = (jnp.sqrt(sum(parts)) for parts in zip(*sums, strict=True))
    return jnp.where(norm > 0, distance / jnp.maximum(norm, 1e-12), 0.0)
