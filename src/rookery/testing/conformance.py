"""What the conformance checks of all kinds of extension share."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


class ConformanceError(AssertionError):
    """An extension breaks the contract of its base class; the message names the method and what is wrong."""


def require(condition: Any, method: str, message: str) -> None:
    """Raises ConformanceError unless the condition holds. Works under `python -O`, too.

    Args:
      method: what breaks the contract, such as "MyTask.reward".
      message: what is wrong, and what is expected.
    """
    if not condition:
        raise ConformanceError(f"{method}: {message}")


def require_equal_trees(first: Any, second: Any, method: str, message: str) -> None:
    """Raises ConformanceError unless two PyTrees of arrays are equal in structure and in every number."""
    first, second = jax.device_get(first), jax.device_get(second)
    require(jax.tree.structure(first) == jax.tree.structure(second), method, f"{message} (different structure)")
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        equal = np.array_equal(a, b, equal_nan=np.issubdtype(np.asarray(a).dtype, np.floating))
        require(equal, method, f"{message} (at {jax.tree_util.keystr(path) or 'the array'})")


def require_equal_types(first: Any, second: Any, method: str, message: str) -> None:
    """Raises ConformanceError unless two PyTrees agree in structure, shapes and types."""
    require(jax.tree.structure(first) == jax.tree.structure(second), method, f"{message}: different structure")
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
        require(
            (a.shape, a.dtype) == (b.shape, b.dtype),
            method,
            f"{message}: {jax.tree_util.keystr(path)} is {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}",
        )
