"""Tasks as Gymnasium environments: one agent is yours, the others act inside, or are not there.

`SingleAgentEnv` is one world, `SingleAgentVectorEnv` many in one compiled call. World i of a vector made with seed s
is to the last bit the single environment of seed s + i, later episodes included, unless scripted companions that block
each other's way draw lots to step aside.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rookery.errors import ConfigError, ResetNeededError
from rookery.interop.common import check_actions, check_render_mode, check_seed, render_rgb, resolve_task
from rookery.interop.single_agent_batch import NO_PARTNER, resolve_partners, single_agent_batch
from rookery.tasks.registry import make_env

SCALAR_NAMES = ("reward", "terminated", "truncated", "active")
"""Rows of `Seen.facts` before the counts."""


class SingleAgentEnv(gymnasium.Env[Any, Any]):
    """One world seen from one agent.

    Observation: u8, as `Env`. Action: 0 … n-1. Reward: what the task pays the agent. Info: `active`, whether it is in
    the world, and what the task counts, by name.

    Args:
      task: an id of `rookery envs`, or a task's configuration.
      agent: the slot that is yours.
      others: who fills the other slots: 'nobody', 'scripted', 'scripted-own', 'random', a zoo entry's name or
        the path of a .safetensors file; or a dictionary of these by slot, where slots not named stay empty.
      render_mode: None or 'rgb_array'.
      changes: fields of the task, such as `goals=4`.
    Raises: MissingError for an unknown id or zoo entry, MisfitError for an agent that does not fit its slot,
      ConfigError for all else.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 as Gymnasium wants it

    def __init__(
        self,
        task: Any = "goal-cycle-v0",
        *,
        agent: int = 0,
        partners: str | dict[int, str] = NO_PARTNER,
        render_mode: str | None = None,
        **changes: Any,
    ):
        config = resolve_task(task, changes)
        env = make_env(config)
        self._batch = single_agent_batch(config, agent, resolve_partners(env, agent, partners))
        modes = ["rgb_array"] if env.can_render else []
        self.metadata = {"render_modes": modes, "render_fps": 10}
        self.render_mode = check_render_mode(render_mode, modes)
        self.observation_space = Box(0, 255, tuple(env.observation_shape(agent)), np.uint8)
        self.action_space = Discrete(env.num_actions)
        self._batch_state, self._done = None, False
        self._seed, self._episode = None, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Open an episode: that of `jax.random.PRNGKey(seed)`, or without a seed the next of the last seed's.

        There are no options. Raises ConfigError for a seed outside [0, 2^32).
        """
        if seed is not None:
            seed = check_seed(seed)
            self._seed, self._episode = seed, 0
        super().reset(seed=seed)
        if self._seed is None:
            self._seed = int(self.np_random.integers(2**32))
        self._batch_state, seen = self._batch.reset(self._batch.params, _as_batch(self._seed), _as_batch(self._episode))
        self._episode, self._done = self._episode + 1, False
        observation, (_, _, _, active, *counts) = self._to_numpy(seen)
        return observation, self._info(active, counts)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Everybody acts once.

        Raises: OrderError before the first reset, after the end, or when closed; ActionError for an action that is no
          whole number or out of range. The world has then not moved.
        """
        if self._batch_state is None or self._done:
            raise ResetNeededError(
                f"the episode {'is over' if self._done else 'has not begun'}; call reset() before step()"
            )
        chosen = check_actions([action], self._batch.env.num_actions, ["the agent"])
        self._batch_state, seen = self._batch.step(self._batch.params, self._batch_state, chosen)
        observation, (reward, terminated, truncated, active, *counts) = self._to_numpy(seen)
        self._done = terminated > 0 or truncated > 0
        return observation, reward, terminated > 0, truncated > 0, self._info(active, counts)

    def render(self) -> np.ndarray | None:
        """The map, u8[H*24, W*24, 3], if made with `render_mode='rgb_array'`. Raises OrderError before a reset."""
        if self.render_mode is None:
            return None
        if self._batch_state is None:
            raise ResetNeededError("there is nothing to show yet; call reset() before render()")
        return render_rgb(self._batch.env, jax.tree.map(lambda x: x[0], self._batch_state.states))

    def close(self) -> None:
        """Let go of the world; another reset opens it again."""
        self._batch_state, self._done = None, False

    def _to_numpy(self, seen) -> tuple[np.ndarray, list[float]]:
        return np.array(seen.observation)[0], np.asarray(seen.facts)[:, 0].tolist()

    def _info(self, active: float, counts: list[float]) -> dict[str, Any]:
        return {"active": active > 0, **dict(zip(self._batch.metric_names, counts, strict=True))}


class SingleAgentVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` worlds in one compiled call, each as `SingleAgentEnv`, whose arguments it takes.

    The mode in which episodes open anew stands in `metadata["autoreset_mode"]`. Next step (Gymnasium's default): the
    step after the last ignores its action and returns the fresh observation with reward 0. Same step: the last step
    itself returns the fresh observation; the final one is `infos["final_obs"]`. Disabled: open them yourself with
    `reset(options={"reset_mask": mask})`; a step in a world that is over is an error.
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
        partners: str | dict[int, str] = NO_PARTNER,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **changes: Any,
    ):
        if num_envs < 1:
            raise ConfigError(f"num_envs={num_envs} must be at least 1")
        try:
            self._autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ConfigError(f"autoreset_mode={autoreset_mode!r} is not known; allowed: {allowed}") from None
        config = resolve_task(task, changes)
        env = make_env(config)
        self._batch = single_agent_batch(config, agent, resolve_partners(env, agent, partners))
        self.num_envs = num_envs
        modes = ["rgb_array"] if env.can_render else []
        self.metadata = {"render_modes": modes, "render_fps": 10, "autoreset_mode": self._autoreset_mode}
        self.render_mode = check_render_mode(render_mode, modes)
        self.single_observation_space = Box(0, 255, tuple(env.observation_shape(agent)), np.uint8)
        self.single_action_space = Discrete(env.num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._env_labels = [f"world {i}" for i in range(num_envs)]
        self._batch_state, self._last_timestep = None, None
        self._done = np.zeros(num_envs, bool)
        self._seeds, self._episodes = np.zeros(num_envs, np.uint32), np.zeros(num_envs, np.uint32)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Open an episode in every world, or in those of `options["reset_mask"]`, bool[num_envs].

        Args:
          seed: s gives world i the seed s + i; a list gives each its own, where None goes on with the old one.
        Raises: ConfigError for seeds outside [0, 2^32), of another number, or a mask that does not fit.
        """
        mask = np.ones(self.num_envs, bool)
        if options and "reset_mask" in options:
            mask = np.asarray(options["reset_mask"])
            if mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
                raise ConfigError(f"reset_mask must be bool[{self.num_envs}] with at least one True")
        self._set_seeds(seed, mask)
        if self._batch_state is None or mask.all():
            if not mask.all():
                raise ResetNeededError("the worlds have not begun; call reset() without a mask first")
            self._batch_state, self._last_timestep = self._batch.reset(self._batch.params, self._seeds, self._episodes)
            self._episodes = self._episodes + np.uint32(1)
            self._done = np.zeros(self.num_envs, bool)
        else:
            self._reset_where(mask)
        observation, facts = self._to_numpy(self._last_timestep)
        return observation, self._info(facts, mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Everybody acts once in every world.

        Returns: observations u8[B, ...], rewards f32[B], terminations and truncations bool[B], infos.
        Raises: OrderError before the first reset or, where resetting is disabled, in a world that is over; ActionError
          for actions that are not one whole number in range for each world. Nothing has then moved.
        """
        if self._batch_state is None:
            raise ResetNeededError("the worlds have not begun; call reset() before step()")
        over = self._done
        if self._autoreset_mode is AutoresetMode.DISABLED and over.any():
            raise ResetNeededError(
                f"world {int(over.argmax())} is over; open it with reset(options={{'reset_mask': mask}}) before step()"
            )
        chosen = check_actions(actions, self._batch.env.num_actions, self._env_labels)
        self._batch_state, self._last_timestep = self._batch.step(self._batch.params, self._batch_state, chosen)
        if self._autoreset_mode is AutoresetMode.NEXT_STEP and over.any():
            self._reset_where(over)
        observation, facts = self._to_numpy(self._last_timestep)
        reward, terminated, truncated = facts[0], facts[1] > 0, facts[2] > 0
        self._done = terminated | truncated
        info = self._info(facts, np.ones(self.num_envs, bool))
        if self._autoreset_mode is AutoresetMode.SAME_STEP and self._done.any():
            ended = self._done
            final = np.full(self.num_envs, None, object)
            for world in np.flatnonzero(ended):
                final[world] = observation[world].copy()
            final_info = self._info(facts, ended)
            self._reset_where(ended)
            observation, opened = self._to_numpy(self._last_timestep)
            info = self._info(opened, np.ones(self.num_envs, bool))
            info |= {"final_obs": final, "_final_obs": ended, "final_info": final_info, "_final_info": ended.copy()}
        return observation, reward, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The map of every world, each u8[H*24, W*24, 3]. Raises OrderError before a reset."""
        if self.render_mode is None:
            return None
        if self._batch_state is None:
            raise ResetNeededError("there is nothing to show yet; call reset() before render()")
        states = jax.device_get(self._batch_state.states)
        pick = lambda world: jax.tree.map(lambda x: x[world], states)  # noqa: E731
        return tuple(render_rgb(self._batch.env, pick(world)) for world in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        self._batch_state = None

    def _set_seeds(self, seed, mask: np.ndarray) -> None:
        if seed is None and self._batch_state is None:
            seed = int(self.np_random.integers(2**32 - self.num_envs))
        if seed is None:
            return
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise ConfigError(f"{len(seed)} seeds for {self.num_envs} worlds; give one each, or one number")
            seeds = [None if one is None else check_seed(one) for one in seed]
            if self._batch_state is None and None in seeds:
                fresh = self.np_random.integers(2**32, size=self.num_envs).tolist()
                seeds = [other if one is None else one for one, other in zip(seeds, fresh, strict=True)]
        else:
            seed = check_seed(seed)
            super().reset(seed=seed)
            check_seed(seed + self.num_envs - 1)
            seeds = [seed + world for world in range(self.num_envs)]
        for world in np.flatnonzero(mask):
            if (one := seeds[world]) is not None:
                self._seeds[world], self._episodes[world] = one, 0

    def _reset_where(self, mask: np.ndarray) -> None:
        """Fresh episodes in some worlds; the others stay as they are."""
        self._batch_state, self._last_timestep = self._batch.reset_where(
            self._batch.params, self._batch_state, self._last_timestep, mask, self._seeds, self._episodes
        )
        self._episodes = self._episodes + mask.astype(np.uint32)
        self._done = self._done & ~mask

    def _to_numpy(self, seen) -> tuple[np.ndarray, np.ndarray]:
        return np.array(seen.observation), np.array(seen.facts)

    def _info(self, facts: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """Gymnasium's form: each entry with a mask of the worlds it is of."""
        rows = {"active": facts[3] > 0, **dict(zip(self._batch.metric_names, facts[4:].copy(), strict=True))}
        return {k: v for name, row in rows.items() for k, v in ((name, row), (f"_{name}", mask.copy()))}


def _as_batch(number: int) -> np.ndarray:
    """One world's, as a batch of one."""
    return np.array([number], np.uint32)
