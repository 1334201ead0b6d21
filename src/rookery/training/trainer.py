"""The host side of a run: metrics, checkpoints, evaluation, exported agents and progress around the compiled update."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

from rookery import __version__
from rookery.agents.weights import save_agent
from rookery.backend import jax_devices
from rookery.errors import ChangedAgentError, ConfigError, CorruptFileError, NotFoundError
from rookery.limits import check_callable, check_path_type, check_stop_after, check_type
from rookery.storage import checkpoint
from rookery.storage.atomic import path_exists, write_json
from rookery.storage.metrics import MetricsWriter, read_metrics
from rookery.storage.restart import restore_run
from rookery.storage.run_files import (
    AGENTS_DIR,
    CHECKPOINT_HASHES_KEY,
    CHECKPOINTS_DIR,
    CONFIG_FILE,
    STATUS_FILE,
    THREADS_KEY,
    check_no_results,
    holds_clones,
    no_run,
    read_status,
    status_machines,
    training_seconds,
)
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import from_dict, load_json, to_dict
from rookery.tracking.trackers import RunTrackers, choose_trackers, save_trackers
from rookery.training.agent_paths import AgentFinder, FindAgent, agent_names, start_record
from rookery.training.build import (
    SEED_PLACEHOLDER,
    build,
    check_registered,
    checkpoint_hashes,
    initial_hashes,
    initial_params,
)
from rookery.training.config import RunConfig, slot_names
from rookery.training.devices import machine_info, thread_count
from rookery.training.evaluation import RunEvaluator
from rookery.training.extension_checks import check_extensions, configured_parts, extension_failures_named
from rookery.training.finite import check_finite_metrics, check_finite_params
from rookery.training.machine_notes import machine_notes
from rookery.training.mechanism_health import dead_loss_warning
from rookery.training.memory import check_memory
from rookery.training.presets import preset
from rookery.training.process_group import ONE_PROCESS, ProcessGroup
from rookery.training.progress import Progress
from rookery.training.replica_updates import ReplicaUpdates
from rookery.training.stop_signal import StopSignal
from rookery.training.train_step import Run, TrainState, replica_schedules, wrong_update

RUNS_DIR = Path("runs")
"""Folder of runs whose own folder is not named."""

OnUpdate: TypeAlias = Callable[[int, bool], None]
"""Called with the number of updates done, and whether a checkpoint of the last one was written."""


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a call of `train` or `resume` ended."""

    run_dir: Path
    num_updates: int  # since the run began
    finished: bool  # False: stopped early; `resume` continues
    seconds: float  # from start to last update, over all sessions, without what a killed session lost
    state: TrainState = dataclasses.field(repr=False)  # thousands of numbers
    run: Run = dataclasses.field(repr=False)


def train(
    config: RunConfig | str,
    out: Path | str | None = None,
    *,
    devices: list[Any] | None = None,
    quiet: bool = False,
    stop_after: float | None = None,
    on_update: OnUpdate | None = None,
    track: str | Sequence[str] | None = None,
    processes: ProcessGroup = ONE_PROCESS,
) -> TrainResult:
    """Start a run in a new folder and train to its end.

    Args:
      config: a configuration, or the name of a preset.
      out: folder of the run, created if absent; refused if it already holds a run. None: runs/NAME, with the
        configuration's name.
      devices: JAX devices to use, of the platform that JAX computes on by default; None: all.
      quiet: show no progress.
      stop_after: seconds after which to save and stop; at least one update is done.
      on_update: called after every update.
      track: where metrics go besides metrics.jsonl: one name or several of `rookery.plugins.TRACKERS`, or "none"; None:
        those of the environment variable ROOKERY_TRACK, else TensorBoard. A resumed run continues with the same.
      processes: this process, as number 0, and those that train some of the replicas with `follow_run`.
    Raises: ConfigError, NotFoundError, CorruptFileError or IncompatibleError before anything is written; StorageError
      if the disk refuses or another process trains in this folder; DivergedError; LostProcessError.
    """
    check_type("config", config, (RunConfig, str), "a RunConfig, or the name of a preset, such as 'smoke'")
    if out is not None:
        check_path_type("out", out)
    _check_loop_arguments(devices, stop_after, on_update)
    if isinstance(config, str):
        config = preset(config)
    run_dir = default_run_dir(config.name) if out is None else Path(out)
    check_registered(config)
    saved_config = to_dict(config)  # refuses what could not be read again, such as NaN, before anything is written
    run = _build(config, devices, processes)
    replica_schedules(config)  # refuses invalid schedules before anything is written
    trackers = choose_trackers(track)
    params = initial_params(config, run)
    _check_unused(run_dir)
    started_in = start_record(agent_names(config), run_dir)
    _check_extensions(run)
    with RunLock(run_dir) as lock:
        _check_unused(run_dir)  # another process may have been quicker
        hashes = checkpoint_hashes(config)
        loop = _TrainLoop(run, lock, devices, quiet, stop_after, on_update, processes, hashes)
        saved = {"rookery": __version__, THREADS_KEY: thread_count(), "config": saved_config}
        save_trackers(run_dir, dict.fromkeys(trackers))
        hashes = hashes | initial_hashes(config)
        saved |= started_in
        write_json(run_dir / CONFIG_FILE, saved | ({CHECKPOINT_HASHES_KEY: hashes} if hashes else {}))
        return loop.execute(_init_state(run, params), resume_at=None)


