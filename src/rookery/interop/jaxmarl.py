"""Tasks with the interface of JaxMARL: pure functions with dictionaries by agent.

    env = DictEnv("goal-cycle-v0")
    obs, state = env.reset(key)
    obs, state, rewards, dones, infos = env.step(key, state, {"agent_0": 2, "agent_1": 0, "agent_2": 2})

Callers jit and vmap. Needs neither Gymnasium nor PettingZoo, nor JaxMARL itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

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

    shape: ClassVar[tuple[int, ...]] = ()

    def sample(self, key: PRNGKey) -> jax.Array:
        return jax.random.randint(key, (), 0, self.n, self.dtype)

    def contains(self, x: Any) -> jax.Array:
        return (jnp.asarray(x) >= 0) & (jnp.asarray(x) < self.n)


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of one shape with numbers in [low, high]."""

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
    """One environment; agents are `agent_0` … by slot, and all stay until the end of the episode.

    Args:
      task: an id of `rookery envs`, or a task.
      final_observation: put each episode's last observations into the infos of its last step. They are not one number
        per agent, which JaxMARL's logging wrappers expect of infos.
      changes: settings of the task, such as `num_goals=4`.
    Raises: NotFoundError for an unknown id; ConfigError for an unknown setting or a value that the task refuses.
    """

    def __init__(self, task: Any = "goal-cycle-v0", *, final_observation: bool = False, **changes: Any) -> None:
        self._final_observation = final_observation
        config = resolve_task(task, changes)
        self._env = make_env(config)
        self.name: str = config.kind
        self.agents: list[str] = agent_ids(self._env)
        self.num_agents: int = len(self.agents)
        shapes = zip(self.agents, observation_shapes(self._env), strict=True)
        self.observation_spaces: dict[str, Box] = {name: Box(0, 255, shape) for name, shape in shapes}
        self.action_spaces: dict[str, Discrete] = {name: Discrete(self._env.num_actions) for name in self.agents}

    @property
    def max_steps(self) -> int:
        """The step at which an episode is truncated."""
        return self._env.max_steps

    @property
    def default_params(self) -> PyTree:
        """The task's numbers; `reset` and `step` take changed ones without recompiling."""
        return self._env.default_params()

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(self, key: PRNGKey, params: PyTree | None = None) -> tuple[dict[str, jax.Array], PyTree]:
        """Start an episode, the same as `Env.reset` with this key. Returns observations by agent, and the state."""
        state, timestep = self._env.reset(key, self.default_params if params is None else params)
        return self._by_agent(timestep.observation), state

    def step(
        self, key: PRNGKey, state: PyTree, actions: dict[str, Any], params: PyTree | None = None
    ) -> tuple[dict[str, jax.Array], PyTree, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """`step_env`, and where the episode ends, the next one starts at once, with `key`.

        Observations and state are then those of the new episode; rewards, dones and infos are still of the last step.
        `infos["final_observation"]`, if asked for, is the observation after that step.
        """
        final, state, rewards, dones, infos = self.step_env(key, state, actions, params)
        first, first_state = self.reset(key, params)
        done = dones["__all__"]
        observation, state = jax.tree.map(
            lambda new, old: jnp.where(done, new, old), (first, first_state), (final, state)
        )
        if self._final_observation:
            infos = {**infos, "final_observation": final}
        return observation, state, rewards, dones, infos

    def step_env(
        self, key: PRNGKey, state: PyTree, actions: dict[str, Any], params: PyTree | None = None
    ) -> tuple[dict[str, jax.Array], PyTree, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """All agents act once, without a new episode at the end. `key` is not used: the state has its own.

        Returns: observations, state, rewards f32[], dones bool[] (and "__all__"), and infos, each with one number per
          agent: `agent_mask`, `terminated` and `truncated` bool[A], and the task's metrics f32[A] by name.
        Raises: InvalidActionError for actions that are not one per agent or, outside of jit, for one out of range.
          Inside of jit an action out of range does nothing.
        """
        if set(actions) != set(self.agents):
            raise InvalidActionError(
                f"actions are of {sorted(actions)}; give one for each of: {', '.join(self.agents)}"
            )
        joint = [actions[name] for name in self.agents]
        if not any(isinstance(action, Tracer) for action in joint):
            joint = check_actions([np.asarray(action) for action in joint], self._env.num_actions, self.agents)
        joint = jnp.stack([jnp.asarray(action, jnp.int32) for action in joint])
        state, timestep = self._env.step(state, joint, self.default_params if params is None else params)
        done = timestep.terminated | timestep.truncated
        infos = {
            "agent_mask": timestep.agent_mask,
            "terminated": jnp.broadcast_to(timestep.terminated, self.num_agents),
            "truncated": jnp.broadcast_to(timestep.truncated, self.num_agents),
            **timestep.info,
        }
        rewards = {name: timestep.reward[slot] for slot, name in enumerate(self.agents)}
        dones = {**dict.fromkeys(self.agents, done), "__all__": done}
        return self._by_agent(timestep.observation), state, rewards, dones, infos

    def get_avail_actions(self, state: PyTree) -> dict[str, jax.Array]:
        """Which actions are allowed, bool[n] by agent: always all."""
        return {name: jnp.ones(space.n, bool) for name, space in self.action_spaces.items()}

    def _by_agent(self, observation) -> dict[str, jax.Array]:
        return {name: observation[slot] for slot, name in enumerate(self.agents)}
