"""The host's side of a run: it logs, saves, evaluates and shows; all else is the compiled update."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rookery import __version__
from rookery.agents.weights import save_agent
from rookery.errors import ConfigError, CorruptFileError, DivergedError, IncompatibleError, NotFoundError
from rookery.learning.intrinsic.combine import NONFINITE_STEP
from rookery.storage import checkpoint
from rookery.storage.atomic import write_json
from rookery.storage.metrics import MetricsWriter, read_metrics
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import from_dict, load_json, to_dict
from rookery.training.build import build, checkpoint_hashes, initial_params
from rookery.training.config import FrozenPolicyConfig, RunConfig, slot_names
from rookery.training.devices import machine_info
from rookery.training.evaluation import RunEvaluator
from rookery.training.progress import Progress
from rookery.training.train_step import Run, TrainState, replica_schedules

CONFIG_FILE = "config.json"
CHECKPOINTS_DIR = "checkpoints"
AGENTS_DIR = "agents"
STATUS_FILE = "status.json"
CHECKPOINT_HASHES_KEY = "checkpoint_hashes"  # in CONFIG


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a call of `train` or `resume` ended."""

    run_dir: Path
    num_updates: int  # done in all
    finished: bool  # False: stopped early, resume goes on
    seconds: float  # from start to last update, in all its sessions, less what was lost when killed
    state: TrainState
    run: Run


def train(
    config: RunConfig,
    run_dir: Path,
    *,
    devices: list | None = None,
    quiet: bool = False,
    stop_after: float | None = None,
) -> TrainResult:
    """Start a run in a new folder and carry it to its end.

    Args:
      run_dir: made if absent; refused if it already holds a run.
      stop_after: seconds after which to save and stop in good order; one update is always done.
    Raises: ConfigError, MissingError, CorruptError or MisfitError before anything is written; StorageError if
      the disk refuses or another process is at this run; DivergedError.
    """
    program = build(config)
    replica_schedules(config)  # refuses unknown schedules now
    starts = initial_params(config, program)
    _check_unused(run_dir)
    with RunLock(run_dir):
        _check_unused(run_dir)  # another process may have been quicker
        pinned = checkpoint_hashes(config)
        begun = {
            "rookery": __version__,
            "config": to_dict(config),
            **({CHECKPOINT_HASHES_KEY: pinned} if pinned else {}),
        }
        write_json(run_dir / CONFIG_FILE, begun)
        state = _init_state(program, starts)
        return _TrainLoop(program, run_dir, devices, quiet, stop_after).execute(state, resume_at=None)


def resume(
    run_dir: Path, *, devices: list | None = None, quiet: bool = False, stop_after: float | None = None
) -> TrainResult:
    """Continue a run from its newest sound checkpoint, to the same numbers as if it had never stopped.

    Raises: MissingError if there is no run; CorruptError if its configuration is unreadable; MisfitError if its
      checkpoint is of another configuration, or who plays beside the learners is another by now; else as `train`.
    """
    config = load_config(run_dir)
    check_checkpoint_hashes(run_dir, config)
    program = build(config)
    with RunLock(run_dir):
        notes: list[str] = []
        like = jax.eval_shape(program.init)
        try:
            update, state = checkpoint.restore_latest(run_dir / CHECKPOINTS_DIR, like, notes.append)
        except NotFoundError:
            # Killed before its first checkpoint, or none is sound: the beginning is as good, and exact.
            notes.append("no sound checkpoint; starting again from the beginning")
            update, state = 0, _init_state(program, initial_params(config, program))
        checkpoint.discard_after(run_dir / CHECKPOINTS_DIR, update)
        loop = _TrainLoop(program, run_dir, devices, quiet, stop_after)
        return loop.execute(state, resume_at=update, notes=notes)


def _check_unused(run_dir: Path) -> None:
    if (run_dir / CONFIG_FILE).exists():
        raise ConfigError(f"{run_dir} already holds a run; continue it with 'rookery resume', or use another name")


