"""Influence through messages: a message is worth sending if it changes what its receivers do next.

In every step each agent sends one message, and every agent observes all messages of a step in the next one. Messages
have a policy and a value of their own. Their reward is `extrinsic_coef` times the environment's, plus the weight times
the influence of the message on the receivers' next actions, which is computed from the receivers' true policies and
recurrent states. The policy of actions gets the environment's reward alone.

A message is rewarded in the step in which it is sent, for its effect on the next; the last of an episode has none.
Source: Jaques et al. 2019, influential communication.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxtyping import Array, Float

from rookery.interfaces import IntrinsicReward
from rookery.learning.configs import check_range
from rookery.learning.intrinsic.influence import Divergence, check_divergence
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class MessageInfluence(IntrinsicReward):
    """Reward of the messages of a policy with a vocabulary; weight 0 is the baseline without influence."""

    kind: Literal["influence-messages"] = "influence-messages"
    divergence: Divergence = "kl"
    extrinsic_coef: float = 1.0  # alpha: how much messages get of the environment's reward
    loss_weight: float = 1.0  # of the message policy's loss, next to that of the policy of actions
    ent_coef: float = 0.001  # weight of the message policy's entropy bonus, per nat

    required_info: ClassVar[tuple[str, ...]] = ("influence",)
    measures_influence: ClassVar[bool] = True
    pays_messages: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divergence(self.kind, self.divergence)
        check_range(self, ("extrinsic_coef", "loss_weight", "ent_coef"), name=self.kind)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        return trajectory.others.influence[self.kind]  # type: ignore[union-attr,index]
