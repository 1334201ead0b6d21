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

    It reads nothing that its observations do not show: whether it is asked, and whether its last digit was right; it
    counts the places.
    """

    task: Any

    privileged = True
    role: ClassVar[PolicyRole] = "scripted"

    def initial_carry(self, batch: int) -> Int[Array, "B L"]:
        """The digit to try at each place: smaller ones were wrong there."""
        return jnp.zeros((batch, self.task.sequence_length), jnp.int32)

    def act(
        self, params: PyTree, carry: Int[Array, "B L"], obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], Int[Array, "B L"], dict[str, jax.Array]]:
        states, slots = obs
        action, carry = jax.vmap(self._act)(carry, states, slots, is_first)
        return action, carry, {}

    def _act(self, next_try: Int[Array, "L"], state: Any, slot, is_first):
        was_wrong = ~is_first & (state.last_digit[slot] >= 0) & ~state.last_correct[slot]
        last_place = jnp.maximum(state.last_place[slot], 0)
        next_try = jnp.where(is_first, 0, next_try).at[last_place].add(was_wrong) % self.task.num_digits
        place = self.task.asked_places(state)[slot]
        return next_try[jnp.maximum(place, 0)], next_try


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
