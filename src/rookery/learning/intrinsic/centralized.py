"""Influence from the others' true policies and memories: centralized, as the name says.

Influencers act first; what they do is told, in the same step, to the agents of groups that `hear` them, and only those
can be influenced. For each action the influencer did not take, the listener's policy is asked what it would have done,
from its memory before the step. Source: Jaques et al. 2019, sections 3 and 3.1.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from jaxtyping import Array, Float

from rookery.learning.intrinsic.base import BaseIntrinsicReward
from rookery.learning.intrinsic.influence import Divergence, check_divergence
from rookery.types import PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class CentralizedInfluence(BaseIntrinsicReward):
    """Paid for influencing all who hear its agent; in a group that hears influencers, for being influenced by them."""

    kind: Literal["influence-centralized"] = "influence-centralized"
    divergence: Divergence = "kl"

    required_info: ClassVar[tuple[str, ...]] = ("logits", "influence")

    def __post_init__(self):
        super().__post_init__()
        check_divergence(self.kind, self.divergence)

    def reward(self, params: PyTree, policy, trajectory: Trajectory) -> Float[Array, "T E"]:
        return trajectory.others.influence[self.kind]  # type: ignore[union-attr,index]
