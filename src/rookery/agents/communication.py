"""What agents observe besides their view: the last actions and messages of others, and what influencers do now.

All of it is one-hot, joined to one vector, the communication observation `comms_obs`, which goes into the recurrent
cell together with the features of the view.
Source: Jaques et al. 2019: influencers that act first, the message channel, and the baseline of visible actions.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rookery.errors import ConfigError
from rookery.limits import NumericFields


class CommState(NamedTuple):
    """What can be observed in B environments of A agents; -1: nothing, before the first step or of an absent agent."""

    prev_actions: Int[Array, "B A"]  # of the previous step
    prev_messages: Int[Array, "B A"]  # of the previous step
    actions: Int[Array, "B A"]  # of this step, of the agents that have acted already
    messages: Int[Array, "B A"]  # of this step; observed in the next


def initial_comm_state(num_envs: int, num_agents: int) -> CommState:
    """Before the first step: nothing."""
    return CommState(*(jnp.full((num_envs, num_agents), -1, jnp.int32) for _ in CommState._fields))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommunicationConfig(NumericFields):
    """The parts of the communication observation, in this order; slots are in increasing order within the first two."""

    visible_actions: bool = False  # every agent's action of the previous step
    vocab_size: int = 0
    """Number of different messages: every agent with such a policy sends one per step and observes all messages of the
    previous step. 0: no messages."""
    influencers: tuple[
        int, ...
    ] = ()  # slots that act first; their actions of the same step are observed, in this order

    def __post_init__(self) -> None:
        if self.vocab_size < 0 or self.vocab_size == 1:
            raise ConfigError(f"vocab_size={self.vocab_size} must be 0 (no messages) or at least 2")
        if len(set(self.influencers)) != len(self.influencers) or min(self.influencers, default=0) < 0:
            raise ConfigError(f"influencers={self.influencers} must be different slot numbers")

    def size(self, num_agents: int, num_actions: int) -> int:
        """Length of the communication observation."""
        return (
            self.visible_actions * num_agents * num_actions
            + num_agents * self.vocab_size
            + len(self.influencers) * num_actions
        )

    def encode(self, comm_state: CommState, num_actions: int) -> Float[Array, "B H"]:
        """The communication observation in each environment; the same for every agent with this configuration."""
        parts = [jnp.zeros((len(comm_state.prev_actions), 0))]
        if self.visible_actions:
            parts.append(_one_hot(comm_state.prev_actions, num_actions))
        if self.vocab_size:
            parts.append(_one_hot(comm_state.prev_messages, self.vocab_size))
        if self.influencers:
            parts.append(_one_hot(comm_state.actions[:, jnp.array(self.influencers)], num_actions))
        return jnp.concatenate(parts, -1)

    def message_offset(self, slot: int, num_agents: int, num_actions: int) -> int:
        """Where in the communication observation the one-hot message of a slot begins."""
        return self.visible_actions * num_agents * num_actions + slot * self.vocab_size

    def influencer_offset(self, slot: int, num_agents: int, num_actions: int) -> int:
        """Where in the communication observation the one-hot action of an influencer begins."""
        return (
            self.visible_actions * num_agents * num_actions
            + num_agents * self.vocab_size
            + self.influencers.index(slot) * num_actions
        )


def _one_hot(index: Int[Array, "B N"], num_classes: int) -> Float[Array, "B M"]:
    """One-hot rows, joined; -1 gives zeros."""
    return jax.nn.one_hot(index, num_classes).reshape(len(index), -1)
