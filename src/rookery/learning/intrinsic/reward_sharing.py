"""Partial reward sharing: every agent gives a fraction s of its reward to the others, in equal parts.

r_k = (1 - s) e_k + s × mean of the others' rewards. s = 0 leaves rewards as they are; with two agents s = ½ pays both
the same, a team reward. If all agents share alike, the sum of rewards does not change. Centralized: it reads the
others' rewards.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.interfaces import IntrinsicReward
from rookery.learning.configs import check_range
from rookery.learning.intrinsic.influence import exclude_self
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardSharing(IntrinsicReward):
    """What an agent gets of the others' rewards minus what it gives of its own; `weight` is the fraction s."""

    kind: Literal["reward-sharing"] = "reward-sharing"
    weight: float = 0.5

    required_info: ClassVar[tuple[str, ...]] = ("reward", "agent_mask")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, ("weight",), high=1.0, name=self.kind)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        own, others = mean_reward_of_others(trajectory)
        return others - own


def mean_reward_of_others(trajectory: Trajectory) -> tuple[Float[Array, "T E"], Float[Array, "T E"]]:
    """An agent's own reward, and the mean of the others that are there; its own where it is alone."""
    others = trajectory.others
    assert others is not None
    assert others.reward is not None
    assert others.agent_mask is not None
    mask, own = exclude_self(others.agent_mask), others.reward[..., 0]
    mean = jnp.sum(exclude_self(others.reward) * mask, -1) / jnp.maximum(mask.sum(-1), 1)
    return own, jnp.where(mask.any(-1), mean, own)