def resume(
    run_dir: Path | str,
    *,
    devices: list[Any] | None = None,
    quiet: bool = False,
    stop_after: float | None = None,
    on_update: OnUpdate | None = None,
    restart: bool = False,
    processes: ProcessGroup = ONE_PROCESS,
) -> TrainResult:
    """Continue a run from its newest valid checkpoint, to the same numbers as if it had never stopped.

    They are the same if sums are split over as many threads as when it was started (`devices.thread_count`), which
    `rookery resume` takes care of, and under the same XLA_FLAGS; here notes say if they are not.

    Args:
      restart: train from the beginning if none of its checkpoints is valid any more; what is there is kept in a folder
        `before-restart-1` in the run's.
      processes: as for `train`; there may be more or fewer than before.
    Raises: NotFoundError if there is no run, or it had checkpoints and has no valid one, without `restart`; ConfigError
      if there is a valid one, with `restart`; CorruptFileError if its configuration is unreadable; IncompatibleError if
      the folder holds clones, its checkpoint is of another configuration, or a trained agent that it uses has changed;
      else as `train`.
    """
    _check_loop_arguments(devices, stop_after, on_update)
    config, run_dir = load_config(run_dir), Path(run_dir)
    find = AgentFinder.of_run(run_dir)
    check_checkpoint_hashes(run_dir, config)
    run = _build(config, devices, processes, find)
    _check_extensions(run)
    with RunLock(run_dir) as lock:
        notes = machine_notes(run_dir, devices)
        like = jax.eval_shape(run.init)
        restored = restore_run(run_dir, like, config.checkpoint_interval, restart, notes.append, wrong_update)
        if restored is None:
            _check_hashes(run_dir, initial_hashes(config, find))
        num_updates, state = restored or (0, _init_state(run, initial_params(config, run, find)))
        hashes = checkpoint_hashes(config, find)
        loop = _TrainLoop(run, lock, devices, quiet, stop_after, on_update, processes, hashes)
        return loop.execute(state, resume_at=num_updates, notes=notes)


def _build(config: RunConfig, devices: list[Any] | None, processes: ProcessGroup, find: FindAgent = str) -> Run:
    """The run, for which there is enough memory. Raises: as `build`; ConfigError."""
    with extension_failures_named(configured_parts(config)):
        run = build(config, find)
        if processes.num_processes == 1:  # of several, each checks its own part (`ReplicaUpdates`)
            check_memory(config, devices)
    return run


def _check_extensions(run: Run) -> None:
    episodes = run.config.eval_episodes
    check_extensions(run, (lambda state: RunEvaluator(run, episodes).trace(state.learners)) if episodes else None)


