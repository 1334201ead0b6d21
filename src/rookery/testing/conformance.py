"""What the conformance checks of all kinds of extension share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from rookery.errors import RookeryError
from rookery.extension_errors import describe_failure

TOLERANCE = 1e-4
"""Allowed difference of two ways to compute the same numbers, relative to the largest of them."""


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


def require_instance(extension: Any, base: type) -> None:
    """Raises ConformanceError unless it is an instance of this base class; a class is not an instance of itself."""
    is_class = isinstance(extension, type)
    name = extension.__name__ if is_class else type(extension).__name__
    require(not is_class, name, f"is a class; pass an instance, {name}()")
    require(isinstance(extension, base), name, f"must derive from {base.__module__}.{base.__name__}")


@contextlib.contextmanager
def failures_named(extension: Any) -> Iterator[None]:
    """Whatever a method of the extension, or of a task's environment, raises becomes a ConformanceError that names it.

    Errors of this package and of code that is not the extension's pass.
    """
    try:
        yield
    except (ConformanceError, RookeryError):
        raise
    except Exception as error:
        message = describe_failure((extension,), error)
        if message is None:
            raise
        raise ConformanceError(message) from error


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
        where = f"{message}: {jax.tree_util.keystr(path)} is"
        for x in (a, b):
            require(hasattr(x, "dtype"), method, f"{where} {type(x).__name__}, must be an array such as jnp.float32(0)")
        types = [f"{x.dtype}{list(x.shape)}" for x in (a, b)]
        require(types[0] == types[1], method, f"{where} {types[0]} and {types[1]}")


def require_close(first: Any, second: Any, method: str, message: str) -> None:
    """Raises ConformanceError unless two arrays are finite and equal up to rounding."""
    first, second = (np.asarray(x, np.float32) for x in jax.device_get((first, second)))
    require(np.isfinite(first).all() and np.isfinite(second).all(), method, "computes numbers that are not finite")
    difference, scale = np.abs(first - second).max(initial=0.0), max(1.0, float(np.abs(second).max(initial=0.0)))
    require(difference <= TOLERANCE * scale, method, f"{message} (they differ by {difference:.2g})")


def require_same_when_compiled_again(
    lowered: tuple[jax.stages.Lowered, jax.stages.Lowered],
    arguments: tuple[Any, ...],
    outputs: Any,
    method: str,
    message: str,
) -> None:
    """Raises ConformanceError unless a function that was traced twice computes the same numbers both times.

    Two calls of one compiled program agree even where Python or numpy sampled a number while it was traced.

    Args:
      lowered: the function, lowered from two separate traces.
      arguments, outputs: of the program that was compiled from the first trace.
      message: what must agree.
    """
    if _is_same_program(*lowered):
        return
    again = lowered[1].compile()(*arguments)
    advice = "take random numbers from the key, not from numpy or Python, and no time"
    require_equal_trees(outputs, again, method, f"{message}; {advice}")


def _is_same_program(first: jax.stages.Lowered, second: jax.stages.Lowered) -> bool:
    """Whether two functions became one program, which need not be compiled twice; False where the text cannot tell."""
    text = first.as_text()
    # Newer versions of JAX may pass constants in addition to the text.
    return text == second.as_text() and "jax.const" not in text
