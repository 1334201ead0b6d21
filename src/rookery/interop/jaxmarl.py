"""Tasks with the interface of JaxMARL: pure functions with dictionaries by agent.

    env = DictEnv("goal-cycle-v0")
    obs, state = env.reset(key)
    obs, state, rewards, dones, infos = env.step(key, state, {"agent_0": 2, "agent_1": 0, "agent_2": 2})

Callers jit and vmap. Needs neither Gymnasium nor PettingZoo, nor JaxMARL itself; where a program has imported
JaxMARL, spaces are those of its own classes, which its wrappers ask for.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from rookery.errors import ConfigError, InvalidActionError
from rookery.extension_errors import leaf_types
from rookery.interop.common import agent_ids, check_actions, observation_shapes, resolve_task
from rookery.interop.fork import check_not_forked
from rookery.interop.observation_forms import observation_form
from rookery.limits import check_type, shortened
from rookery.tasks.checks import start_backend
from rookery.tasks.registry import make_env
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class Discrete:
    """Whole numbers 0 … n-1."""

    n: int
    dtype: Any = jnp.int32

    shape: ClassVar[tuple[int, ...]] = ()

    def sample(self, key: PRNGKey) -> jax.Array:
        check_not_forked()
        return jax.random.randint(key, (), 0, self.n, self.dtype)

    def contains(self, x: Any) -> jax.Array:
        check_not_forked()
        x = jnp.asarray(x)
        return (x >= 0) & (x < self.n) if x.dtype.kind in "iu" else jnp.zeros(x.shape, bool)


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of one shape with numbers in [low, high]."""

    low: int
    high: int
    shape: tuple[int, ...]
    dtype: Any = jnp.uint8

    def sample(self, key: PRNGKey) -> jax.Array:
        check_not_forked()
        return jax.random.randint(key, self.shape, self.low, self.high + 1).astype(self.dtype)

    def contains(self, x: Any) -> jax.Array:
        check_not_forked()
        x = jnp.asarray(x)
        return ((x >= self.low) & (x <= self.high)).all() if x.shape == self.shape else jnp.bool_(False)


def space_classes() -> tuple[Any, Any]:
    """JaxMARL's `Box` and `Discrete` if this program has imported them, else those of this module.

    JaxMARL is not imported for it: that takes seconds.
    """
    spaces = sys.modules.get("jaxmarl.environments.spaces")
    return (Box, Discrete) if spaces is None else (spaces.Box, spaces.Discrete)


