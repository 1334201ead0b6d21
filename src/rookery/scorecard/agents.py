"""What can be scored: our agents, and any function of an observation, from whatever library it comes.

A function takes the observation of one agent, its own state (None at the start of an episode) and whether the
observation opens an episode, and returns an action and its next state, all in numpy:

    def act(observation, state, is_first):   # u8[21, 21, 3], anything, bool
        return action, state                 # an int from 0 to 6: left, right, forward, and four that do nothing

It may say what it observes, `act.observation_type = "symbolic"` (u8[7, 7, 8]), and that it takes a batch,
`act.batched = True`: observations u8[B, ...], one state for all, is_first bool[B], actions int[B]. What it reads from
files, such as weights, it names: `act.files = ("weights.npz",)`, next to its module; the digest of a card covers them.
It keeps nothing outside its state: whatever it remembers or samples depends on its state and observation alone, or
`rookery score` refuses it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from rookery.agents.scripted import OBSERVABILITY_BY_NAME
from rookery.agents.zoo import load_trained_agent
from rookery.errors import ConfigError, IncompatibleError, NotFoundError, RookeryError, explain_failure, suggest
from rookery.interfaces import Policy
from rookery.limits import check_type, shortened
from rookery.plugins import describe_foreign_error
from rookery.scorecard.protocol import NUM_ACTIONS, OBSERVATION_SHAPES, ObservationType
from rookery.training.make_team import load_policy
from rookery.types import Env, PRNGKey, PyTree

Chooser: TypeAlias = Callable[[Any, PyTree, int], Any]
"""(observations u8[E, ...], states of the environments, step from 0) to actions int[E]; keeps its own state."""

BUILTIN_AGENTS = (*OBSERVABILITY_BY_NAME, "random")
EXPORT_SUFFIXES = {".onnx": "onnx", ".pt": "torchscript", ".pth": "torchscript"}
"""Endings of models of other libraries, and what they are."""
_NOTHING = object()
"""What a module has that has no such name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredAgent:
    """An agent under test."""

    name: str
    kind: str
    observation_type: ObservationType
    sha256: str | None = None
    """Of the file that holds it and of the files that it names; None for one that is not a file."""

    def player(self, env: Env, num_episodes: int, key: PRNGKey) -> Chooser:
        """Required. Begin this many episodes side by side.

        Args:
          key: for what the agent samples.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method player(env, num_episodes, key)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyAgent(ScoredAgent):
    """An agent with a policy of this package."""

    def policy(self, env: Env) -> tuple[Policy, PyTree]:
        """Required. The policy in this environment, and its parameters."""
        raise NotImplementedError(f"{type(self).__name__} needs a method policy(env)")

    def player(self, env: Env, num_episodes: int, key: PRNGKey) -> Chooser:
        policy, params = self.policy(env)
        if policy.comms_obs_size:
            raise IncompatibleError(f"{self.name} observes other agents' actions or messages, which no world shows")
        act, carry = _compiled_act(policy), policy.initial_carry(num_episodes)
        slots = jnp.zeros(num_episodes, jnp.int32)

        def choose(observation: Any, env_state: PyTree, t: int) -> Int[Array, "E"]:
            nonlocal carry
            obs = (env_state, slots) if policy.privileged else observation
            action, carry = act(params, carry, obs, jnp.full(num_episodes, t == 0), jax.random.fold_in(key, t))
            return action

        return choose


@functools.lru_cache(maxsize=8)
def _compiled_act(policy: Policy):
    return jax.jit(lambda *arguments: policy.act(*arguments)[:2])


@dataclasses.dataclass(frozen=True, kw_only=True)
class RookeryAgent(PolicyAgent):
    """A zoo entry, a .safetensors file, a scripted or a random agent."""

    def policy(self, env: Env) -> tuple[Policy, PyTree]:
        return load_policy(self.name, env, (0,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FunctionAgent(ScoredAgent):
    """A Python function, called for each episode, or once for all of them if it takes a batch."""

    function: Callable[[np.ndarray, Any, Any], tuple[Any, Any]]
    batched: bool = False

    def player(self, env: Env, num_episodes: int, key: PRNGKey) -> Chooser:
        states: list[Any] = [None] * (1 if self.batched else num_episodes)

        def choose(observation: Any, env_state: PyTree, t: int) -> Any:
            observations, is_first = np.array(observation), t == 0  # a copy, which the function may write into
            if self.batched:
                action, states[0] = self._call(observations, states[0], np.full(num_episodes, is_first))
                return action
            actions = np.empty(num_episodes, np.int32)
            for number, obs in enumerate(observations):
                action, states[number] = self._call(obs, states[number], is_first)
                actions[number] = checked_actions(action, (), self.name)
            return actions

        return choose

    def _call(self, observation: np.ndarray, state: Any, is_first: bool | Bool[np.ndarray, "E"]) -> tuple[Any, Any]:
        try:
            result = self.function(observation, state, is_first)
        except RookeryError:
            raise
        except (Exception, SystemExit) as error:
            called_with = f"(observation {observation.dtype}{list(observation.shape)}, state, is_first)"
            raise IncompatibleError(f"{self.name}, called with {called_with}, failed: {_describe(error)}") from error
        if not isinstance(result, tuple) or len(result) != 2:
            raise IncompatibleError(
                f"{self.name} returned {type(result).__name__}; it must return a pair, the action and the next state"
            )
        return result


def _describe(error: BaseException) -> str:
    """An exception of code that is not this package's, and the line that raised it."""
    if isinstance(error, SystemExit):
        return describe_foreign_error(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = next(frame for frame in reversed(frames) if not frame.filename.startswith("<frozen"))  # not importlib
    return f"{describe_foreign_error(error)} ({where.filename}, line {where.lineno})"


def checked_actions(action: Any, shape: tuple[int, ...], name: str) -> Int[np.ndarray, "..."]:
    """The actions of an agent. Raises IncompatibleError unless they are whole numbers of this shape from 0 to
    NUM_ACTIONS - 1."""
    wanted = f"{f'whole numbers of shape {shape}' if shape else 'one whole number'} from 0 to {NUM_ACTIONS - 1}"
    try:
        array = np.asarray(action)
    except Exception as error:  # a list of lists of other lengths, or what an array of another library raises
        if explain_failure(error) is not None:
            raise
        raise IncompatibleError(
            f"{name} returned an action that is not an array of numbers: {describe_foreign_error(error)}; it must be "
            f"{wanted}"
        ) from error
    if array.size == 1 and not shape:
        array = array.reshape(())
    is_valid = array.shape == shape and array.dtype.kind in "iu" and ((array >= 0) & (array < NUM_ACTIONS)).all()
    if not is_valid:
        what = f"{array.dtype}[{', '.join(map(str, array.shape))}]" if array.shape else shortened(action)
        raise IncompatibleError(f"{name} returned the action {what}; it must be {wanted}")
    return array


def load_scored_agent(source: str | Path, observation_type: ObservationType | None = None) -> ScoredAgent:
    """An agent by what stands on the command line.

    Args:
      source: a zoo entry, a .safetensors file, 'scripted', 'scripted-partial', 'random', 'module:function', or an .onnx
        or TorchScript (.pt) file.
      observation_type: what it observes; None: what its card or its function says, else pixels.
    Raises: NotFoundError, CorruptFileError, IncompatibleError or ConfigError. A trained agent observes what it was
      trained with; another type is an IncompatibleError.
    """
    if observation_type is not None:
        _check_observation_type("observation", observation_type)
    source = str(source)
    if source in BUILTIN_AGENTS:
        return RookeryAgent(name=source, kind="rookery", observation_type=observation_type or "symbolic")
    suffix = Path(source).suffix
    if suffix in EXPORT_SUFFIXES:
        from rookery.scorecard.exported_models import load_exported_function

        path = Path(source)
        if not path.is_file():
            raise NotFoundError(f"no file {source}")
        function = load_exported_function(path, EXPORT_SUFFIXES[suffix])
        return _function_agent(path.name, EXPORT_SUFFIXES[suffix], function, observation_type, path)
    if ":" in source and suffix != ".safetensors":
        function = load_function(source)
        return _function_agent(source, "function", function, observation_type, _source_file(source, function))
    if suffix == ".py":
        _refuse_path(source, "")
    agent = load_trained_agent(source)
    for kind, shape in OBSERVATION_SHAPES.items():
        if tuple(agent.policy.observation_shape) == shape:
            if observation_type not in (None, kind):
                raise IncompatibleError(
                    f"{source} was trained with observation={kind!r} and cannot observe {observation_type!r}; leave "
                    "the option out"
                )
            return RookeryAgent(name=source, kind="rookery", observation_type=kind, sha256=agent.card["sha256"])
    shapes = " or ".join(f"{shape} ({kind})" for kind, shape in OBSERVATION_SHAPES.items())
    raise IncompatibleError(
        f"{source} observes {tuple(agent.policy.observation_shape)}; the scorecard's worlds show {shapes}"
    )


def load_function(source: str) -> Callable[..., Any]:
    """The function named 'module:function'; modules in the working directory are found.

    Raises: NotFoundError for a module or a function that does not exist; ConfigError if it cannot be called, or the
      module cannot be imported.
    """
    module_name, _, function_name = source.partition(":")
    _refuse_path(module_name, function_name)
    here = str(Path.cwd())
    unknown = NotFoundError(f"no module {module_name!r}, here or installed; an agent is module:function")
    if not all(module_name.split(".")):  # '' and '.module' are not names
        raise unknown
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (module_name.split(".")[0], module_name):
            raise unknown from None
        raise ConfigError(f"importing {module_name} failed: {_describe(error)}") from error
    finally:  # last from now on: what is imported later must not find a file of the same name here
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)
    function = _attribute(module_name, module, function_name, _NOTHING)
    if function is _NOTHING:
        functions = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        file = _file_of_module(module_name) or "no file"
        raise NotFoundError(f"{module_name} ({file}) has no {function_name!r}; {suggest(function_name, functions)}")
    if not callable(function):
        raise ConfigError(f"{source} is not a function but {type(function).__name__}")
    return function


