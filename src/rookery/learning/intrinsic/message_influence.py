"""Influence through messages: what I say is worth saying if it moves what the listeners do next.

Every step each agent says one symbol; all symbols of a step are told to everybody in the next. Messages have a policy
and a value of their own and are paid `environment` × what the world pays + the weight × the influence of the message on
the listeners' next actions. That influence is worked out from the listeners' true policies and memories. The policy of
actions is paid by the world alone.

A message is paid in the step it is said in, for what it does in the next; the last message of an episode does nothing.
Source: Jaques et al. 2019, section 4.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from jaxtyping import Array, Float

from rookery.errors import ConfigError
from rookery.learning.intrinsic.base import BaseIntrinsicReward
from rookery.learning.intrinsic.influence import Divergence, check_divergence
from rookery.types import PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class MessageInfluence(BaseIntrinsicReward):
    """What a speaking policy (`Hears.symbols`) learns to say by; with weight 0, the baseline without influence."""

    kind: Literal["influence-messages"] = "influence-messages"
    divergence: Divergence = "kl"
    extrinsic_coef: float = 1.0  # alpha: what messages are paid of the world's reward
    loss_weight: float = 1.0  # of the messages' loss beside the actions'
    ent_coef: float = 0.001  # weight of the messages' entropy bonus, per nat

    required_info: ClassVar[tuple[str, ...]] = ("influence",)

    def __post_init__(self):
        super().__post_init__()
        check_divergence(self.kind, self.divergence)
        for field in ("extrinsic_coef", "loss_weight", "ent_coef"):
            if getattr(self, field) < 0:
                raise ConfigError(f"{self.kind}: {field}={getattr(self, field)} must be at least 0")

    def reward(self, params: PyTree, policy, trajectory: Trajectory) -> Float[Array, "T E"]:
        return trajectory.others.influence[self.kind]  # type: ignore[union-attr,index]