def load_config(run_dir: Path, name: str = CONFIG_FILE) -> RunConfig:
    """The configuration a run was started with. Raises MissingError or CorruptError."""
    path = run_dir / name
    if not path.exists():
        raise NotFoundError(f"{run_dir} holds no run ({name} is missing)")
    data = load_json(path, CorruptFileError)
    if not isinstance(data, dict) or "config" not in data:
        raise CorruptFileError(f"{path} is not a run's configuration")
    try:
        return from_dict(RunConfig, data["config"])
    except ConfigError as error:
        raise CorruptFileError(f"{path}: {error}") from None


def check_checkpoint_hashes(run_dir: Path, config: RunConfig) -> None:
    """Whether the trained agents that a run names are those it was begun with.

    Raises: MisfitError where one is not, for its numbers would be others; MissingError where one is gone.
    """
    begun = load_json(run_dir / CONFIG_FILE, CorruptFileError).get(CHECKPOINT_HASHES_KEY, {})
    if not isinstance(begun, dict) or not all(isinstance(digest, str) for digest in begun.values()):
        raise CorruptFileError(
            f"{run_dir / CONFIG_FILE}: {CHECKPOINT_HASHES_KEY!r} does not name agents and their SHA-256"
        )
    for source, digest in checkpoint_hashes(config).items() if begun else ():
        if digest != begun.get(source, digest):
            raise IncompatibleError(
                f"{run_dir} was begun with an agent {source} of SHA-256 {begun[source][:12]}…, which is {digest[:12]}… "
                "now; put the old one back, or start another run"
            )


def load_state(run_dir: Path) -> tuple[Run, TrainState]:
    """A run's program, and its state as the newest sound checkpoint has it. Nothing is trained, nothing written.

    Raises: MissingError where there is no run or no checkpoint; else as `resume`.
    """
    program = build(load_config(run_dir))
    like = jax.eval_shape(program.init)
    return program, checkpoint.restore_latest(run_dir / CHECKPOINTS_DIR, like, lambda note: None)[1]


def load_learners(run_dir: Path, variant: str | None = None, seed: int | None = None) -> tuple[Run, Any, str]:
    """A run's program, the learners of one member as its newest sound checkpoint has them, and who that is in words.

    Args:
      arm, seed: of the run; None is its first.
    Raises: MissingError where there is no run, no checkpoint, or no such member; else as `resume`. Nothing is trained.
    """
    config = load_config(run_dir)
    variant, seed = config.variants[0].name if variant is None else variant, config.seed if seed is None else seed
    if (variant, seed) not in config.replicas:
        told = ", ".join(f"{name} {number}" for name, number in config.replicas)
        raise NotFoundError(f"{run_dir} has no arm {variant!r} with seed {seed}; it has: {told}")
    program, state = load_state(run_dir)
    member = config.replicas.index((variant, seed))
    learners = jax.tree.map(lambda x: jax.numpy.asarray(x[member]), state.learners)
    update = int(state.num_updates[member])
    return program, learners, f"{config.name}, {variant}, seed {seed}, {update * config.steps_per_update:,} steps"


def _init_state(run: Run, initial_params: dict[str, Any]) -> TrainState:
    """Fresh learners, with given policy weights in place of fresh ones, for every member and slot."""
    state = run.init()
    learners = dict(state.learners)
    for group in run.team.learning_groups:
        if group.name in initial_params:
            learner = learners[group.name]
            given = jax.tree.map(
                lambda old, new: jax.numpy.broadcast_to(new, old.shape),
                learner.params["policy"],
                initial_params[group.name],
            )
            learners[group.name] = group.learner.load_pretrained(learner, given)
    return state.replace(learners=learners)


