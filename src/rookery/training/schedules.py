"""Numbers that change during a run: piecewise linear schedules."""

from __future__ import annotations

import itertools
import math
import numbers
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from rookery.errors import ConfigError
from rookery.limits import shortened

Schedule = float | tuple[tuple[float, float], ...]
"""A constant, or points (fraction of the run done, value) joined by straight lines; constant before and after them."""


def is_schedule(value: Any) -> bool:
    """Whether a value is one schedule, and not a container of several (a NamedTuple is one)."""
    return isinstance(value, numbers.Real) or type(value) is tuple


def schedule_points(schedule: Schedule) -> list[tuple[float, float]]:
    """(fraction of the run done, value) of every point; one point for a constant."""
    if isinstance(schedule, int | float | numbers.Real):
        return [(0.0, float(schedule))]
    return [(fraction, value) for fraction, value in schedule]


def _are_points(schedule: Any) -> bool:
    """Whether it is pairs of numbers."""
    pairs = schedule if isinstance(schedule, tuple | list) else (None,)
    return all(
        isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(number, numbers.Real) for number in pair)
        for pair in pairs
    )


def as_tuples(schedule: Any) -> Any:
    """A schedule whose points are lists, as in files, with tuples in their place; all else as it is."""
    return tuple(map(tuple, schedule)) if schedule and _are_points(schedule) else schedule


def set_tuples(settings: Any, *names: str) -> None:
    """Let fields of a frozen dataclass, schedules or dictionaries of them, have tuples where lists were given."""
    for name in names:
        value = getattr(settings, name)
        is_dict = isinstance(value, dict)
        frozen = {key: as_tuples(schedule) for key, schedule in value.items()} if is_dict else as_tuples(value)
        object.__setattr__(settings, name, frozen)


def check_schedule(name: str, schedule: Schedule, low: float = 0.0, high: float = float("inf")) -> None:
    """Raises ConfigError unless fractions increase within [0, 1] and values are finite and lie in [low, high]."""
    if not (isinstance(schedule, numbers.Real) or _are_points(schedule)):
        raise ConfigError(f"{name}={schedule!r:.60} must be a number or points such as ((0, 0.3), (1, 1.5))")
    try:
        points = schedule_points(schedule)
        list(map(float, itertools.chain(*points)))
    except OverflowError:
        raise ConfigError(f"{name}={shortened(schedule)} has a number that no float holds; it must be finite") from None
    if not points:
        raise ConfigError(f"{name} has no points; give a number or points such as [[0, 0.3], [1, 1.5]]")
    fractions = [fraction for fraction, _ in points]
    if fractions != sorted(set(fractions)) or not 0 <= fractions[0] <= fractions[-1] <= 1:
        raise ConfigError(f"{name}: fractions of the run {fractions} must increase, each within [0, 1]")
    for _, value in points:
        if not low <= value <= high:
            raise ConfigError(f"{name}: value {value} must lie in [{low}, {high}]")
        if math.isinf(value):
            raise ConfigError(f"{name}: value {value} must be finite")


def padded_points(schedule: Schedule, count: int) -> Float[Array, "P 2"]:
    """A schedule as `count` points, the last one repeated, so that schedules of different lengths can be stacked."""
    points = schedule_points(schedule)
    return jnp.array(points + [(2.0, points[-1][1])] * (count - len(points)), jnp.float32)


def value_at(points: Float[Array, "P 2"], fraction: Float[Array, ""]) -> Float[Array, ""]:
    """The schedule's value when `fraction` of the run is done."""
    return jnp.interp(fraction, points[:, 0], points[:, 1])
