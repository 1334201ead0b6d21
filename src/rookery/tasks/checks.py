"""Checks of settings that several tasks share. Each raises ConfigError, which names the setting and what is allowed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32

from rookery.backend import jax_devices
from rookery.errors import ConfigError, InvalidActionError
from rookery.types import PRNG_IMPL

SEED_SETTINGS: dict[str, bool | int] = {
    "jax_threefry_partitionable": True,
    "jax_enable_custom_prng": False,
    "jax_random_seed_offset": 0,
}
"""Settings of JAX that change what a seed means, and the value of each that JAX has by default."""
STRICT_SETTINGS = {
    "jax_legacy_prng_key": ("error", "allow"),
    "jax_numpy_dtype_promotion": ("strict", "standard"),
    "jax_numpy_rank_promotion": ("raise", "allow"),
}
"""Settings of JAX that forbid what tasks do: the value that forbids it, and the default one."""


def check_non_negative(name: str, value: float) -> None:
    if not value >= 0:
        raise ConfigError(f"{name}={value} must be at least 0")


def check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ConfigError(f"{name}={value} must be a finite number")


def check_cost(name: str, value: float) -> None:
    check_finite(name, value)
    if value < 0:
        raise ConfigError(f"{name}={value} must be non-negative; it is subtracted from the reward")


def check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}={value} must lie in [0, 1]")


def check_slots(name: str, slots: tuple[int, ...], num_agents: int) -> None:
    if any(not 0 <= slot < num_agents for slot in slots) or len(set(slots)) < len(slots):
        raise ConfigError(f"{name}={slots} must hold different slots from 0 to {num_agents - 1}")


def check_fading(task: Any) -> None:
    """Raises ConfigError for `visibility` and `fade` that are not probabilities, or that would have no effect.

    Neither slots nor trials can follow a schedule, so no run can make use of them either.
    """
    for name, unused in (("visibility", 1.0), ("fade", 0.0)):
        value = getattr(task, name)
        check_probability(name, value)
        if value != unused and not task.fading_slots:
            raise ConfigError(
                f"{name}={value} is for agents in fading_slots, which is empty; add slots, or leave it at {unused}"
            )
    if task.fade and task.num_trials == 1:
        raise ConfigError(f"fade={task.fade} is from trial to trial, and num_trials is 1; use more, or leave it at 0.0")


def normalize_settings(task: Any) -> None:
    """Turn lists in the fields of a frozen dataclass into tuples, and a map into text with plain line breaks.

    Lists are not hashable, but convenient in Python; maps can be lists of lines, or come from files with CRLF.
    """
    for field in dataclasses.fields(task):
        value = getattr(task, field.name)
        if field.name == "map" and value is not None:
            object.__setattr__(task, "map", _map_text(value))
        elif isinstance(value, list):
            object.__setattr__(task, field.name, tuple(value))


def _map_text(value: Any) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        raise ConfigError(f"map must be text or a list of lines, not {type(value).__name__}")
    return value.replace("\r\n", "\n")


def check_jax_settings() -> None:
    """Refuse settings of JAX under which every seed would mean other episodes, or under which tasks cannot compute.

    Raises: ConfigError for the 64-bit mode, for random numbers other than those of JAX's own defaults, and where JAX is
      to forbid the promotion of types or ranks, or keys of `jax.random.PRNGKey`.
    """
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ConfigError(
            "JAX's 64-bit mode is on, which tasks do not support; turn it off: "
            "unset JAX_ENABLE_X64, or jax.config.update('jax_enable_x64', False)"
        )
    if (kind := jax.config.jax_default_prng_impl) != PRNG_IMPL:  # type: ignore[attr-defined]
        raise ConfigError(
            f"JAX's random numbers come from {kind!r}, which tasks do not support; set it back: unset "
            f"JAX_DEFAULT_PRNG_IMPL, or jax.config.update('jax_default_prng_impl', '{PRNG_IMPL}')"
        )

    for name, default in SEED_SETTINGS.items():
        if (value := getattr(jax.config, name, default)) != default:
            raise ConfigError(
                f"{name} is {value}, under which every seed would mean other episodes; set it back: unset "
                f"{name.upper()}, or jax.config.update('{name}', {default})"
            )
    for name, (forbidden, default) in STRICT_SETTINGS.items():
        if getattr(jax.config, name, default) == forbidden:
            raise ConfigError(
                f"{name} is '{forbidden}', under which tasks cannot compute; set it back: unset {name.upper()}, or "
                f"jax.config.update('{name}', '{default}')"
            )


def start_backend() -> None:
    """Start JAX's backend, before the first key is made or anything is computed.

    Making a task or an environment, or building a run, does not need it: the processes of a run join after that.

    Raises: ConfigError as `check_jax_settings`, and if the backend cannot start.
    """
    check_jax_settings()
    jax_devices()


def check_random_key(key: Any) -> None:
    """Raises ConfigError as `check_jax_settings`, and for a key of another kind than jax.random.PRNGKey gives."""
    check_jax_settings()
    if not isinstance(key, jax.Array | np.ndarray):
        raise ConfigError(f"the key is {key!r}; pass jax.random.PRNGKey(seed)")
    if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ConfigError(
            "the key is a typed one, which tasks do not take; pass jax.random.key_data(key), or "
            "jax.random.PRNGKey(seed)"
        )
    if key.shape != (2,) or key.dtype != jax.numpy.uint32:
        raise ConfigError(
            f"the key is {key.dtype}{list(key.shape)}; pass jax.random.PRNGKey(seed), a uint32[2], one per environment"
        )


def check_joint_action(action: Any, num_agents: int) -> Int32[Array, "A"]:
    """The actions of all agents as i32[A].

    Types and shapes are known while a program is compiled, and are checked then; the numbers are not: one out of range
    does nothing.

    Raises: InvalidActionError for anything but one whole number per agent: JAX would give one number to all agents;
      ConfigError as `check_jax_settings`, as settings may have changed since the reset.
    """
    check_jax_settings()
    action = jnp.asarray(action)
    if action.shape != (num_agents,) or action.dtype.kind not in "iu":
        raise InvalidActionError(
            f"the action is {action.dtype}{list(action.shape)}; pass int32[{num_agents}], one whole number per agent, "
            "and for many environments jax.vmap(env.step)"
        )
    return action.astype(jnp.int32)


def check_agent_mask(agent_mask: Any, num_agents: int) -> Bool[Array, "A"]:
    """Which agents take part, bool[A]: all if the mask is None. Raises ConfigError for a mask that is not bool[A]."""
    if agent_mask is None:
        return jnp.ones(num_agents, bool)
    agent_mask = jnp.asarray(agent_mask)
    if agent_mask.shape != (num_agents,) or agent_mask.dtype != bool:
        raise ConfigError(
            f"agent_mask is {agent_mask.dtype}{list(agent_mask.shape)}; pass bool[{num_agents}], True for each agent "
            "that takes part"
        )
    return agent_mask
