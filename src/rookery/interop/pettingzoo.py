"""Tasks as PettingZoo environments: all agents act at once (`parallel_env`) or in turn (`env`).

One world, stepped from Python. For thousands of worlds use the functional `Env`, or `rookery.interop.gymnasium`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.env import AECEnv, ParallelEnv

from rookery.errors import InvalidActionError, ResetNeededError
from rookery.interop.common import (
    agent_ids,
    check_actions,
    check_render_mode,
    check_seed,
    episode_key,
    observation_shapes,
    random_seed,
    render_rgb,
    resolve_task,
)
from rookery.tasks.registry import make_env


def parallel_env(
    task: Any = "goal-cycle-v0", *, render_mode: str | None = None, max_cycles: int | None = None, **changes: Any
) -> RookeryParallelEnv:
    """A task in PettingZoo's parallel form.

    Args:
      task: an id of `rookery envs`, or a task's configuration.
      render_mode: None or 'rgb_array'.
      max_cycles: PettingZoo's word for the task's `max_steps`.
      changes: fields of the task, such as `goals=4`.
    Raises: MissingError for an unknown id, ConfigError for a field or value the task refuses.
    """
    if max_cycles is not None:
        changes["max_steps"] = max_cycles
    return RookeryParallelEnv(resolve_task(task, changes), render_mode)


def env(task: Any = "goal-cycle-v0", **options: Any) -> AECEnv:
    """A task in PettingZoo's turn-by-turn form, by its own conversion; arguments as `parallel_env`."""
    return parallel_to_aec(parallel_env(task, **options))


class RookeryParallelEnv(ParallelEnv[str, Any, Any]):
    """One world. Agents are `agent_0` … by slot; all of them stay to the end of the episode.

    Observation: u8, as `Env`; an agent that is not in the world (yet) sees nothing, and its action does nothing.
    Action: 0 … n-1. Reward: what the task pays. Info: `active`, whether the agent is in the world, and what the task
    counts, by name. `reset(seed=s)` opens the episode of `jax.random.PRNGKey(s)`; each `reset()` after it the next of
    that seed's episodes.
    """

    def __init__(self, task: Any, render_mode: str | None = None):
        self._compiled = compiled_env(task)
        self._env = self._compiled.env
        modes = ["rgb_array"] if self._env.can_render else []
        self.metadata = {"name": f"rookery/{task.kind}", "render_modes": modes, "is_parallelizable": True}
        self.render_mode = check_render_mode(render_mode, modes)
        self.possible_agents = agent_ids(self._env)
        self.agents: list[str] = []
        self.observation_spaces: dict[str, Any] = {
            name: Box(0, 255, shape, np.uint8)
            for name, shape in zip(self.possible_agents, observation_shapes(self._env), strict=True)
        }
        self.action_spaces: dict[str, Any] = {name: Discrete(self._env.num_actions) for name in self.possible_agents}
        self._state = None
        self._seed, self._episode = None, 0

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Open an episode. There are no options. Raises ConfigError for a seed outside [0, 2^32)."""
        if seed is not None:
            self._seed, self._episode = check_seed(seed), 0
        elif self._seed is None:
            self._seed = random_seed()
        self._state, observation, facts = self._compiled.reset(np.uint32(self._seed), np.uint32(self._episode))
        self._episode += 1
        self.agents = list(self.possible_agents)
        told = self._unpack(observation, facts)
        return told[0], told[4]

    def step(self, actions: dict[str, int]):
        """Everybody acts once. Returns observations, rewards, terminations, truncations and infos, by agent.

        Raises: OrderError before the first reset, after the end, or when closed; ActionError for actions that are
          not one whole number in range for every agent. The world has then not moved.
        """
        if not self.agents:
            when = "is over" if self._state is not None else "has not begun"
            raise ResetNeededError(f"the episode {when}; call reset() before step()")
        if actions.keys() != self.action_spaces.keys():
            missing = [name for name in self.possible_agents if name not in actions]
            unknown = [name for name in actions if name not in self.action_spaces]
            wrong = f"no action for {', '.join(missing)}" if missing else f"there is no agent {unknown[0]!r}"
            raise InvalidActionError(f"{wrong}; give one for each of: {', '.join(self.possible_agents)}")
        chosen = check_actions(
            [actions[name] for name in self.possible_agents], self._env.num_actions, self.possible_agents
        )
        self._state, observation, facts = self._compiled.step(self._state, chosen)
        told = self._unpack(observation, facts)
        if told[2][self.possible_agents[0]] or told[3][self.possible_agents[0]]:
            self.agents = []
        return told

    def render(self) -> np.ndarray | None:
        """The map, u8[H*24, W*24, 3], if made with `render_mode='rgb_array'`. Raises OrderError before a reset."""
        if self.render_mode is None:
            return None
        if self._state is None:
            raise ResetNeededError("there is nothing to show yet; call reset() before render()")
        return render_rgb(self._env, self._state)

    def close(self) -> None:
        """Let go of the world; another reset opens it again."""
        self._state, self.agents = None, []

    def _unpack(self, observation, facts):
        names, counts = self.possible_agents, self._compiled.metric_names
        # Copies: the caller may keep and change them.
        seen = [np.array(view) for view in observation] if isinstance(observation, tuple) else np.array(observation)
        told, many = np.asarray(facts).tolist(), len(names)
        terminated, truncated = told[0] > 0, told[1] > 0
        reward, active, *counted = (told[start : start + many] for start in range(2, len(told), many))
        infos = {
            name: {"active": active[slot] > 0, **{c: row[slot] for c, row in zip(counts, counted, strict=True)}}
            for slot, name in enumerate(names)
        }
        return (
            dict(zip(names, seen, strict=True)),
            dict(zip(names, reward, strict=True)),
            dict.fromkeys(names, terminated),
            dict.fromkeys(names, truncated),
            infos,
        )


class CompiledEnv:
    """One world's reset and step, compiled once a task; and the names of what it counts.

    reset(seed u32[], episode u32[]) and step(state, action i32[A]) return state, observation, and facts
    f32[2 + (2+n)·A]: terminated, truncated, every agent's reward, then whether it is active, then each of n counts. In
    one array, for handing an array over costs more than its content. `step` uses up the state it is given.
    """

    def __init__(self, task: Any):
        self.task, self.env = task, make_env(task)
        self._env_params = self.env.default_params()
        told = jax.eval_shape(self.env.reset, jax.random.PRNGKey(0), self._env_params)[1]
        self.metric_names: tuple[str, ...] = tuple(sorted(told.info))
        self.reset = jax.jit(self._reset)
        self.step = jax.jit(self._step, donate_argnums=0)

    def __reduce__(self):
        # A copied environment shares the compiled program; one sent to another process compiles it there.
        return compiled_env, (self.task,)

    def _reset(self, seed, episode):
        state, told = self.env.reset(episode_key(seed, episode), self._env_params)
        return state, told.observation, self._pack_scalars(told)

    def _step(self, state, action):
        state, told = self.env.step(state, action, self._env_params)
        return state, told.observation, self._pack_scalars(told)

    def _pack_scalars(self, told):
        ended = jnp.stack([told.terminated, told.truncated])
        rows = [ended, told.reward, told.agent_mask, *(told.info[name] for name in self.metric_names)]
        return jnp.concatenate([row.astype(jnp.float32) for row in rows])


@functools.lru_cache(maxsize=64)
def compiled_env(task: Any) -> CompiledEnv:
    """One for all environments alike."""
    return CompiledEnv(task)