def _check_loop_arguments(devices: Any, stop_after: Any, on_update: Any) -> None:
    """Raises ConfigError for arguments of `train` and `resume` of another type."""
    check_type("devices", devices, (list, tuple, type(None)), "a list of JAX devices or None")
    for number, device in enumerate(devices or ()):
        check_type(f"devices[{number}]", device, jax.Device, "a JAX device, as jax.devices() has them")
        if device.platform != (default := jax_devices()[0].platform):  # for which networks choose their programs
            raise ConfigError(
                f"devices[{number}] is a {device.platform} device, and JAX computes on {default} ones; set "
                f"JAX_PLATFORMS={device.platform}, and leave devices out"
            )
    check_stop_after(stop_after)
    if on_update is not None:
        check_callable("on_update", on_update, "a function of (num_updates, saved) or None")


def default_run_dir(name: str) -> Path:
    """The folder of a run for which no folder is given. Raises ConfigError for a name that leads out of `RUNS_DIR`."""
    parts = Path(name).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise ConfigError(
            f"name {name!r} is not that of a folder in {RUNS_DIR}; choose another, or give the folder (out)"
        )
    return RUNS_DIR / name


def _check_unused(run_dir: Path) -> None:
    if path_exists(run_dir / CONFIG_FILE):
        raise ConfigError(f"{run_dir} already holds a run; continue it with 'rookery resume', or use another name")
    check_no_results(run_dir)


def load_config(run_dir: Path | str, name: str = CONFIG_FILE) -> RunConfig:
    """The configuration that a run was started with.

    Raises: NotFoundError, CorruptFileError, IncompatibleError for the folder of clones, or ConfigError for what is no
      path.
    """
    check_path_type("run", run_dir)
    path = Path(run_dir) / name
    if not path_exists(path):
        raise no_run(run_dir, name)
    data = load_json(path, CorruptFileError)
    if isinstance(data, dict) and "clone" in data:
        raise holds_clones(run_dir)
    if not isinstance(data, dict) or "config" not in data:
        raise CorruptFileError(f"{path} is not a run's configuration")
    try:
        return from_dict(RunConfig, data["config"])
    except ConfigError as error:
        raise CorruptFileError(f"{path}: {error}") from None


def check_checkpoint_hashes(run_dir: Path, config: RunConfig) -> None:
    """Check that the trained agents a run uses are those it was started with.

    Raises: ChangedAgentError if one has changed, because the run's numbers would change; NotFoundError if one is gone.
    """
    _check_hashes(run_dir, checkpoint_hashes(config, AgentFinder.of_run(run_dir)))


def _check_hashes(run_dir: Path, hashes: dict[str, str]) -> None:
    """Compare digests by agent with those that a run has saved."""
    saved = load_json(run_dir / CONFIG_FILE, CorruptFileError).get(CHECKPOINT_HASHES_KEY, {})
    if not isinstance(saved, dict) or not all(isinstance(digest, str) for digest in saved.values()):
        raise CorruptFileError(f"{run_dir / CONFIG_FILE}: {CHECKPOINT_HASHES_KEY!r} must be SHA-256 digests by agent")
    for name, digest in hashes.items():
        if digest != saved.get(name, digest):
            raise ChangedAgentError(
                f"{run_dir} was started with an agent {name} of SHA-256 {saved[name][:12]}…, which is {digest[:12]}… "
                "now; put the old one back, or start another run"
            )


def load_state(run_dir: Path | str) -> tuple[Run, TrainState]:
    """A run and its state from the newest valid checkpoint. Nothing is trained or written.

    Raises: NotFoundError if there is no run or no checkpoint; else as `resume`.
    """
    run = build(load_config(run_dir), AgentFinder.of_run(run_dir))
    folder, like = Path(run_dir) / CHECKPOINTS_DIR, jax.eval_shape(run.init)
    return run, checkpoint.restore_latest(folder, like, lambda note: None, wrong_update)[1]


