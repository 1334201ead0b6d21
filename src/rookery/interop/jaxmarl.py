"""Tasks as dictionaries by agent, compiled: the interface of JaxMARL, for code written against it.

    env = DictEnv("goal-cycle-v0")
    obs, state = env.reset(key)
    obs, state, rewards, dones, infos = env.step(key, state, {"agent_0": 2, "agent_1": 0, "agent_2": 2})

Pure functions on arrays; callers jit and vmap. Needs neither Gymnasium nor PettingZoo, nor JaxMARL itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from rookery.errors import InvalidActionError
from rookery.interop.common import agent_ids, check_actions, observation_shapes, resolve_task
from rookery.tasks.registry import make_env
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class Discrete:
    """Whole numbers 0 … n-1."""

    n: int
    dtype: Any = jnp.int32

    shape = ()

    def sample(self, key: PRNGKey) -> jax.Array:
        return jax.random.randint(key, (), 0, self.n, self.dtype)

    def contains(self, x: Any) -> jax.Array:
        return (jnp.asarray(x) >= 0) & (jnp.asarray(x) < self.n)


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of one shape, each number in [low, high]."""

    low: int
    high: int
    shape: tuple[int, ...]
    dtype: Any = jnp.uint8

    def sample(self, key: PRNGKey) -> jax.Array:
        return jax.random.randint(key, self.shape, self.low, self.high + 1).astype(self.dtype)

    def contains(self, x: Any) -> jax.Array:
        x = jnp.asarray(x)
        return ((x >= self.low) & (x <= self.high)).all() if x.shape == self.shape else jnp.bool_(False)


class DictEnv:
    """One world; agents are `agent_0` … by slot, and all stay to the end of the episode.

    Args:
      task: an id of `rookery envs`, or a task's configuration.
      changes: fields of the task, such as `goals=4`.
    Raises: MissingError for an unknown id, ConfigError for a field or value the task refuses.
    """

    def __init__(self, task: Any = "goal-cycle-v0", **changes: Any):
        config = resolve_task(task, changes)
        self._env = make_env(config)
        self.name = config.kind
        self.agents = agent_ids(self._env)
        self.num_agents = len(self.agents)
        shapes = zip(self.agents, observation_shapes(self._env), strict=True)
        self.observation_spaces = {name: Box(0, 255, shape) for name, shape in shapes}
        self.action_spaces = {name: Discrete(self._env.num_actions) for name in self.agents}

    @property
    def max_steps(self) -> int:
        """Of an episode."""
        return self._env.max_steps

    @property
    def default_params(self) -> PyTree:
        """The task's numbers; hand changed ones to `reset` and `step` without recompiling."""
        return self._env.default_params()

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(self, key: PRNGKey, params: PyTree | None = None) -> tuple[dict[str, jax.Array], PyTree]:
        """Open an episode, the same as `Env.reset` with this key. Returns observations by agent, and the state."""
        state, told = self._env.reset(key, self.default_params if params is None else params)
        return self._by_agent(told.observation), state

    def step(
        self, key: PRNGKey, state: PyTree, actions: dict[str, Any], params: PyTree | None = None
    ) -> tuple[dict[str, jax.Array], PyTree, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """`step_env`, and where the episode ends the next one opens at once, with `key`.

        Observations and state are then the new episode's; rewards, dones and infos are still of the last step, and
        `infos["final_observation"]` holds what was seen at its end.
        """
        observation, state, rewards, dones, infos = self.step_env(key, state, actions, params)
        fresh, opened = self.reset(key, params)
        over = dones["__all__"]
        mixed, state = jax.tree.map(lambda new, old: jnp.where(over, new, old), (fresh, opened), (observation, state))
        return mixed, state, rewards, dones, {**infos, "final_observation": observation}

    def step_env(
        self, key: PRNGKey, state: PyTree, actions: dict[str, Any], params: PyTree | None = None
    ) -> tuple[dict[str, jax.Array], PyTree, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """Everybody acts once; nothing opens anew. `key` is not used: an episode carries its own.

        Returns: observations, state, rewards f32[], dones bool[] (and "__all__"), and infos: `active` bool[A], what
          the task counts f32[A] by name, `terminated` and `truncated`, bool[].
        Raises: ActionError for actions that are not one for each agent or, outside of jit, for one out of range. Inside
          of jit an action out of range does nothing.
        """
        if set(actions) != set(self.agents):
            raise InvalidActionError(
                f"actions are of {sorted(actions)}; give one for each of: {', '.join(self.agents)}"
            )
        given = [actions[name] for name in self.agents]
        if not any(isinstance(action, Tracer) for action in given):
            given = check_actions([np.asarray(action) for action in given], self._env.num_actions, self.agents)
        joint = jnp.stack([jnp.asarray(action, jnp.int32) for action in given])
        state, told = self._env.step(state, joint, self.default_params if params is None else params)
        over = told.terminated | told.truncated
        infos = {"active": told.agent_mask, "terminated": told.terminated, "truncated": told.truncated, **told.info}
        rewards = {name: told.reward[slot] for slot, name in enumerate(self.agents)}
        dones = {**dict.fromkeys(self.agents, over), "__all__": over}
        return self._by_agent(told.observation), state, rewards, dones, infos

    def get_avail_actions(self, state: PyTree) -> dict[str, jax.Array]:
        """Which actions are allowed, bool[n] by agent: all, always; one that does nothing is allowed too."""
        return {name: jnp.ones(space.n, bool) for name, space in self.action_spaces.items()}

    def _by_agent(self, observation) -> dict[str, jax.Array]:
        return {name: observation[slot] for slot, name in enumerate(self.agents)}