class DictEnv:
    """One environment; agents are `agent_0` … by slot, and all stay until the end of the episode.

    Args:
      task: an id of `rookery envs`, or a task.
      final_observation: put each episode's last observations into the infos of its last step. They are not one number
        per agent, which JaxMARL's logging wrappers expect of infos.
      observation: 'array', u8 as in `Env`; 'flat', one vector f32 from 0 to 1; '84x84', an image u8[84, 84, channels].
      changes: settings of the task, such as `num_goals=4`.
    Raises: NotFoundError for an unknown id; ConfigError for an unknown setting or a value that the task refuses.
    """

    def __init__(
        self,
        task: Any = "goal-cycle-v0",
        *,
        final_observation: bool = False,
        observation: str = "array",
        **changes: Any,
    ) -> None:
        check_type("final_observation", final_observation, bool, "True or False")
        self._final_observation = final_observation
        config = resolve_task(task, changes)
        self._env = make_env(config)
        self.name: str = config.kind
        self.agents: list[str] = agent_ids(self._env)
        self.num_agents: int = len(self.agents)
        self._forms = [observation_form(observation, shape) for shape in observation_shapes(self._env)]

    @property
    def observation_spaces(self) -> dict[str, Any]:
        """By agent: `Box` of this module or, if the program has imported it, of JaxMARL."""
        box, _ = space_classes()
        pairs = zip(self.agents, self._forms, strict=True)
        return {name: box(0, form.high, form.shape, jnp.dtype(form.dtype)) for name, form in pairs}

    @property
    def action_spaces(self) -> dict[str, Any]:
        """By agent: `Discrete` of this module or, if the program has imported it, of JaxMARL."""
        _, discrete = space_classes()
        return {name: discrete(self._env.num_actions) for name in self.agents}

    @property
    def agent_classes(self) -> dict[str, list[str]]:
        """The agents by class: those with observations of one shape, which one policy can read."""
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for name, form in zip(self.agents, self._forms, strict=True):
            by_shape.setdefault(form.shape, []).append(name)
        if len(by_shape) == 1:
            return {"agent": self.agents}
        return {"x".join(map(str, shape)): names for shape, names in by_shape.items()}

    @property
    def max_steps(self) -> int:
        """The step at which an episode is truncated."""
        return self._env.max_steps

    @property
    def default_params(self) -> PyTree:
        """The task's numbers; `reset` and `step` take changed ones without recompiling."""
        check_not_forked()
        return self._env.default_params()

    def observation_space(self, agent: str) -> Any:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        return self.action_spaces[agent]

    def reset(self, key: PRNGKey, params: PyTree | None = None) -> tuple[dict[str, jax.Array], PyTree]:
        """Start an episode, the same as `Env.reset` with this key. Returns observations by agent, and the state."""
        check_not_forked()
        start_backend()
        state, timestep = self._env.reset(key, self.default_params if params is None else params)
        return self._by_agent(timestep.observation), state

    def step(
        self,
        key: PRNGKey,
        state: PyTree,
        actions: dict[str, Any],
        reset_state: PyTree | None = None,
        *,
        params: PyTree | None = None,
    ) -> tuple[dict[str, jax.Array], PyTree, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """`step_env`, and where the episode ends, the next one starts at once: with `key`, or in `reset_state`.

        Observations and state are then those of the new episode; rewards, dones and infos are still of the last step.
        `infos["final_observation"]`, if asked for, is the observation after that step.

        Raises: ConfigError for a `reset_state` whose structure, shapes or types are not those of this environment's
          states; otherwise as `step_env`.
        """
        final, state, rewards, dones, infos = self.step_env(key, state, actions, params=params)
        if reset_state is None:
            first, first_state = self.reset(key, params)
        else:
            same_structure = jax.tree.structure(reset_state) == jax.tree.structure(state)
            if not same_structure or leaf_types(reset_state) != leaf_types(state):
                raise ConfigError(
                    "reset_state is not a state of this environment; give one that reset or step returned"
                )
            first, first_state = self.get_obs(reset_state), reset_state
        done = dones["__all__"]
        observation, state = jax.tree.map(
            lambda new, old: jnp.where(done, new, old), (first, first_state), (final, state)
        )
        if self._final_observation:
            infos = {**infos, "final_observation": final}
        return observation, state, rewards, dones, infos

    def step_env(
        self, key: PRNGKey, state: PyTree, actions: dict[str, Any], *, params: PyTree | None = None
    ) -> tuple[dict[str, jax.Array], PyTree, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """All agents act once, without a new episode at the end. `key` is not used: the state has its own.

        Returns: observations, state, rewards f32[], dones bool[] (and "__all__"), and infos, each with one number per
          agent: `agent_mask`, `terminated` and `truncated` bool[A], and the task's metrics f32[A] by name.
        Raises: InvalidActionError for actions that are not one per agent or, outside of jit, for one out of range.
          Inside of jit an action out of range does nothing.
        """
        if not isinstance(actions, Mapping):
            raise InvalidActionError(
                f"actions={shortened(actions)} must be a dictionary; give one for each of: {', '.join(self.agents)}"
            )
        if set(actions) != set(self.agents):
            raise InvalidActionError(
                f"actions are of {shortened(list(actions))}; give one for each of: {', '.join(self.agents)}"
            )
        check_not_forked()
        joint = [actions[name] for name in self.agents]
        if not any(isinstance(action, Tracer) for action in joint):
            joint = check_actions([np.asarray(action) for action in joint], self._env.num_actions, self.agents)
        for name, action in zip(self.agents, joint, strict=True):
            if jnp.size(action) != 1:
                raise InvalidActionError(f"the action of {name} has the shape {jnp.shape(action)}; give one number")
            if (dtype := jnp.asarray(action).dtype).kind not in "iu":
                raise InvalidActionError(f"the action of {name} is {dtype}; give a whole number")
        # JaxMARL's scripts give arrays of one number.
        joint = jnp.stack([jnp.asarray(action, jnp.int32).reshape(()) for action in joint])
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

    def get_obs(self, state: PyTree) -> dict[str, jax.Array]:
        """Observations by agent in this state. Raises ConfigError for a task whose environment lacks `observe`."""
        check_not_forked()
        return self._by_agent(self._env.observe(state))

    def get_avail_actions(self, state: PyTree) -> dict[str, jax.Array]:
        """Which actions are allowed, bool[n] by agent: always all."""
        check_not_forked()
        return {name: jnp.ones(self._env.num_actions, bool) for name in self.agents}

    def _by_agent(self, observation) -> dict[str, jax.Array]:
        return {
            name: form(observation[slot])
            for slot, (name, form) in enumerate(zip(self.agents, self._forms, strict=True))
        }
