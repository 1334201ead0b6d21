"""Behavior cloning of an expert, several seeds side by side: trained, logged, stopped and resumed like any run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery import __version__, keys
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
from rookery.limits import (
    MAX_SEEDS_PER_VARIANT,
    NumericFields,
    check_32_bits,
    check_at_most,
    check_path_type,
    check_stop_after,
)
from rookery.storage import checkpoint
from rookery.storage.atomic import path_exists, write_json
from rookery.storage.metrics import MetricsWriter
from rookery.storage.restart import restore_run
from rookery.storage.run_files import THREADS_KEY, check_no_results
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import from_dict, load_json, to_dict
from rookery.tasks.checks import start_backend
from rookery.tracking.trackers import RunTrackers, choose_trackers, save_trackers
from rookery.training.agent_paths import start_record
from rookery.training.config import check_label
from rookery.training.demonstrations import Dataset, read_dataset
from rookery.training.devices import thread_count
from rookery.training.extension_checks import extension_failures_named, trace_extensions
from rookery.training.machine_notes import machine_notes
from rookery.training.progress import Progress
from rookery.training.stop_signal import StopSignal
from rookery.training.trainer import AGENTS_DIR, CHECKPOINTS_DIR, CONFIG_FILE, agent_file
from rookery.types import Trajectory

CLONE_GROUP = "clone"
"""Stands for the group's name in the files of exported agents."""

MAX_CHECKPOINTS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloneConfig(NumericFields):
    """Everything that determines clones, except the dataset."""

    name: str = "clone"
    network: NetworkConfig = MLPNetwork()
    learner: BehaviorCloning = BehaviorCloning()
    seed: int = 0  # the first; the others count up from it
    num_seeds: int = 1
    checkpoint_interval: int = 5  # epochs

    def __post_init__(self) -> None:
        for field in ("num_seeds", "checkpoint_interval"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        check_label(self.name)
        check_at_most("num_seeds", self.num_seeds, MAX_SEEDS_PER_VARIANT)
        check_32_bits(self, "config")
        if not 0 <= self.seed <= 2**31 - self.num_seeds:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^31 - num_seeds]")

    @property
    def agent_files(self) -> tuple[str, ...]:
        """Names of the exported agents, one per seed."""
        seeds = range(self.seed, self.seed + self.num_seeds)
        return tuple(agent_file("main", seed, CLONE_GROUP, 0) for seed in seeds)


@dataclasses.dataclass(frozen=True)
class CloneResult:
    """How a call of `train_clones` ended."""

    run_dir: Path
    epochs_done: int  # since the run began
    finished: bool
    agent_files: tuple[Path, ...]  # one per seed
    validation_loss: (
        np.ndarray
    )  # f32[num_seeds], nats per action on the validation episodes, of the exported parameters


def train_clones(
    config: CloneConfig,
    dataset: Path | str,
    run_dir: Path | str,
    *,
    quiet: bool = False,
    stop_after: float | None = None,
    restart: bool = False,
    track: str | Sequence[str] | None = None,
) -> CloneResult:
    """Clone the expert of a dataset, or continue where the same command was stopped.

    The metrics of a run are every epoch's loss and accuracy on the training and the validation episodes. The exported
    agent of each seed is that of the epoch with the lowest validation loss.

    Args:
      dataset: its folder.
      run_dir: created if absent.
      stop_after: seconds after which to save and stop; at least one epoch is done.
      restart: as for `rookery.training.trainer.resume`.
      track: as for `rookery.training.trainer.train`; a run that continues keeps its own.
    Raises: ConfigError if `run_dir` holds another run, or for a network in which there is a mistake; IncompatibleError
      for a network that cannot read the expert's observations; what `read_dataset` raises; StorageError; DivergedError.
    """
    check_path_type("dataset", dataset)
    check_path_type("run_dir", run_dir)
    check_stop_after(stop_after)
    data = read_dataset(dataset)
    start_backend()
    with extension_failures_named([config.network]):
        policy = RecurrentPolicy(
            config.network, tuple(data.manifest["observation_shape"]), data.manifest["num_actions"]
        )
    training, validation = data.split(config.learner.validation_fraction)
    updates = _CloneUpdates(config, policy)
    trace_extensions([config.network], lambda: updates.trace(training, validation))
    run_dir, saved_config = Path(run_dir), to_dict(config)
    if not path_exists(run_dir / CONFIG_FILE):
        choose_trackers(track)  # refuses an unknown one before there is a folder
    started_in = start_record([data.manifest["expert"]], run_dir)
    with RunLock(run_dir) as lock:
        requested = {"rookery": __version__, "clone": saved_config, "dataset": data.digest}
        requested[THREADS_KEY] = thread_count()
        requested |= started_in
        saved = _load_saved_config(run_dir)
        if saved is not None:
            _check_same_clones(run_dir, saved, requested)
        if saved is None:
            check_no_results(run_dir)
            save_trackers(run_dir, dict.fromkeys(choose_trackers(track)))
            write_json(run_dir / CONFIG_FILE, requested)
        loop = _CloneLoop(updates, data, lock, quiet, stop_after)
        return loop.execute(training, validation, restart)


