"""Scripted expert for tasks in which every goal pays each time: find one, walk there, and again."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from rookery.agents.scripted.explorer import Explorer, Sees
from rookery.agents.scripted.paths import Wish


@dataclasses.dataclass(frozen=True)
class Seeker(Explorer):
    """Walks to the nearest goal it knows of, else explores. A goal hidden from it is known once it was paid there."""

    def blank(self) -> Bool[Array, "H W"]:
        return jnp.zeros((self.eyes.height, self.eyes.width), bool)

    def wish(self, own: Bool[Array, "H W"], sees: Sees):
        # Felt goals are remembered apart: to look at them would be to see floor.
        felt = jnp.where(sees.entered.any(), own & ~sees.entered | sees.entered & sees.paid, own)
        goals = felt | sees.memory.goals
        return felt, (Wish(goals, sees.free), Wish(sees.memory.frontier, sees.free))
