"""Be paid for what the others earn, too: r_k = e_k + weight × the sum of the others'.

Centralised: it reads the others' rewards. Source: Jaques et al. 2019, prosocial baseline (weight in [0, 2], best 0.85).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from jaxtyping import Array, Float

from rookery.learning.intrinsic.base import Intrinsic, others
from rookery.types import PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prosocial(Intrinsic):
    """The sum of the others' rewards in the same step."""

    kind: Literal["prosocial"] = "prosocial"
    weight: float = 0.85

    sees: ClassVar[tuple[str, ...]] = ("reward",)

    def reward(self, params: PyTree, policy, trajectory: Trajectory) -> Float[Array, "T E"]:
        return others(trajectory.company.reward).sum(-1)  # type: ignore[union-attr]