def _check_same_clones(run_dir: Path, saved: dict[str, Any], requested: dict[str, Any]) -> None:
    """Raises ConfigError, naming what differs. The name may, which is that of the folder: folders are moved."""
    before, now = saved["clone"], requested["clone"]
    differing = [name for name in {**now, **before} if name != "name" and before.get(name) != now.get(name)]
    differing += ["the dataset"] if saved["dataset"] != requested["dataset"] else []
    if differing:
        raise ConfigError(
            f"{run_dir} holds clones of another configuration (it differs in {', '.join(differing)}); name another "
            "folder with --out, or remove it"
        )


def load_clone_config(run_dir: Path | str) -> CloneConfig:
    """The configuration that clones were made with. Raises NotFoundError, CorruptFileError or IncompatibleError."""
    saved = _load_saved_config(Path(run_dir))
    if saved is None:
        raise NotFoundError(f"{run_dir} holds no clones ({CONFIG_FILE} is missing)")
    try:
        return from_dict(CloneConfig, saved["clone"])
    except ConfigError as error:
        raise CorruptFileError(f"{Path(run_dir) / CONFIG_FILE}: {error}") from None


def _load_saved_config(run_dir: Path) -> dict[str, Any] | None:
    if not path_exists(run_dir / CONFIG_FILE):
        return None
    data = load_json(run_dir / CONFIG_FILE, CorruptFileError)
    if not isinstance(data, dict) or "clone" not in data or "dataset" not in data:
        raise IncompatibleError(f"{run_dir} holds another kind of run; name another folder with --out")
    if not isinstance(data["clone"], dict):
        raise CorruptFileError(f"{run_dir / CONFIG_FILE}: 'clone' must be an object, the clones' configuration")
    return data


@dataclasses.dataclass(frozen=True)
class _CloneUpdates:
    """What is compiled: an epoch of all seeds."""

    config: CloneConfig
    policy: RecurrentPolicy

    @property
    def seeds(self) -> np.ndarray:
        """i32[num_seeds]."""
        return np.arange(self.config.seed, self.config.seed + self.config.num_seeds, dtype=np.int32)

    def init(self) -> CloningState:
        """Untrained clones, leaves [num_seeds, ...]."""
        # One after another: orthogonal initializations of several seeds at once can deadlock on few cores.
        return jax.lax.map(lambda seed: init_cloning(self.config.learner, self.policy, _seed_key(seed)), self.seeds)

    def epoch(
        self, state: CloningState, number: jax.Array, training: Trajectory, validation: Trajectory
    ) -> tuple[CloningState, dict]:
        """The clones after one more epoch, with its metrics."""
        learner, policy = self.config.learner, self.policy
        learning_rate = learner.learning_rate_at(number)

        def one_seed(inputs):
            clone, seed = inputs
            key = jax.random.fold_in(_seed_key(seed), keys.CLONE_EPOCHS + number)
            clone, train_metrics = train_epoch(learner, policy, clone, training, learning_rate, key)
            validation_metrics = evaluate_cloning(learner, policy, clone.params, validation)
            metrics = {"train": train_metrics, "validation": validation_metrics}
            return keep_best(clone, validation_metrics["loss"]), metrics

        in_turn = jax.default_backend() == "cpu"  # see `Run.map_replicas`
        inputs = (state, self.seeds)
        state, metrics = jax.lax.map(one_seed, inputs) if in_turn else jax.vmap(one_seed)(inputs)
        return state, {**metrics, "learning_rate": learning_rate}

    def trace(self, training: Trajectory, validation: Trajectory) -> None:
        """Trace an epoch. Raises what the network's methods raise."""
        jax.eval_shape(self.epoch, jax.eval_shape(self.init), np.int32(0), training, validation)


