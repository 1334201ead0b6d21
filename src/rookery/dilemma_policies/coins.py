"""Scripted players of Coin Game: one takes the coins of its own color alone, the other every coin."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.gridworld.movement import direction_vector
from rookery.interfaces import Policy, PolicyRole
from rookery.tasks.coin_game import ACTIONS, CoinGameState
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class CoinCollector(Policy):
    """Walks a shortest way around the torus to a coin that it takes; keeps off one that it does not take.

    Of several such moves it takes a random one. Privileged: it reads states.
    """

    height: int
    width: int
    takes_all: bool  # coins of the other's color, too

    privileged: ClassVar[bool] = True
    role: ClassVar[PolicyRole] = "scripted"

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        states, slots = obs
        return jax.vmap(self._choose)(states, slots, jax.random.split(key, len(slots))), carry, {}

    def _choose(self, state: CoinGameState, slot: Int[Array, ""], key: PRNGKey) -> Int[Array, ""]:
        board = jnp.array([self.height, self.width])
        after = state.position[slot] + direction_vector(jnp.arange(len(ACTIONS)))
        offset = (after - state.coin) % board
        distance = jnp.minimum(offset, board - offset).sum(-1)
        wants = self.takes_all | (state.coin_color == slot)
        is_good = jnp.where(wants, distance == distance.min(), distance > 0)
        return jnp.argmax(is_good + jax.random.uniform(key, is_good.shape))
