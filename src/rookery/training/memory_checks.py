"""Whether many environments, or recorded episodes, fit into memory, asked before anything of that size exists.

`rookery.training.memory` asks the same of updates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import jax

from rookery.errors import ConfigError
from rookery.training.memory import device_memory, format_bytes, machine_memory
from rookery.types import Env


def check_fits(what: str, needed: int, remedy: str, devices: list[Any] | None = None) -> None:
    """Raises ConfigError if `what` needs more bytes than there are: "`what` need at least ...: `remedy`".

    Args:
      devices: JAX devices that hold it; None: it must fit this machine's memory, wherever it is made.
    """
    own_memory = [] if devices is None or devices[0].platform == "cpu" else devices
    available = device_memory(own_memory) if own_memory else machine_memory()
    if available is not None and needed > available:
        owner = f"the GPUs ({len(own_memory)}) have" if own_memory else "this machine has"
        raise ConfigError(f"{what} need at least {format_bytes(needed)}; {owner} {format_bytes(available)}: {remedy}")


def check_result_fits(what: str, copies: int, remedy: str, function: Any, *arguments: Any) -> None:
    """`check_fits` of so many results of a compiled function, by their shapes alone; it is traced, not compiled."""
    leaves = jax.tree.leaves(function.eval_shape(*arguments))
    check_fits(what, copies * sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves), remedy)


def environment_bytes(env: Env, slots: Iterable[int]) -> int:
    """What one environment cannot do without: the tiles of its map, and the observations of these agents."""
    spec = env.task.grid_spec
    cells = spec.height * spec.width if spec is not None else 1
    return cells + sum(math.prod(env.observation_shape(slot)) for slot in slots)
