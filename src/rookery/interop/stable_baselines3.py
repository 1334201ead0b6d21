"""Tasks as environments of Stable-Baselines3: many in one compiled call, from the view of one agent.

    model = PPO("MlpPolicy", RookeryVecEnv("goal-cycle-demo-v0", 256, partners="scripted", observation="flat"))

Needs the extra `sb3`. sb3-contrib's learners, such as RecurrentPPO, take it too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rookery.errors import ConfigError
from rookery.interop.common import check_options
from rookery.interop.fork import check_not_forked
from rookery.interop.single_agent_batch import NO_PARTNER, Partners
from rookery.limits import check_key_seed
from rookery.optional_packages import importing, install_extra

with importing("stable_baselines3", f"Stable-Baselines3 is not installed; {install_extra('sb3')}"):
    from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]

# After the library, which brings Gymnasium: where both are missing, it is the one to install.
from rookery.interop.gymnasium import AutoresetMode, SingleAgentVectorEnv

_SINGLE = {"observation_space": "single_observation_space", "action_space": "single_action_space"}
"""What a vector calls these attributes of its single environments."""


class RookeryVecEnv(VecEnv):
    """`num_envs` environments in one compiled call; you control one agent in each.

    Environment i of seed s is the environment of `rookery.interop.gymnasium.SingleAgentEnv` with seed s + i, later
    episodes included. The next episode starts in the step that ends one; the infos of that step have
    `terminal_observation` and `TimeLimit.truncated`, as Stable-Baselines3 expects. Each info has `active` (the agent is
    in the environment) and the task's metrics by name. Wrap it in `VecMonitor` to see returns.

    Args:
      task: an id of `rookery envs`, or a task.
      num_envs: how many environments.
      agent: the slot that you control.
      partners: the agents in the other slots, as in `SingleAgentEnv`.
      observation: 'array', u8 as in `Env`; 'flat', one vector f32 from 0 to 1, for MlpPolicy; '84x84', an image
        u8[84, 84, channels], for CnnPolicy, whose network needs at least 36×36 pixels.
      seed: of the first reset; None: that of `seed()`, which learners call with theirs, or a random one.
      render_mode: None or 'rgb_array'.
      changes: settings of the task, such as `num_goals=4`.
    Raises: NotFoundError for an unknown task or agent; IncompatibleError for an agent that does not fit its slot;
      ConfigError for anything else.
    """

    def __init__(
        self,
        task: Any = "goal-cycle-v0",
        num_envs: int = 256,
        *,
        agent: int = 0,
        partners: Partners = NO_PARTNER,
        observation: str = "array",
        seed: int | None = None,
        render_mode: str | None = None,
        **changes: Any,
    ) -> None:
        self._envs = SingleAgentVectorEnv(
            task,
            num_envs,
            agent=agent,
            partners=partners,
            autoreset_mode=AutoresetMode.SAME_STEP,
            observation=observation,
            render_mode=render_mode,
            **changes,
        )
        super().__init__(self._envs.num_envs, self._envs.single_observation_space, self._envs.single_action_space)
        self._actions: np.ndarray | None = None
        if seed is not None:
            self.seed(seed)

    def __copy__(self) -> RookeryVecEnv:
        # A step uses up the arrays of the state, so a copy needs its own.
        check_not_forked()
        return copy.deepcopy(self)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Let the next reset begin with the episodes of this seed; None: of a random one.

        Returns: the seed of each environment, s + i modulo 2^32: a random one of Stable-Baselines3 may lie close to it.
        Raises: ConfigError for a seed outside [0, 2^32).
        """
        seeds = super().seed(None if seed is None else check_key_seed(seed))
        self._seeds: list[int | None] = [one if one is None else one % 2**32 for one in seeds]
        return self._seeds

    def reset(self) -> np.ndarray:
        """Start an episode in every environment: those of the seeds given to `seed`, or the next ones.

        Returns: observations [B, ...].
        Raises: ConfigError for options: there are none; ForkError in a process forked after JAX started.
        """
        for options in self._options:
            check_options(options)
        seeded = any(seed is not None for seed in self._seeds)
        observation, info = self._envs.reset(seed=list(self._seeds) if seeded else None)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos: list[dict[str, Any]] = _by_environment(info)
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions i32[B] for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """All agents act once in every environment.

        Returns: observations [B, ...], rewards f32[B], whether the episode ended bool[B], infos. Where it ended, the
          observation is the first of the next episode.
        Raises: ResetNeededError before the first reset; InvalidActionError for actions that are not one whole number in
          range per environment. Nothing has then changed.
        """
        observation, reward, terminated, truncated, info = self._envs.step(self._actions)  # pyright: ignore[reportArgumentType]
        done = terminated | truncated
        final = info.pop("final_obs", None)
        final_info = info.pop("final_info", None)
        if final_info is not None:
            info = {name: np.where(done, row, info[name]) for name, row in final_info.items()}
        infos = _by_environment(info)
        if final is not None:
            for i in np.flatnonzero(done):
                infos[i]["terminal_observation"] = final[i]
                infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observation, reward, done, infos

    def close(self) -> None:
        """Drop the states; another reset starts again."""
        self._envs.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of the map of every environment, each u8[H*24, W*24, 3], if made with `render_mode`."""
        return self._envs.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute of single environments, once for each of `indices`: it is the same for all."""
        value = getattr(self._envs, _SINGLE.get(attr_name, attr_name))
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Raises ConfigError: all environments are one compiled program, so settings are given when it is made."""
        raise ConfigError(f"{attr_name!r} cannot be changed in compiled environments; give it to RookeryVecEnv")

    def env_method(
        self, method_name: str, *method_args: Any, indices: int | Iterable[int] | None = None, **method_kwargs: Any
    ) -> list[Any]:
        """Raises ConfigError: there is no Python object for each environment whose method could be called."""
        raise ConfigError(f"{method_name!r} cannot be called in single environments: they are one compiled program")

    def env_is_wrapped(self, wrapper_class: Any, indices: int | Iterable[int] | None = None) -> list[bool]:
        """False for each of `indices`: wrap the whole, for example in `VecMonitor`."""
        return [False for _ in self._get_indices(indices)]


def _by_environment(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Gymnasium's infos, one array [B] by name, as one dictionary for each environment."""
    names = [name for name in info if not name.startswith("_")]
    rows = [info[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*rows, strict=True)]
