"""An agent that acts at random."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Bool, Int

from rookery.interfaces import Policy, PolicyRole
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class RandomPolicy(Policy):
    """Chooses every action with the same probability."""

    num_actions: int

    role: ClassVar[PolicyRole] = "random"

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        return jax.random.randint(key, is_first.shape, 0, self.num_actions), carry, {}
