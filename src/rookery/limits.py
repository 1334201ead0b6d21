"""Bounds and types of numbers, so that a mistyped or foreign configuration is refused before anything is allocated.

The bounds are far above what anyone trains. What several sizes need together is estimated in `rookery.training.memory`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import operator
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rookery.errors import ConfigError

MAX_INTEGER = 2**31 - 1
"""Numbers in compiled programs have 32 bits."""
MAX_FLOAT = (2.0 - 2.0**-23) * 2.0**127
"""The largest finite one of 32 bits."""
MAX_WORLD_SIDE = 1000  # cells
MAX_WORLD_CELLS = 250_000
MAX_WORLD_AGENTS = 100
MAX_CELLS_TIMES_AGENTS = 2**24
MAX_EPISODE_STEPS = 1_000_000
MAX_TILE_SIZE = 64  # pixels
MAX_LAYER_SIZE = 16_384
MAX_EPISODES = 10_000_000  # of an evaluation or a dataset
MAX_SEEDS_PER_VARIANT = 10_000
MAX_ENVS = 1_000_000  # at the same time
MAX_IDENTIFIER = 200  # characters


def check_at_most(name: str, value: float, high: int) -> None:
    """Raises ConfigError for a value above `high`."""
    if value > high:
        shown = value if value < 10**18 else "a number of more than 18 digits"
        raise ConfigError(f"{name}={shown} must be at most {high:,}")


def check_whole_number(name: str, value: Any) -> int:
    """The value as an int. Raises ConfigError for anything but a whole number; booleans are not."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ConfigError(f"{name}={shortened(value)} must be a whole number") from None


def check_count(name: str, value: Any, high: int) -> int:
    """The value as an int. Raises ConfigError for anything but a whole number from 1 to `high`."""
    number = check_whole_number(name, value)
    if number < 1:
        raise ConfigError(f"{name}={number} must be at least 1")
    check_at_most(name, number, high)
    return number


def check_stop_after(seconds: Any) -> None:
    """Raises ConfigError for a time limit that is not a number, negative or NaN: training would never stop at NaN."""
    check_type("stop_after", seconds, (numbers.Real, type(None)), "a number of seconds or None")
    if seconds is not None and not seconds >= 0:
        raise ConfigError(f"stop_after={seconds} must be at least 0 seconds; None means no limit")


def check_interval_episodes(name: str, episodes: Any) -> int:
    """Episodes of an evaluation as an int. Raises ConfigError for fewer than an interval needs, or too many."""
    episodes = check_whole_number(name, episodes)
    if episodes < 2:
        raise ConfigError(f"{name}={episodes} must be at least 2 to give an interval")
    check_at_most(name, episodes, MAX_EPISODES)
    return episodes


def check_key_seed(seed: Any, name: str = "seed") -> int:
    """The seed as an int. Raises ConfigError unless it is a whole number in [0, 2^32).

    Of a larger one JAX takes the lowest 32 bits, another seed.
    """
    seed = check_whole_number(name, seed)
    if not 0 <= seed < 2**32:
        raise ConfigError(f"{name}={seed} must lie in [0, 2^32)")
    return seed


def check_sizes(config: Any, fields: Iterable[str], high: int) -> None:
    """`check_at_most` of fields of a configuration."""
    for field in fields:
        check_at_most(field, getattr(config, field), high)


def check_32_bits(value: Any, name: str) -> None:
    """Raises ConfigError for a number that does not fit 32 bits, anywhere inside a configuration.

    That is one beyond `MAX_INTEGER`, or a finite one that would be infinite in compiled programs.
    """
    if isinstance(value, int):
        check_at_most(name, abs(value), MAX_INTEGER)
    elif isinstance(value, float):
        if MAX_FLOAT < abs(value) < math.inf:
            raise ConfigError(f"{name}={value} must lie in [-{MAX_FLOAT:.7g}, {MAX_FLOAT:.7g}]: numbers have 32 bits")
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            check_32_bits(item, f"{name}.{number}")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_32_bits(item, f"{name}.{key}")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            check_32_bits(getattr(value, field.name), f"{name}.{field.name}")


