"""What all intrinsic rewards share: a weight, and its linear rise at the start of a run."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.errors import ConfigError
from rookery.types import PyTree, Trajectory

REQUESTABLE_INFO = ("action", "reward", "in_view", "agent_mask", "logits", "influence")
"""What a method may ask to know: fields of `types.Company`; 'logits', its agent's own; 'policies', the influence that
is worked out from the others' true policies and memories."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseIntrinsicReward:
    """Base. The reward counts `weight` times, from 0 rising over the first `curriculum` environment steps.

    A learner's rate `intrinsic_scale` multiplies the weights of all its intrinsic rewards: a schedule, or an arm of
    its own where it is 0 and all else is alike.
    """

    weight: float = 1.0
    warmup_steps: float = 0.0  # environment steps of the run until the weight is whole

    required_info: ClassVar[tuple[str, ...]] = ()
    """What it is told of others, of `WHAT`."""
    kind: Any = dataclasses.field(default="", init=False, repr=False)

    def __post_init__(self):
        if self.weight < 0 or self.warmup_steps < 0:
            raise ConfigError(
                f"{self.kind}: weight={self.weight} and warmup_steps={self.warmup_steps} must be at least 0"
            )

    def weight_at(self, timesteps: Float[Array, ""]) -> Float[Array, ""]:
        """The weight once a run has come to `steps`. Source: Jaques et al. 2019, appendix: curriculum."""
        if not self.warmup_steps:
            return jnp.float32(self.weight)
        return self.weight * jnp.minimum(timesteps / self.warmup_steps, 1.0)

    def reward(self, params: PyTree, policy: Any, trajectory: Trajectory) -> Float[Array, "T E"]:
        """The reward of each step, not yet weighted; what does not count is masked later.

        Args:
          params: all of the agent's own: {'policy', 'auxiliary', 'intrinsic'}.
        """
        raise NotImplementedError


def exclude_self(x: Any) -> jax.Array:
    """A field of `Company`, [..., A], less the agent itself."""
    return x[..., 1:]
