"""Tasks as Gymnasium environments: you control one agent; policies control the others, or they are absent.

`SingleAgentEnv` is one environment, `SingleAgentVectorEnv` many in one compiled call. Environment i of a vector with
seed s is bit for bit the single environment with seed s + i, later episodes included, unless scripted partners that
block each other's way choose at random who steps aside.

Making an environment does not start JAX's backend; the first reset does. So a process can make environments, and fork.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from rookery.errors import ConfigError, ResetNeededError
from rookery.interop.common import (
    check_actions,
    check_options,
    check_render_mode,
    check_slot,
    render_rgb,
    resolve_task,
)
from rookery.interop.fork import check_not_forked
from rookery.interop.observation_forms import observation_form
from rookery.interop.single_agent_batch import NO_PARTNER, Partners, resolve_partners, single_agent_batch
from rookery.limits import MAX_ENVS, check_count, check_key_seed, check_whole_number
from rookery.optional_packages import importing, install_extra
from rookery.tasks.checks import start_backend
from rookery.tasks.registry import make_env

with importing("gymnasium", f"Gymnasium is not installed; {install_extra('interop')}"):
    import gymnasium
    from gymnasium.spaces import Box, Discrete
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space

if TYPE_CHECKING:
    from gymnasium import Space

RESET_MASK = "reset_mask"
"""The option of `SingleAgentVectorEnv.reset`."""
SCALAR_NAMES = ("reward", "terminated", "truncated", "active")
"""Rows of `SingleAgentTimeStep.scalars` before the metrics."""


class SingleAgentEnv(gymnasium.Env[Any, Any]):
    """One environment from the view of one agent.

    Observation: u8, as in `Env`, or as `observation` says. Action: 0 … n-1. Reward: the agent's. Info: `active` (the
    agent is in the environment) and the task's metrics by name.

    Args:
      task: an id of `rookery envs`, or a task.
      agent: the slot that you control.
      partners: the agents in the other slots: 'none', 'scripted', 'scripted-partial', 'random', the name of a zoo entry
        or the path of a .safetensors file; or a dictionary of these by slot, where missing slots stay empty.
      observation: 'array', u8 as in `Env`; 'flat', one vector f32 from 0 to 1; '84x84', an image u8[84, 84, channels].
      render_mode: None or 'rgb_array'.
      changes: settings of the task, such as `num_goals=4`.
    Raises: NotFoundError for an unknown task or agent; IncompatibleError for an agent that does not fit its slot;
      ConfigError for anything else.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 as Gymnasium wants it

    def __init__(
        self,
        task: Any = "goal-cycle-v0",
        *,
        agent: int = 0,
        partners: Partners = NO_PARTNER,
        observation: str = "array",
        render_mode: str | None = None,
        **changes: Any,
    ):
        config = resolve_task(task, changes)
        agent = check_slot("agent", agent)
        env = make_env(config)
        self._batch = single_agent_batch(config, agent, resolve_partners(env, agent, partners))
        modes = ["rgb_array"] if env.can_render else []
        self.metadata = {"render_modes": modes, "render_fps": 10}
        self.render_mode: str | None = check_render_mode(render_mode, modes)
        self._form = observation_form(observation, tuple(env.observation_shape(agent)))
        self.observation_space: Box = Box(0, self._form.high, self._form.shape, self._form.dtype)
        self.action_space: Discrete = Discrete(env.num_actions)
        self._batch_state, self._done = None, False
        self._seed, self._episode = None, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode: that of `jax.random.PRNGKey(seed)`, or without a seed the next one of the last seed.

        There are no options.

        Raises: ConfigError for a seed outside [0, 2^32), or an option; ForkError in a process forked after JAX started.
        """
        check_not_forked()
        start_backend()
        check_options(options)
        if seed is not None:
            seed = check_key_seed(seed)
            self._seed, self._episode = seed, 0
        super().reset(seed=seed)
        if self._seed is None:
            self._seed = int(self.np_random.integers(2**32))
        self._batch_state, timestep = self._batch.reset(
            self._batch.params, _as_batch(self._seed), _as_batch(self._episode)
        )
        self._episode, self._done = self._episode + 1, False
        observation, (_, _, _, active, *metrics) = self._to_numpy(timestep)
        return observation, self._info(active, metrics)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """All agents act once.

        Raises: ResetNeededError before the first reset, after the end of an episode, or when closed; InvalidActionError
          for an action that is not a whole number in range. The environment has then not changed.
        """
        if self._batch_state is None or self._done:
            raise ResetNeededError(
                f"the episode {'is over' if self._done else 'has not begun'}; call reset() before step()"
            )
        check_not_forked()
        checked = check_actions([action], self._batch.env.num_actions, ["the agent"])
        self._batch_state, timestep = self._batch.step(self._batch.params, self._batch_state, checked)
        observation, (reward, terminated, truncated, active, *metrics) = self._to_numpy(timestep)
        self._done = terminated > 0 or truncated > 0
        return observation, reward, terminated > 0, truncated > 0, self._info(active, metrics)

    def render(self) -> np.ndarray | None:
        """A picture of the map, u8[H*24, W*24, 3], if made with `render_mode='rgb_array'`.

        Raises: ResetNeededError before a reset; ForkError in a process forked after JAX started.
        """
        if self.render_mode is None:
            return None
        if self._batch_state is None:
            raise ResetNeededError("there is no state to draw yet; call reset() before render()")
        check_not_forked()
        return render_rgb(self._batch.env, jax.tree.map(lambda x: x[0], self._batch_state.env_states))

    def close(self) -> None:
        """Drop the state; another reset starts again."""
        self._batch_state, self._done = None, False

    def __copy__(self) -> SingleAgentEnv:
        # A step uses up the arrays of the state, so a copy needs its own.
        check_not_forked()
        return copy.deepcopy(self)

    def _to_numpy(self, timestep) -> tuple[np.ndarray, list[float]]:
        return self._form(np.array(timestep.observation))[0], np.asarray(timestep.scalars)[:, 0].tolist()

    def _info(self, active: float, metrics: list[float]) -> dict[str, Any]:
        return {"active": active > 0, **dict(zip(self._batch.metric_names, metrics, strict=True))}


class SingleAgentVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` environments in one compiled call, each as `SingleAgentEnv`, whose arguments it takes.

    How new episodes start is `autoreset_mode`, also in `metadata`. Next step (Gymnasium's default): the step after the
    last one ignores its action and returns the first observation with reward 0. Same step: the last step itself returns
    the first observation of the next episode; the final one is `infos["final_obs"]`. Disabled: start them yourself with
    `reset(options={"reset_mask": mask})`; a step in an environment whose episode is over is an error.

    `max_episode_steps` shortens episodes, as in `gymnasium.make`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: Any = "goal-cycle-v0",
        num_envs: int = 1,
        *,
        agent: int = 0,
        partners: Partners = NO_PARTNER,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        observation: str = "array",
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **changes: Any,
    ):
        from rookery.training.memory import check_fits, environment_bytes  # imports the whole of training

        num_envs = check_count("num_envs", num_envs, MAX_ENVS)
        try:
            self.autoreset_mode: AutoresetMode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ConfigError(f"autoreset_mode={autoreset_mode!r} is not known; allowed: {allowed}") from None
        config = resolve_task(task, changes)
        agent = check_slot("agent", agent)
        # Not a setting of the task: there the length of an episode may follow from other settings.
        self._max_steps: int | None = None
        if max_episode_steps not in (None, -1):  # -1 means no limit in Gymnasium
            self._max_steps = check_whole_number("max_episode_steps", max_episode_steps)
            if self._max_steps < 1:
                raise ConfigError(f"max_episode_steps={self._max_steps} must be at least 1")
        env = make_env(config)
        others = resolve_partners(env, agent, partners)
        check_fits(f"{num_envs:,} environments", num_envs * environment_bytes(env, (agent,)), "lower num_envs")
        self._batch = single_agent_batch(config, agent, others)
        self.num_envs = num_envs
        modes = ["rgb_array"] if env.can_render else []
        self.metadata = {"render_modes": modes, "render_fps": 10, "autoreset_mode": self.autoreset_mode}
        self.render_mode: str | None = check_render_mode(render_mode, modes)
        self._form = observation_form(observation, tuple(env.observation_shape(agent)))
        self.single_observation_space: Box = Box(0, self._form.high, self._form.shape, self._form.dtype)
        self.single_action_space: Discrete = Discrete(env.num_actions)
        self.observation_space: Space[Any] = batch_space(self.single_observation_space, num_envs)
        self.action_space: Space[Any] = batch_space(self.single_action_space, num_envs)
        self._env_labels = [f"environment {i}" for i in range(num_envs)]
        self._batch_state, self._last_timestep = None, None
        self._done = np.zeros(num_envs, bool)
        self._seeds, self._episodes = np.zeros(num_envs, np.uint32), np.zeros(num_envs, np.uint32)
        self._seeded = False  # closing keeps the seeds: the next reset starts the next episodes, as in one environment

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every environment, or in those of `options["reset_mask"]`, bool[num_envs].

        Args:
          seed: s gives environment i the seed s + i; a list gives each its own, where None continues with the old one.
        Raises: ConfigError for seeds outside [0, 2^32), a list of another length, an unknown option, or a mask that
          does not fit; ForkError in a process forked after JAX started.
        """
        check_not_forked()
        start_backend()
        mask = np.ones(self.num_envs, bool)
        options = check_options(options, (RESET_MASK,))
        if options:
            mask = np.asarray(options[RESET_MASK])
            if mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
                raise ConfigError(f"reset_mask must be bool[{self.num_envs}] with at least one True")
        if self._batch_state is None and not mask.all():
            raise ResetNeededError("no episode has started; call reset() without a mask first")
        self._set_seeds(seed, mask)
        self.closed = False
        if mask.all():
            self._batch_state, self._last_timestep = self._batch.reset(self._batch.params, self._seeds, self._episodes)
            self._episodes = self._episodes + np.uint32(1)
            self._done = np.zeros(self.num_envs, bool)
        else:
            self._reset_where(mask)
        observation, scalars = self._to_numpy(self._last_timestep)
        return observation, self._info(scalars, mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """All agents act once in every environment.

        Returns: observations [B, ...], rewards f32[B], terminations and truncations bool[B], infos.
        Raises: ResetNeededError before the first reset or, if resetting is disabled, in an environment whose episode is
          over; InvalidActionError for actions that are not one whole number in range per environment. Nothing has then
          changed.
        """
        if self._batch_state is None:
            raise ResetNeededError("no episode has started; call reset() before step()")
        check_not_forked()
        done = self._done
        if self.autoreset_mode is AutoresetMode.DISABLED and done.any():
            raise ResetNeededError(
                f"the episode of environment {int(done.argmax())} is over; start the next one with "
                "reset(options={'reset_mask': mask}) before step()"
            )
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and done.any():
            actions = self._without_ignored(actions)
        checked = check_actions(actions, self._batch.env.num_actions, self._env_labels)
        self._batch_state, self._last_timestep = self._batch.step(self._batch.params, self._batch_state, checked)
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and done.any():
            self._reset_where(done)
        observation, scalars = self._to_numpy(self._last_timestep)
        reward, terminated, truncated = scalars[0], scalars[1] > 0, scalars[2] > 0
        if self._max_steps is not None:
            truncated |= np.asarray(self._batch_state.step) >= self._max_steps
        self._done = terminated | truncated
        info = self._info(scalars, np.ones(self.num_envs, bool))
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._done.any():
            ended = self._done
            final = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                final[i] = observation[i].copy()
            final_info = self._info(scalars, ended)
            self._reset_where(ended)
            observation, scalars = self._to_numpy(self._last_timestep)
            info = self._info(scalars, np.ones(self.num_envs, bool))
            info |= {"final_obs": final, "_final_obs": ended, "final_info": final_info, "_final_info": ended.copy()}
        return observation, reward, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture of the map of every environment, each u8[H*24, W*24, 3], if made with `render_mode`.

        Raises: ResetNeededError before a reset; ForkError in a process forked after JAX started.
        """
        if self.render_mode is None:
            return None
        if self._batch_state is None:
            raise ResetNeededError("there is no state to draw yet; call reset() before render()")
        check_not_forked()
        states = jax.device_get(self._batch_state.env_states)
        pick = lambda i: jax.tree.map(lambda x: x[i], states)  # noqa: E731
        return tuple(render_rgb(self._batch.env, pick(i)) for i in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        self._batch_state = None

    def __copy__(self) -> SingleAgentVectorEnv:
        # A step uses up the arrays of the state, so a copy needs its own.
        check_not_forked()
        return copy.deepcopy(self)

    def _set_seeds(self, seed, mask: np.ndarray) -> None:
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**32 - self.num_envs))
        if seed is None:
            return
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise ConfigError(f"{len(seed)} seeds for {self.num_envs} environments; give one each, or one number")
            seeds = [None if one is None else check_key_seed(one) for one in seed]
            if not self._seeded and None in seeds:
                fresh = self.np_random.integers(2**32, size=self.num_envs).tolist()
                seeds = [other if one is None else one for one, other in zip(seeds, fresh, strict=True)]
        else:
            seed = check_key_seed(seed)
            if seed > 2**32 - self.num_envs:
                raise ConfigError(
                    f"seed={seed} leaves no seeds for {self.num_envs} environments, which take seed + i; allowed: 0 to "
                    f"{2**32 - self.num_envs}"
                )
            super().reset(seed=seed)
            seeds = [seed + i for i in range(self.num_envs)]
        for i in np.flatnonzero(mask):
            if (one := seeds[i]) is not None:
                self._seeds[i], self._episodes[i] = one, 0
        self._seeded = True

    def _without_ignored(self, actions) -> Any:
        """The actions, with 0 where an episode is over: what is ignored may be any number."""
        numbers = np.asarray(actions)
        is_batch = numbers.shape == (self.num_envs,) and numbers.dtype.kind in "iu"
        return np.where(self._done, 0, numbers) if is_batch else actions

    def _reset_where(self, mask: np.ndarray) -> None:
        """Start episodes in some environments; the others do not change."""
        self._batch_state, self._last_timestep = self._batch.reset_where(
            self._batch.params, self._batch_state, self._last_timestep, mask, self._seeds, self._episodes
        )
        self._episodes = self._episodes + mask.astype(np.uint32)
        self._done = self._done & ~mask

    def _to_numpy(self, timestep) -> tuple[np.ndarray, np.ndarray]:
        return self._form(np.array(timestep.observation)), np.array(timestep.scalars)

    def _info(self, scalars: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """Gymnasium's form: each entry with a mask of the environments that have it."""
        rows = {"active": scalars[3] > 0, **dict(zip(self._batch.metric_names, scalars[4:].copy(), strict=True))}
        return {k: v for name, row in rows.items() for k, v in ((name, row), (f"_{name}", mask.copy()))}


def _as_batch(number: int) -> np.ndarray:
    """A number for a batch of one environment."""
    return np.array([number], np.uint32)
