"""Random episodes as a rollout records them, for the checks of losses, rewards and learners; and others like them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import IntrinsicReward
from rookery.types import MessageTrajectory, OthersInfo, PyTree, Trajectory

STEPS, EPISODES, NUM_AGENTS = 12, 4, 3
_LAST_STEP = STEPS // 2
"""The first episode ends with this step; the others are as long as they can be."""


class _Numbers:
    """Random arrays, the same in every check."""

    def __init__(self) -> None:
        self._rng: np.random.Generator = np.random.default_rng(0)

    def integers(self, high: int, *shape: int) -> jax.Array:
        return jnp.asarray(self._rng.integers(0, high, shape), jnp.int32)

    def floats(self, *shape: int) -> jax.Array:
        return jnp.asarray(self._rng.standard_normal(shape), jnp.float32)


def sample_trajectory(
    policy: RecurrentPolicy, requested: Sequence[str], rewards: Sequence[IntrinsicReward] = ()
) -> Trajectory:
    """Episodes, one of which ends early, with the information that is requested, influence for these rewards."""
    numbers, size = _Numbers(), (STEPS, EPISODES)
    others = _others(numbers, policy, requested, rewards)
    messages = comms_obs = None
    if policy.vocab_size:
        logits, reward = numbers.floats(*size, policy.vocab_size), numbers.floats(*size)
        message = numbers.integers(policy.vocab_size, *size)
        messages = MessageTrajectory(message=message, log_prob=-jnp.ones(size), logits=logits, reward=reward)
    if policy.comms_obs_size:
        comms_obs = numbers.integers(2, STEPS + 1, EPISODES, policy.comms_obs_size).astype(jnp.uint8)
    return Trajectory(
        observation=numbers.integers(256, STEPS + 1, EPISODES, *policy.observation_shape).astype(jnp.uint8),
        action=numbers.integers(policy.num_actions, *size),
        reward=numbers.floats(*size),
        log_prob=jnp.full(size, -np.log(policy.num_actions), jnp.float32),
        is_first=jnp.zeros((STEPS + 1, EPISODES), bool).at[0].set(True),
        terminated=jnp.zeros(size, bool).at[_LAST_STEP, 0].set(True),
        loss_mask=_loss_mask(),
        comms_obs=comms_obs,
        logits=numbers.floats(*size, policy.num_actions) if {"logits", "influence"} & set(requested) else None,
        messages=messages,
        others=others,
    )


def _loss_mask() -> Bool[Array, "T E"]:
    return jnp.ones((STEPS, EPISODES), bool).at[_LAST_STEP + 1 :, 0].set(False)


def _agent_mask(num_agents: int) -> Bool[Array, "T E A"]:
    """In one episode another agent is away for a while, in the next all others are at its end.

    Once an episode is over, no agent is there.
    """
    everyone = jnp.ones((STEPS, EPISODES, num_agents), bool)
    return everyone.at[3:6, 1, 1:2].set(False).at[8:, 2, 1:].set(False) & _loss_mask()[..., None]


def _others(
    numbers: _Numbers, policy: RecurrentPolicy, requested: Sequence[str], rewards: Sequence[IntrinsicReward]
) -> OthersInfo | None:
    """What is requested of the others. An absent agent does -1, is paid nothing and is not in view."""
    agent_mask, pairs = _agent_mask(policy.num_agents), (STEPS, EPISODES, policy.num_agents - 1)
    fields: dict[str, Any] = {}
    if "action" in requested:
        fields["action"] = jnp.where(agent_mask, numbers.integers(policy.num_actions, *agent_mask.shape), -1)
    if "reward" in requested:
        fields["reward"] = jnp.where(agent_mask, numbers.floats(*agent_mask.shape), 0.0)
    if "in_view" in requested:
        fields["in_view"] = (numbers.floats(*pairs) > 0) & agent_mask[..., 1:]
    if "relative_position" in requested:
        fields["relative_position"] = numbers.integers(5, *pairs, 2) - 2
    if "agent_mask" in requested:
        fields["agent_mask"] = agent_mask
    if "influence" in requested:
        receivers = [reward.kind for reward in rewards if "influence" in reward.required_info]
        fields["influence"] = {kind: jnp.abs(numbers.floats(STEPS, EPISODES)) for kind in receivers}
    return OthersInfo(**fields) if fields else None


def with_other_masked_steps(trajectory: Trajectory, policy: RecurrentPolicy) -> Trajectory:
    """The same episodes with other numbers in the steps that do not count.

    Of the other agents, who is there stays as it is, and the action -1 with it: nobody is, once an episode is over.
    """
    masked = ~trajectory.loss_mask
    edge = jnp.ones((1, masked.shape[1]), bool)
    # The observation after the last step that counts still belongs to it.
    unread = jnp.concatenate([masked, edge]) & jnp.concatenate([~edge, masked])
    return trajectory.replace(
        observation=_replaced(unread, lambda x: 255 - x, trajectory.observation),
        action=_replaced(masked, lambda x: (x + 1) % policy.num_actions, trajectory.action),
        reward=_replaced(masked, lambda x: x + 1, trajectory.reward),
        log_prob=_replaced(masked, lambda x: x - 1, trajectory.log_prob),
        terminated=trajectory.terminated | masked,
        comms_obs=_replaced(unread, lambda x: 1 - x, trajectory.comms_obs),
        logits=_replaced(masked, jnp.negative, trajectory.logits),  # a constant added to logits would change nothing
        messages=_other_messages(masked, trajectory.messages, policy),
        others=_other_info(masked, trajectory.others),
        teacher_action=_replaced(masked, lambda x: (x + 1) % policy.num_actions, trajectory.teacher_action),
    )


def _other_messages(
    where: Bool[Array, "T E"], messages: MessageTrajectory | None, policy: RecurrentPolicy
) -> MessageTrajectory | None:
    if messages is None:
        return None
    return messages.replace(
        message=_replaced(where, lambda x: (x + 1) % policy.vocab_size, messages.message),
        log_prob=_replaced(where, lambda x: x - 1, messages.log_prob),
        logits=_replaced(where, jnp.negative, messages.logits),
        reward=_replaced(where, lambda x: x + 1, messages.reward),
    )


def _other_info(where: Bool[Array, "T E"], others: OthersInfo | None) -> OthersInfo | None:
    if others is None:
        return None
    return others.replace(
        reward=_replaced(where, lambda x: x + 1, others.reward),
        in_view=_replaced(where, jnp.logical_not, others.in_view),
        relative_position=_replaced(where, lambda x: x + 1, others.relative_position),
        influence=_replaced(where, lambda x: x + 1, others.influence),
    )


def _replaced(where: Bool[Array, "T E"], function: Callable[[jax.Array], jax.Array], arrays: PyTree) -> PyTree:
    """Arrays [T, E, ...] with what a function makes of them where a mask is True; None stays None."""

    def replace(x: jax.Array) -> jax.Array:
        return jnp.where(where.reshape(*where.shape, *(1,) * (x.ndim - where.ndim)), function(x), x)

    return jax.tree.map(replace, arrays)


def with_other_absent_positions(trajectory: Trajectory, policy: RecurrentPolicy) -> Trajectory | None:
    """The same episodes with absent agents at other places, which are arbitrary; None if no places are recorded.

    Everything else of an absent agent is known: it does -1, is paid 0 and is not in view.
    """
    others = trajectory.others
    if others is None or others.relative_position is None:
        return None
    is_absent = ~_agent_mask(policy.num_agents)[..., 1:]
    moved = _replaced(is_absent, lambda x: x + 7, others.relative_position)
    return trajectory.replace(others=others.replace(relative_position=moved))


def with_absent_actions(trajectory: Trajectory, action: int) -> Trajectory:
    """The same episodes with this number as the action of absent agents, in the place of -1."""
    others: Any = trajectory.others
    return trajectory.replace(others=others.replace(action=jnp.where(others.action < 0, action, others.action)))