def _refuse_path(module_name: str, function_name: str) -> None:
    """Raises NotFoundError, which says how to name it, for the path of a module in place of its name."""
    stem = Path(module_name).stem
    if stem and (module_name.endswith(".py") or "/" in module_name):
        raise NotFoundError(
            f"{module_name!r} is a path, and an agent is module:function; write {stem}:{function_name or 'act'}, in "
            f"the folder of {stem}.py"
        )


def _source_file(source: str, function: Any) -> Path | None:
    """The file in which a loaded function is written, without its decorators.

    Of a compiled function, an object, or what a function made, as a decorator that does not say what it wraps, the file
    of the named module.
    """
    written = inspect.unwrap(function) if inspect.isfunction(function) else None
    file = None
    if inspect.isfunction(written) and "<locals>" not in written.__qualname__:
        file = inspect.getsourcefile(written)
    return Path(file) if file else _file_of_module(source.partition(":")[0])


def _file_of_module(name: str) -> Path | None:
    """The file of an imported module; None for one of none, such as a folder."""
    file = getattr(sys.modules[name], "__file__", None)
    return Path(file) if file else None


def _function_agent(
    name: str, kind: str, function: Any, observation_type: ObservationType | None, path: Path | None
) -> FunctionAgent:
    """The adapter of a function, with what its attributes say, and the file that it comes from."""
    stated = _attribute(name, function, "observation_type", "pixels")
    _check_observation_type(f"{name}: observation_type", stated)
    batched = _attribute(name, function, "batched", False)
    check_type(f"{name}: batched", batched, (int, np.bool_), "True or False")
    return FunctionAgent(
        name=name,
        kind=kind,
        observation_type=observation_type or stated,
        sha256=_digest_of_files(name, path, _attribute(name, function, "files", ())),
        function=function,
        batched=bool(batched),
    )


