"""Checks of settings that several tasks share. Each raises ConfigError, which names the setting and what is allowed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax

from rookery.errors import ConfigError
from rookery.types import PRNG_IMPL


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
    """Refuse settings of JAX under which every seed would mean other episodes.

    Raises: ConfigError for the 64-bit mode, and for another generator of random numbers than JAX's own default.
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


def check_random_key(key: Any) -> None:
    """Raises ConfigError as `check_jax_settings`, and for a key of another kind than jax.random.PRNGKey gives."""
    check_jax_settings()
    if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ConfigError(
            "the key is a typed one, which tasks do not take; pass jax.random.key_data(key), or "
            "jax.random.PRNGKey(seed)"
        )
    if key.shape != (2,) or key.dtype != jax.numpy.uint32:
        raise ConfigError(
            f"the key is {key.dtype}{list(key.shape)}; pass jax.random.PRNGKey(seed), a uint32[2], one per environment"
        )
