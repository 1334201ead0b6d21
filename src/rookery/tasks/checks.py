"""Checks of settings that several tasks share. Each raises ConfigError, which names the setting and what is allowed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax

from rookery.errors import ConfigError


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


def check_precision() -> None:
    """Environments are computed in 32 bits: with 64, every seed would mean other episodes."""
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise ConfigError(
            "JAX's 64-bit mode is on, which tasks do not support; turn it off: "
            "unset JAX_ENABLE_X64, or jax.config.update('jax_enable_x64', False)"
        )
