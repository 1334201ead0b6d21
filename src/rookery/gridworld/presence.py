"""Agents that leave within an episode and come back: by chance, at fixed steps, or both.

An agent that is away is not in the world: it is not seen, sees nothing, is not in the way and is not paid. It returns
to the cell that it left, with the heading and the prestige that it had. Each agent of the task's `dropout_slots` is a
Markov chain with two states, independent of the others: present, it leaves with probability `leave_prob` per step;
away, it returns with probability `return_prob` per step. It is also away from step `leave_step` until `return_step`.
All four are parameters of the task, so that a schedule changes them without recompiling.

Source: expert dropout of Bhoopchand et al. 2023, arXiv:2203.00715, whose rates are not published.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.gridworld.state import GridParams, GridState
from rookery.types import PRNGKey

NEVER = 1e9
"""Value of `leave_step` and `return_step` that no episode reaches."""


def initial_away(slots: tuple[int, ...], num_agents: int, params: GridParams) -> Bool[Array, "A"]:
    """Which agents are away at the start of an episode: those whose fixed steps begin with it."""
    return _dropout_mask(slots, num_agents) & _is_between(jnp.int32(0), params)


def step_away(
    key: PRNGKey, state: GridState, away: Bool[Array, "A"], slots: tuple[int, ...], params: GridParams
) -> Bool[Array, "A"]:
    """Which agents are away after a step.

    Args:
      key: for this step alone.
      state: after the step; its `step` counts it already. away: before the step.
    """
    unit = jax.random.uniform(key, away.shape)
    by_chance = jnp.where(away, unit >= params.return_prob, unit < params.leave_prob)
    returns_now = _is_between(state.step - 1, params) & ~_is_between(state.step, params)
    return _dropout_mask(slots, len(away)) & (by_chance & ~returns_now | _is_between(state.step, params))


def mean_presence(
    leave_prob: float, return_prob: float, leave_step: float | None, return_step: float | None, num_steps: int
) -> float:
    """Expected fraction of an episode's steps at which an agent that may leave is there.

    Exact for an agent that leaves by chance alone or at fixed steps alone, else as if the two were independent.

    Args:
      leave_prob, return_prob: in [0, 1]. leave_step, return_step: None: never. num_steps: of the episode.
    """
    change = leave_prob + return_prob
    in_the_long_run = return_prob / change if change > 0 else 1.0
    first_steps = (1 - (1 - change) ** num_steps) / (num_steps * change) if change > 0 else 1.0
    by_chance = in_the_long_run + (1 - in_the_long_run) * first_steps
    leaves, returns = (num_steps if step is None else min(step, num_steps) for step in (leave_step, return_step))
    return by_chance * (1 - max(returns - leaves, 0) / num_steps)


def _is_between(step: Int[Array, ""], params: GridParams) -> Bool[Array, ""]:
    return (step >= params.leave_step) & (step < params.return_step)


def _dropout_mask(slots: tuple[int, ...], num_agents: int) -> Bool[Array, "A"]:
    return jnp.isin(jnp.arange(num_agents), jnp.array(slots, jnp.int32))
