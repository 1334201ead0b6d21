"""What a study consists of, in tasks that can run anywhere: parts of its training runs, and measurements of agents.

The tasks are a plain function of the study, its budget and its seeds: every process computes the same list.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from rookery.errors import ConfigError, CorruptFileError, NotFoundError
from rookery.storage.atomic import refuse_link
from rookery.storage.run_files import CONFIG_FILE
from rookery.studies.frozen_evaluation import ConditionEvaluator, EvaluatedAgent, TeamEvalCondition
from rookery.studies.session import Session
from rookery.studies.study import Study
from rookery.studies.training_run import TrainingRun
from rookery.training.continue_run import check_same_config, is_finished
from rookery.training.devices import expected_threads
from rookery.training.join_parts import join_parts
from rookery.training.run_parts import (
    RunPart,
    Split,
    agree_on_split,
    check_begun_parts,
    check_recorded_split,
    check_replicas_per_part,
    part_dir,
    read_split,
    split_run,
)

_logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Outcome:
    """How tasks ended."""

    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    """Tasks that failed, with the reason."""
    stopped: bool = False
    """Whether the time limit was reached, or a signal asked to stop."""


@dataclasses.dataclass(frozen=True)
class TrainTask:
    """A part of a run: one or more replicas."""

    run: TrainingRun
    part: RunPart

    @property
    def label(self) -> str:
        return f"{self.run.name}/{self.part.name}"

    def depends_on(self, other: TrainTask) -> bool:
        """Whether a replica of this task starts from an agent that the other trains."""
        source = self.run.init_from
        return (
            source is not None
            and source.run.name == other.run.name
            and source.variant in other.part.variants
            and bool({*self.part.seeds} & {*other.part.seeds})
        )


@dataclasses.dataclass(frozen=True)
class MeasureTask:
    """Measurements of some frozen agents in one evaluation condition."""

    eval_condition: TeamEvalCondition
    agents: tuple[tuple[EvaluatedAgent, int], ...]
    """With the seed of their evaluation episodes."""
    label: str


def train_tasks(study: Study, session: Session, replicas_per_task: int) -> list[TrainTask]:
    """Every part of every run that the study needs; a task comes after those that it depends on."""
    return [
        TrainTask(run, part) for run in study.runs for part in split_run(session.run_config(run), replicas_per_task)
    ]


def chains(tasks: list[TrainTask]) -> list[list[TrainTask]]:
    """The tasks in groups that do not depend on each other, in their order."""
    groups: list[list[TrainTask]] = []
    for task in tasks:
        related = [group for group in groups if any(task.depends_on(other) for other in group)]
        merged = [other for group in related for other in group]
        groups = [group for group in groups if group not in related]
        groups.append([*merged, task])
    order = {id(task): number for number, task in enumerate(tasks)}
    return sorted(groups, key=lambda group: order[id(group[0])])


def measure_tasks(study: Study, session: Session, agents_per_task: int) -> list[MeasureTask]:
    """Every measurement of the study, but for agents that are not there yet because `AgentSource.prepare` makes them.

    Raises: CorruptFileError for a trained agent that cannot be loaded.
    """
    tasks = []
    for eval_condition in study.eval_conditions:
        for condition in study.conditions:
            if condition.eval_conditions is not None and eval_condition not in condition.eval_conditions:
                continue
            try:
                agents = condition.agents.evaluated_agents(session)
            except NotFoundError:
                continue
            seeded = tuple((agent, session.seed if agent.seed is None else agent.seed) for agent in agents)
            tasks += [
                MeasureTask(
                    eval_condition, seeded[i : i + agents_per_task], f"{condition.label} in {eval_condition.name}"
                )
                for i in range(0, len(seeded), agents_per_task)
            ]
    return tasks


def measurement_path(session: Session, evaluator: ConditionEvaluator, agent: EvaluatedAgent, seed: int) -> Path:
    """File of a measurement."""
    return session.measurements_dir / f"{evaluator.measurement_key(agent, seed)}.json"


def check_split(study: Study, session: Session, replicas_per_task: int) -> None:
    """Check that every run of the study that is not trained yet can be divided like this. Writes nothing.

    Raises: ConfigError if a run was divided otherwise, or is being trained by one process, or for fewer than one
      replica; StorageError if the folder of one is a symbolic link; CorruptFileError.
    """
    check_replicas_per_part(replicas_per_task)
    for run in study.runs:
        folder = session.run_dir(run)
        if is_finished(folder):
            continue
        refuse_link(folder)
        if (folder / CONFIG_FILE).exists():
            raise ConfigError(
                f"{folder} holds a run that one process began; finish it with `rookery reproduce` without --shard and "
                "--ray, or remove it"
            )
        check_recorded_split(folder, replicas_per_task)


def begin_split(study: Study, session: Session, replicas_per_task: int, num_cores: int | None = None) -> int:
    """Record how every run of the study that is not trained yet is divided. Call before JAX starts.

    Args:
      num_cores: CPU cores that one process of this study uses; None: all.
    Returns: the number of threads over which XLA must split sums in every process of this study: that of its first run
      that is not finished.
    Raises: as `check_split` and `agree_on_split`, before anything is recorded of any run.
    """
    check_split(study, session, replicas_per_task)
    threads = None
    for run in study.runs:
        folder = session.run_dir(run)
        if is_finished(folder):
            continue
        wanted = Split(replicas_per_part=replicas_per_task, num_threads=threads or expected_threads(num_cores))
        recorded = agree_on_split(folder, wanted).num_threads
        threads = threads or recorded
        if recorded != threads:
            _logger.warning(
                "%s was divided for sums over %d threads, and %d are used, as for the study's first run: last bits of "
                "its parts may differ from each other", folder.name, recorded, threads,
            )  # fmt: skip
    return threads or expected_threads(num_cores)


def split_threads(study: Study, session: Session) -> int | None:
    """The threads that `begin_split` recorded for the study's runs; None if no unfinished run is divided.

    Raises: CorruptFileError.
    """
    for run in study.runs:
        folder = session.run_dir(run)
        if not is_finished(folder) and (split := read_split(folder)) is not None:
            return split.num_threads
    return None


def check_begun(study: Study, session: Session, tasks: list[TrainTask]) -> None:
    """Check that every run and every part that has begun is of the study's configuration, before others are trained.

    Raises: ConfigError, naming the folder and what differs.
    """
    for run in study.runs:
        folder, config = session.run_dir(run), session.run_config(run)
        with contextlib.suppress(NotFoundError, CorruptFileError):  # it has not begun; damage is found where it is used
            check_same_config(config, folder)
        check_begun_parts(config, folder, [task.part for task in tasks if task.run.name == run.name])


def join_finished(
    study: Study, session: Session, tasks: list[TrainTask], log: Callable[[str], None]
) -> list[TrainingRun]:
    """Join every run whose parts are all finished. Returns the runs that are not finished.

    Args:
      log: as of `join_parts`.
    Raises: as `join_parts`.
    """
    unfinished = []
    for run in study.runs:
        folder, config = session.run_dir(run), session.run_config(run)
        if is_finished(folder):
            continue
        parts = [task.part for task in tasks if task.run.name == run.name]
        if all(is_finished(part_dir(folder, part)) for part in parts):
            join_parts(config, folder, parts, log)
        else:
            unfinished.append(run)
    return unfinished


def missing_start(labels: list[str]) -> str:
    """Why a task is missing that starts from others that are."""
    return f"starts from {', '.join(labels)}, which is missing"


def is_done(task: TrainTask, session: Session) -> bool:
    """Whether a task, or the whole run that it is a part of, is finished."""
    folder = session.run_dir(task.run)
    return is_finished(folder) or is_finished(part_dir(folder, task.part))
