"""What experts did, on disk: whole episodes as each of them saw and lived it.

A dataset is a folder of shards (compressed numpy archives without any pickled object) and `manifest.json`, which
says who played what and holds size and SHA-256 of every shard, and its own. The manifest comes last: a folder that
has one holds a whole dataset. Reading checks every byte.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery import __version__
from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError
from rookery.learning.rollout import rollout
from rookery.storage.atomic import storage_error, write_bytes, write_text
from rookery.storage.serialization import from_dict, to_dict
from rookery.tasks.registry import make_env
from rookery.training.build import group_policy
from rookery.training.config import FrozenPolicyConfig, GroupConfig, PolicyConfig, TaskConfig
from rookery.training.train_step import DEMONSTRATION_STREAM
from rookery.types import PRNGKey, PyTree, Trajectory

DATASET_FORMAT = 1
DATASET_MANIFEST = "manifest.json"
EPISODES_PER_SHARD = 50
"""Worlds a shard."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Episodes read back. Every world gives one episode a slot; those of one world stand together."""

    task: Any  # its configuration
    manifest: dict[str, Any]
    trajectories: Trajectory  # numpy, [T(+1), N, ...], N = worlds × slots

    @property
    def num_slots(self) -> int:
        return len(self.manifest["slots"])

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's content, and so of the whole dataset."""
        return hashlib.sha256(_canonical(self.manifest)).hexdigest()

    def split(self, validation_fraction: float) -> tuple[Trajectory, Trajectory]:
        """Episodes to learn from, and those of the last worlds to judge by. Raises ConfigError if either is empty."""
        worlds = self.manifest["num_episodes"]
        kept = worlds - max(1, round(validation_fraction * worlds))
        if kept < 1:
            raise ConfigError(f"{worlds} worlds are too few to hold out a share of {validation_fraction}; record more")
        cut = kept * self.num_slots
        return tuple(jax.tree.map(lambda x, part=part: x[:, part], self.trajectories)
                     for part in (slice(None, cut), slice(cut, None)))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _WithLogProb:
    """A policy that also tells how likely its action was: certain, where it does not say."""

    policy: Any

    @property
    def privileged(self) -> bool:
        return self.policy.privileged

    @property
    def observation_shape(self):
        return getattr(self.policy, "observation_shape", None)

    def initial_carry(self, batch: int) -> PyTree:
        return self.policy.initial_carry(batch)

    def act(self, params, carry, obs, is_first, key: PRNGKey):
        action, carry, extras = self.policy.act(params, carry, obs, is_first, key)
        return action, carry, {"log_prob": jnp.zeros(action.shape), **extras}


