"""Models of other libraries as functions: ONNX by onnxruntime, TorchScript by torch, where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import IncompatibleError, error_text, printable
from rookery.optional_packages import import_optional
from rookery.scorecard.protocol import OBSERVATION_SHAPES


def load_exported_function(path: Path, kind: str) -> Callable[..., Any]:
    """The model in a file, as a function that takes a batch.

    Raises: MissingPackageError; IncompatibleError for a model with other inputs and outputs, here or when it is called.
    """
    return _load_onnx(path) if kind == "onnx" else _load_torchscript(path)


def _load_onnx(path: Path) -> Callable[..., Any]:
    """Inputs: 'observation' [B, ...], and where it has them 'is_first' [B] and states, which start at 0.

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

    def act(observation: np.ndarray, state: dict[str, np.ndarray] | None, is_first: np.ndarray):
        batch = len(observation)
        if state is None:
            state = {
                name: np.zeros(_with_batch(inputs[name].shape, batch), _dtype(inputs[name])) for name in state_names
            }
        feed = {"observation": observation.astype(_dtype(inputs["observation"])), **state}
        if "is_first" in inputs:
            feed["is_first"] = is_first.astype(_dtype(inputs["is_first"]))
        try:
            action, *states = session.run(wanted, feed)
        except Exception as error:
            raise _cannot_be_called(path, error) from None
        return np.asarray(action).reshape(-1), dict(zip(state_names, states, strict=True))

    return _with_attributes(act, tuple(inputs["observation"].shape[1:]))


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
                action, state = module(torch.from_numpy(observation.copy()), state, torch.from_numpy(is_first))
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
    return import_optional(name, f"{path} needs {name}, which is not installed; pip install {name}")


def _with_batch(shape: list[Any], batch: int) -> list[int]:
    """The shape of a state, whose first axis of unknown length is the batch."""
    return [size if isinstance(size, int) else batch for size in shape]


def _dtype(value: Any) -> Any:
    """The numpy type of an input of an ONNX model, from text such as 'tensor(float)'."""
    name = value.type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64", "float16": "float16"}.get(name, name))


def _with_attributes(act: Any, shape: tuple[Any, ...] | None) -> Callable[..., Any]:
    act.batched = True
    for kind, expected in OBSERVATION_SHAPES.items():
        if shape == expected:
            act.observation_type = kind
    return act
