"""Tasks as PettingZoo environments: all agents act at once (`parallel_env`) or in turn (`env`).

One environment, stepped from Python. For thousands use the functional `Env`, or `rookery.interop.gymnasium`. Making an
environment does not start JAX's backend; the first reset does. So a process can make environments, and fork.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError, InvalidActionError, ResetNeededError
from rookery.interop.common import (
    agent_ids,
    check_actions,
    check_render_mode,
    episode_key,
    observation_shapes,
    random_seed,
    render_rgb,
    resolve_task,
)
from rookery.interop.fork import check_not_forked
from rookery.interop.observation_forms import observation_form
from rookery.limits import MAX_EPISODE_STEPS, check_count, check_key_seed, shortened
from rookery.optional_packages import importing, install_extra
from rookery.tasks.checks import start_backend
from rookery.tasks.registry import make_env, setting_names

with importing("gymnasium", f"Gymnasium is not installed; {install_extra('interop')}"):
    from gymnasium.spaces import Box, Discrete
with importing("pettingzoo", f"PettingZoo is not installed; {install_extra('interop')}"):
    from pettingzoo.utils.conversions import parallel_to_aec_wrapper
    from pettingzoo.utils.env import AECEnv, ParallelEnv
    from pettingzoo.utils.wrappers import OrderEnforcingWrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from rookery.types import Env


def parallel_env(
    task: Any = "goal-cycle-v0",
    *,
    render_mode: str | None = None,
    max_cycles: int | None = None,
    observation: str = "array",
    **changes: Any,
) -> RookeryParallelEnv:
    """A task with PettingZoo's parallel interface.

    Args:
      task: an id of `rookery envs`, or a task.
      render_mode: None or 'rgb_array'.
      max_cycles: PettingZoo's word for the setting `max_steps`. Where that follows from other settings of the task,
        episodes are cut off after so many steps.
      observation: 'array', u8 as in `Env`; 'flat', one vector f32 from 0 to 1; '84x84', an image u8[84, 84, channels].
      changes: settings of the task, such as `num_goals=4`.
    Raises: NotFoundError for an unknown id; ConfigError for an unknown setting or a value that the task refuses.
    """
    if max_cycles is not None and "max_steps" in changes:
        raise ConfigError("max_cycles and max_steps are one setting; give only one of them")
    config, limit = resolve_task(task, changes), None
    if max_cycles is not None:
        limit = check_count("max_cycles", max_cycles, MAX_EPISODE_STEPS)
        if "max_steps" in setting_names(config):
            config, limit = resolve_task(config, {"max_steps": limit}), None
    return RookeryParallelEnv(config, render_mode, observation, limit)


def env(task: Any = "goal-cycle-v0", **options: Any) -> AECEnv:
    """A task with PettingZoo's turn-by-turn interface, by its own conversion; arguments as in `parallel_env`."""
    return OrderEnforcingWrapper(_CheckedTurns(parallel_env(task, **options)))


class _CheckedTurns(parallel_to_aec_wrapper[str, Any, Any]):
    """PettingZoo's conversion keeps the actions of all agents and gives them on at the last one's turn; here each is
    checked at its own turn."""

    def step(self, action: int | None) -> None:
        """Raises: InvalidActionError, and it is still the same agent's turn; ResetNeededError when closed."""
        agent = self.agent_selection
        space: Any = self.action_space(agent)
        if not (self.terminations[agent] or self.truncations[agent]):
            if not self.env.agents:
                raise ResetNeededError("the environment was closed; call reset() before step()")
            check_actions([action], int(space.n), [agent])
        elif action is not None:
            raise InvalidActionError(f"{agent}: its episode is over, so its action is None and not {action!r}")
        super().step(action)


