"""Who moved whom, in every step of episodes that were played: by the methods of those who learn."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.learning.intrinsic import MOAInfluence, counterfactual
from rookery.training.train_step import Run
from rookery.types import PyTree


def measures_influence(run: Run) -> bool:
    """Whether any of the team's methods works out influence."""
    plugs = [plug for group in run.team.learning_groups for plug in getattr(group.learner, "intrinsic", ())]
    return any(isinstance(plug, MOAInfluence) or "influence" in plug.required_info for plug in plugs)


def team_influence(run: Run, learners: dict[str, PyTree], trajectories: dict[str, Any]) -> Float[Array, "T E A A"]:
    """Of each agent on each other in every step, by every method of those who learn."""
    team, agents = run.team, run.env.num_agents
    params = run.team_setup(learners).params
    steps, episodes = next(iter(trajectories.values())).action.shape[1:]
    found = jnp.zeros((steps, episodes, agents, agents))
    kinds = set()
    for group in team.learning_groups:
        for plug in getattr(group.learner, "intrinsic", ()):
            if isinstance(plug, MOAInfluence):
                for i, slot in enumerate(group.slots):
                    own = jax.tree.map(lambda x, i=i: x[i], (learners[group.name].params, trajectories[group.name]))
                    others = (slot + 1 + jnp.arange(agents - 1)) % agents
                    found = found.at[:, :, slot, others].add(plug.influence_on(own[0], group.policy, own[1]))
            elif "influence" in plug.required_info and plug.kind not in kinds:
                kinds.add(plug.kind)
                pairs = counterfactual.pairwise_influence(team, params, trajectories, plug.kind, plug.divergence)
                for (k, j), value in pairs.items():
                    found = found.at[:, :, k, j].add(value)
    return found
