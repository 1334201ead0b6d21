"""Influence from the other agents' true policies: what they would have done had an agent chosen differently.

Centralized: other agents' networks are evaluated on their own observations, from their recurrent states before the
step. Only intrinsic rewards that request 'influence' get the result, one number per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.recurrent import EpsilonGreedyPolicy, RecurrentPolicy
from rookery.agents.team import AgentGroup, Team, influencers
from rookery.errors import ConfigError
from rookery.interfaces import IntrinsicReward
from rookery.learning.intrinsic.influence import Divergence, batched_influence
from rookery.types import OthersInfo, PyTree, Trajectory


def check_influence_setup(team: Team) -> None:
    """Raises ConfigError if a group is rewarded for influence that its agents cannot have."""
    learning = set(team.learning_slots)
    observed = {slot for group in team.learning_groups for slot in influencers(group)}
    for group in team.learning_groups:
        rewards = influence_rewards(group)
        if any(not reward.pays_messages for reward in rewards):
            if not influencers(group) and not observed.intersection(group.slots):
                kinds = [reward.kind for reward in rewards if not reward.pays_messages]
                raise ConfigError(
                    f"group {group.name!r} has {kinds[0]}, but no learning group observes its actions: "
                    "name its slots in another group's policy.communication.influencers"
                )
            if not learning.issuperset(influencers(group)):
                raise ConfigError(f"group {group.name!r}: influencers {influencers(group)} must be agents that learn")
            _check_influencers_sample(team, observed)
        if any(reward.pays_messages for reward in group.learner.intrinsic) != bool(group.policy.vocab_size):
            raise ConfigError(
                f"group {group.name!r}: policy.communication.vocab_size and the intrinsic reward influence-messages go "
                "together; set both or neither"
            )


def _check_influencers_sample(team: Team, slots: set[int]) -> None:
    """Raises ConfigError for an influencer in these slots whose policy does not sample its actions."""
    for group in team.learning_groups:
        if slots.intersection(group.slots) and isinstance(
            group.learner.behavior_policy(group.policy), EpsilonGreedyPolicy
        ):
            raise ConfigError(
                f"group {group.name!r}: its learner, kind {group.learner.kind!r}, acts by action values and has no "
                "probabilities of the actions it could have chosen, which influence is measured by; use kind 'ppo' or "
                "'a2c' for influencers"
            )


def influence_rewards(group: AgentGroup) -> list[IntrinsicReward]:
    """The intrinsic rewards of a learning group that request 'influence'."""
    return [reward for reward in group.learner.intrinsic if "influence" in reward.required_info]


def add_influence(
    team: Team, params: dict[str, PyTree], trajectories: dict[str, Trajectory]
) -> tuple[dict[str, Trajectory], Float[Array, "A"] | None]:
    """Give each group that requests 'influence' the influence of its agents, or on its agents, in `others`.

    Returns: the trajectories, and the influence on each agent per step; None if no group requests it.
    """
    requests = [(group, reward) for group in team.learning_groups for reward in influence_rewards(group)]
    if not requests:
        return trajectories, None
    extended = dict(trajectories)
    num_agents = sum(len(group.slots) for group in team.groups)
    received: Any = jnp.zeros(num_agents)
    counted = set()
    for group, reward in requests:
        pairs = pairwise_influence(team, params, trajectories, reward)
        if reward.kind not in counted:
            counted.add(reward.kind)
            received = received + _mean_influence_received(pairs, trajectories, team, num_agents)
        # A group that observes influencers is rewarded for being influenced, others for influencing.
        receives = not reward.pays_messages and bool(influencers(group))
        rows = []
        for slot in group.slots:
            values = [value for (k, j), value in pairs.items() if (j if receives else k) == slot]
            rows.append(sum(values) if values else jnp.zeros_like(trajectories[group.name].reward[0]))
        others = extended[group.name].others or OthersInfo()
        by_kind = {**(others.influence or {}), reward.kind: jnp.stack(rows)}
        extended[group.name] = extended[group.name].replace(others=others.replace(influence=by_kind))
    return extended, received


def _mean_influence_received(pairs, trajectories: dict[str, Trajectory], team: Team, num_agents: int):
    """Influence on each agent per step, over the steps that count, f32[A]."""
    steps = {
        slot: trajectories[g.name].loss_mask[i].sum() for g in team.learning_groups for i, slot in enumerate(g.slots)
    }
    sums = [sum(value.sum() for (_, j), value in pairs.items() if j == slot) for slot in range(num_agents)]
    return jnp.stack([jnp.asarray(s, jnp.float32) / jnp.maximum(steps.get(slot, 1), 1) for slot, s in enumerate(sums)])


def pairwise_influence(
    team: Team, params: dict[str, PyTree], trajectories: dict[str, Trajectory], reward: IntrinsicReward
) -> dict[tuple[int, int], Float[Array, "T E"]]:
    """Influence of slot k on slot j in each step of k, by (k, j), through what `reward` pays: messages or actions."""
    index = {slot: (group.name, i) for group in team.learning_groups for i, slot in enumerate(group.slots)}
    senders = [slot for group in team.learning_groups if group.policy.vocab_size for slot in group.slots]
    pairs = {}
    for group in team.learning_groups:
        sources = influencers(group) if not reward.pays_messages else senders if group.policy.vocab_size else []
        if not sources:
            continue
        source_trajectories = [
            jax.tree.map(lambda x, i=i: x[i], trajectories[name]) for name, i in (index[k] for k in sources)
        ]
        policy: Any = group.policy
        result = counterfactual_influence(
            policy, params[group.name], trajectories[group.name], sources, source_trajectories,
            by_messages=reward.pays_messages, divergence=reward.divergence,  # type: ignore[attr-defined]
        )  # fmt: skip
        for n, k in enumerate(sources):
            for i, j in enumerate(group.slots):
                if j != k:
                    pairs[k, j] = result[i, n]
    return pairs


class _Choices(NamedTuple):
    """The choices of one source that a receiver can respond to, in U steps of E episodes."""

    offset: int  # of the one-hot choice in the communication observation
    num_values: int
    logits: Float[Array, "U E K"]
    choice: Int[Array, "U E"]
    mask: Bool[Array, "U E"]  # both agents are there


def counterfactual_influence(
    policy: RecurrentPolicy,
    params: PyTree,
    receivers: Trajectory,
    sources: Sequence[int],
    source_trajectories: list[Trajectory],
    *,
    by_messages: bool,
    divergence: Divergence,
) -> Float[Array, "S N T E"]:
    """Influence of each of N sources on each of S receivers of one group.

    Args:
      params, receivers: lead with S.
      sources: slots. source_trajectories: each source's own, with its logits.
      by_messages: influence by messages on the next step, in the step in which the message was sent, so that the last
        is 0; otherwise by actions, on the same step.
    The receivers' recurrent states are those before the step, so that they hold nothing of the choice itself.
    """
    first = 1 if by_messages else 0  # the first step that can respond to a choice

    def receiver(inputs):
        params, trajectory = inputs
        steps, episodes = trajectory.action.shape
        observation, comms_obs = trajectory.observation[:-1], trajectory.comms_obs[:-1]
        initial = policy.initial_carry(episodes)
        pre_step_states = policy.unroll(params, initial, observation, trajectory.is_first[:-1], comms_obs)[3]
        cell_inputs = policy.inputs(params, observation, comms_obs)

        def flat(x):
            return x.reshape((steps - first) * episodes, *x.shape[2:])

        states, flat_inputs = jax.tree.map(lambda x: flat(x[first:]), (pre_step_states, cell_inputs))
        response = flat(trajectory.action[first:])[:, None]
        results = []
        for slot, source in zip(sources, source_trajectories, strict=True):
            choices = _choices(policy, slot, source, trajectory, by_messages)
            conditional = policy.counterfactual_logits(params, states, flat_inputs, choices.offset, choices.num_values)
            influence = batched_influence(
                conditional[:, :, None], flat(choices.logits), flat(choices.choice), response, divergence
            )
            influence = jnp.where(choices.mask, influence.reshape(choices.mask.shape), 0.0)
            results.append(jnp.pad(influence, ((0, first), (0, 0))))
        return jnp.stack(results)

    # One after another: all at once would hold every receiver's counterfactuals at the same time.
    return jax.lax.map(receiver, (params, receivers))


def _choices(
    policy: RecurrentPolicy, slot: int, source: Trajectory, receiver: Trajectory, by_messages: bool
) -> _Choices:
    """What the agent in `slot` chose: messages up to the last step but one, or actions."""
    communication: Any = policy.communication
    if by_messages:
        messages: Any = source.messages
        offset = communication.message_offset(slot, policy.num_agents, policy.num_actions)
        mask = receiver.loss_mask[1:] & source.loss_mask[:-1] & ~receiver.is_first[1:-1]
        return _Choices(offset, policy.vocab_size, messages.logits[:-1], messages.message[:-1], mask)
    offset = communication.influencer_offset(slot, policy.num_agents, policy.num_actions)
    mask = receiver.loss_mask & source.loss_mask
    return _Choices(offset, policy.num_actions, source.logits, source.action, mask)  # type: ignore[arg-type]
