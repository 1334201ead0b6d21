"""Prediction of where the other agents are, so that an agent pays attention to them.

From the recurrent cell's output a small network predicts the position of every other agent relative to the agent's own,
in its own orientation: cells ahead and cells to the right. The loss is the absolute error, averaged over the agents
that are in the environment; those that are absent do not count. Positions come from the environment, also of agents
that are out of view, as the method says; they are targets alone, and the policy never observes them.

Source: Bhoopchand et al. 2023, arXiv:2203.00715, attention loss, the AL of MEDAL. Its network and weight are not
published; these are our own.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.interfaces import AuxiliaryLoss, HealthInputs, LossInputs
from rookery.learning.masking import masked_mean
from rookery.nn.modules import apply_module
from rookery.types import OthersInfo, PRNGKey, PyTree, Sequences, Trajectory

CELLS_PER_UNIT = 8.0
"""Cells that count as 1 in predictions and in the loss, so that both are about 1 in the published worlds."""


class _PositionHead(nn.Module):
    """Two dense layers from the cell's output to the position of each of N other agents."""

    num_others: int
    hidden_size: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "*B M"]) -> Float[Array, "*B N 2"]:
        x = nn.tanh(nn.Dense(self.hidden_size, name="dense")(hidden))
        return nn.Dense(2 * self.num_others, name="position")(x).reshape(*hidden.shape[:-1], self.num_others, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionLoss(AuxiliaryLoss):
    """Absolute error of the predicted positions of the other agents that are there."""

    kind: Literal["attention"] = "attention"

    required_info: ClassVar[tuple[str, ...]] = ("relative_position", "in_view", "agent_mask")
    """`in_view` for its health alone."""

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        return self._head(policy).init(key, jnp.zeros((1, policy.network.hidden_size)))["params"]

    def loss_mask(self, batch: Sequences) -> Bool[Array, "L N K"]:
        """The other agents that are in the environment, at the steps that count."""
        return _counted(_others(batch).agent_mask[:-1], batch.loss_mask)  # type: ignore[index] (requested)

    def loss(self, params: PyTree, inputs: LossInputs) -> Float[Array, "L N K"]:
        target = _others(inputs.batch).relative_position[:-1] / CELLS_PER_UNIT  # type: ignore[index] (requested)
        return _error(apply_module(self._head(inputs.policy), params, inputs.hidden), target)

    def metrics(self, params: PyTree, inputs: LossInputs) -> dict[str, Float[Array, ""]]:
        """'cells': the mean absolute error per coordinate, in cells."""
        error = masked_mean(self.loss(params, inputs), self.loss_mask(inputs.batch))
        return {"cells": CELLS_PER_UNIT * error}

    def health(self, params: PyTree, inputs: HealthInputs) -> dict[str, Float[Array, ""]]:
        """'error', 'error_constant' and 'error_copy', over what the loss is averaged over; NaN if that is nothing.

        The constant is the best one in hindsight for each other agent and coordinate. The copy is the position in which
        the other agent was last in view before the step, as it was seen then; the constant where it has not been seen.
        """
        trajectory, others = inputs.trajectory, _others(inputs.trajectory)
        assert others.relative_position is not None, "requested"
        assert others.in_view is not None, "requested"
        target = others.relative_position / CELLS_PER_UNIT
        mask = _counted(others.agent_mask, trajectory.loss_mask)  # type: ignore[arg-type] (requested)
        predicted = apply_module(self._head(inputs.policy), params, inputs.hidden)
        median = jnp.nanmedian(jnp.where(mask[..., None], target, jnp.nan), axis=(0, 1))
        constant = jnp.broadcast_to(median, target.shape)
        copy = last_seen(target, others.in_view, trajectory.is_first[:-1], median)
        guesses = {"error": predicted, "error_constant": constant, "error_copy": copy}
        return {
            name: jnp.where(mask.any(), masked_mean(jnp.where(mask, _error(guess, target), 0.0), mask), jnp.nan)
            for name, guess in guesses.items()
        }

    def _head(self, policy: RecurrentPolicy) -> _PositionHead:
        return _PositionHead(num_others=policy.num_agents - 1, hidden_size=policy.network.hidden_size)


def last_seen(
    position: Float[Array, "T E N 2"],
    in_view: Bool[Array, "T E N"],
    is_first: Bool[Array, "T E"],
    unseen: Float[Array, "N 2"],
) -> Float[Array, "T E N 2"]:
    """The position in which each other agent was last in view before each step of the episode, as it was seen then.

    Args:
      unseen: what stands where it was not in view before.
    """

    def step(known, now):
        where, seen, first = now
        known = jnp.where(first[:, None, None], unseen, known)
        return jnp.where(seen[..., None], where, known), known

    start = jnp.broadcast_to(unseen, position.shape[1:])
    return jax.lax.scan(step, start, (position, in_view, is_first))[1]


def _error(predicted: Float[Array, "T E N 2"], target: Float[Array, "T E N 2"]) -> Float[Array, "T E N"]:
    """Mean of both coordinates' absolute errors."""
    return jnp.abs(predicted - target).mean(-1)


def _counted(agent_mask: Bool[Array, "T E A"], loss_mask: Bool[Array, "T E"]) -> Bool[Array, "T E N"]:
    """The other agents that are in the environment, at the steps that count."""
    return agent_mask[..., 1:] & loss_mask[..., None]


def _others(batch: Sequences | Trajectory) -> OthersInfo:
    """Where the others are. Raises ConfigError for a learner that does not keep it."""
    if batch.others is None or batch.others.relative_position is None:
        raise ConfigError("the auxiliary loss 'attention' needs a learner that keeps where others are: PPO or A2C")
    return batch.others
