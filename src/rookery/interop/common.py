"""Shared by the adapters: finding the task, keys of episodes, checks of actions, and pictures."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rookery.errors import ConfigError, InvalidActionError, suggest
from rookery.keys import LATER_EPISODES
from rookery.limits import check_type, check_whole_number, shortened
from rookery.storage.serialization import to_dict
from rookery.storage.strict_json import is_whole_number_text
from rookery.tasks import registry
from rookery.tasks.checks import check_jax_settings
from rookery.types import Env, PRNGKey, PyTree

RENDER_TILE_SIZE = 24
"""Pixels per cell in rendered pictures."""
_BOOLEANS = (bool, np.bool_)


class UnknownArgumentError(ConfigError, TypeError):
    """A keyword argument that is not a setting of the task. A TypeError too, as for any Python function."""


def resolve_task(task: Any, changes: dict[str, Any]) -> Any:
    """A task from its id, or itself, with some settings changed.

    Values are checked as those of a configuration file: types must match, lists become tuples, NaN is refused.

    Raises: NotFoundError for an unknown id; UnknownArgumentError for an unknown setting; ConfigError for what is no
      task, a value of the wrong type, or one that the task refuses.
    """
    task = registry.as_task(task)
    if not changes:
        # Compiled programs are kept by equality, and 4.0 equals 4: a program at hand would hide what is wrong.
        to_dict(task, task.kind)
        return task
    allowed = registry.setting_names(task)
    for name in changes:
        if name not in allowed:
            raise UnknownArgumentError(f"{task.kind}: unexpected keyword argument '{name}'; {suggest(name, allowed)}")
    return registry.change_settings(task, changes)


def agent_ids(env: Env) -> list[str]:
    """`agent_0` and so on, one per slot."""
    return [f"agent_{slot}" for slot in range(env.num_agents)]


def observation_shapes(env: Env) -> list[tuple[int, ...]]:
    return [tuple(env.observation_shape(slot)) for slot in range(env.num_agents)]


def episode_key(seed: jax.Array, episode: jax.Array) -> PRNGKey:
    """The key of an episode in every adapter. Both arguments u32[].

    The first episode of a seed has `PRNGKey(seed)` itself, so it is the one that `Env.reset(PRNGKey(seed), params)`
    starts. Keys of later ones have `keys.LATER_EPISODES` and the episode number folded in.

    Raises: ConfigError for settings of JAX that tasks do not support.
    """
    check_jax_settings()
    key = jax.random.PRNGKey(seed)
    later = jax.random.fold_in(jax.random.fold_in(key, LATER_EPISODES), episode)
    return jax.numpy.where(episode == 0, key, later)


def check_slot(name: str, value: Any) -> int:
    """The number of a slot as an int; text of digits, as JSON has for keys, is one too. Raises ConfigError."""
    is_text = isinstance(value, str) and is_whole_number_text(value)
    return check_whole_number(name, int(value) if is_text else value)


def check_options(options: Any, allowed: Sequence[str] = ()) -> dict[str, Any]:
    """The options of a reset; None is none. Raises ConfigError for one that the environment does not have."""
    check_type("options", options, (Mapping, type(None)), "a dictionary or None")
    for name in options or ():
        if name not in allowed:
            raise ConfigError(f"there is no option {shortened(name)}; {suggest(name, allowed)}")
    return dict(options or {})


def random_seed() -> int:
    """A seed from the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def check_actions(actions: Any, num_actions: int, agent_ids: Sequence[str]) -> np.ndarray:
    """Actions as i32[A], one for each of `agent_ids`.

    Raises: InvalidActionError that names the agent whose action is not a whole number from 0 to `num_actions` - 1.
    """
    if (
        type(actions) is list
        and len(actions) == len(agent_ids)
        and all(type(a) is int and 0 <= a < num_actions for a in actions)
    ):
        return np.array(actions, np.int32)  # the usual case, without many numpy calls
    try:
        values = np.asarray(actions)
    except ValueError:
        values = np.empty(0, object)  # ragged
    # NumPy makes one type of a list: of True and 1 whole numbers, of u64 and i64 fractions.
    booleans = isinstance(actions, list | tuple) and any(isinstance(one, _BOOLEANS) for one in actions)
    if values.shape != (len(agent_ids),) or values.dtype.kind not in "iu" or booleans:
        values = _one_by_one(actions, num_actions, agent_ids)
    outside = (values < 0) | (values >= num_actions)
    if outside.any():
        first = int(outside.argmax())
        raise InvalidActionError(
            f"{agent_ids[first]}: action {values[first]} is out of range; allowed: 0 to {num_actions - 1}"
        )
    return values.astype(np.int32)


def _one_by_one(actions: Any, num_actions: int, agent_ids: Sequence[str]) -> np.ndarray:
    """Actions as whole numbers of any size, object[A]. Raises InvalidActionError as `check_actions`."""
    try:
        given = list(actions)
        entries = [np.asarray(one).reshape(()) for one in given]
    except (TypeError, ValueError):
        given = entries = []
    if len(entries) != len(agent_ids):
        raise InvalidActionError(f"actions {actions!r} must be {len(agent_ids)} whole numbers, one per agent")
    values = np.empty(len(entries), object)
    for i, (name, one, entry) in enumerate(zip(agent_ids, given, entries, strict=True)):
        try:
            values[i] = check_whole_number(name, entry.item())
        except ConfigError:
            raise InvalidActionError(
                f"{name}: action {one!r} is not a whole number; allowed: 0 to {num_actions - 1}"
            ) from None
    return values


def check_render_mode(mode: str | None, allowed: list[str]) -> str | None:
    """Raises ConfigError for a mode that is not offered."""
    if mode is not None and mode not in allowed:
        offered = ", ".join(map(repr, allowed)) or "none, because its states cannot be drawn"
        raise ConfigError(f"render_mode={mode!r} is not available; allowed for this task: {offered}")
    return mode


def render_rgb(env: Any, state: PyTree) -> np.ndarray:
    """A picture of the whole map in this state. u8[H*24, W*24, 3]."""
    from rookery.viz.frames import render_map
    from rookery.viz.record_episode import recording_fields
    from rookery.viz.recording import Recording

    states = jax.tree.map(lambda x: np.asarray(x)[None], _compile_render_state(env)(state))
    agents = env.num_agents
    recording = Recording(
        task=env.task.kind,
        agent_names=tuple(agent_ids(env)),
        roles=("learning",) * agents,
        reward=np.zeros((0, agents)),
        action=np.zeros((0, agents), np.int8),
        action_names=(),
        **recording_fields(states),
    )
    return render_map(recording, 0, RENDER_TILE_SIZE)


@functools.lru_cache(maxsize=32)
def _compile_render_state(env: Any):
    """The function that draws states of an environment, compiled once."""
    from rookery.viz.render_state import make_render_state

    return jax.jit(make_render_state(env))