def load_learners(run_dir: Path | str, variant: str | None = None, seed: int | None = None) -> tuple[Run, Any, str]:
    """A run, the learners of one replica from its newest valid checkpoint, and a description of that replica.

    Args:
      variant, seed: None is the run's first.
    Raises: NotFoundError if there is no run, checkpoint or such replica; else as `resume`. Nothing is trained.
    """
    config = load_config(run_dir)
    variant = config.variants[0].name if variant is None else variant
    seed = config.seed if seed is None else seed
    if (variant, seed) not in config.replicas:
        available = ", ".join(f"{name} {number}" for name, number in config.replicas)
        raise NotFoundError(f"{run_dir} has no variant {variant!r} with seed {seed}; it has: {available}")
    run, state = load_state(run_dir)
    number = config.replicas.index((variant, seed))
    learners = jax.tree.map(lambda x: jax.numpy.asarray(x[number]), state.learners)
    params = jax.tree.map(lambda x: x[number], run.replica_params)
    run = dataclasses.replace(run, frozen_params={**run.frozen_params, **params}, replica_params={})
    steps = int(state.num_updates[number]) * config.steps_per_update
    return run, learners, f"{config.name}, {variant}, seed {seed}, {steps:,} steps"


def _init_state(run: Run, initial: dict[str, Any]) -> TrainState:
    """Untrained learners, with `initial` policy parameters of some groups in every replica and slot."""
    state = run.init()
    learners = dict(state.learners)
    for group in run.team.learning_groups:
        if group.name in initial:
            learner = learners[group.name]
            params = jax.tree.map(
                lambda old, new: jax.numpy.broadcast_to(new, old.shape), learner.params["policy"], initial[group.name]
            )
            learners[group.name] = group.learner.load_pretrained(learner, params)
    return state.replace(learners=learners)


