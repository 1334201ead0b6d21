"""A trained agent that looks at the world itself, by a view of its own, whatever the one in whose place it stands sees.

So it can teach: tell what it would do there, as a scripted expert does.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Bool, Int

from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import Agent
from rookery.errors import IncompatibleError
from rookery.gridworld.observation import observe_with_view
from rookery.gridworld.spec import GridSpec, ViewConfig
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedTeacher:
    """A privileged policy: it is given states and slots in place of observations."""

    policy: RecurrentPolicy
    weights: PyTree
    spec: GridSpec
    view: ViewConfig

    privileged = True

    def init(self, key: PRNGKey) -> PyTree:
        """Nothing: what it has learned is its own."""
        return ()

    def initial_carry(self, batch: int) -> PyTree:
        return self.policy.initial_carry(batch)

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        """As `RecurrentPolicy.act`; `seen` holds B states, and the slot i32[B] in whose place it stands in each."""
        look = jax.vmap(lambda state, slot: observe_with_view(state, slot, self.view, self.spec))
        return self.policy.act(self.weights, carry, look(*obs), is_first, key)


def make_trained_teacher(agent: Agent, spec: GridSpec, slot: int, label: str) -> TrainedTeacher:
    """The agent in a world, by the slot's own view or that of another kind and the same cells; it sees all goals.

    Raises: MisfitError where no such view is what the agent was trained on, or where it has to hear.
    """
    policy, own = agent.policy, dataclasses.replace(spec.views[slot], can_hide_goals=False)
    if policy.comms_obs_size:
        raise IncompatibleError(f"{label} hears what others do or say, and cannot teach; name one that only sees")
    if policy.num_actions > spec.num_actions:
        raise IncompatibleError(
            f"{label} has {policy.num_actions} actions, this world only {spec.num_actions}; set actions=7"
        )
    views = [
        dataclasses.replace(own, observation_type=kind)
        for kind in (own.observation_type, "symbolic", "pixels", "objects")
    ]
    for view in views:
        if view.shape == policy.observation_shape:
            return TrainedTeacher(policy, agent.params, spec, view)
    shapes = ", ".join(sorted({"×".join(map(str, view.shape)) for view in views}))
    raise IncompatibleError(
        f"{label} was trained on observations of {'×'.join(map(str, policy.observation_shape))}; from slot {slot} it can "
        f"be shown {shapes}; set the view's size and tile_size as in its card"
    )
