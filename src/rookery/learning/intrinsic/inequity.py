"""Inequity aversion: a cost of earning less than others, and a smaller one of earning more.

r_k = e_k - alpha/(N-1) Σ_j max(ē_j - ē_k, 0) - beta/(N-1) Σ_j max(ē_k - ē_j, 0), where ē is each agent's reward as a
decaying trace: ē(t) = gamma lambda ē(t-1) + e(t). Centralized: it reads the others' rewards.

Source: Hughes et al. 2018, arXiv:1803.08884, equations 2 and 3, with their alpha 5 and beta 0.05.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.interfaces import IntrinsicReward
from rookery.learning.configs import check_range
from rookery.learning.intrinsic.influence import exclude_self
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class InequityAversion(IntrinsicReward):
    """Both costs; a coefficient of 0 leaves one out."""

    kind: Literal["inequity"] = "inequity"
    disadvantageous: float = 5.0  # alpha: cost of others earning more
    advantageous: float = 0.05  # beta: cost of others earning less
    trace_decay: float = 0.99 * 0.975  # gamma lambda: what is left of the trace after a step

    required_info: ClassVar[tuple[str, ...]] = ("reward", "agent_mask")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, ("disadvantageous", "advantageous"), name=self.kind)
        check_range(self, ("trace_decay",), high=1.0, exclude_high=True, name=self.kind)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        others = trajectory.others
        assert others is not None
        assert others.reward is not None
        assert others.agent_mask is not None
        trace = reward_trace(others.reward, self.trace_decay)
        difference = exclude_self(trace) - trace[..., :1]
        mask = exclude_self(others.agent_mask)
        cost = self.disadvantageous * jnp.maximum(difference, 0) + self.advantageous * jnp.maximum(-difference, 0)
        return -jnp.sum(cost * mask, -1) / jnp.maximum(mask.sum(-1), 1)


def reward_trace(reward: Float[Array, "T ..."], trace_decay: float) -> Float[Array, "T ..."]:
    """ē(t) = trace_decay × ē(t-1) + e(t), from 0 before the episode."""

    def add(trace, reward):
        return (total := trace_decay * trace + reward), total

    return jax.lax.scan(add, jnp.zeros(reward.shape[1:]), reward)[1]