class _TrainLoop:
    """Runs updates; between them writes metrics, and at intervals a checkpoint with its evaluation."""

    def __init__(
        self,
        run: Run,
        lock: RunLock,
        devices: list[Any] | None,
        quiet: bool,
        stop_after: float | None,
        on_update: OnUpdate | None,
        processes: ProcessGroup,
        hashes: dict[str, str],
    ) -> None:
        self.run, self.config, self.lock, self.run_dir = run, run.config, lock, lock.run_dir
        self.quiet, self.stop_after, self.on_update = quiet, stop_after, on_update
        self.processes, self.updates = processes, ReplicaUpdates(run, devices, processes, hashes)
        self._devices = devices
        self.start_time = time.monotonic()
        self.seconds = 0.0  # of all sessions, up to the last update
        self.earlier_seconds = 0.0  # of earlier sessions
        self.steps_per_update = self.config.steps_per_update * len(self.config.replicas)

    def execute(self, state: TrainState, resume_at: int | None, notes: Iterable[str] = ()) -> TrainResult:
        config, done = self.config, resume_at or 0
        updates, processes = self.updates, self.processes
        total_steps = config.total_updates * self.steps_per_update
        with (
            MetricsWriter(self.run_dir, resume_at, self._trackers()) as metrics_writer,
            Progress(
                total_steps,
                config.name,
                self.quiet,
                num_replicas=len(config.replicas),
                initial_steps=done * self.steps_per_update,
            ) as progress,
            StopSignal() as stop_signal,
        ):
            for note in notes:
                progress.note(note)
            if done:
                rows = read_metrics(self.run_dir)
                self.seconds = self.earlier_seconds = training_seconds(self.run_dir, rows)
                # The session may have been killed between its checkpoint and these.
                checkpoint.keep_newest(self.run_dir / CHECKPOINTS_DIR, done, config.max_checkpoints)
                self._publish(state, done, self._recorded_machines() or self._machines())
            updates.start(*processes.scatter(done, state))
            del state  # from here on `updates` has it
            if done < config.total_updates:
                compile_start = time.monotonic()
                with progress.during("compiling"):
                    updates.compile()
                compile_seconds = time.monotonic() - compile_start
            stopping = processes.decide(stop_signal.requested)
            update_end = time.monotonic()
            while done < config.total_updates and not stopping:
                update_start = update_end if updates.is_ahead else time.monotonic()
                metrics = processes.gather(updates.step(self._starts_next(done + 1, stop_signal)))
                update_end = time.monotonic()
                done += 1
                check_finite_metrics(self.run, metrics, done)
                row = self._metrics_by_variant(metrics) | {
                    "time/steps_per_second": self.steps_per_update / (update_end - update_start),
                    "time/compile_seconds": compile_seconds,
                }
                due = config.has_checkpoint(done)
                if due and updates.evaluates:
                    with progress.during("evaluating"):
                        evaluation = processes.gather(updates.evaluate())
                    row["evaluation"] = self._eval_metrics_by_variant(evaluation)
                    if warning := dead_loss_warning(config, row["evaluation"], done):
                        progress.note(warning)
                self.seconds = row["time/seconds"] = self.earlier_seconds + time.monotonic() - self.start_time
                # Read once: a stop requested after this line takes effect, with a checkpoint, after the next update; so
                # does one that was requested when that update had been started.
                stopping = not updates.is_ahead and (self._asked_to_stop(stop_signal) or self._out_of_time())
                saves = processes.decide(due or stopping)
                if saves:
                    state = processes.gather(updates.state_on_host())
                self.lock.check()
                metrics_writer.write(done, done * config.steps_per_update, row)
                if saves:
                    metrics_writer.sync()  # before the checkpoint that makes these lines final
                    self._save(state, done)
                    stopping = stopping or stop_signal.requested
                stopping = processes.decide(stopping)
                progress.update(done * self.steps_per_update, self._progress_metrics(metrics))
                if self.on_update is not None:
                    self.on_update(done, saves)
        return TrainResult(self.run_dir, done, done == config.total_updates, self.seconds, updates.state, self.run)

    def _starts_next(self, done: int, stop_signal: StopSignal) -> bool:
        """Whether the update after the first `done` starts before the metrics of these are read, so that a GPU does not
        wait for the host. Not where their state is needed: at a checkpoint and at a stop."""
        return (
            self.updates.overlaps
            and self.processes.num_processes == 1
            and not self.config.has_checkpoint(done)
            and not self._asked_to_stop(stop_signal)
            and not self._out_of_time()
        )

    def _asked_to_stop(self, stop_signal: StopSignal) -> bool:
        return stop_signal.requested or self.processes.stop_requested

    def _trackers(self) -> RunTrackers:
        config = self.config
        seeds = range(config.seed, config.seed + config.num_seeds)
        return RunTrackers(self.run_dir, config.name, to_dict(config), seeds)

    def _out_of_time(self) -> bool:
        return self.stop_after is not None and time.monotonic() - self.start_time > self.stop_after

    def _save(self, state: TrainState, done: int) -> None:
        has_checkpoints = bool(checkpoint.saved_updates(self.run_dir / CHECKPOINTS_DIR))
        check_finite_params(self.run, state, done, has_checkpoints=has_checkpoints)
        self.lock.check()
        checkpoint.save(self.run_dir / CHECKPOINTS_DIR, done, state, max_checkpoints=self.config.max_checkpoints)
        self._publish(state, done, self._machines())

    def _publish(self, state: TrainState, done: int, machines: dict[str, Any]) -> None:
        """Write what other programs read of a run: its agents, how far it is, and the machines that trained it."""
        self._export_agents(state, done)
        status = {
            "num_updates": done,
            "total_updates": self.config.total_updates,
            "steps": done * self.config.steps_per_update,
            "seconds": round(self.seconds, 1),
            **machines,
        }
        write_json(self.run_dir / STATUS_FILE, status)

    def _machines(self) -> dict[str, Any]:
        """For the status: this machine, and all that trained the run; it may have been stopped on another one."""
        machine = machine_info(self._devices)
        trained_here = self.processes.machines(self.config.replicas, machine)
        earlier = [entry for entry in self._recorded_machines().get("machines", []) if entry not in trained_here]
        return {"machine": machine, "machines": [*earlier, *trained_here]}

    def _recorded_machines(self) -> dict[str, Any]:
        """The part of the run's status that names machines; empty if it has none yet, or a damaged one."""
        try:
            status = read_status(self.run_dir)
        except (NotFoundError, CorruptFileError):
            return {}
        return {"machine": status["machine"], "machines": status_machines(status)}

    def _export_agents(self, state: TrainState, done: int) -> None:
        """Every learning agent as a file that `eval`, `replay` and other runs can load."""
        for group in self.run.team.learning_groups:
            for number, (variant, seed) in enumerate(self.config.replicas):
                for index, slot in enumerate(group.slots):
                    params = jax.tree.map(
                        lambda x, n=number, i=index: np.asarray(x[n, i]), state.learners[group.name].params["policy"]
                    )
                    card = {
                        "name": agent_name(self.config, variant, seed, group.name, slot),
                        "task": to_dict(self.config.task),
                        "slot": slot,
                        "seed": seed,
                        **self._partners(seed),
                        "steps": done * self.config.steps_per_update,
                        "rookery": __version__,
                    }
                    path = self.run_dir / AGENTS_DIR / agent_file(variant, seed, group.name, slot)
                    save_agent(path, group.policy, params, card)  # type: ignore[arg-type] (learners train no other)

    def _partners(self, seed: int) -> dict[str, Any]:
        """Of a card: the agents that did not learn, as `eval --partners` names them; None if all learned."""
        partners = [entry for entry in self.config.team if entry.learner is None]
        labels = {entry.name: entry.policy.label.replace(SEED_PLACEHOLDER, str(seed)) for entry in partners}
        kinds = list(dict.fromkeys(labels.values()))
        if len(kinds) < 2:
            return {"partners": kinds[0] if kinds else None}
        by_slot = {str(slot): labels[entry.name] for entry in partners for slot in entry.slots}
        return {"partners": ", ".join(kinds), "partners_by_slot": by_slot}

    def _replicas_of(self, number: int) -> slice:
        """The replicas of a variant."""
        return slice(number * self.config.num_seeds, (number + 1) * self.config.num_seeds)

    def _metrics_by_variant(self, metrics: dict) -> dict[str, Any]:
        """{variant: {agent: {name: one value per seed}}}, and the variant's own under its name."""
        names, values = slot_names(self.config), {}
        for number, variant in enumerate(self.config.variants):
            replicas = self._replicas_of(number)
            part = jax.tree.map(lambda x, r=replicas: x[r], metrics)
            entry: dict[str, Any] = {name: part[name] for name in ("social_episode_prob", "env_params")}
            for name, value in part["agents"].items():
                for slot, agent in enumerate(names):
                    entry.setdefault(agent, {})[name] = value[:, slot]
            for group in self.run.team.learning_groups:
                for index, slot in enumerate(group.slots):
                    for name, value in part[group.name].items():
                        entry[names[slot]][name] = value[:, index] if value.ndim > 1 else value
            values[variant.name] = entry
        return values

    def _eval_metrics_by_variant(self, metrics: dict) -> dict[str, Any]:
        """{variant: {agent: {condition: {name: one value per seed}}}} of the learning agents."""
        names, values = slot_names(self.config), {}
        widening = metrics.pop("widening", None)
        for number, variant in enumerate(self.config.variants):
            entry = values.setdefault(variant.name, {})
            if widening is not None:
                entry["widening"] = jax.tree.map(lambda x, n=number: x[self._replicas_of(n)], widening)
            for index, slot in enumerate(self.run.team.learning_slots):
                entry[names[slot]] = {
                    condition: {name: value[self._replicas_of(number), index] for name, value in part.items()}
                    for condition, part in metrics.items()
                }
        return values

    def _progress_metrics(self, metrics: dict) -> dict[str, float]:
        """The few numbers worth showing while training: mean return of each learning agent, by variant."""
        names, shown = slot_names(self.config), {}
        for number, variant in enumerate(self.config.variants):
            returns = metrics["agents"]["return"][self._replicas_of(number)]
            for slot in self.run.team.learning_slots:
                label = names[slot] if len(self.config.variants) == 1 else f"{names[slot]} ({variant.name})"
                finite = returns[:, slot][np.isfinite(returns[:, slot])]  # NaN for an agent that was in no episode
                shown[f"return {label}"] = float(finite.mean()) if finite.size else float("nan")
        return shown


def agent_file(variant: str, seed: int, group: str, slot: int) -> str:
    """Name of an exported agent in a run's `agents` folder."""
    return f"{variant}-seed{seed}-{group}-{slot}.safetensors"


def agent_name(config: RunConfig, variant: str, seed: int, group: str, slot: int) -> str:
    """What the card of an exported agent calls it."""
    return f"{config.name} {variant} seed {seed} {group} (slot {slot})"
