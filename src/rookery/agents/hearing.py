"""What an agent is told beside its view: others' last actions, everybody's messages, what those who act first do now.

All of it is one-hot, joined to one vector that goes into the memory beside what the eyes saw. Source: Jaques et al.
2019, section 3 (influencers act first), section 4 (messages) and the visible-actions baseline of section 3.2.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rookery.errors import ConfigError


class Board(NamedTuple):
    """What there is to be told in B worlds of A agents; -1 is nothing: before the first step, or of the absent."""

    did: Int[Array, "B A"]  # everybody's action of the step before
    said: Int[Array, "B A"]  # everybody's message of the step before
    does: Int[Array, "B A"]  # actions of this step, of those who have acted already
    says: Int[Array, "B A"]  # messages of this step: told to nobody before the next


def blank_board(worlds: int, agents: int) -> Board:
    """The board before anybody has done anything."""
    return Board(*(jnp.full((worlds, agents), -1, jnp.int32) for _ in Board._fields))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hears:
    """What is told, in this order; slots go up within each part."""

    actions: bool = False  # what every agent did in the step before: the visible-actions baseline
    symbols: int = 0  # vocabulary: every agent of such a policy says one symbol a step, and hears all of the last step
    leaders: tuple[int, ...] = ()  # slots that act first; what they do in this very step is told

    def __post_init__(self):
        if self.symbols < 0 or self.symbols == 1:
            raise ConfigError(f"symbols={self.symbols} must be 0 (nobody speaks) or at least 2")
        if len(set(self.leaders)) != len(self.leaders) or min(self.leaders, default=0) < 0:
            raise ConfigError(f"leaders={self.leaders} must be different slot numbers")

    def size(self, agents: int, actions: int) -> int:
        """Numbers told each step."""
        return self.actions * agents * actions + agents * self.symbols + len(self.leaders) * actions

    def tell(self, board: Board, actions: int) -> Float[Array, "B H"]:
        """What is told in each world; the same to all who hear the same."""
        parts = [jnp.zeros((len(board.did), 0))]
        if self.actions:
            parts.append(_one_hot(board.did, actions))
        if self.symbols:
            parts.append(_one_hot(board.said, self.symbols))
        if self.leaders:
            parts.append(_one_hot(board.does[:, jnp.array(self.leaders)], actions))
        return jnp.concatenate(parts, -1)

    def message_at(self, slot: int, agents: int, actions: int) -> int:
        """Where in what is told the one-hot message of a slot begins."""
        return self.actions * agents * actions + slot * self.symbols

    def leader_at(self, slot: int, agents: int, actions: int) -> int:
        """Where in what is told the one-hot action of a leader begins."""
        return self.actions * agents * actions + agents * self.symbols + self.leaders.index(slot) * actions


def _one_hot(number: Int[Array, "B N"], kinds: int) -> Float[Array, "B M"]:
    """Nothing (-1) is all zeros."""
    return jax.nn.one_hot(number, kinds).reshape(len(number), -1)