def _attribute(owner: str, value: Any, name: str, default: Any = None) -> Any:
    """What a user's module or function says. Raises ConfigError if a `__getattr__` of its own fails."""
    try:
        return getattr(value, name, default)
    except Exception as error:
        raise ConfigError(f"{owner}: its attribute {name!r} cannot be read: {_describe(error)}") from error


def _check_observation_type(what: str, value: Any) -> None:
    """Raises ConfigError unless the scorecard's worlds can be observed so."""
    if not isinstance(value, str) or value not in OBSERVATION_SHAPES:
        near = suggest(value if isinstance(value, str) else "", OBSERVATION_SHAPES)
        raise ConfigError(f"{what}={shortened(value)} is not known; {near}")


def _digest_of_files(name: str, path: Path | None, named: Any) -> str | None:
    """SHA-256 of the file of an agent; with files that it names, of all their digests in this order.

    Args:
      named: paths, relative to the folder of `path`.
    Returns: None for an agent without any file.
    Raises: ConfigError if what is named is not a tuple or list of paths; NotFoundError for a file that does not exist.
    """
    if not isinstance(named, tuple | list) or not all(isinstance(file, str | Path) for file in named):
        raise ConfigError(f"{name}: files={shortened(named)} must be a tuple of paths, such as ('weights.npz',)")
    folder = path.parent if path else Path.cwd()
    files = [path] if path and path.is_file() else []
    for file in named:
        if not (folder / file).is_file():
            raise NotFoundError(f"{name} names the file {file}, which is not in {folder}")
        files.append(folder / file)
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    if len(digests) < 2:
        return digests[0] if digests else None
    return hashlib.sha256("".join(digests).encode()).hexdigest()
