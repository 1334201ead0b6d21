"""Upper bounds of sizes, so that a mistyped or foreign configuration is refused before anything is allocated.

They are far above what anyone trains. What several sizes need together is estimated in `rookery.training.memory`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from rookery.errors import ConfigError

MAX_INTEGER = 2**31 - 1
"""Numbers in compiled programs have 32 bits."""
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


def check_at_most(name: str, value: float, high: int) -> None:
    """Raises ConfigError for a value above `high`."""
    if value > high:
        shown = value if value < 10**18 else "a number of more than 18 digits"
        raise ConfigError(f"{name}={shown} must be at most {high:,}")


def check_sizes(config: Any, fields: Iterable[str], high: int) -> None:
    """`check_at_most` of fields of a configuration."""
    for field in fields:
        check_at_most(field, getattr(config, field), high)


def check_integers(value: Any, name: str) -> None:
    """Raises ConfigError for a whole number that does not fit 32 bits, anywhere inside a configuration."""
    if isinstance(value, int):
        check_at_most(name, abs(value), MAX_INTEGER)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            check_integers(item, f"{name}.{number}")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_integers(item, f"{name}.{key}")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            check_integers(getattr(value, field.name), f"{name}.{field.name}")
