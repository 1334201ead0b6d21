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

from rookery.errors import ConfigError, OrderError
from rookery.interop.arena import NOBODY, arena, companions
from rookery.interop.common import can_paint, check_actions, check_render_mode, check_seed, paint, resolve
from rookery.tasks.registry import environment

FACTS = ("reward", "terminated", "truncated", "active")
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
        others: str | dict[int, str] = NOBODY,
        render_mode: str | None = None,
        **changes: Any,
    ):
        config = resolve(task, changes)
        env = environment(config)
        self._arena = arena(config, agent, companions(env, agent, others))
        modes = ["rgb_array"] if can_paint(env) else []
        self.metadata = {"render_modes": modes, "render_fps": 10}
        self.render_mode = check_render_mode(render_mode, modes)
        self.observation_space = Box(0, 255, tuple(env.observation_shape(agent)), np.uint8)
        self.action_space = Discrete(env.actions)
        self._loop, self._over = None, False
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
        self._loop, seen = self._arena.open(self._arena.params, _u32(self._seed), _u32(self._episode))
        self._episode, self._over = self._episode + 1, False
        observation, (_, _, _, active, *counts) = self._read(seen)
        return observation, self._info(active, counts)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Everybody acts once.

        Raises: OrderError before the first reset, after the end, or when closed; ActionError for an action that is no
          whole number or out of range. The world has then not moved.
        """
        if self._loop is None or self._over:
            raise OrderError(f"the episode {'is over' if self._over else 'has not begun'}; call reset() before step()")
        chosen = check_actions([action], self._arena.env.actions, ["the agent"])
        self._loop, seen = self._arena.step(self._arena.params, self._loop, chosen)
        observation, (reward, terminated, truncated, active, *counts) = self._read(seen)
        self._over = terminated > 0 or truncated > 0
        return observation, reward, terminated > 0, truncated > 0, self._info(active, counts)

    def render(self) -> np.ndarray | None:
        """The map, u8[H*24, W*24, 3], if made with `render_mode='rgb_array'`. Raises OrderError before a reset."""
        if self.render_mode is None:
            return None
        if self._loop is None:
            raise OrderError("there is nothing to show yet; call reset() before render()")
        return paint(self._arena.env, jax.tree.map(lambda x: x[0], self._loop.states))

    def close(self) -> None:
        """Let go of the world; another reset opens it again."""
        self._loop, self._over = None, False

    def _read(self, seen) -> tuple[np.ndarray, list[float]]:
        return np.array(seen.observation)[0], np.asarray(seen.facts)[:, 0].tolist()

    def _info(self, active: float, counts: list[float]) -> dict[str, Any]:
        return {"active": active > 0, **dict(zip(self._arena.counts, counts, strict=True))}


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
        others: str | dict[int, str] = NOBODY,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **changes: Any,
    ):
        if num_envs < 1:
            raise ConfigError(f"num_envs={num_envs} must be at least 1")
        try:
            self._mode = AutoresetMode(autoreset_mode)
        except ValueError:
            allowed = ", ".join(repr(mode.value) for mode in AutoresetMode)
            raise ConfigError(f"autoreset_mode={autoreset_mode!r} is not known; allowed: {allowed}") from None
        config = resolve(task, changes)
        env = environment(config)
        self._arena = arena(config, agent, companions(env, agent, others))
        self.num_envs = num_envs
        modes = ["rgb_array"] if can_paint(env) else []
        self.metadata = {"render_modes": modes, "render_fps": 10, "autoreset_mode": self._mode}
        self.render_mode = check_render_mode(render_mode, modes)
        self.single_observation_space = Box(0, 255, tuple(env.observation_shape(agent)), np.uint8)
        self.single_action_space = Discrete(env.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._whose = [f"world {i}" for i in range(num_envs)]
        self._loop, self._last = None, None
        self._over = np.zeros(num_envs, bool)
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
        self._take_seeds(seed, mask)
        if self._loop is None or mask.all():
            if not mask.all():
                raise OrderError("the worlds have not begun; call reset() without a mask first")
            self._loop, self._last = self._arena.open(self._arena.params, self._seeds, self._episodes)
            self._episodes = self._episodes + np.uint32(1)
            self._over = np.zeros(self.num_envs, bool)
        else:
            self._reopen(mask)
        observation, facts = self._read(self._last)
        return observation, self._info(facts, mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Everybody acts once in every world.

        Returns: observations u8[B, ...], rewards f32[B], terminations and truncations bool[B], infos.
        Raises: OrderError before the first reset or, where resetting is disabled, in a world that is over; ActionError
          for actions that are not one whole number in range for each world. Nothing has then moved.
        """
        if self._loop is None:
            raise OrderError("the worlds have not begun; call reset() before step()")
        over = self._over
        if self._mode is AutoresetMode.DISABLED and over.any():
            raise OrderError(
                f"world {int(over.argmax())} is over; open it with reset(options={{'reset_mask': mask}}) before step()"
            )
        chosen = check_actions(actions, self._arena.env.actions, self._whose)
        self._loop, self._last = self._arena.step(self._arena.params, self._loop, chosen)
        if self._mode is AutoresetMode.NEXT_STEP and over.any():
            self._reopen(over)
        observation, facts = self._read(self._last)
        reward, terminated, truncated = facts[0], facts[1] > 0, facts[2] > 0
        self._over = terminated | truncated
        info = self._info(facts, np.ones(self.num_envs, bool))
        if self._mode is AutoresetMode.SAME_STEP and self._over.any():
            ended = self._over
            final = np.full(self.num_envs, None, object)
            for world in np.flatnonzero(ended):
                final[world] = observation[world].copy()
            final_info = self._info(facts, ended)
            self._reopen(ended)
            observation, opened = self._read(self._last)
            info = self._info(opened, np.ones(self.num_envs, bool))
            info |= {"final_obs": final, "_final_obs": ended, "final_info": final_info, "_final_info": ended.copy()}
        return observation, reward, terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The map of every world, each u8[H*24, W*24, 3]. Raises OrderError before a reset."""
        if self.render_mode is None:
            return None
        if self._loop is None:
            raise OrderError("there is nothing to show yet; call reset() before render()")
        states = jax.device_get(self._loop.states)
        pick = lambda world: jax.tree.map(lambda x: x[world], states)  # noqa: E731
        return tuple(paint(self._arena.env, pick(world)) for world in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        self._loop = None

    def _take_seeds(self, seed, mask: np.ndarray) -> None:
        if seed is None and self._loop is None:
            seed = int(self.np_random.integers(2**32 - self.num_envs))
        if seed is None:
            return
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise ConfigError(f"{len(seed)} seeds for {self.num_envs} worlds; give one each, or one number")
            seeds = [None if one is None else check_seed(one) for one in seed]
            if self._loop is None and None in seeds:
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

    def _reopen(self, mask: np.ndarray) -> None:
        """Fresh episodes in some worlds; the others stay as they are."""
        self._loop, self._last = self._arena.reopen(
            self._arena.params, self._loop, self._last, mask, self._seeds, self._episodes
        )
        self._episodes = self._episodes + mask.astype(np.uint32)
        self._over = self._over & ~mask

    def _read(self, seen) -> tuple[np.ndarray, np.ndarray]:
        return np.array(seen.observation), np.array(seen.facts)

    def _info(self, facts: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """Gymnasium's form: each entry with a mask of the worlds it is of."""
        rows = {"active": facts[3] > 0, **dict(zip(self._arena.counts, facts[4:].copy(), strict=True))}
        return {k: v for name, row in rows.items() for k, v in ((name, row), (f"_{name}", mask.copy()))}


def _u32(number: int) -> np.ndarray:
    """One world's, as a batch of one."""
    return np.array([number], np.uint32)
