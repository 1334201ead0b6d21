"""Influence computed from the other agents' true policies and recurrent states; the training is centralized.

Influencers act first. Their actions are observed within the same step by the agents of groups whose `communication`
names them as `influencers`; only those agents can be influenced. For every action that the influencer did not take,
the other agent's policy is evaluated again, from its recurrent state before the step.

Source: Jaques et al. 2019, basic influence.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxtyping import Array, Float

from rookery.interfaces import IntrinsicReward
from rookery.learning.intrinsic.influence import Divergence, check_divergence
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class CentralizedInfluence(IntrinsicReward):
    """Reward for influence on all agents that observe this one's actions.

    In a group that observes influencers, it is the reward for being influenced by them.
    """

    kind: Literal["influence-centralized"] = "influence-centralized"
    divergence: Divergence = "kl"

    required_info: ClassVar[tuple[str, ...]] = ("logits", "influence")
    measures_influence: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divergence(self.kind, self.divergence)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        return trajectory.others.influence[self.kind]  # type: ignore[union-attr,index]
