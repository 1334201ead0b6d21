"""Social value orientation: a cost of how far the split of rewards is from the split that an agent wants.

The reward angle of agent i is θ(R) = atan2(mean reward of the others, r_i): 0° if it alone is paid, 45° if all are paid
alike, 90° if only the others are. r_k = e_k - w |θ_SVO - θ(R)|, in radians, the shorter way around the circle. Angles
of negative rewards lie anywhere on it: equal ones at -135°, so that they cost a prosocial agent π w, the most there is.
Where an agent and the others are all paid 0, or no other is there, there is no split, and no cost; the paper does not
say. Centralized: it reads the others' rewards.

Source: McKee et al. 2020, Social diversity and social preferences in mixed-motive reinforcement learning,
arXiv:2002.02325.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.interfaces import IntrinsicReward
from rookery.learning.configs import check_range
from rookery.learning.intrinsic.influence import exclude_self
from rookery.learning.intrinsic.reward_sharing import mean_reward_of_others
from rookery.types import PyTree, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class SocialValueOrientation(IntrinsicReward):
    """Minus the difference of the wanted and the actual reward angle; `weight` is the paper's w."""

    kind: Literal["svo"] = "svo"
    weight: float = 0.2
    angle: float = 45.0  # θ_SVO, degrees: 0 individualistic, 45 prosocial, 90 altruistic

    required_info: ClassVar[tuple[str, ...]] = ("reward", "agent_mask")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, ("angle",), low=-180.0, high=180.0, name=self.kind)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        own, others = mean_reward_of_others(trajectory)
        is_alone = ~exclude_self(trajectory.others.agent_mask).any(-1)  # type: ignore[union-attr]
        is_split = ((own != 0) | (others != 0)) & ~is_alone
        angle = jnp.arctan2(others, own)
        difference = jnp.abs(jnp.deg2rad(self.angle) - angle)
        return jnp.where(is_split, -jnp.minimum(difference, 2 * jnp.pi - difference), 0.0)
