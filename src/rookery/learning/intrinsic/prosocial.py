"""A reward for what the other agents earn: r_k = e_k + weight × the sum of the others' rewards.

Centralized: it reads the others' rewards. Source: Jaques et al. 2019, prosocial baseline (weight in [0, 2], best 0.85).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxtyping import Array, Float

from rookery.interfaces import IntrinsicReward
from rookery.learning.intrinsic.influence import exclude_self
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prosocial(IntrinsicReward):
    """The sum of the other agents' rewards in the same step."""

    kind: Literal["prosocial"] = "prosocial"
    weight: float = 0.85

    required_info: ClassVar[tuple[str, ...]] = ("reward",)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        return exclude_self(trajectory.others.reward).sum(-1)  # type: ignore[union-attr]
