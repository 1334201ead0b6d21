"""Demonstrations of an expert: whole episodes with what each of its agents observed, did and earned."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from rookery import __version__, keys
from rookery.agents.team import AgentGroup, Team, check_only_sees
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError
from rookery.interfaces import Learner, Policy
from rookery.learning.rollout import rollout
from rookery.limits import MAX_EPISODES, check_at_most, check_key_seed, check_path_type, check_whole_number
from rookery.storage.atomic import check_writable
from rookery.storage.datasets import (
    DATASET_MANIFEST,
    check_no_dataset,
    check_shards_fit,
    corrupt_shard,
    manifest_digest,
    new_dataset,
    read_manifest,
    read_shards,
    record_again,
    write_manifest,
    write_shard,
)
from rookery.storage.serialization import check_json, from_dict, to_dict
from rookery.tasks.checks import start_backend
from rookery.tasks.registry import make_env
from rookery.training.config import PolicyConfig, TaskConfig
from rookery.training.extension_checks import check_environment
from rookery.training.memory import check_result_fits
from rookery.types import PRNGKey, PyTree, Trajectory

EPISODES_PER_SHARD = 50


class _Return(TypedDict):
    mean: float
    std: float


_Manifest = TypedDict(  # "return" is not a name of a class's field
    "_Manifest",
    {
        "task": dict[str, object],
        "expert": str,
        "slots": tuple[int, ...],
        "solo": bool,
        "num_episodes": int,
        "seed": int,
        "max_steps": int,
        "num_actions": int,
        "observation_shape": tuple[int, ...],
        "return": _Return,
    },
)
"""What the manifest of a dataset of demonstrations says besides its shards."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Recorded episodes. Each gives one trajectory for each recorded slot; those of one episode are adjacent."""

    task: Any  # its configuration
    manifest: dict[str, Any]
    trajectories: Trajectory  # numpy, [T(+1), N, ...], N = episodes × slots

    @property
    def num_slots(self) -> int:
        return len(self.manifest["slots"])

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's content, and so of the whole dataset."""
        return manifest_digest(self.manifest)

    def split(self, validation_fraction: float) -> tuple[Trajectory, Trajectory]:
        """Trajectories for training, and those of the last episodes for validation.

        Raises: ConfigError if there are none for training.
        """
        episodes = self.manifest["num_episodes"]
        num_training = episodes - max(1, round(validation_fraction * episodes))
        if num_training < 1:
            raise ConfigError(
                f"{episodes} episodes are too few for validation_fraction={validation_fraction}; record more"
            )
        end = num_training * self.num_slots
        training, validation = (
            jax.tree.map(lambda x, part=part: x[:, part], self.trajectories)
            for part in (slice(None, end), slice(end, None))
        )
        return training, validation


@dataclasses.dataclass(frozen=True)
class _WithLogProb(Policy):
    """A policy that also reports the log-probability of its action: 0, certain, if the policy does not."""

    policy: Policy

    @property
    def privileged(self) -> bool:
        return self.policy.privileged

    @property
    def observation_shape(self):
        return self.policy.observation_shape

    def initial_carry(self, batch: int) -> PyTree:
        return self.policy.initial_carry(batch)

    def act(self, params, carry, obs, is_first, key: PRNGKey):
        action, carry, extras = self.policy.act(params, carry, obs, is_first, key)
        return action, carry, {"log_prob": jnp.zeros(action.shape), **extras}