class _CloneLoop:
    """Epochs of all seeds; between them metrics, and at intervals a checkpoint and the agents."""

    def __init__(self, updates: _CloneUpdates, data: Dataset, lock: RunLock, quiet: bool, stop_after: float | None):
        self.updates, self.config, self.policy = updates, updates.config, updates.policy
        self.data, self.lock, self.run_dir = data, lock, lock.run_dir
        self.quiet, self.stop_after = quiet, stop_after

    def execute(self, training: Trajectory, validation: Trajectory, restart: bool) -> CloneResult:
        config, learner, start_time = self.config, self.config.learner, time.monotonic()
        notes = machine_notes(self.run_dir)
        like = jax.eval_shape(self.updates.init)
        restored = restore_run(self.run_dir, like, config.checkpoint_interval, restart, notes.append)
        done, state = restored or (0, jax.jit(self.updates.init)())
        if done:  # the session before may have been killed between its checkpoint and this
            checkpoint.keep_newest(self.run_dir / CHECKPOINTS_DIR, done, MAX_CHECKPOINTS)
        steps = int(np.asarray(training.loss_mask).sum())  # the expert's steps in one epoch
        update = jax.jit(self.updates.epoch)
        stopping = False
        with (
            MetricsWriter(self.run_dir, done, self._trackers()) as metrics_writer,
            Progress(learner.epochs * steps, config.name, self.quiet, initial_steps=done * steps) as progress,
            StopSignal() as stop_signal,
        ):
            for note in notes:
                progress.note(note)
            # Contiguous first: XLA transposes other large arrays on a pool of threads, and hangs on one core.
            training, validation = jax.device_put(jax.tree.map(np.ascontiguousarray, (training, validation)))
            while done < learner.epochs and not stopping:
                state, metrics = jax.device_get(update(state, jnp.int32(done), training, validation))
                done += 1
                self._check_finite(metrics["train"]["loss"], state, done)
                self.lock.check()
                metrics_writer.write(done, done * steps, metrics)
                stopping = stop_signal.requested or (
                    self.stop_after is not None and time.monotonic() - start_time > self.stop_after
                )
                if stopping or done % config.checkpoint_interval == 0 or done == learner.epochs:
                    metrics_writer.sync()
                    checkpoint.save(self.run_dir / CHECKPOINTS_DIR, done, state, max_checkpoints=MAX_CHECKPOINTS)
                    self._export_agents(state, done)
                shown = {name: float(metrics["validation"][name].mean()) for name in ("loss", "accuracy")}
                progress.update(done * steps, shown)
        # Again: the session before may have been killed between its checkpoint and the export.
        agents = self._export_agents(state, done)
        return CloneResult(self.run_dir, done, done == learner.epochs, agents, np.asarray(state.best_loss))

    def _trackers(self) -> RunTrackers:
        return RunTrackers(self.run_dir, self.config.name, to_dict(self.config), self.updates.seeds.tolist())

    def _check_finite(self, loss: np.ndarray, state: CloningState, done: int) -> None:
        """Raises DivergedError before anything that is not finite is saved."""
        finite = np.isfinite(loss) & np.isfinite(state.best_loss)
        for leaf in jax.tree.leaves(state.params):
            finite &= np.isfinite(leaf).all(tuple(range(1, np.ndim(leaf))))
        bad = np.flatnonzero(~finite)
        if len(bad):
            raise DivergedError(
                f"the loss, also on validation episodes, or a parameter of seed {self.config.seed + bad[0]} is not "
                f"finite at epoch {done}; start again with a lower learner.learning_rate"
            )

    def _export_agents(self, state: CloningState, done: int) -> tuple[Path, ...]:
        manifest, paths = self.data.manifest, []
        for number, file in enumerate(self.config.agent_files):
            seed = self.config.seed + number
            path = self.run_dir / AGENTS_DIR / file
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


def _seed_key(seed: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.PRNGKey(seed), keys.TRAINING)
