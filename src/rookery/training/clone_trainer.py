"""Clones of an expert, several seeds side by side: trained, logged, stopped and resumed like any run."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery import __version__
from rookery.agents.networks import MLPNetwork, NetworkConfig
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import save_agent
from rookery.errors import ConfigError, CorruptFileError, DivergedError, IncompatibleError, NotFoundError
from rookery.learning.cloning import (
    BehaviorCloning,
    CloningState,
    evaluate_cloning,
    init_cloning,
    keep_best,
    train_epoch,
)
from rookery.storage import checkpoint
from rookery.storage.atomic import write_json
from rookery.storage.metrics import MetricsWriter
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import from_dict, load_json, to_dict
from rookery.training.demonstrations import Dataset, read_dataset
from rookery.training.progress import Progress
from rookery.training.train_step import TRAINING_STREAM
from rookery.training.trainer import AGENTS_DIR, CHECKPOINTS_DIR, CONFIG_FILE, agent_file

CLONE_GROUP = "clone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloneConfig:
    """Everything that decides clones, beside the dataset."""

    name: str = "clone"
    network: NetworkConfig = MLPNetwork()
    learner: BehaviorCloning = BehaviorCloning()
    seed: int = 0  # the first; the others count up from it
    num_seeds: int = 1
    checkpoint_interval: int = 5  # epochs

    def __post_init__(self):
        for field in ("num_seeds", "checkpoint_interval"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        if not 0 <= self.seed <= 2**31 - self.num_seeds:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^31 - num_seeds]")


@dataclasses.dataclass(frozen=True)
class CloneResult:
    """How a call of `clone` ended."""

    run_dir: Path
    epochs_done: int  # done in all
    finished: bool
    agent_files: tuple[Path, ...]  # one a seed
    validation_loss: np.ndarray  # f32[seeds], nats an action on the episodes held out, of the exported parameters


def train_clones(
    config: CloneConfig,
    dataset: Path,
    run_dir: Path,
    *,
    quiet: bool = False,
    stop_after: float | None = None,
) -> CloneResult:
    """Clone the expert of a dataset, or go on where the same command was stopped.

    Every epoch's loss and accuracy, on what is learned from and on the episodes held out, are metrics of the run;
    what is exported is, for every seed, the epoch with the lowest loss on the latter.

    Args:
      dataset: its folder. run_dir: made if absent.
      stop_after: seconds after which to save and stop; one epoch is always done.
    Raises: ConfigError if `run_dir` holds another run; MisfitError for a network that cannot see what the expert
      saw; what `read_dataset` raises; StorageError; DivergedError.
    """
    data = read_dataset(dataset)
    policy = RecurrentPolicy(config.network, tuple(data.manifest["observation_shape"]), data.manifest["num_actions"])
    learned, judged = data.split(config.learner.validation_fraction)
    run_dir = Path(run_dir)
    with RunLock(run_dir):
        asked = {"rookery": __version__, "clone": to_dict(config), "dataset": data.digest}
        known = _load_saved_config(run_dir)
        if known is not None and (known["clone"], known["dataset"]) != (asked["clone"], asked["dataset"]):
            raise ConfigError(f"{run_dir} holds another run; name another folder with --out, or remove it")
        if known is None:
            write_json(run_dir / CONFIG_FILE, asked)
        return _CloneLoop(config, policy, data, run_dir, quiet, stop_after).execute(learned, judged)


def load_clone_config(run_dir: Path) -> CloneConfig:
    """The configuration clones were made with. Raises MissingError, CorruptError or MisfitError."""
    known = _load_saved_config(Path(run_dir))
    if known is None:
        raise NotFoundError(f"{run_dir} holds no clones ({CONFIG_FILE} is missing)")
    return from_dict(CloneConfig, known["clone"])


def _load_saved_config(run_dir: Path) -> dict[str, Any] | None:
    if not (run_dir / CONFIG_FILE).exists():
        return None
    data = load_json(run_dir / CONFIG_FILE, CorruptFileError)
    if not isinstance(data, dict) or "clone" not in data or "dataset" not in data:
        raise IncompatibleError(f"{run_dir} holds another kind of run; name another folder with --out")
    return data


class _CloneLoop:
    """Epochs of all seeds; between them metrics, and every so often a checkpoint and the agents."""

    def __init__(self, config: CloneConfig, policy: RecurrentPolicy, data: Dataset, run_dir: Path, quiet, stop_after):
        self.config, self.policy, self.data, self.run_dir = config, policy, data, run_dir
        self.quiet, self.stop_after = quiet, stop_after
        self.seeds = jnp.arange(config.seed, config.seed + config.num_seeds, dtype=jnp.int32)

    def execute(self, learned, judged) -> CloneResult:
        config, learner, began = self.config, self.config.learner, time.monotonic()
        notes: list[str] = []
        like = jax.eval_shape(self._init)
        try:
            done, state = checkpoint.restore_latest(self.run_dir / CHECKPOINTS_DIR, like, notes.append)
        except NotFoundError:
            done, state = 0, jax.jit(self._init)()
        checkpoint.discard_after(self.run_dir / CHECKPOINTS_DIR, done)
        steps = int(np.asarray(learned.loss_mask).sum())  # the expert's steps in one epoch
        update = jax.jit(self._epoch)
        stopping = False
        with (
            MetricsWriter(self.run_dir, done) as metrics,
            Progress(learner.epochs * steps, config.name, self.quiet, initial_steps=done * steps) as progress,
        ):
            for note in notes:
                progress.note(note)
            # In order of memory first: XLA turns large arrays that are not on a pool of threads, and hangs on one core.
            learned, judged = jax.device_put(jax.tree.map(np.ascontiguousarray, (learned, judged)))
            while done < learner.epochs and not stopping:
                state, told = jax.device_get(update(state, jnp.int32(done), learned, judged))
                done += 1
                self._check_finite(told["train"]["loss"], done)
                metrics.write(done, done * steps, told)
                stopping = self.stop_after is not None and time.monotonic() - began > self.stop_after
                if stopping or done % config.checkpoint_interval == 0 or done == learner.epochs:
                    metrics.sync()
                    checkpoint.save(self.run_dir / CHECKPOINTS_DIR, done, state, max_checkpoints=2)
                    self._export(state, done)
                shown = {"loss": told["validation"]["loss"].mean(), "accuracy": told["validation"]["accuracy"].mean()}
                progress.update(done * steps, {name: float(value) for name, value in shown.items()})
        agents = self._export(state, done)  # who killed us may have come between checkpoint and export
        return CloneResult(self.run_dir, done, done == learner.epochs, agents, np.asarray(state.best_loss))

    def _init(self) -> CloningState:
        # One after another: orthogonal draws of several seeds at once wait for each other for ever on few cores.
        return jax.lax.map(lambda seed: init_cloning(self.config.learner, self.policy, _key(seed)), self.seeds)

    def _epoch(self, state: CloningState, number, learned, judged) -> tuple[CloningState, dict]:
        learner, policy = self.config.learner, self.policy

        def one(own):
            clone, seed = own
            key = jax.random.fold_in(_key(seed), 1 + number)
            clone, train = train_epoch(learner, policy, clone, learned, learner.learning_rate_at(number), key)
            held_out = evaluate_cloning(learner, policy, clone.params, judged)
            return keep_best(clone, held_out["loss"]), {"train": train, "validation": held_out}

        in_turn = jax.default_backend() == "cpu"  # see Program.over_members
        own = (state, self.seeds)
        state, told = jax.lax.map(one, own) if in_turn else jax.vmap(one)(own)
        return state, {**told, "learning_rate": learner.learning_rate_at(number)}

    def _check_finite(self, loss, done: int) -> None:
        bad = np.flatnonzero(~np.isfinite(loss))
        if len(bad):
            raise DivergedError(
                f"the loss of seed {self.config.seed + bad[0]} is not finite at epoch {done}; "
                "start again with a lower learner.learning_rate"
            )

    def _export(self, state: CloningState, done: int) -> tuple[Path, ...]:
        manifest, paths = self.data.manifest, []
        for number in range(self.config.num_seeds):
            seed = self.config.seed + number
            path = self.run_dir / AGENTS_DIR / agent_file("main", seed, CLONE_GROUP, 0)
            card = {
                "name": f"{self.config.name} of {manifest['expert']}, seed {seed}",
                "task": manifest["task"],
                "slot": 0,
                "partners": None if manifest["solo"] else manifest["expert"],
                "cloning": {
                    "expert": manifest["expert"],
                    "return": manifest["return"],
                    "num_episodes": manifest["num_episodes"],
                    "dataset": self.data.digest,
                    "epochs": done,
                    "validation_loss": float(state.best_loss[number]),
                },
                "rookery": __version__,
            }
            save_agent(path, self.policy, jax.tree.map(lambda x, n=number: np.asarray(x[n]), state.best_params), card)
            paths.append(path)
        return tuple(paths)


def _key(seed) -> jax.Array:
    return jax.random.fold_in(jax.random.PRNGKey(seed), TRAINING_STREAM)
