"""A trained agent as a teacher: it acts in a student's place, and sees by a view of its own.

Whatever the student observes, the teacher gets the observations that it was trained on.
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
from rookery.interfaces import Policy
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedTeacher(Policy):
    """A privileged policy: it gets states and slots instead of observations. Its weights are part of it."""

    policy: RecurrentPolicy
    weights: PyTree
    spec: GridSpec
    view: ViewConfig

    privileged = True

    def initial_carry(self, batch: int) -> PyTree:
        return self.policy.initial_carry(batch)

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        """As `RecurrentPolicy.act`; `obs` holds B states, and the slot i32[B] of the student in each."""
        observe = jax.vmap(lambda state, slot: observe_with_view(state, slot, self.view, self.spec))
        return self.policy.act(self.weights, carry, observe(*obs), is_first, key)


def make_trained_teacher(agent: Agent, spec: GridSpec, slot: int, label: str) -> TrainedTeacher:
    """A trained agent as the teacher of a slot.

    It sees the cells that the slot's own view covers, in the form it was trained on (pixels, symbols or objects), and
    always sees the goals.

    Args:
      label: what to call the teacher in error messages.
    Raises: IncompatibleError where no such view has the shape the agent was trained on, or where the agent needs a
      communication observation.
    """
    policy, slot_view = agent.policy, dataclasses.replace(spec.views[slot], can_hide_goals=False)
    if policy.comms_obs_size:
        raise IncompatibleError(
            f"{label} observes other agents' actions or messages, and cannot teach; name an agent that only sees"
        )
    if policy.num_actions > spec.num_actions:
        raise IncompatibleError(
            f"{label} has {policy.num_actions} actions, this environment only {spec.num_actions}; set num_actions=7"
        )
    views = [
        dataclasses.replace(slot_view, observation_type=observation_type)
        for observation_type in (slot_view.observation_type, "symbolic", "pixels", "objects")
    ]
    for view in views:
        if view.shape == policy.observation_shape:
            return TrainedTeacher(policy, agent.params, spec, view)
    shapes = ", ".join(sorted({"×".join(map(str, view.shape)) for view in views}))
    raise IncompatibleError(
        f"{label} was trained on observations of {'×'.join(map(str, policy.observation_shape))}; in slot {slot} it can "
        f"be given {shapes}; set the view's size and tile_size as on its card"
    )