class RookeryParallelEnv(ParallelEnv[str, Any, Any]):
    """One environment. Agents are `agent_0` … by slot; all of them stay until the end of the episode.

    Observation: u8, as in `Env`, or as `observation` says; an agent that is not in the environment (yet) observes
    nothing (in the gridworld, unseen cells), and its action does nothing. Action: 0 … n-1. Info: `active` (the agent is
    in the environment) and the task's metrics by name.
    `reset(seed=s)` starts the episode of `jax.random.PRNGKey(s)`; each later `reset()` the next one of that seed.
    """

    def __init__(
        self, task: Any, render_mode: str | None = None, observation: str = "array", max_steps: int | None = None
    ) -> None:
        self._compiled = compiled_env(task)
        self._env = self._compiled.env
        modes = ["rgb_array"] if self._env.can_render else []
        self.metadata: dict[str, Any] = {
            "name": f"rookery/{task.kind}",
            "render_modes": modes,
            "render_fps": 10,
            "is_parallelizable": True,
        }
        self.render_mode: str | None = check_render_mode(render_mode, modes)
        self.possible_agents: list[str] = agent_ids(self._env)
        self.agents: list[str] = []
        self._forms = [observation_form(observation, shape) for shape in observation_shapes(self._env)]
        self.observation_spaces: dict[str, Any] = {
            name: Box(0, form.high, form.shape, form.dtype)
            for name, form in zip(self.possible_agents, self._forms, strict=True)
        }
        self.action_spaces: dict[str, Any] = {name: Discrete(self._env.num_actions) for name in self.possible_agents}
        self._state = None
        self._seed, self._episode = None, 0
        self._step, self._max_steps = 0, max_steps

    def observation_space(self, agent: str) -> Box:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start an episode. There are no options: those given are ignored, as PettingZoo's own tests give some.

        Raises: ConfigError for a seed outside [0, 2^32); ForkError in a process forked after JAX started.
        """
        check_not_forked()
        start_backend()
        if seed is not None:
            self._seed, self._episode = check_key_seed(seed), 0
        elif self._seed is None:
            self._seed = random_seed()
        self._state, observation, scalars = self._compiled.reset(np.uint32(self._seed), np.uint32(self._episode))
        self._episode, self._step = self._episode + 1, 0
        self.agents = list(self.possible_agents)
        observations, _, _, _, infos = self._unpack(observation, scalars)
        return observations, infos

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
        """All agents act once. Returns observations, rewards, terminations, truncations and infos, by agent.

        Raises: ResetNeededError before the first reset, after the end of an episode, or when closed; InvalidActionError
          for actions that are not one whole number in range per agent. The environment has then not changed.
        """
        if not self.agents:
            when = "is over" if self._state is not None else "has not begun"
            raise ResetNeededError(f"the episode {when}; call reset() before step()")
        if not isinstance(actions, Mapping):
            raise InvalidActionError(
                f"actions={shortened(actions)} must be a dictionary; give one for each of: "
                f"{', '.join(self.possible_agents)}"
            )
        if actions.keys() != self.action_spaces.keys():
            missing = [name for name in self.possible_agents if name not in actions]
            unknown = [name for name in actions if name not in self.action_spaces]
            problem = f"no action for {', '.join(missing)}" if missing else f"there is no agent {unknown[0]!r}"
            raise InvalidActionError(f"{problem}; give one for each of: {', '.join(self.possible_agents)}")
        check_not_forked()
        checked = check_actions(
            [actions[name] for name in self.possible_agents], self._env.num_actions, self.possible_agents
        )
        self._state, observation, scalars = self._compiled.step(self._state, checked)
        self._step += 1
        outputs = self._unpack(observation, scalars)
        _, _, terminations, truncations, _ = outputs
        if any(terminations.values()) or any(truncations.values()):  # the same for all agents
            self.agents = []
        return outputs

    def render(self) -> np.ndarray | None:
        """A picture of the map, u8[H*24, W*24, 3], if made with `render_mode='rgb_array'`.

        Raises: ResetNeededError before a reset; ForkError in a process forked after JAX started.
        """
        if self.render_mode is None:
            return None
        if self._state is None:
            raise ResetNeededError("there is no state to draw yet; call reset() before render()")
        check_not_forked()
        return render_rgb(self._env, self._state)

    def close(self) -> None:
        """Drop the state; another reset starts again."""
        self._state, self.agents = None, []

    def __copy__(self) -> RookeryParallelEnv:
        # A step uses up the arrays of the state, so a copy needs its own.
        check_not_forked()
        return copy.deepcopy(self)

    def _unpack(self, observation, scalars):
        """What PettingZoo's `step` returns, from the outputs of a CompiledEnv."""
        names, metric_names = self.possible_agents, self._compiled.metric_names
        # Copies: the caller may keep and change them.
        views = [np.array(view) for view in observation] if isinstance(observation, tuple) else np.array(observation)
        views = [form(view) for form, view in zip(self._forms, views, strict=True)]
        values, num_agents = np.asarray(scalars).tolist(), len(names)
        terminated, truncated = values[0] > 0, values[1] > 0 or self._step == self._max_steps
        reward, active, *metrics = (values[i : i + num_agents] for i in range(2, len(values), num_agents))
        infos = {
            name: {
                "active": active[slot] > 0,
                **{metric: row[slot] for metric, row in zip(metric_names, metrics, strict=True)},
            }
            for slot, name in enumerate(names)
        }
        return (
            dict(zip(names, views, strict=True)),
            dict(zip(names, reward, strict=True)),
            dict.fromkeys(names, terminated),
            dict.fromkeys(names, truncated),
            infos,
        )


class CompiledEnv:
    """Reset and step of one environment, compiled once per task.

    reset(seed u32[], episode u32[]) and step(state, action i32[A]) return state, observation, and scalars
    f32[2 + (2+n)·A]: terminated, truncated, every agent's reward, then whether it is active, then each of n metrics.
    They are one array, because handing over an array costs more than its content. `step` uses up the given state.
    """

    def __init__(self, task: Any) -> None:
        self.task: Any
        self.env: Env
        self.task, self.env = task, make_env(task)
        self.metric_names: tuple[str, ...] = tuple(sorted(task.metric_names))
        self.reset: Callable[..., Any] = jax.jit(self._reset)
        self.step: Callable[..., Any] = jax.jit(self._step, donate_argnums=0)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies of an environment share the compiled program; another process compiles its own.
        return compiled_env, (self.task,)

    def _reset(self, seed, episode):
        state, timestep = self.env.reset(episode_key(seed, episode), self.env.default_params())
        return state, timestep.observation, self._pack_scalars(timestep)

    def _step(self, state, action):
        state, timestep = self.env.step(state, action, self.env.default_params())
        return state, timestep.observation, self._pack_scalars(timestep)

    def _pack_scalars(self, timestep):
        done = jnp.stack([timestep.terminated, timestep.truncated])
        rows = [done, timestep.reward, timestep.agent_mask, *(timestep.info[name] for name in self.metric_names)]
        return jnp.concatenate([row.astype(jnp.float32) for row in rows])


@functools.lru_cache(maxsize=64)
def compiled_env(task: Any) -> CompiledEnv:
    """The same one for all equal environments."""
    return CompiledEnv(task)
