"""Who moved whom, in every step of episodes that were played: by the methods of those who learn."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.learning.intrinsic import ModelledInfluence, counterfactual
from rookery.runs.program import Program
from rookery.types import PyTree


def tells(program: Program) -> bool:
    """Whether any of the team's methods works out influence."""
    plugs = [plug for group in program.team.learning for plug in getattr(group.learner, "intrinsic", ())]
    return any(isinstance(plug, ModelledInfluence) or "policies" in plug.sees for plug in plugs)


def influence(program: Program, learners: dict[str, PyTree], played: dict[str, Any]) -> Float[Array, "T E A A"]:
    """Of each agent on each other in every step, by every method of those who learn."""
    team, agents = program.team, program.env.agents
    params = program.params(learners, program.frozen)
    steps, episodes = next(iter(played.values())).action.shape[1:]
    found = jnp.zeros((steps, episodes, agents, agents))
    kinds = set()
    for group in team.learning:
        for plug in getattr(group.learner, "intrinsic", ()):
            if isinstance(plug, ModelledInfluence):
                for i, slot in enumerate(group.slots):
                    own = jax.tree.map(lambda x, i=i: x[i], (learners[group.name].params, played[group.name]))
                    others = (slot + 1 + jnp.arange(agents - 1)) % agents
                    found = found.at[:, :, slot, others].add(plug.influence_on(own[0], group.policy, own[1]))
            elif "policies" in plug.sees and plug.kind not in kinds:
                kinds.add(plug.kind)
                pairs = counterfactual.by_pair(team, params, played, plug.kind, plug.divergence)
                for (k, j), value in pairs.items():
                    found = found.at[:, :, k, j].add(value)
    return found
