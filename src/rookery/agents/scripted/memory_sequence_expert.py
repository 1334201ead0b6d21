"""Scripted experts for memory sequence: one finds the digits by trying and remembers them, the oracle knows them."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.errors import ConfigError
from rookery.interfaces import Policy, PolicyRole
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class MemorySequenceExpert(Policy):
    """Tries the digits at each place in their order, and says what was right before. Privileged.

    It reads nothing that its observations do not show: whether it is asked, its last digit, and whether that was right;
    it counts the places.
    """

    task: Any

    privileged = True
    role: ClassVar[PolicyRole] = "scripted"

    def initial_carry(self, batch: int) -> Bool[Array, "B L D"]:
        """Digits that cannot be right at each place: they were wrong there, or another was right."""
        return jnp.zeros((batch, self.task.sequence_length, self.task.num_digits), bool)

    def act(
        self, params: PyTree, carry: Bool[Array, "B L D"], obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], Bool[Array, "B L D"], dict[str, jax.Array]]:
        states, slots = obs
        action, carry = jax.vmap(self._act)(carry, states, slots, is_first)
        return action, carry, {}

    def _act(self, ruled_out: Bool[Array, "L D"], state: Any, slot, is_first):
        # The last digit is read from what it sees: a student or a person may have said another than it chose.
        digit, place = state.last_digit[slot], jnp.maximum(state.last_place[slot], 0)
        is_digit = jnp.arange(self.task.num_digits) == digit
        not_right = jnp.where(state.last_correct[slot], ~is_digit, is_digit) & (digit >= 0)
        ruled_out = ~is_first & ruled_out.at[place].set(ruled_out[place] | not_right)
        asked_place = self.task.asked_places(state)[slot]
        return jnp.argmin(ruled_out[jnp.maximum(asked_place, 0)]), ruled_out


@dataclasses.dataclass(frozen=True)
class DigitOracle(Policy):
    """Knows the sequence; with probability `noise` it says any digit, the right one included. Privileged.

    Source: Cook et al. 2024; that a random digit may be the right one is from their code.
    """

    task: Any
    noise: float = 0.2

    privileged = True
    role: ClassVar[PolicyRole] = "scripted"

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise ConfigError(f"noise={self.noise} must lie in [0, 1]")

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        states, slots = obs
        noise_key, digit_key = jax.random.split(key)
        is_noise = jax.random.uniform(noise_key, slots.shape) < self.noise
        sampled = jax.random.randint(digit_key, slots.shape, 0, self.task.num_digits)

        def right_digit(state, slot):
            return state.sequence[jnp.maximum(self.task.asked_places(state)[slot], 0)]

        return jnp.where(is_noise, sampled, jax.vmap(right_digit)(states, slots)), carry, {}