class _TrainLoop:
    """Runs updates; between them writes metrics, and every so often a checkpoint with its evaluation."""

    def __init__(self, run: Run, run_dir: Path, devices, quiet: bool, stop_after: float | None):
        self.program, self.config, self.run_dir = run, run.config, run_dir
        self.devices, self.quiet, self.stop_after = devices, quiet, stop_after
        episodes = self.config.eval_episodes
        self.evaluate: Callable | None = RunEvaluator(run, episodes, devices) if episodes else None
        self.began = time.monotonic()
        self.seconds = 0.0  # of all sessions, up to the last update

    def execute(self, state: TrainState, resume_at: int | None, notes: list[str] | None = None) -> TrainResult:
        config, done = self.config, resume_at or 0
        per_update = config.steps_per_update * len(config.replicas)
        schedules = replica_schedules(config)
        stop = _StopSignal()
        with (
            MetricsWriter(self.run_dir, resume_at) as metrics,
            Progress(
                config.total_updates * per_update, config.name, self.quiet, initial_steps=done * per_update
            ) as progress,
            stop,
        ):
            for note in notes or []:
                progress.note(note)
            if done:
                earlier = read_metrics(self.run_dir)
                self.seconds = earlier[-1].get("time/seconds", 0.0) if earlier else 0.0
                self._publish(state, done)  # who killed us may have come between the checkpoint and this
            if done < config.total_updates:
                state, schedules = self.program.place_on_devices((state, schedules), self.devices)
                mark = time.monotonic()
                update = self.program.compile_train_step(self.devices).lower(state, schedules).compile()
                compile_seconds = time.monotonic() - mark
            before, stopping = self.seconds, stop.asked
            while done < config.total_updates and not stopping:
                mark = time.monotonic()
                state, told = update(state, schedules)
                told = jax.device_get(told)
                done += 1
                self._check_finite(told, done)
                values = self._metrics_by_variant(told) | {
                    "time/steps_per_second": per_update / (time.monotonic() - mark),
                    "time/compile_seconds": compile_seconds,
                }
                due = done % config.checkpoint_interval == 0 or done == config.total_updates
                if due and self.evaluate is not None:
                    values["evaluation"] = self._eval_metrics_by_variant(self.evaluate(state.learners))
                self.seconds = values["time/seconds"] = before + time.monotonic() - self.began
                # Asked once: who is asked to stop after this line saves first, at the end of the next update.
                stopping = stop.asked or self._out_of_time()
                metrics.write(done, done * config.steps_per_update, values)
                if due or stopping:
                    metrics.sync()  # before the checkpoint that makes them final
                    self._save(state, done)
                    stopping = stopping or stop.asked
                progress.update(done * per_update, self._progress_metrics(told))
        return TrainResult(self.run_dir, done, done == config.total_updates, self.seconds, state, self.program)

    def _out_of_time(self) -> bool:
        return self.stop_after is not None and time.monotonic() - self.began > self.stop_after

    def _save(self, state: TrainState, done: int) -> None:
        host = jax.device_get(state)
        checkpoint.save(self.run_dir / CHECKPOINTS_DIR, done, host, max_checkpoints=self.config.max_checkpoints)
        self._publish(host, done)

    def _publish(self, state: TrainState, done: int) -> None:
        """What others read of a run: its agents, and how far it is."""
        self._export(state, done)
        status = {"num_updates": done, "total_updates": self.config.total_updates, "steps": done * self.config.steps_per_update}
        write_json(self.run_dir / STATUS_FILE, {**status, "seconds": round(self.seconds, 1), "machine": machine_info()})

    def _export(self, state: TrainState, done: int) -> None:
        """Every learning agent as a file that `eval`, `replay` and other runs can load."""
        for group in self.program.team.learning_groups:
            for number, (arm, seed) in enumerate(self.config.replicas):
                for place, slot in enumerate(group.slots):
                    params = jax.tree.map(
                        lambda x, n=number, p=place: np.asarray(x[n, p]), state.learners[group.name].params["policy"]
                    )
                    card = {
                        "name": f"{self.config.name} {arm} seed {seed} {group.name} (slot {slot})",
                        "task": to_dict(self.config.task),
                        "slot": slot,
                        "seed": seed,
                        "partners": self._partners(),
                        "steps": done * self.config.steps_per_update,
                        "rookery": __version__,
                    }
                    path = self.run_dir / AGENTS_DIR / agent_file(arm, seed, group.name, slot)
                    save_agent(path, group.policy, params, card)

    def _partners(self) -> str | None:
        """Who did not learn, as `eval --beside` takes it; None where all learned or there was nobody else."""
        for entry in self.config.team:
            if entry.learner is None:
                return entry.policy.checkpoint if isinstance(entry.policy, FrozenPolicyConfig) else entry.policy.kind
        return None

    def _check_finite(self, told: dict, done: int) -> None:
        """A number that is not finite would spread in silence; stop with the place named."""
        for group in self.program.team.learning_groups:
            fault = np.asarray(told[group.name].pop(NONFINITE_STEP, -1.0))
            if (fault >= 0).any():
                member, place = np.argwhere(fault >= 0)[0]
                arm, seed = self.config.replicas[member]
                raise DivergedError(
                    f"an intrinsic reward of {group.name!r}, slot {group.slots[place]}, is not finite at step "
                    f"{int(fault[member, place]) + 1} of an episode of update {done} (arm {arm!r}, seed {seed}); "
                    "start another run with a lower learning_rate or intrinsic weight"
                )
            for name in group.learner.nan_guarded_metrics:
                bad = np.argwhere(~np.isfinite(told[group.name][name]))
                if len(bad):
                    arm, seed = self.config.replicas[bad[0][0]]
                    raise DivergedError(
                        f"{name} of {group.name!r} is not finite at update {done} (arm {arm!r}, seed {seed}); "
                        "start another run with a lower learning_rate, or with max_grad_norm set"
                    )

    def _metrics_by_variant(self, told: dict) -> dict[str, Any]:
        """Metrics by arm: values[arm][...] lists its seeds; per agent by its name."""
        seeds, agents = self.config.num_seeds, slot_names(self.config)
        values: dict[str, Any] = {}
        for number, arm in enumerate(self.config.variants):
            own = jax.tree.map(lambda x, n=number: x[n * seeds : (n + 1) * seeds], told)
            entry: dict[str, Any] = {"social_episode_prob": own["social_episode_prob"], "env_params": own["env_params"]}
            for name, value in own["agents"].items():
                for slot, agent in enumerate(agents):
                    entry.setdefault(agent, {})[name] = value[:, slot]
            for group in self.program.team.learning_groups:
                for place, slot in enumerate(group.slots):
                    for name, value in own[group.name].items():
                        entry[agents[slot]][name] = value[:, place] if value.ndim > 1 else value
            values[arm.name] = entry
        return values

    def _eval_metrics_by_variant(self, told: dict) -> dict[str, Any]:
        seeds, agents = self.config.num_seeds, slot_names(self.config)
        values: dict[str, Any] = {}
        for number, arm in enumerate(self.config.variants):
            entry = values.setdefault(arm.name, {})
            for place, slot in enumerate(self.program.team.learning_slots):
                entry[agents[slot]] = {
                    kind: {name: value[number * seeds : (number + 1) * seeds, place] for name, value in part.items()}
                    for kind, part in told.items()
                }
        return values

    def _progress_metrics(self, told: dict) -> dict[str, float]:
        """The few numbers worth a place in the terminal: mean return of each learner, by arm."""
        seeds, agents = self.config.num_seeds, slot_names(self.config)
        shown = {}
        for number, arm in enumerate(self.config.variants):
            returns = told["agents"]["return"][number * seeds : (number + 1) * seeds]
            for slot in self.program.team.learning_slots:
                label = agents[slot] if len(self.config.variants) == 1 else f"{agents[slot]} ({arm.name})"
                own = returns[:, slot]
                own = own[np.isfinite(own)]  # no number where an agent was in no episode
                shown[f"return {label}"] = float(own.mean()) if own.size else float("nan")
        return shown


def agent_file(variant: str, seed: int, group: str, slot: int) -> str:
    """Name of an exported agent in a run's `agents` folder."""
    return f"{variant}-seed{seed}-{group}-{slot}.safetensors"


class _StopSignal:
    """SIGINT and SIGTERM ask for a stop in good order; a second one stops at once."""

    def __init__(self):
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not the main thread: leave signals to whoever owns them
                break
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
