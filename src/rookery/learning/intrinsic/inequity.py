"""Dislike being worse off than others, and being better off.

r_k = e_k - alpha/(N-1) Σ_j max(ē_j - ē_k, 0) - beta/(N-1) Σ_j max(ē_k - ē_j, 0), where ē is each agent's reward,
smoothed: ē(t) = gamma lambda ē(t-1) + e(t). Centralized: it reads the others' rewards.

Source: Hughes et al. 2018, arXiv:1803.08884, equations 2 and 3; alpha 5 and beta 0.05 are theirs.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.errors import ConfigError
from rookery.learning.intrinsic.base import BaseIntrinsicReward, exclude_self
from rookery.types import PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class InequityAversion(BaseIntrinsicReward):
    """Both aversions; 0 leaves one out."""

    kind: Literal["inequity"] = "inequity"
    disadvantageous: float = 5.0  # alpha: others have more
    advantageous: float = 0.05  # beta: others have less
    trace_decay: float = 0.99 * 0.975  # gamma lambda: how much of the smoothed reward is left after a step

    required_info: ClassVar[tuple[str, ...]] = ("reward", "agent_mask")

    def __post_init__(self):
        super().__post_init__()
        if min(self.disadvantageous, self.advantageous) < 0:
            raise ConfigError(
                f"disadvantageous={self.disadvantageous} and advantageous={self.advantageous} must be at least 0"
            )
        if not 0 <= self.trace_decay < 1:
            raise ConfigError(f"trace_decay={self.trace_decay} must lie in [0, 1)")

    def reward(self, params: PyTree, policy, trajectory: Trajectory) -> Float[Array, "T E"]:
        company = trajectory.others
        assert company is not None
        assert company.reward is not None
        assert company.agent_mask is not None
        smooth = smoothed_rewards(company.reward, self.trace_decay)
        ahead = exclude_self(smooth) - smooth[..., :1]
        counts = exclude_self(company.agent_mask)
        cost = self.disadvantageous * jnp.maximum(ahead, 0) + self.advantageous * jnp.maximum(-ahead, 0)
        return -jnp.sum(cost * counts, -1) / jnp.maximum(counts.sum(-1), 1)


def smoothed_rewards(reward: Float[Array, "T ..."], trace_decay: float) -> Float[Array, "T ..."]:
    """ē(t) = keep × ē(t-1) + e(t), from the start of an episode."""

    def add(so_far, now):
        return (total := trace_decay * so_far + now), total

    return jax.lax.scan(add, jnp.zeros(reward.shape[1:]), reward)[1]