class NumericFields:
    """Base of frozen dataclasses of settings: a text or None where a number belongs is refused, in one sentence.

    Configuration files are checked when they are read; this is for settings that Python code gives. It comes before any
    `__post_init__` of a derived class, which compares numbers. Where a tuple belongs, a list becomes one: settings are
    hashable.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own: Any = vars(cls).get("__post_init__")
        if own is None:
            return

        @functools.wraps(own)
        def after_numbers(self: Any) -> None:
            check_numbers(self)
            _lists_to_tuples(self)
            own(self)

        setattr(cls, "__post_init__", after_numbers)  # noqa: B010 (dataclasses call it)

    def __post_init__(self) -> None:
        check_numbers(self)
        _lists_to_tuples(self)


def _lists_to_tuples(settings: Any) -> None:
    """In the fields of a dataclass whose annotation is a tuple."""
    for field in dataclasses.fields(settings):
        if isinstance(value := getattr(settings, field.name, None), list) and str(field.type).startswith("tuple["):
            object.__setattr__(settings, field.name, tuple(value))


def check_numbers(settings: Any) -> None:
    """Raises ConfigError for a field of a dataclass that holds no number where its annotation says `int` or `float`.

    The same for tuples of numbers, also for one of another length than annotated, for numbers that are not finite, and
    for anything but True and False where the annotation says `bool`. Other annotations are not checked.
    """
    for name in _flag_fields(type(settings)):
        if not _is_flag(value := getattr(settings, name)):
            raise ConfigError(f"{name}={shortened(value)} must be True or False")
    for name, kind, several, length, optional in _number_fields(type(settings)):
        value = getattr(settings, name)
        items = value if several and isinstance(value, tuple | list) else (value,)
        fits = isinstance(value, tuple | list) and length in (None, len(value)) if several else True
        if (fits and all(isinstance(item, kind) for item in items)) or (optional and value is None):
            if any(isinstance(item, float) and not math.isfinite(item) for item in items) or (
                kind is numbers.Real and any(isinstance(item, int) and abs(item) > MAX_FLOAT for item in items)
            ):
                raise ConfigError(f"{name}={shortened(value)} must be a finite number")
            continue
        noun = "whole number" if kind is numbers.Integral else "number"
        wanted = f"a tuple of {'' if length is None else f'{length} '}{noun}s" if several else f"a {noun}"
        raise ConfigError(f"{name}={shortened(value)} must be {wanted}{' or None' if optional else ''}")


def check_type(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Raises ConfigError for a value of another type; `wanted` says what belongs there, as "a Task"."""
    if not isinstance(value, kind):
        raise ConfigError(f"{name}={shortened(value)} must be {wanted}")


def check_callable(name: str, value: object, wanted: str) -> None:
    """Raises ConfigError for a value that cannot be called; `wanted` as in `check_type`."""
    if not callable(value):
        raise ConfigError(f"{name}={shortened(value)} must be {wanted}")


def is_redefined(function: Any, other: Any) -> bool:
    """Whether a function with a name was defined again, as by a cell of a notebook that runs twice."""
    paths = [(getattr(f, "__module__", None), getattr(f, "__qualname__", "<none>")) for f in (function, other)]
    return function is not other and paths[0] == paths[1] and "<" not in paths[0][1]


def check_path_type(name: str, value: object) -> None:
    """Raises ConfigError for a value that is neither text nor a Path."""
    check_type(name, value, (str, os.PathLike), "a path, as text or a Path")


def as_texts(name: str, values: object, example: str) -> tuple[str, ...]:
    """One text or several as a tuple, so that a single text does not stand for its letters.

    Raises: ConfigError for anything else, with an example of one text.
    """
    if isinstance(values, str):
        return (values,)
    items: tuple[Any, ...] = (None,)
    if isinstance(values, Iterable) and not isinstance(values, bytes | Mapping):
        items = tuple(values)
    if not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{name}={shortened(values)} must be a text, such as {example!r}, or a list of them")
    return items


def check_types(name: str, values: object, kind: type, wanted: str) -> None:
    """`check_type` of each item of a tuple."""
    if not isinstance(values, tuple | list):
        raise ConfigError(f"{name}={shortened(values)} must be a tuple; of one, write (x,)")
    for number, item in enumerate(values):
        check_type(f"{name}[{number}]", item, kind, wanted)


def check_names(name: str, values: object, wanted: str) -> None:
    """Raises ConfigError unless it is a dictionary by name; `wanted` says of what, as "schedules"."""
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{name}={shortened(values)} must be a dictionary of {wanted} by name")


def check_identifier(name: str, value: object) -> None:
    """Raises ConfigError for a name that cannot stand in metrics, file names and on the command line."""
    if not isinstance(value, str) or len(value) > MAX_IDENTIFIER or not re.fullmatch(r"(?:[^\W_]|[_-])+", value):
        raise ConfigError(f"{name} {shortened(value)} must be letters, digits, - and _")


def shortened(value: object) -> str:
    """A value in a message: its first 60 characters; the name of its type if it cannot be shown."""
    try:
        text = repr(value)
    except Exception:  # of anyone's code
        return f"{type(value).__name__}, whose __repr__ fails"
    return text if len(text) <= 60 else f"{text[:57]}..."


_NUMBER = re.compile(r"(tuple\[)?(int|float)(?(1)(?:,(?:int|float|\.\.\.))*\])(\|None)?")


def _is_flag(value: object) -> bool:
    """Whether it is True or False, of Python or of numpy; every text counts as true, also "false"."""
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


@functools.cache
def _flag_fields(cls: type) -> tuple[str, ...]:
    """Names of the fields that hold True or False."""
    return tuple(field.name for field in dataclasses.fields(cls) if field.init and field.type in (bool, "bool"))


@functools.cache
def _number_fields(cls: type) -> tuple[tuple[str, type, bool, int | None, bool], ...]:
    """Name, abstract type of a number, whether it is a tuple of them, of which length if of one, may it be None."""
    found = []
    for field in dataclasses.fields(cls):
        text = getattr(field.type, "__name__", "") if field.type in (int, float) else str(field.type)
        if field.init and (match := _NUMBER.fullmatch(text.replace(" ", ""))):
            kind = numbers.Real if "float" in text else numbers.Integral
            several = match[1] is not None
            length = text.count(",") + 1 if several and "..." not in text else None
            found.append((field.name, kind, several, length, match[3] is not None))
    return tuple(found)
