"""How a mistake in an extension is named: a class of `rookery.interfaces` that another package adds.

Nothing is computed: shapes and types are known when a program is traced.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from types import FrameType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rookery.errors import ConfigError, error_text
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward, Learner, Network, Task, requestable_info
from rookery.types import Env, PyTree

_T = TypeVar("_T")

EXTENSION_REMEDY = "mend it, with the checks of rookery.testing"
"""What to do about a mistake in an extension."""


def method_name(extension: Any, method: str) -> str:
    """How messages name a method: "MyNetwork.encoder"."""
    return f"{type(extension).__name__}.{method}"


def checked_instance(extension: Any, method: str, result: Any, kind: type[_T]) -> _T:
    """What a method of an extension returned. Raises ConfigError unless it is an instance of this class."""
    if not isinstance(result, kind):
        instance_of = "an instance of " if result is not None else ""
        found = f"the class {result.__name__}" if isinstance(result, type) else f"{instance_of}{type(result).__name__}"
        wanted = f"{kind.__module__}.{kind.__name__}".removeprefix("builtins.")
        raise ConfigError(
            f"{method_name(extension, method)}: returned {found}, must return an instance of {wanted}; "
            f"{EXTENSION_REMEDY}"
        )
    return result


def check_trainable(what: str, params: PyTree) -> None:
    """Raises ConfigError, which names a leaf, for parameters without gradients: those that are not floats."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            name, own = jax.tree_util.keystr(path) or "the array", leaf_types(leaf)[""]
            raise ConfigError(
                f"{what}: parameter {name} is {own}, must be float32, since it is trained; {EXTENSION_REMEDY}"
            )


def check_result_shape(what: str, result: Any, expected: tuple[int, ...]) -> None:
    """Raises ConfigError for a result of an extension that is not an array or a number, or has another shape.

    That would be broadcast unnoticed.
    """
    if not isinstance(result, jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic | float | int):
        raise ConfigError(
            f"{what} is of type {type(result).__name__}, must be an array of shape {list(expected)}; {EXTENSION_REMEDY}"
        )
    shape = np.shape(result)
    if shape != expected:
        raise ConfigError(f"{what} has shape {list(shape)}, must be {list(expected)}; {EXTENSION_REMEDY}")


def check_same_types(what: str, result: PyTree, expected: PyTree) -> None:
    """Raises ConfigError, which names a leaf, unless two PyTrees agree in structure, shapes and types."""
    found, wanted = leaf_types(result), leaf_types(expected)
    for path in {**wanted, **found}:
        own, other = (types.get(path, "missing") for types in (found, wanted))
        if own != other:
            raise ConfigError(f"{what}: {path or 'the array'} is {own}, must be {other}; {EXTENSION_REMEDY}")
    if jax.tree.structure(result) != jax.tree.structure(expected):
        raise ConfigError(f"{what} has another structure, {jax.tree.structure(result)}; {EXTENSION_REMEDY}")


def leaf_types(tree: PyTree) -> dict[str, str]:
    """Type and shape of every leaf by its path, such as ".count": "int32[]"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): f"{jnp.result_type(leaf).name}{list(np.shape(leaf))}" for path, leaf in leaves}


def describe_failure(extensions: Iterable[Any], error: Exception) -> str | None:
    """Which method failed and how, such as "MyTask.reward: raised ValueError: …"; None: none of these extensions'.

    Of several extensions it is the one that was entered last on the way to the error: a learner calls its losses.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    extensions = list(extensions)
    entered = [(numbers, extension) for extension in extensions if (numbers := _own_frames(extension, frames))]
    if not entered:
        return _wrong_arguments(extensions, error)
    numbers, extension = max(entered, key=lambda entry: entry[0][0])
    is_missing = isinstance(error, NotImplementedError)
    method = _method_of([frames[number] for number in numbers], is_missing)
    raised = "" if is_missing else f"raised {type(error).__name__}: "
    hint = ""
    if isinstance(extension, AuxiliaryLoss | IntrinsicReward | Learner) and "None" in error_text(error):
        allowed = ", ".join(map(repr, requestable_info(extension)))
        hint = (
            ". If it uses what `required_info` does not name, name it there: required_info is "
            f"{extension.required_info}; allowed: {allowed}"
        )
    return f"{method}: {raised}{error_text(error)}{hint}"


def _wrong_arguments(extensions: list[Any], error: Exception) -> str | None:
    """For a method that was called and never entered: it does not take the arguments that it is given."""
    classes = {base for extension in extensions for base in type(extension).__mro__}
    text = error_text(error)
    if isinstance(error, TypeError) and text.startswith(tuple(f"{base.__qualname__}." for base in classes)):
        return f"{text}; it must take the arguments that rookery.interfaces lists"
    return None


def _own_frames(extension: Any, frames: list[FrameType]) -> list[int]:
    """Numbers of the frames of an extension's methods, else of those that run for it."""
    owners = [frame.f_locals.get("self") for frame in frames]
    own = [number for number, owner in enumerate(owners) if type(owner) is type(extension)]
    return own or [number for number, owner in enumerate(owners) if _runs_for(owner, extension)]


def _runs_for(owner: Any, extension: Any) -> bool:
    """Whether it is the environment of a task, or a module of a network from the same package."""
    if isinstance(extension, Task):
        return isinstance(owner, Env)
    packages = {type(part).__module__.split(".")[0] for part in (owner, extension)}
    return isinstance(extension, Network) and isinstance(owner, nn.Module) and len(packages) == 1


def _method_of(frames: list[FrameType], is_missing: bool) -> str:
    """The name of the method that failed: the first on the way to the error of those written with its class, else of
    all; or the one that is missing."""
    written = [frame for frame in frames if frame.f_globals["__name__"] == type(frame.f_locals["self"]).__module__]
    frame = frames[-1] if is_missing else (written or frames)[0]
    return f"{type(frame.f_locals['self']).__name__}.{frame.f_code.co_name}"
