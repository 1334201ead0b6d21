"""How much better an action turned out than the critic expected."""

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
      reward: paid for action t.
      value, next_value: V(obs t) and V(true successor), never V(reset obs).
      terminated: nothing follows. done: also true at the time limit.
      discount, decay: in [0, 1], per step.
    Returns: f32[T]; add `value` for the critic's target.
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
    """The variant in the authors' public code: advantages and critic targets, f32[T] each.

    Its one-step error is r + discount * (V' - V), and the critic's target is the discounted return,
    bootstrapped only from the last value.
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
    """n-step returns: n rewards, then the value of where they led; one agent, one environment. Callers vmap.

    Args:
      reward: paid for action t. value: V(obs t), of the same T observations.
      terminated: nothing follows.
      closed: what follows is not among the T, so the value of t stands for all that comes: the time limit, or the
        end of what is at hand. The last one always is. Returns near it look ahead only as far as it.
      steps: n, at least 1.
    Returns: f32[T]; where closed, the value itself.
    """
    is_boundary = is_boundary.at[-1].set(True)

    def longer(_, total):
        following = jnp.concatenate([total[1:], value[-1:]])
        return jnp.where(is_boundary, value, reward + gamma * jnp.where(terminated, 0.0, following))

    return jax.lax.fori_loop(0, n, longer, value)


def _discounted_sum(x: Float[Array, "T"], factor: Float[Array, "T"]) -> Float[Array, "T"]:
    """y_t = x_t + factor_t * y_{t+1}."""

    def back(following, now):
        here, weight = now
        total = here + weight * following
        return total, total

    return jax.lax.scan(back, jnp.zeros(x.shape[1:]), (x, factor), reverse=True)[1]
