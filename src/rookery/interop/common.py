"""What all adapters share: which task, which key, which actions, and the picture of a world."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rookery.errors import ConfigError, InvalidActionError, suggest
from rookery.tasks import registry
from rookery.types import Env, PRNGKey, PyTree

RENDER_TILE_SIZE = 24
"""A cell's side in rendered pictures."""


def resolve_task(task: Any, changes: dict[str, Any]) -> Any:
    """A task's configuration, from its id or itself, with some fields changed.

    Raises: MissingError for an unknown id; ConfigError for a field the task lacks or a value it refuses.
    """
    task = registry.get_task(task) if isinstance(task, str) else task
    fields = [field.name for field in dataclasses.fields(task) if field.name != "kind"]
    for name in changes:
        if name not in fields:
            raise ConfigError(f"{task.kind} has no field {name!r}; {suggest(name, fields)}")
    return dataclasses.replace(task, **changes)


def agent_ids(env: Env) -> list[str]:
    """`agent_0` and so on, one a slot."""
    return [f"agent_{slot}" for slot in range(env.num_agents)]


def observation_shapes(env: Env) -> list[tuple[int, ...]]:
    return [tuple(env.observation_shape(slot)) for slot in range(env.num_agents)]


def episode_key(seed: jax.Array, episode: jax.Array) -> PRNGKey:
    """Key that opens an episode in every adapter: the first of a seed has `PRNGKey(seed)` itself, so it is the episode
    that `Env.reset(jax.random.PRNGKey(seed), params)` opens; later ones are folded from it. Both u32[]."""
    key = jax.random.PRNGKey(seed)
    return jax.numpy.where(episode == 0, key, jax.random.fold_in(key, episode))


def check_seed(seed: int) -> int:
    """Raises ConfigError for a seed that no key can be made of."""
    try:
        seed = operator.index(seed)
    except TypeError:
        raise ConfigError(f"seed={seed!r} must be a whole number") from None
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed} must lie in [0, 2^32)")
    return seed


def random_seed() -> int:
    """One nobody asked for, from the operating system."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def check_actions(actions: Any, num_actions: int, agent_ids: Sequence[str]) -> np.ndarray:
    """Actions as i32[A], one for each of `whose`.

    Raises: ActionError naming whose action is no whole number, or not in 0 … actions - 1.
    """
    if (
        type(actions) is list
        and len(actions) == len(agent_ids)
        and all(type(a) is int and 0 <= a < num_actions for a in actions)
    ):
        return np.array(actions, np.int32)  # the usual case, without a dozen calls of numpy
    try:
        values = np.asarray(actions)
    except ValueError:
        values = np.empty(0, object)  # ragged
    if values.shape != (len(agent_ids),):
        try:
            values = np.array([np.asarray(one).reshape(()) for one in actions])
            assert values.shape == (len(agent_ids),)
        except (AssertionError, TypeError, ValueError):
            raise InvalidActionError(
                f"actions {actions!r} must be {len(agent_ids)} whole numbers, one an agent"
            ) from None
    if values.dtype.kind not in "iu":
        wrong = [
            (name, one) for name, one in zip(agent_ids, actions, strict=True) if np.asarray(one).dtype.kind not in "iu"
        ]
        name, one = wrong[0]
        raise InvalidActionError(f"{name}: action {one!r} is no whole number; allowed: 0 to {num_actions - 1}")
    outside = (values < 0) | (values >= num_actions)
    if outside.any():
        first = int(outside.argmax())
        raise InvalidActionError(
            f"{agent_ids[first]}: action {values[first]} is out of range; allowed: 0 to {num_actions - 1}"
        )
    return values.astype(np.int32)


def check_render_mode(mode: str | None, allowed: list[str]) -> str | None:
    """Raises ConfigError for a mode that is not offered."""
    if mode is not None and mode not in allowed:
        offered = ", ".join(map(repr, allowed)) or "none, for its worlds are no maps"
        raise ConfigError(f"render_mode={mode!r} is not offered; this task has: {offered}")
    return mode


def render_rgb(env: Any, state: PyTree) -> np.ndarray:
    """The whole map now, agents by prestige. u8[H*24, W*24, 3]."""
    from rookery.viz.frames import render_map
    from rookery.viz.record_episode import recording_fields
    from rookery.viz.recording import Recording

    moment = jax.tree.map(lambda x: np.asarray(x)[None], _compile_render_state(env)(state))
    agents = env.num_agents
    still = Recording(
        task=env.task.kind,
        agent_names=tuple(agent_ids(env)),
        roles=("learning",) * agents,
        reward=np.zeros((0, agents)),
        action=np.zeros((0, agents), np.int8),
        action_names=(),
        **recording_fields(moment),
    )
    return render_map(still, 0, RENDER_TILE_SIZE)


@functools.lru_cache(maxsize=32)
def _compile_render_state(env: Any):
    """What there is to see of a state, compiled once for each environment."""
    from rookery.viz.render_state import make_render_state

    return jax.jit(make_render_state(env))