def record_dataset(
    folder: Path, task: Any, expert: PolicyConfig, *, num_episodes: int, seed: int = 0, solo: bool = False
) -> Path:
    """Let an expert play and write down what each of its slots saw and did.

    Args:
      folder: made if absent; refused if it already holds a dataset.
      task: a task's configuration.
      expert: who plays, in every slot; where views differ in shape, in the first slot and those alike.
      worlds: episodes side by side and one after another; each gives one recorded episode a slot.
      alone: only the first slot is in the world.
    Returns: the folder.
    Raises: ConfigError, MissingError, CorruptError or MisfitError before anything is written; StorageError.
    """
    if num_episodes < 2:
        raise ConfigError(f"num_episodes={num_episodes} must be at least 2, one to learn from and one to judge by")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed} must lie in [0, 2^32)")
    folder = Path(folder)
    if (folder / DATASET_MANIFEST).exists():
        raise ConfigError(f"{folder} already holds a dataset; clone from it, or name another folder")
    env = make_env(task)
    slots = tuple(range(env.num_agents))
    policy, params = group_policy(GroupConfig(name="expert", slots=slots, policy=expert), env)
    # Marked as learning, so that the rollout keeps what it saw; each slot then needs parameters of its own.
    team = Team((AgentGroup("expert", slots, _WithLogProb(policy), learner="recorded"),))
    team.validate(env)
    own = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(slots), *np.shape(x))), params)
    who = jnp.arange(env.num_agents) < (1 if solo else env.num_agents)
    kept = slots[:1] if solo else slots

    @jax.jit
    def play(own, key):
        present = jnp.broadcast_to(who, (EPISODES_PER_SHARD, env.num_agents))
        found, _ = rollout(env, team, {"expert": own}, env.default_params(), key, present)
        # [S, T, E, ...] to [T, E × S, ...]: the slots of a world stand together.
        return jax.tree.map(
            lambda x: jnp.moveaxis(x[: len(kept)], 0, 2).reshape(x.shape[1], -1, *x.shape[3:]), found["expert"]
        )

    key = jax.random.fold_in(jax.random.PRNGKey(seed), DEMONSTRATION_STREAM)
    shards, returns = [], []
    for number in range(-(-num_episodes // EPISODES_PER_SHARD)):
        count = min(EPISODES_PER_SHARD, num_episodes - number * EPISODES_PER_SHARD) * len(kept)
        part = jax.device_get(play(own, jax.random.fold_in(key, number)))
        part = jax.tree.map(lambda x, n=count: x[:, :n], part)
        returns.append((part.reward * part.loss_mask).sum(0))
        blob = _pack(part)
        name = f"shard-{number:05d}.npz"
        write_bytes(folder / name, blob)
        shards.append({"file": name, "num_trajectories": count, "bytes": len(blob), "sha256": _sha(blob)})
    earned = np.concatenate(returns)
    manifest = {
        "format": DATASET_FORMAT,
        "rookery": __version__,
        "task": to_dict(task),
        "expert": expert_name(expert),
        "slots": list(kept),
        "solo": solo,
        "num_episodes": num_episodes,
        "seed": seed,
        "max_steps": env.max_steps,
        "num_actions": env.num_actions,
        "observation_shape": list(env.observation_shape(0)),
        "return": {"mean": float(earned.mean()), "std": float(earned.std())},
        "shards": shards,
    }
    write_text(
        folder / DATASET_MANIFEST, json.dumps({"content": manifest, "sha256": _sha(_canonical(manifest))}, indent=1)
    )
    return folder


def expert_name(expert: PolicyConfig) -> str:
    """What a dataset calls who was recorded."""
    return expert.checkpoint if isinstance(expert, FrozenPolicyConfig) else expert.kind


def read_dataset(folder: Path) -> Dataset:
    """Read a dataset back and check all of it.

    Raises: MissingError if there is none; CorruptError naming the first file that is not what was written;
      MisfitError if another version wrote it, or its task is unknown here; StorageError.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    parts = [_unpack(folder / shard["file"], shard, manifest) for shard in manifest["shards"]]
    try:
        task = from_dict(TaskConfig, manifest["task"], "task")  # pyright: ignore[reportArgumentType]
    except ConfigError as error:
        raise IncompatibleError(f"{folder / DATASET_MANIFEST} has a task this version does not know: {error}") from None
    return Dataset(task, manifest, jax.tree.map(lambda *leaves: np.concatenate(leaves, 1), *parts))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Who played what in a dataset, checked. Raises as `read_dataset`."""
    path = Path(folder) / DATASET_MANIFEST
    try:
        written = json.loads(path.read_bytes())
        manifest = written["content"]
        if _sha(_canonical(manifest)) != written["sha256"]:
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{folder} holds no whole dataset ({DATASET_MANIFEST} is missing); record one") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CorruptFileError(f"{path} is not what was written; record the dataset again") from None
    if manifest["format"] != DATASET_FORMAT:
        raise IncompatibleError(
            f"{path} has format {manifest['format']}, this version reads {DATASET_FORMAT}; record it again"
        )
    return manifest


def manifest_differences(manifest: dict[str, Any], requested: dict[str, Any]) -> list[str]:
    """Names of what a dataset has otherwise than wanted: 'task' and 'expert' (as `to_dict` and `called` say it),
    'worlds', 'seed', 'alone'."""
    return [name for name, value in requested.items() if manifest[name] != value]


def _pack(part: Trajectory) -> bytes:
    buffer = io.BytesIO()
    fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(Trajectory)}
    fields = {name: value for name, value in fields.items() if value is not None}  # what no method here asked for
    np.savez_compressed(buffer, allow_pickle=False, **fields)
    return buffer.getvalue()


def _unpack(path: Path, shard: dict[str, Any], manifest: dict[str, Any]) -> Trajectory:
    def corrupt(what: str) -> CorruptFileError:
        return CorruptFileError(f"{path}: {what}; record the dataset again")

    try:
        blob = path.read_bytes()
    except FileNotFoundError:
        raise corrupt("the shard is missing") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    if len(blob) != shard["bytes"] or _sha(blob) != shard["sha256"]:
        raise corrupt("the shard is not what was written (size or sha256 differs)")
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as archive:
            part = Trajectory(**{name: archive[name] for name in archive.files})
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise corrupt(f"not a readable archive ({error})") from None
    steps, episodes = manifest["max_steps"], shard["num_trajectories"]
    if part.action.shape != (steps, episodes) or part.observation.shape[:2] != (steps + 1, episodes):
        raise corrupt(f"holds {part.action.shape} steps × episodes, its manifest says {(steps, episodes)}")
    return part


def _sha(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def _canonical(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, allow_nan=False).encode()
