"""What the others would have done: their true policies, asked again from their memories before the step.

Centralized: it runs other agents' networks on what they saw. Only methods that say so in their name, or in their
file (messages), are given what comes of it, and never more than one number a step.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.agents.team import AgentGroup, Team, influencers
from rookery.errors import ConfigError
from rookery.learning.intrinsic.influence import Divergence, batched_influence
from rookery.types import OthersInfo, PyTree, Trajectory

CENTRALIZED, MESSAGES = "influence-centralized", "influence-messages"


def check_influence_setup(team: Team) -> None:
    """Raises ConfigError where a group asks for an influence that nobody can have or feel."""
    learning = set(team.learning_slots)
    told = {slot for group in team.learning_groups for slot in influencers(group)}
    for group in team.learning_groups:
        kinds = {plug.kind for plug in getattr(group.learner, "intrinsic", ())}
        if CENTRALIZED in kinds:
            if not influencers(group) and not told.intersection(group.slots):
                raise ConfigError(
                    f"group {group.name!r} has influence-centralized, but no learning group hears it: "
                    "name its slots in another group's policy.communication.influencers"
                )
            if not learning.issuperset(influencers(group)):
                raise ConfigError(f"group {group.name!r}: leaders {influencers(group)} must learn")
        if (MESSAGES in kinds) != bool(group.policy.vocab_size):
            raise ConfigError(
                f"group {group.name!r}: policy.communication.vocab_size and the intrinsic reward influence-messages go together"
            )


def add_influence(
    team: Team, params: dict[str, PyTree], trajectories: dict[str, Trajectory]
) -> tuple[dict[str, Trajectory], Float[Array, "A"] | None]:
    """Give each group that asks for 'policies' the influence its agents had, or felt, in its `company`.

    Returns the trajectories, and how far each agent was moved in a step, on the mean, in all; None where nobody asks.
    """
    asking = [(group, plug) for group in team.learning_groups for plug in _influence_methods(group)]
    if not asking:
        return trajectories, None
    had = dict(trajectories)
    agents = sum(len(group.slots) for group in team.groups)
    moved: Any = jnp.zeros(agents)
    counted = set()
    for group, plug in asking:
        matrix = pairwise_influence(team, params, trajectories, plug.kind, plug.divergence)
        if plug.kind not in counted:
            counted.add(plug.kind)
            moved = moved + _mean_influence_received(matrix, trajectories, team, agents)
        felt = plug.kind == CENTRALIZED and bool(influencers(group))
        rows = []
        for slot in group.slots:
            parts = [value for (k, j), value in matrix.items() if (j if felt else k) == slot]
            rows.append(sum(parts) if parts else jnp.zeros_like(trajectories[group.name].reward[0]))
        company = had[group.name].others or OthersInfo()
        influence = {**(company.influence or {}), plug.kind: jnp.stack(rows)}
        had[group.name] = had[group.name].replace(others=company.replace(influence=influence))
    return had, moved


def _influence_methods(group: AgentGroup):
    return [plug for plug in getattr(group.learner, "intrinsic", ()) if "influence" in plug.required_info]


def _mean_influence_received(matrix, trajectories, team: Team, agents: int) -> Float[Array, "A"]:
    """How far each agent was moved in a step, over the steps that count."""
    steps = {
        slot: trajectories[g.name].loss_mask[i].sum() for g in team.learning_groups for i, slot in enumerate(g.slots)
    }
    total = [sum(value.sum() for (_, j), value in matrix.items() if j == slot) for slot in range(agents)]
    return jnp.stack([jnp.asarray(t, jnp.float32) / jnp.maximum(steps.get(slot, 1), 1) for slot, t in enumerate(total)])


def pairwise_influence(
    team: Team, params: dict[str, PyTree], trajectories: dict[str, Trajectory], kind: str, divergence: Divergence
) -> dict[tuple[int, int], Float[Array, "T E"]]:
    """Influence of slot k on slot j at each step of k, by (k, j)."""
    place = {slot: (group.name, i) for group in team.learning_groups for i, slot in enumerate(group.slots)}
    speakers = [slot for group in team.learning_groups if group.policy.vocab_size for slot in group.slots]
    matrix = {}
    for group in team.learning_groups:
        sources = influencers(group) if kind == CENTRALIZED else [k for k in speakers if group.policy.vocab_size]
        if not sources:
            continue
        whole = [jax.tree.map(lambda x, i=i: x[i], trajectories[name]) for name, i in (place[k] for k in sources)]
        found = counterfactual_influence(
            group.policy, params[group.name], trajectories[group.name], sources, whole, kind, divergence
        )
        for n, k in enumerate(sources):
            for i, j in enumerate(group.slots):
                if j != k:
                    matrix[k, j] = found[i, n]
    return matrix


def counterfactual_influence(
    policy: Any,
    params: PyTree,
    listeners: Trajectory,
    influencers: tuple[int, ...] | list[int],
    influencer_trajectories: list[Any],
    kind: str,
    divergence: Divergence,
) -> Float[Array, "S N T E"]:
    """How far each of N sources moved each of S listeners of one group.

    Args:
      params, listeners: lead with S. sources: slots. played: each source's own trajectory, with its logits.
      kind: by actions of the same step (CENTRALISED), or by messages of the step before (MESSAGES), told at the step
        in which the message was said; the last is 0.
    The listeners' memories are those before the step, so that nothing of the choice itself is in them.
    """
    late = kind == MESSAGES  # what is said now is heard one step later

    def listener(own):
        params, trajectory = own
        steps, episodes = trajectory.action.shape
        seen = trajectory.observation[:-1], trajectory.comms_obs[:-1]
        blank = policy.initial_carry(episodes)
        _, _, _, before = policy.unroll(params, blank, seen[0], trajectory.is_first[:-1], seen[1])
        inputs = policy.inputs(params, *seen)
        first = 1 if late else 0
        count = (steps - first) * episodes
        flat = lambda x: x.reshape(count, *x.shape[2:])  # noqa: E731
        at_hand = jax.tree.map(lambda x: flat(x[first:]), (before, inputs))
        answer = flat(trajectory.action[first:])[:, None]
        told = []
        for slot, source in zip(influencers, influencer_trajectories, strict=True):
            if late:
                at, kinds = policy.communication.message_offset(slot, policy.num_agents, policy.num_actions), policy.vocab_size
                own_logits, choice = source.messages.logits[:-1], source.messages.message[:-1]
                counts = trajectory.loss_mask[1:] & source.loss_mask[:-1] & ~trajectory.is_first[1:-1]
            else:
                at, kinds = policy.communication.influencer_offset(slot, policy.num_agents, policy.num_actions), policy.num_actions
                own_logits, choice = source.logits, source.action
                counts = trajectory.loss_mask & source.loss_mask
            conditional = policy.counterfactual_logits(params, *at_hand, at, kinds)[:, :, None]
            moved = batched_influence(conditional, flat(own_logits), flat(choice), answer, divergence)
            moved = jnp.where(counts, moved.reshape(counts.shape), 0.0)
            told.append(jnp.pad(moved, ((0, first), (0, 0))))
        return jnp.stack(told)

    # One after another: side by side they would hold every listener's counterfactuals at once.
    return jax.lax.map(listener, (params, listeners))
