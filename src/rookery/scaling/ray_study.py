"""A study on a Ray cluster: its training and measurements as tasks that survive the death of workers and of the driver.

Ray starts the tasks where there is room. A task whose worker or node died is started again, and continues from its last
checkpoint; after three deaths it is given up and the others continue. A driver that is started again finds what is
finished on the disk. Tasks run in the driver's folders where the disk is shared; elsewhere a part's files travel, with
every checkpoint, through an actor on the driver's machine (docs/scaling.md).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from rookery.errors import InUseError, NotFoundError, RookeryError, StorageError, typed_text
from rookery.scaling.archives import pack, unpack
from rookery.scaling.ray_cluster import RayOptions, check_nodes, connected, driver_marker, marker_text
from rookery.scaling.ray_worker import (
    FORWARDED_VARIABLES,
    MeasureOrder,
    TaskReport,
    TrainOrder,
    WorkerSetup,
    measure_on_worker,
    own_versions,
    train_on_worker,
)
from rookery.scaling.tasks import (
    MeasureTask,
    Outcome,
    TrainTask,
    check_begun,
    check_split,
    is_done,
    join_finished,
    measure_tasks,
    measurement_path,
    missing_start,
    train_tasks,
)
from rookery.storage.atomic import refuse_link, restore_replaced, write_bytes, write_json
from rookery.storage.run_files import LOG_FILE
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import to_dict
from rookery.studies.session import STUDIES_DIR, Session
from rookery.studies.study import Study
from rookery.training.build import check_run_folder
from rookery.training.memory import format_bytes
from rookery.training.progress import Progress
from rookery.training.run_parts import finished_agent, part_dir, parts_dir, start_agents
from rookery.training.stop_signal import StopSignal

MAX_ATTEMPTS = 3
"""How often a task may die before it is given up."""
RETRY_SECONDS = 5.0
"""Pause before a task whose folder is still in use, by a worker that does not know yet that it is dead, or whose node
is about to go."""
ARRIVAL_SECONDS = 600.0
"""How long a task waits for a folder that a dead worker still locks, on a network disk whose server does not know yet,
and for files that are written and not seen yet."""
AGENTS_PER_TASK = 8
"""Agents that one task measures: the program is compiled once for all of them."""


@dataclasses.dataclass
class RayOutcome(Outcome):
    """How a study's tasks ended on a cluster."""

    reports: dict[str, TaskReport] = dataclasses.field(default_factory=dict)
    deaths: int = 0

    def describe(self) -> str:
        """One line: what the tasks took."""
        reports = self.reports.values()
        seconds, moved = sum(report.seconds for report in reports), sum(report.bytes_moved for report in reports)
        deaths = f"; {self.deaths} died and continued" if self.deaths else ""
        nodes = f"{len({report.node for report in reports})} nodes"
        moved_text = f"moved {format_bytes(moved)} between machines{deaths}"
        return f"{len(reports)} tasks on {nodes} took {seconds:,.0f} s in all and {moved_text}"


class Hub:
    """An actor on the driver's machine: keeps the files of parts that train without its disk, and knows progress.

    Ray starts it again if it dies. Its progress then comes with the next reports, and the driver repeats `stop`.
    """

    def __init__(self, folders: dict[str, str], stop_at: float | None = None) -> None:
        self._stop_at = stop_at
        self._folders = {label: Path(folder) for label, folder in folders.items()}
        self._updates: dict[str, int] = {}
        self._stopping = False

    def report(self, label: str, num_updates: int) -> bool:
        """Called by workers between updates. Returns whether they must save and stop."""
        self._updates[label] = num_updates
        return self._stopping

    def stop(self) -> None:
        """From now on every task is asked to save and stop."""
        self._stopping = True

    def is_stopping(self) -> bool:
        return self._stopping

    def seconds_left(self) -> float | None:
        """Until every task must save and stop, by the clock of the driver's machine; None: no limit."""
        return None if self._stop_at is None else max(0.0, self._stop_at - time.time())

    def updates(self) -> dict[str, int]:
        """Updates of every task that has reported."""
        return self._updates

    def load(self, label: str) -> bytes:
        """A part's files; empty if it has no checkpoint."""
        restore_replaced(self._folders[label])
        return pack(self._folders[label])

    def store(self, label: str, data: bytes) -> None:
        """Put a part's files in its folder."""
        unpack(data, self._folders[label])

    def keep_log(self, label: str, text: bytes) -> None:
        """Put the log of a part that failed in its folder."""
        write_bytes(self._folders[label] / LOG_FILE, text)