def record_dataset(
    folder: Path | str, task: Any, expert: PolicyConfig, *, num_episodes: int, seed: int = 0, solo: bool = False
) -> Path:
    """Record an expert that acts in every slot.

    Args:
      folder: created if absent; refused if it already holds a dataset.
      task: a task's configuration; its views must have one shape.
      num_episodes: each gives one trajectory for each recorded slot.
      solo: only the agent in slot 0 takes part.
    Returns: the folder.
    Raises: ConfigError, also where memory cannot hold all episodes at once, as reading them does, NotFoundError,
      CorruptFileError or IncompatibleError before anything is written; StorageError, also where the disk has no room
      for the shards after the first, and KeyboardInterrupt if a signal ends it: the folder then has nothing of the
      dataset; InUseError if another process records there.
    """
    check_path_type("folder", folder)
    num_episodes = check_whole_number("num_episodes", num_episodes)
    if num_episodes < 2:
        raise ConfigError(f"num_episodes={num_episodes} must be at least 2: one for training and one for validation")
    check_at_most("num_episodes", num_episodes, MAX_EPISODES)
    check_key_seed(seed)
    folder = Path(folder)
    check_no_dataset(folder)
    check_writable(folder / DATASET_MANIFEST)
    env = make_env(task)
    start_backend()
    check_environment(task, env)
    slots = tuple(range(env.num_agents))
    recorded_slots = slots[:1] if solo else slots
    policy, params = expert.make_policy(env, 0, "expert")
    check_only_sees(policy, expert.label)
    # With a learner that does nothing, so that the rollout returns trajectories; each slot then has its own parameters.
    team = Team((AgentGroup("expert", slots, _WithLogProb(policy), learner=Learner()),))
    team.validate(env)
    params = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(slots), *np.shape(x))), params)
    agent_mask = jnp.arange(env.num_agents) < len(recorded_slots)

    @jax.jit
    def play(params, key):
        mask = jnp.broadcast_to(agent_mask, (EPISODES_PER_SHARD, env.num_agents))
        trajectories, _ = rollout(env, team, {"expert": params}, env.default_params(), key, mask)
        # [S, T, E, ...] to [T, E × S, ...]: the slots of an episode are adjacent. Clones learn no values, and
        # need no mask of observations.
        return jax.tree.map(
            lambda x: jnp.moveaxis(x[: len(recorded_slots)], 0, 2).reshape(x.shape[1], -1, *x.shape[3:]),
            trajectories["expert"].replace(agent_mask=None),
        )

    key = jax.random.fold_in(jax.random.PRNGKey(seed), keys.DEMONSTRATIONS)
    num_shards = -(-num_episodes // EPISODES_PER_SHARD)
    # All of them: a dataset is read as a whole, and one too large to be read here is useless.
    what, remedy = f"{num_shards * EPISODES_PER_SHARD:,} recorded episodes", "record fewer or shorter ones (max_steps)"
    check_result_fits(what, num_shards, remedy, play, params, key)
    returns = []
    with new_dataset(folder) as shards:
        for number in range(num_shards):
            count = min(EPISODES_PER_SHARD, num_episodes - number * EPISODES_PER_SHARD) * len(recorded_slots)
            part = jax.device_get(play(params, jax.random.fold_in(key, number)))
            part = jax.tree.map(lambda x, n=count: x[:, :n], part)
            returns.append((part.reward * part.loss_mask).sum(0))
            shards.append(write_shard(folder, number, _trajectory_arrays(part), count))
            if number == 0:  # how small episodes become on disk is known now
                check_shards_fit(folder, shards[0], num_shards - 1, remedy)
        all_returns = np.concatenate(returns)
        manifest = {
            "rookery": __version__,
            "task": to_dict(task),
            "expert": expert.label,
            "slots": list(recorded_slots),
            "solo": solo,
            "num_episodes": num_episodes,
            "seed": seed,
            "max_steps": env.max_steps,
            "num_actions": env.num_actions,
            "observation_shape": list(env.observation_shape(0)),
            "return": {"mean": float(all_returns.mean()), "std": float(all_returns.std())},
            "shards": shards,
        }
        write_manifest(folder, manifest)
    return folder


def read_demonstrations_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of a dataset of demonstrations, checked.

    Raises: as `read_manifest`; CorruptFileError also for a manifest that is whole and lacks something.
    """
    manifest, path = read_manifest(folder), Path(folder) / DATASET_MANIFEST
    try:
        check_json(_Manifest, manifest, "manifest")
    except ConfigError as error:
        raise CorruptFileError(f"{path} is damaged: {error}; {record_again(folder)}") from None
    promised = manifest["num_episodes"] * len(manifest["slots"])
    recorded = sum(shard["num_trajectories"] for shard in manifest["shards"])
    if not promised or promised != recorded:
        raise CorruptFileError(
            f"{path} is damaged: manifest.num_episodes × slots are {promised} trajectories and its shards hold "
            f"{recorded}; {record_again(folder)}"
        )
    return manifest


def read_dataset(folder: Path | str) -> Dataset:
    """Read a dataset and check all of it.

    Raises: NotFoundError if there is none; CorruptFileError naming the first file that was altered; IncompatibleError
      if another version wrote it, or its task is unknown here; StorageError.
    """
    folder = Path(folder)
    manifest = read_demonstrations_manifest(folder)
    parts = []
    for shard, arrays in zip(manifest["shards"], read_shards(folder, manifest), strict=True):
        parts.append(_trajectory(arrays, folder / shard["file"], manifest["max_steps"], shard["num_trajectories"]))
    try:
        task = from_dict(TaskConfig, manifest["task"], "task")  # pyright: ignore[reportArgumentType]
    except ConfigError as error:
        raise IncompatibleError(
            f"{folder / DATASET_MANIFEST} has a task that this version does not know: {error}"
        ) from None
    return Dataset(task, manifest, jax.tree.map(lambda *leaves: np.concatenate(leaves, 1), *parts))


def _trajectory_arrays(trajectory: Trajectory) -> dict[str, np.ndarray]:
    """The fields that the rollout filled in, by name."""
    fields = {field.name: getattr(trajectory, field.name) for field in dataclasses.fields(trajectory)}
    return {name: value for name, value in fields.items() if value is not None}


def _trajectory(arrays: dict[str, Any], path: Path, steps: int, count: int) -> Trajectory:
    try:
        trajectory = Trajectory(**arrays)
    except TypeError as error:
        raise corrupt_shard(path, f"not a trajectory ({error})") from None
    if np.shape(trajectory.action) != (steps, count) or np.shape(trajectory.observation)[:2] != (steps + 1, count):
        shape = np.shape(trajectory.action)
        raise corrupt_shard(path, f"holds {shape} steps × trajectories, its manifest says {(steps, count)}")
    return trajectory
