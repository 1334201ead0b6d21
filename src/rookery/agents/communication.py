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


class CommState(NamedTuple):
    """What there is to be told in B worlds of A agents; -1 is nothing: before the first step, or of the absent."""

    prev_actions: Int[Array, "B A"]  # everybody's action of the step before
    prev_messages: Int[Array, "B A"]  # everybody's message of the step before
    actions: Int[Array, "B A"]  # actions of this step, of those who have acted already
    messages: Int[Array, "B A"]  # messages of this step: told to nobody before the next


def initial_comm_state(num_envs: int, num_agents: int) -> CommState:
    """The board before anybody has done anything."""
    return CommState(*(jnp.full((num_envs, num_agents), -1, jnp.int32) for _ in CommState._fields))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommunicationConfig:
    """What is told, in this order; slots go up within each part."""

    visible_actions: bool = False  # what every agent did in the step before: the visible-actions baseline
    vocab_size: int = (
        0  # vocabulary: every agent of such a policy says one symbol a step, and hears all of the last step
    )
    influencers: tuple[int, ...] = ()  # slots that act first; what they do in this very step is told

    def __post_init__(self):
        if self.vocab_size < 0 or self.vocab_size == 1:
            raise ConfigError(f"vocab_size={self.vocab_size} must be 0 (nobody speaks) or at least 2")
        if len(set(self.influencers)) != len(self.influencers) or min(self.influencers, default=0) < 0:
            raise ConfigError(f"influencers={self.influencers} must be different slot numbers")

    def size(self, num_agents: int, num_actions: int) -> int:
        """Numbers told each step."""
        return (
            self.visible_actions * num_agents * num_actions
            + num_agents * self.vocab_size
            + len(self.influencers) * num_actions
        )

    def encode(self, comm_state: CommState, num_actions: int) -> Float[Array, "B H"]:
        """What is told in each world; the same to all who hear the same."""
        parts = [jnp.zeros((len(comm_state.prev_actions), 0))]
        if self.visible_actions:
            parts.append(_one_hot(comm_state.prev_actions, num_actions))
        if self.vocab_size:
            parts.append(_one_hot(comm_state.prev_messages, self.vocab_size))
        if self.influencers:
            parts.append(_one_hot(comm_state.actions[:, jnp.array(self.influencers)], num_actions))
        return jnp.concatenate(parts, -1)

    def message_offset(self, slot: int, num_agents: int, num_actions: int) -> int:
        """Where in what is told the one-hot message of a slot begins."""
        return self.visible_actions * num_agents * num_actions + slot * self.vocab_size

    def influencer_offset(self, slot: int, num_agents: int, num_actions: int) -> int:
        """Where in what is told the one-hot action of a leader begins."""
        return (
            self.visible_actions * num_agents * num_actions
            + num_agents * self.vocab_size
            + self.influencers.index(slot) * num_actions
        )


def _one_hot(index: Int[Array, "B N"], num_classes: int) -> Float[Array, "B M"]:
    """Nothing (-1) is all zeros."""
    return jax.nn.one_hot(index, num_classes).reshape(len(index), -1)