def run_on_ray(
    study: Study, session: Session, options: RayOptions, begin: Callable[[], int], log: Callable[[str], None]
) -> RayOutcome:
    """Do everything of a study but judging it. `check_cluster` comes first.

    Args:
      begin: records how the runs are divided, as `begin_split` does, and sets JAX up. Called when the cluster is there
        and fits, and before JAX starts: a refused call must not decide it. Returns the number of threads.
    Raises: as `check_run_folder`, `connected`, `check_nodes`, `check_begun` and `check_split`; StorageError if another
      driver works on one of these runs, the disk refuses, or it does not have what the workers say that they wrote.
    """
    runs_dir = session.runs_dir.resolve()  # workers have working directories of their own
    check_run_folder("runs", runs_dir)
    marker = driver_marker(runs_dir / STUDIES_DIR)
    outcome = RayOutcome()
    with contextlib.ExitStack() as stack:
        for run in study.runs:
            refuse_link(parts_dir(session.run_dir(run)))
            stack.enter_context(RunLock(parts_dir(session.run_dir(run))))
        tasks = train_tasks(study, session, options.replicas_per_task)
        for task in tasks:
            if not is_done(task, session):  # workers would write where a link leads
                refuse_link(part_dir(session.run_dir(task.run), task.part))
        check_begun(study, session, tasks)
        check_split(study, session, options.replicas_per_task)
        ray = stack.enter_context(connected(options))
        stack.callback(marker.unlink, missing_ok=True)
        blind = check_nodes(ray, marker)
        if blind:
            log(f"{blind} nodes do not see {session.runs_dir}: what they train travels to and from this machine")
        setup = WorkerSetup(
            num_cpus=options.num_cpus,
            num_gpus=options.num_gpus,
            num_threads=begin(),
            environment=_environment(),
            marker=str(marker),
            marker_text=marker_text(),
            versions=own_versions(),
            matmul_precision=jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]
        )
        _Training(ray, study, session, options, setup, tasks, outcome).run()
        unfinished = join_finished(study, session, tasks, log)
        if unfinished and not outcome.missing and not outcome.stopped:
            raise StorageError(
                f"every task is trained, but {session.runs_dir} lacks what they wrote of "
                f"{', '.join(run.name for run in unfinished)}; if that is a network disk, run the same command when "
                "its files have arrived"
            )
        if not unfinished and not outcome.stopped:
            outcome.stopped = not all(condition.agents.prepare(session) for condition in study.conditions)
            if not outcome.stopped:
                _Measuring(ray, study, session, options, setup, outcome).run(log)
    if outcome.reports:
        log(outcome.describe())
    return outcome


def _environment() -> dict[str, str]:
    """Variables that workers need as the driver has them; the number of devices they set themselves."""
    from rookery.training.devices import without_own_flags

    values = {name: os.environ[name] for name in FORWARDED_VARIABLES if name in os.environ}
    return values | {"XLA_FLAGS": without_own_flags()}


