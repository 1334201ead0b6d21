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
from rookery.errors import MisfitError
from rookery.types import Key, PyTree
from rookery.world.paint import observe_by
from rookery.world.spec import View, WorldSpec


@dataclasses.dataclass(frozen=True, eq=False)
class Seeing:
    """A privileged policy: it is given states and slots in place of observations."""

    policy: RecurrentPolicy
    weights: PyTree
    spec: WorldSpec
    view: View

    privileged = True

    def init(self, key: Key) -> PyTree:
        """Nothing: what it has learned is its own."""
        return ()

    def initial_carry(self, batch: int) -> PyTree:
        return self.policy.initial_carry(batch)

    def act(
        self, params: PyTree, carry: PyTree, seen: Any, is_first: Bool[Array, "B"], key: Key
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        """As `RecurrentPolicy.act`; `seen` holds B states, and the slot i32[B] in whose place it stands in each."""
        look = jax.vmap(lambda state, slot: observe_by(state, slot, self.view, self.spec))
        return self.policy.act(self.weights, carry, look(*seen), is_first, key)


def seeing(agent: Agent, spec: WorldSpec, slot: int, who: str) -> Seeing:
    """The agent in a world, by the slot's own view or that of another kind and the same cells; it sees all goals.

    Raises: MisfitError where no such view is what the agent was trained on, or where it has to hear.
    """
    policy, own = agent.policy, dataclasses.replace(spec.views[slot], hide_goals=False)
    if policy.heard_size:
        raise MisfitError(f"{who} hears what others do or say, and cannot teach; name one that only sees")
    if policy.actions > spec.actions:
        raise MisfitError(f"{who} has {policy.actions} actions, this world only {spec.actions}; set actions=7")
    views = [dataclasses.replace(own, kind=kind) for kind in (own.kind, "symbolic", "pixels", "objects")]
    for view in views:
        if view.shape == policy.observation_shape:
            return Seeing(policy, agent.params, spec, view)
    shapes = ", ".join(sorted({"×".join(map(str, view.shape)) for view in views}))
    raise MisfitError(
        f"{who} was trained on observations of {'×'.join(map(str, policy.observation_shape))}; from slot {slot} it can "
        f"be shown {shapes}; set the view's size and tile_pixels as in its card"
    )
