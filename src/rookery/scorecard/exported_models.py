"""Models of other libraries as functions: ONNX by onnxruntime, TorchScript by torch, where they are installed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import IncompatibleError, error_text, printable
from rookery.optional_packages import import_optional, pip_install
from rookery.scorecard.protocol import OBSERVATION_SHAPES

_NUMPY_TYPES = {
    f"tensor({name})": np.dtype({"float": "float32", "double": "float64"}.get(name, name))
    for name in (
        "float",
        "double",
        "float16",
        "bool",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
}
"""What an input of an ONNX model may be, as onnxruntime calls it."""
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff]*[\x00-\x7f])")
"""What stands in an ONNX model before the name of a file with weights, and the length of that name in bytes: the start
of a `StringStringEntryProto` whose key is "location", as a `TensorProto` with `external_data` has one."""


def load_exported_function(path: Path, kind: str) -> Callable[..., Any]:
    """The model in a file, as a function that takes a batch.

    Raises: MissingPackageError; IncompatibleError for a model with other inputs and outputs, here or when it is called.
    """
    return _load_onnx(path) if kind == "onnx" else _load_torchscript(path)


def _load_onnx(path: Path) -> Callable[..., Any]:
    """Inputs: 'observation' [B, ...], and where it has them 'is_first' [B] and states, which start at 0. All are arrays
    of numbers or bools, and of a state no length but the batch's is unknown.

    Outputs: 'action' int[B], and for each state NAME 'next_NAME': a name cannot be an input and an output in ONNX.
    """
    onnxruntime = _optional_library("onnxruntime", path)
    onnxruntime.set_default_logger_severity(4)  # it prints what the error says as well
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base class
        raise IncompatibleError(f"{path} is not an ONNX model that onnxruntime can run ({_one_line(error)})") from None
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = [value.name for value in session.get_outputs()]
    state_names = [name for name in inputs if name not in ("observation", "is_first")]
    wanted = ["action", *(f"next_{name}" for name in state_names)]
    if "observation" not in inputs or not set(wanted) <= set(outputs):
        raise IncompatibleError(
            f"{path} has the inputs {', '.join(inputs)} and the outputs {', '.join(outputs)}; it needs the input "
            "'observation', the output 'action', and for every state NAME that is an input the output 'next_NAME'"
        )

    _check_inputs(path, inputs, state_names)
    types = {name: _NUMPY_TYPES[value.type] for name, value in inputs.items()}

    def act(observation: np.ndarray, state: dict[str, np.ndarray] | None, is_first: np.ndarray):
        if state is None:
            batch = len(observation)
            state = {name: np.zeros(_with_batch(inputs[name].shape, batch), types[name]) for name in state_names}
        feed = {"observation": observation.astype(types["observation"]), **state}
        if "is_first" in inputs:
            feed["is_first"] = is_first.astype(types["is_first"])
        try:
            action, *states = session.run(wanted, feed)
        except Exception as error:
            raise _cannot_be_called(path, error) from None
        return np.asarray(action).reshape(-1), dict(zip(state_names, states, strict=True))

    return _with_attributes(act, tuple(inputs["observation"].shape[1:]), external_files(path))


def external_files(path: Path) -> tuple[str, ...]:
    """The files next to an ONNX model that hold its weights, as the model names them."""
    model = path.read_bytes()
    names = []
    for found in _LOCATION.finditer(model):
        length = sum((byte & 0x7F) << 7 * number for number, byte in enumerate(found[1]))
        names.append(os.fsdecode(model[found.end() : found.end() + length]))
    # onnxruntime has found all weights; what is not a file is metadata of the model with this key.
    return tuple(dict.fromkeys(name for name in names if os.path.isfile(path.parent / name)))


def _check_inputs(path: Path, inputs: dict[str, Any], state_names: list[str]) -> None:
    """Raises IncompatibleError for an input that is not an array of numbers, or a state not sized by the batch."""
    for name, value in inputs.items():
        if value.type not in _NUMPY_TYPES:
            raise IncompatibleError(
                f"{path}: the input {name!r} is {value.type}; allowed: {', '.join(_NUMPY_TYPES)}; export the model "
                "with one of these"
            )
    for name in state_names:
        shape = inputs[name].shape
        if others := _unknown_axes(shape, inputs["observation"].shape[:1]):
            raise IncompatibleError(
                f"{path}: the state {name!r} of shape {shape} has another unknown length than that of the batch, in "
                f"axis {' and '.join(map(str, others))}; export the model with a number there"
            )


def _unknown_axes(shape: list[Any], batch: list[Any]) -> list[int]:
    """Axes of a state whose length only the model knows.

    Args:
      batch: the observation's first axis. The state's batch has the same name, else it is the first of unknown length.
    """
    unknown = [axis for axis, size in enumerate(shape) if not isinstance(size, int)]
    of_batch = [axis for axis in unknown if shape[axis] and [shape[axis]] == batch] or unknown[:1]
    return [axis for axis in unknown if axis not in of_batch]


def _load_torchscript(path: Path) -> Callable[..., Any]:
    """A module called as (observation u8[B, ...], state or None, is_first bool[B]); returns (action int[B], state).

    The file is a program, which TorchScript's interpreter runs; it is for files that the user trusts.
    """
    torch = _optional_library("torch", path)
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise IncompatibleError(
            f"{path} is not a TorchScript module; save it by torch.jit.script(module).save(path) ({_one_line(error)})"
        ) from None

    def act(observation: np.ndarray, state: Any, is_first: np.ndarray):
        try:
            with torch.no_grad():
                action, state = module(torch.from_numpy(observation), state, torch.from_numpy(is_first))
            return action.numpy().reshape(-1), state
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise _cannot_be_called(path, error) from None

    return _with_attributes(act, None)


def _cannot_be_called(path: Path, error: Exception) -> IncompatibleError:
    return IncompatibleError(
        f"{path} cannot be called with a batch of observations: {_one_line(error)}; the scorecard's documentation says "
        "what a model is called with and returns"
    )


def _one_line(error: Exception) -> str:
    """What a library says, on one line; of a long text its end, where TorchScript has what went wrong."""
    return printable(" ".join(error_text(error).split())[-300:] or type(error).__name__)


def _optional_library(name: str, path: Path) -> Any:
    """A library that only some models need."""
    return import_optional(name, f"{path} needs {name}, which is not installed; {pip_install(name)}")


def _with_batch(shape: list[Any], batch: int) -> list[int]:
    """The shape of a state, whose axis of unknown length is the batch."""
    return [size if isinstance(size, int) else batch for size in shape]


def _with_attributes(act: Any, shape: tuple[Any, ...] | None, files: tuple[str, ...] = ()) -> Callable[..., Any]:
    act.batched, act.files = True, files
    for kind, expected in OBSERVATION_SHAPES.items():
        if shape == expected:
            act.observation_type = kind
    return act