class _Tasks:
    """Starts tasks and waits for them; those that die start again."""

    def __init__(self, ray: Any, options: RayOptions, outcome: RayOutcome, stop_at: float | None = None) -> None:
        self.ray, self.outcome, self.stop_at = ray, outcome, stop_at
        self.resources = {
            "num_cpus": options.num_cpus,
            "num_gpus": options.num_gpus,
            "max_retries": 0,
            "scheduling_strategy": "SPREAD",
        }
        self.running: dict[Any, tuple[str, Callable[[], Any]]] = {}
        self.waiting: list[tuple[float, str, Callable[[], Any]]] = []  # the earliest moment; to be started again
        self.attempts: dict[str, int] = {}
        self.in_use_since: dict[str, float] = {}

    def start(self, label: str, submit: Callable[[], Any]) -> None:
        self.attempts[label] = self.attempts.get(label, 0) + 1
        self.running[submit()] = (label, submit)

    def wait(self, note: Callable[[str], None], seconds: float = 1.0) -> list[tuple[str, TaskReport]]:
        """The tasks that ended within a moment. Those that died are started again or given up.

        A task that stopped before the time limit was asked to by a signal, as when its node is taken away: it is
        started again too, however often if each attempt does at least one update, which it saves. None is started again
        when the study stops.
        """
        if self.outcome.stopped:
            self.waiting.clear()
        now = time.monotonic()
        for entry in [entry for entry in self.waiting if entry[0] <= now]:
            self.waiting.remove(entry)
            self.start(*entry[1:])
        if not self.running:
            time.sleep(min(seconds, 0.2))
            return []
        ended, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        reports = []
        for ref in ended:
            label, submit = self.running.pop(ref)
            in_use_since = self.in_use_since.pop(label, None)
            try:
                report = self.ray.get(ref)
                if report.finished or self.outcome.stopped or self._out_of_time():
                    reports.append((label, report))
                elif not report.num_updates and self.attempts[label] >= MAX_ATTEMPTS:
                    self._give_up(label, f"stopped {MAX_ATTEMPTS} times before its first update", note)
                else:
                    note(f"{label} was asked to stop on {report.node}; it continues from its last checkpoint")
                    if report.num_updates:
                        self.attempts[label] -= 1
                    self.waiting.append((time.monotonic() + RETRY_SECONDS, label, submit))
            except self.ray.exceptions.RayTaskError as error:
                cause = error.cause
                if isinstance(cause, InUseError):
                    self._wait_for_folder(label, submit, f"{cause}", note, in_use_since)
                elif isinstance(cause, StorageError):
                    self._died(label, submit, f"{cause}", note, RETRY_SECONDS)
                else:
                    reason = str(cause) if isinstance(cause, RookeryError) else typed_text(cause)
                    self._give_up(label, reason, note)
            except self.ray.exceptions.RayError as error:
                reason = (str(error).strip().splitlines() or [""])[0].partition(". ")[0]  # the rest is advice
                self._died(label, submit, f"{type(error).__name__}: {reason}", note, 0.0)
        return reports

    def _out_of_time(self) -> bool:
        return self.stop_at is not None and time.time() >= self.stop_at

    def _wait_for_folder(
        self, label: str, submit: Callable[[], Any], reason: str, note: Callable[[str], None], since: float | None
    ) -> None:
        """Start a task later, without counting it as dead, whose folder is locked. since: when it was first."""
        now = time.monotonic()
        if since is not None and now - since > ARRIVAL_SECONDS:
            self._give_up(label, reason, note)
            return
        if since is None:
            note(f"{label} waits: {reason}")
        self.in_use_since[label] = now if since is None else since
        self.attempts[label] -= 1
        self.waiting.append((now + RETRY_SECONDS, label, submit))

    def _died(self, label: str, submit: Callable[[], Any], reason: str, note: Callable, pause: float) -> None:
        self.outcome.deaths += 1
        if self.attempts[label] >= MAX_ATTEMPTS:
            self._give_up(label, f"died {MAX_ATTEMPTS} times, the last time with: {reason}", note)
        else:
            note(f"{label} died ({reason}); it continues from its last checkpoint")
            self.waiting.append((time.monotonic() + pause, label, submit))

    def _give_up(self, label: str, reason: str, note: Callable[[str], None]) -> None:
        self.outcome.missing[label] = reason
        note(f"{label} is given up: {reason}")

    @property
    def busy(self) -> bool:
        return bool(self.running or self.waiting)


