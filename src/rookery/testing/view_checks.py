"""The part of the conformance check for tasks about what an environment says that agents see.

The gridworld's own methods, which no task overrides, are not checked: this would take long to compile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from rookery.errors import ConfigError
from rookery.gridworld.spec import CHANNELS, OBJECT_CHANNELS
from rookery.tasks.grid_env import GridEnv
from rookery.testing.conformance import require, require_equal_types
from rookery.types import Env, Observation, PyTree, TimeStep

_NUM_CHANNELS = {None: None, "pixels": 3, "symbolic": len(CHANNELS), "objects": len(OBJECT_CHANNELS)}
"""Length of the last axis of an observation, by its type; None: any."""


class Views(NamedTuple):
    """What an environment says about views. A field is None if it does not say."""

    is_observed: Bool[Array, "*T A"] | None = None
    """`observe` returned the agent's observation of the time step; at reset, too."""
    in_view: Bool[Array, "*T A A"] | None = None
    relative_position: Int[Array, "*T A A 2"] | None = None


def differs_from_gridworld(env: Env) -> bool:
    """Whether it may do other than the gridworld does, of which only the task's own methods need a check."""
    return type(env) is not GridEnv


def observed(env: Env, state: PyTree, timestep: TimeStep) -> Bool[Array, "A"] | None:
    """Whether `observe` returns the observation of the time step, for each agent; None if it does not say."""
    try:
        views = env.observe(state)
    except ConfigError:
        return None
    pairs = zip(_by_slot(env, views), _by_slot(env, timestep.observation), strict=True)
    return jnp.stack([(view == expected).all() for view, expected in pairs])


def views_of(env: Env, state: PyTree, timestep: TimeStep) -> Views:
    """All that it says about a state."""
    return Views(observed(env, state, timestep), *(_or_none(method, state) for method in _pair_methods(env)))


def check_view_types(env: Env, state: PyTree, timestep: TimeStep) -> None:
    """Shapes and types; nothing is computed.

    Args:
      state, timestep: shapes, as from `jax.eval_shape`.
    """
    name, num_agents = type(env).__name__, env.num_agents
    observation = jax.eval_shape(lambda state: _or_none(env.observe, state), state)
    if observation is not None:
        require_equal_types(timestep.observation, observation, f"{name}.observe", "must be as the time step's")
    in_view, position = (
        jax.eval_shape(lambda state, method=method: _or_none(method, state), state) for method in _pair_methods(env)
    )
    _require_array(in_view, (num_agents, num_agents), jnp.bool_, f"{name}.in_view")
    _require_array(position, (num_agents, num_agents, 2), jnp.integer, f"{name}.relative_positions")
    for slot in range(num_agents):
        _check_observation_type(env, slot, f"{name}.observation_type")


def check_views(env: Env, views: Views, agent_mask: np.ndarray) -> None:
    """What it says of random episodes.

    Args:
      views: numpy arrays, [T, E, ...], of `is_observed` [T+1, E, A]. agent_mask: bool[T, E, A].
    """
    name = type(env).__name__
    if views.is_observed is not None:
        different = np.flatnonzero(~views.is_observed.all((0, 1))).tolist()
        require(
            not different,
            f"{name}.observe",
            f"the observations of slots {different} are not those that `reset` and `step` return with the same state; "
            "compute both by one function",
        )
    if views.in_view is not None:
        itself = np.flatnonzero(np.diagonal(views.in_view, axis1=-2, axis2=-1).any((0, 1))).tolist()
        require(not itself, f"{name}.in_view", f"agents in slots {itself} see themselves; the diagonal must be False")
        both_there = agent_mask[..., :, None] & agent_mask[..., None, :]
        require(
            not (views.in_view & ~both_there).any(),
            f"{name}.in_view",
            "an absent agent sees or is seen; rows and columns of agents outside agent_mask must be False",
        )
    if views.relative_position is not None:
        own = np.diagonal(views.relative_position, axis1=-3, axis2=-2)
        require(
            not own.any(),
            f"{name}.relative_positions",
            "an agent is not where it is itself: the diagonal must be 0, cells ahead and cells to the right",
        )


def _pair_methods(env: Env) -> tuple[Any, Any]:
    return env.in_view, env.relative_positions


def _or_none(method: Any, state: PyTree) -> Any:
    """What a method returns; None if the environment does not say."""
    try:
        return method(state)
    except ConfigError:
        return None


def _by_slot(env: Env, observation: Observation) -> list[jax.Array]:
    return [observation[slot] for slot in range(env.num_agents)]


def _check_observation_type(env: Env, slot: int, method: str) -> None:
    kind, shape = env.observation_type(slot), env.observation_shape(slot)
    allowed = ", ".join(map(repr, _NUM_CHANNELS))
    require(kind in _NUM_CHANNELS, method, f"{kind!r} of slot {slot} is not known; allowed: {allowed}")
    channels = _NUM_CHANNELS[kind]
    require(
        channels is None or (len(shape) == 3 and shape[-1] == channels),
        method,
        f"{kind!r} observations have 3 axes, the last of {channels}; slot {slot} has {list(shape)}; return None if the "
        "numbers mean something else",
    )


def _require_array(value: Any, shape: tuple[int, ...], dtype: Any, method: str) -> None:
    """It is None or has this shape and kind of numbers."""
    if value is None:
        return
    is_right = hasattr(value, "dtype") and value.shape == shape and jnp.issubdtype(value.dtype, dtype)
    actual = f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else type(value).__name__
    require(is_right, method, f"returns {actual}, not {'bool' if dtype is jnp.bool_ else 'integers '}{list(shape)}")
