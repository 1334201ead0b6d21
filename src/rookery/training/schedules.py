"""Numbers that change during a run, as straight lines between points."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.errors import ConfigError

Schedule = float | tuple[tuple[float, float], ...]
"""A constant, or points (share of the run's steps done, value) joined by straight lines; flat outside them."""


def check_schedule(name: str, schedule: Schedule, low: float = 0.0, high: float = float("inf")) -> None:
    """Raises ConfigError unless shares rise within [0, 1] and values lie in [low, high]."""
    if isinstance(schedule, int | float):
        schedule = ((0.0, float(schedule)),)
    if not schedule:
        raise ConfigError(f"{name} has no points; give a number or points such as [[0, 0.3], [1, 1.5]]")
    shares = [share for share, _ in schedule]
    if shares != sorted(set(shares)) or not 0 <= shares[0] <= shares[-1] <= 1:
        raise ConfigError(f"{name}: shares of the run {shares} must rise, each within [0, 1]")
    for _, value in schedule:
        if not low <= value <= high:
            raise ConfigError(f"{name}: value {value} must lie in [{low}, {high}]")
        if math.isinf(value):
            raise ConfigError(f"{name}: value {value} must be finite")


def padded_points(schedule: Schedule, count: int) -> Float[Array, "P 2"]:
    """A schedule as `count` points, the last one repeated, so that schedules of different lengths stack."""
    listed = [(0.0, float(schedule))] if isinstance(schedule, int | float) else [tuple(p) for p in schedule]
    return jnp.array(listed + [(2.0, listed[-1][1])] * (count - len(listed)), jnp.float32)


def num_points(schedule: Schedule) -> int:
    return 1 if isinstance(schedule, int | float) else len(schedule)


def value_at(points: Float[Array, "P 2"], fraction: Float[Array, ""]) -> Float[Array, ""]:
    """The value when `share` of the run is done."""
    return jnp.interp(fraction, points[:, 0], points[:, 1])