class _Training:
    """The study's training: tasks in the order of their dependencies, and one display for all."""

    def __init__(
        self, ray: Any, study: Study, session: Session, options: RayOptions, setup: WorkerSetup,
        tasks: list[TrainTask], outcome: RayOutcome,
    ) -> None:  # fmt: skip
        self.ray, self.study, self.session, self.setup, self.outcome = ray, study, session, setup, outcome
        self.tasks = {task.label: task for task in tasks}
        self.configs = {run.name: session.run_config(run) for run in study.runs}
        self.folders = {
            label: part_dir(session.run_dir(task.run), task.part).resolve() for label, task in self.tasks.items()
        }
        for folder in self.folders.values():
            restore_replaced(folder)
        self.done = {label for label, task in self.tasks.items() if is_done(task, session)}
        self.queue = [label for label in self.tasks if label not in self.done]
        self.sources = {
            label: [other for other in self.tasks if task.depends_on(self.tasks[other])]
            for label, task in self.tasks.items()
        }
        self.absent_since: dict[str, float] = {}
        limit = session.seconds_left
        self.stop_at = None if limit is None else time.time() + limit
        self.runner = _Tasks(ray, options, outcome, self.stop_at)

    def run(self) -> None:
        if not self.queue:
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

        here = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=False)
        folders = {label: str(folder) for label, folder in self.folders.items()}
        actor = self.ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(Hub)
        hub = actor.remote(folders, self.stop_at)
        remote = self.ray.remote(**self.runner.resources)(train_on_worker)
        updates: dict[str, int] = {}
        total = sum(self._steps(label, self.configs[task.run.name].total_updates) for label, task in self.tasks.items())
        with (
            Progress(total, self.study.name, self.session.quiet, initial_steps=self._steps_done(updates)) as progress,
            StopSignal() as stop_signal,
        ):
            while self.queue or self.runner.busy:
                if stop_signal.requested:
                    self._stop(hub, progress)
                self._start_ready(remote, hub)
                for label, report in self.runner.wait(progress.note):
                    self._ended(label, report, progress)
                updates = self.ray.get(hub.updates.remote())
                progress.update(self._steps_done(updates))
        self.outcome.stopped = self.outcome.stopped or stop_signal.requested
        self.ray.kill(hub)

    def _stop(self, hub: Any, progress: Progress) -> None:
        """Ask every task to save and stop. Called until all have."""
        if not self.outcome.stopped:
            self.outcome.stopped = True
            progress.note("stopping: every task saves after its next update; a second signal ends them at once")
        hub.stop.remote()

    def _start_ready(self, remote: Any, hub: Any) -> None:
        """Start every task whose agents to start from are trained; give up those whose are missing."""
        for label in list(self.queue):
            lost = [other for other in self.sources[label] if other in self.outcome.missing]
            if lost:
                self.queue.remove(label)
                self.outcome.missing[label] = missing_start(lost)
            elif self.outcome.stopped:
                self.queue.remove(label)
            elif all(other in self.done for other in self.sources[label]) and (order := self._order_if_there(label)):
                self.queue.remove(label)
                self.runner.start(label, lambda order=order: remote.remote(order, self.setup, hub))

    def _order_if_there(self, label: str) -> TrainOrder | None:
        """The task's order; None while this disk does not show the agents that it starts from. Those that do not come
        are missing."""
        try:
            return self._order(label)
        except NotFoundError as error:
            since = self.absent_since.setdefault(label, time.monotonic())
            if time.monotonic() - since > ARRIVAL_SECONDS:
                self.queue.remove(label)
                self.outcome.missing[label] = str(error)
            return None

    def _order(self, label: str) -> TrainOrder:
        task = self.tasks[label]
        config = self.configs[task.run.name]
        agents = {name: finished_agent(path).read_bytes() for name, path in start_agents(config, task.part).items()}
        return TrainOrder(
            label=label,
            config=to_dict(config),
            variants=task.part.variants,
            seed=task.part.seed,
            num_seeds=task.part.num_seeds,
            folder=str(self.folders[label]),
            start_agents=agents,
        )

    def _ended(self, label: str, report: TaskReport, progress: Progress) -> None:
        if not report.finished:  # the time limit
            self.outcome.stopped = True
            return
        self.done.add(label)
        self.outcome.reports[label] = report
        left = len(self.tasks) - len(self.done)
        progress.note(f"{label} is trained, in {report.seconds:.0f} s on {report.node}; {left} tasks left")

    def _steps(self, label: str, num_updates: int) -> int:
        task = self.tasks[label]
        return num_updates * self.configs[task.run.name].steps_per_update * task.part.num_replicas

    def _steps_done(self, updates: dict[str, int]) -> int:
        whole = {label: self.configs[self.tasks[label].run.name].total_updates for label in self.done}
        return sum(self._steps(label, number) for label, number in {**updates, **whole}.items())


class _Measuring:
    """The study's measurements that are not stored yet."""

    def __init__(
        self, ray: Any, study: Study, session: Session, options: RayOptions, setup: WorkerSetup, outcome: RayOutcome
    ) -> None:
        self.ray, self.session, self.setup, self.outcome = ray, session, setup, outcome
        self.runner = _Tasks(ray, options, outcome)
        self.tasks = {f"measure {n}: {t.label}": t for n, t in enumerate(self._missing(study))}

    def _missing(self, study: Study) -> list[MeasureTask]:
        left = []
        for task in measure_tasks(study, self.session, AGENTS_PER_TASK):
            agents = tuple(pair for pair in task.agents if not self._path(task, *pair).exists())
            if agents:
                left.append(dataclasses.replace(task, agents=agents))
        return left

    def _path(self, task: MeasureTask, agent: Any, seed: int) -> Path:
        return measurement_path(self.session, self.session.evaluator(task.eval_condition), agent, seed)

    def run(self, log: Callable[[str], None]) -> None:
        remote = self.ray.remote(**self.runner.resources)(measure_on_worker)
        for label, task in self.tasks.items():
            order = self._order(label, task)
            self.runner.start(label, lambda order=order: remote.remote(order, self.setup))
        total, measured = sum(len(task.agents) for task in self.tasks.values()), 0
        while self.runner.busy:
            for label, report in self.runner.wait(log):
                task = self.tasks[label]
                for pair, row in zip(task.agents, report.rows, strict=True):
                    write_json(self._path(task, *pair), row)
                self.outcome.reports[label] = report
                measured += len(report.rows)
                log(f"{task.label}: {measured} of {total} agents are measured")

    def _order(self, label: str, task: MeasureTask) -> MeasureOrder:
        paths = [Path(p.checkpoint) for agent, _ in task.agents for p in agent.policies if p.checkpoint]
        files = {str(file): file.read_bytes() for path in dict.fromkeys(paths) if path.suffix and path.exists()
                 for file in (path, path.with_suffix(".json"))}  # fmt: skip
        return MeasureOrder(
            label=label,
            eval_condition=task.eval_condition,
            agents=task.agents,
            budget=self.session.budget,
            eval_episodes=self.session.eval_episodes,
            agent_files=files,
        )
