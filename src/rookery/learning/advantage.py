"""Advantages and returns: how much better an action was than the value function predicted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def gae(
    reward: Float[Array, "T"],
    value: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    done: Bool[Array, "T"],
    *,
    gamma: float,
    gae_lambda: float,
) -> Float[Array, "T"]:
    """Generalized advantage estimates; one agent, one environment. Callers vmap.

    Args:
      reward: for action t.
      value, next_value: V(observation t) and V(true successor), never V(observation after a reset).
      terminated: nothing follows. done: also true at the time limit.
      gamma, gae_lambda: in [0, 1], per step.
    Returns: f32[T]; add `value` for the value's targets.
    Raises: ValueError if lengths differ.
    Source: Schulman et al. 2016, arXiv:1506.02438.
    """
    lengths = {x.shape[0] for x in (reward, value, next_value, terminated, done)}
    if len(lengths) != 1:
        raise ValueError(f"gae needs arrays of one length, got {sorted(lengths)}")
    delta = reward + gamma * next_value * ~terminated - value
    return _discounted_sum(delta, gamma * gae_lambda * ~done)


def reference_code_gae(
    reward: Float[Array, "T"],
    value: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    done: Bool[Array, "T"],
    *,
    gamma: float,
    gae_lambda: float,
) -> tuple[Float[Array, "T"], Float[Array, "T"]]:
    """The variant in the reference code of Ndousse et al.: advantages and value targets, f32[T] each.

    Its one-step error is r + gamma * (V' - V), and the value's target is the discounted return, bootstrapped from the
    last value only. Arguments are those of `gae`.
    """
    continues = ~terminated
    delta = reward + gamma * (next_value * continues - value)
    advantage = _discounted_sum(delta, gamma * gae_lambda * ~done)
    bootstrap = jnp.where(done & continues, gamma * next_value, 0.0)
    target = _discounted_sum(reward + bootstrap, gamma * ~done)
    return advantage, target


def n_step_returns(
    reward: Float[Array, "T"],
    value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    is_boundary: Bool[Array, "T"],
    *,
    gamma: float,
    n: int,
) -> Float[Array, "T"]:
    """n-step returns: n rewards, then the value of the observation they led to; one environment. Callers vmap.

    Args:
      reward: for action t. value: V(observation t), for the same T observations.
      terminated: nothing follows.
      is_boundary: the successor is not among the T observations, so the return is the value of t: at the time limit and
        at the end of the array, where it is always taken as True. Returns near a boundary use fewer than n rewards.
      n: number of rewards, at least 1.
    Returns: f32[T].
    """
    is_boundary = is_boundary.at[-1].set(True)

    def extend(_, returns):
        following = jnp.concatenate([returns[1:], value[-1:]])
        return jnp.where(is_boundary, value, reward + gamma * jnp.where(terminated, 0.0, following))

    return jax.lax.fori_loop(0, n, extend, value)


def fill_absent_values(
    value: Float[Array, "N"],
    terminated: Bool[Array, "N"],
    is_boundary: Bool[Array, "N"],
    agent_mask: Bool[Array, "N"],
    *,
    discount: float,
) -> Float[Array, "N"]:
    """Values in which an agent that is away has what it will have when it returns; one environment. Callers vmap.

    No loss trains the value of an observation that an absent agent gets. While it is away it is paid nothing, so that
    what follows is worth discount^k V(observation k steps later, where it is back); 0 if the episode terminates before.
    With these values the one-step error of every step that it misses is 0, and that of the step in which it leaves
    reaches to its return.

    Args:
      value: V(observation t). terminated: nothing follows step t.
      is_boundary: the successor is not among the N observations, as at the end of the array, where it is always taken
        as True. An agent that is away then has the value of the last observation it was there for: it returns to its
        cell. So one that leaves for good must leave an episode that terminates.
      agent_mask: the agent is there at observation t; those values stay as they are, bit for bit.
      discount: per step that it misses; 1 for `reference_code_gae`.
    """
    is_boundary = is_boundary.at[-1].set(True)
    last_value = value[jax.lax.cummax(jnp.where(agent_mask, jnp.arange(len(value)), 0))]

    def step(following, inputs):
        last_value, is_present, terminated, is_boundary = inputs
        absent = jnp.where(is_boundary, last_value, discount * jnp.where(terminated, 0.0, following))
        filled = jnp.where(is_present, last_value, absent)
        return filled, filled

    inputs = (last_value, agent_mask, terminated, is_boundary)
    return jax.lax.scan(step, jnp.zeros_like(value[0]), inputs, reverse=True)[1]


def _discounted_sum(x: Float[Array, "T"], factor: Float[Array, "T"]) -> Float[Array, "T"]:
    """y_t = x_t + factor_t * y_{t+1}."""

    def step(following, inputs):
        x, factor = inputs
        total = x + factor * following
        return total, total

    return jax.lax.scan(step, jnp.zeros(x.shape[1:]), (x, factor), reverse=True)[1]
