"""The influence of each agent on each other agent in every step, as intrinsic rewards measure it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.learning.intrinsic import counterfactual
from rookery.learning.requested import only_requested
from rookery.training.train_step import Run
from rookery.types import PyTree


def measures_influence(run: Run) -> bool:
    """Whether an intrinsic reward of the team measures influence."""
    return any(reward.measures_influence for group in run.team.learning_groups for reward in group.learner.intrinsic)


def team_influence(run: Run, learners: dict[str, PyTree], trajectories: dict[str, Any]) -> Float[Array, "T E A A"]:
    """Influence of each agent (third axis) on each other agent (fourth axis) in every step, over all measures.

    Args:
      learners: states of the learners of one replica, by group, leaves [S, ...].
      trajectories: by group, leaves [S, T, E, ...].
    """
    team, num_agents = run.team, run.env.num_agents
    params = run.team_setup(learners).params
    steps, episodes = next(iter(trajectories.values())).action.shape[1:]
    influence = jnp.zeros((steps, episodes, num_agents, num_agents))
    kinds = set()
    for group in team.learning_groups:
        for reward in group.learner.intrinsic:
            if "influence" not in reward.required_info:
                for i, slot in enumerate(group.slots):
                    agent_params, trajectory = jax.tree.map(
                        lambda x, i=i: x[i], (learners[group.name].params, trajectories[group.name])
                    )
                    own_trajectory = only_requested(reward, trajectory)
                    estimate = reward.influence(agent_params, group.policy, own_trajectory)
                    if estimate is not None:
                        others = (slot + 1 + jnp.arange(num_agents - 1)) % num_agents
                        influence = influence.at[:, :, slot, others].add(estimate)
            elif reward.kind not in kinds:
                kinds.add(reward.kind)
                for (k, j), value in counterfactual.pairwise_influence(team, params, trajectories, reward).items():
                    influence = influence.at[:, :, k, j].add(value)
    return influence
