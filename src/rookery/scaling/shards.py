"""A study in shards: the Kth of N equal parts, for any scheduler that starts the same command N times."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rookery.errors import ConfigError, CorruptFileError, StorageError, explain_failure
from rookery.scaling.tasks import (
    MeasureTask,
    Outcome,
    TrainTask,
    chains,
    check_begun,
    is_done,
    join_finished,
    measure_tasks,
    missing_start,
    train_tasks,
)
from rookery.storage.atomic import create_once, is_filled, refuse_link
from rookery.storage.serialization import load_json
from rookery.studies.frozen_evaluation import measure_or_load
from rookery.studies.session import STUDIES_DIR, Session
from rookery.studies.study import Study
from rookery.training.run_parts import part_dir, train_part

SHARDS_DIR = "shards"

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The `number`th, from 1, of `count` shards."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From 'K/N'. Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(f"shard={text!r} must be K/N with K from 1 to N, such as 3/20")
        return cls(int(match[1]), int(match[2]))

    def of(self, items: list[Item]) -> list[Item]:
        """This shard's items: every Nth one, from the Kth on."""
        return items[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def agree_on_shards(study: Study, session: Session, shard: Shard) -> None:
    """Check that all shards of a study are of the same number.

    Raises: ConfigError if the study was begun with another number; StorageError if the disk refuses.
    """
    refuse_link(shards_file(study, session).parent)
    create_once(shards_file(study, session), json.dumps({"num_shards": shard.count}))
    check_shards(study, session, shard)


def check_shards(study: Study, session: Session, shard: Shard) -> None:
    """`agree_on_shards` without recording anything: nothing is wrong while no number is recorded."""
    path = shards_file(study, session)
    if not is_filled(path):
        return
    recorded = load_json(path, CorruptFileError)
    recorded = recorded.get("num_shards") if isinstance(recorded, dict) else None
    if type(recorded) is not int:
        raise CorruptFileError(f"{path} is damaged: it names no number of shards; remove it when no shard is running")
    if recorded != shard.count:
        raise ConfigError(
            f"{study.name} was begun in {recorded} shards, and shards of {shard.count} would overlap with them: use "
            f"--shard K/{recorded}, or remove {path} when no shard is running"
        )


def shards_file(study: Study, session: Session) -> Path:
    """Where the number of a study's shards is recorded."""
    name = f"{study.name}-{session.budget}-seeds-{session.seed}-to-{session.seed_range[-1]}.json"
    return session.runs_dir / STUDIES_DIR / SHARDS_DIR / name.replace("/", "-")


def shard_tasks(study: Study, session: Session, shard: Shard, replicas_per_task: int) -> list[TrainTask]:
    """The shard's training. Tasks that start from others are in the same shard as those, so no shard waits."""
    return [task for chain in shard.of(chains(train_tasks(study, session, replicas_per_task))) for task in chain]


def run_shard(
    study: Study, session: Session, shard: Shard, replicas_per_task: int, log: Callable[[str], None]
) -> Outcome:
    """Train a shard's tasks; if all the study's training is finished by then, measure its part of the agents.

    `begin_split` and `agree_on_shards` come first. A task that fails is missing, and the others are trained all the
    same. Raises: StorageError, with which the other tasks would meet too: the disk refuses, or another process trains
    one of these tasks; ConfigError if what is there is of another configuration.
    """
    everything = train_tasks(study, session, replicas_per_task)
    check_begun(study, session, everything)
    tasks = shard_tasks(study, session, shard, replicas_per_task)
    if not tasks:
        log(f"shard {shard} has nothing to train: there are fewer independent tasks than shards")
    outcome = _train(tasks, session, log)
    if outcome.stopped:
        return outcome
    unfinished = [task.label for task in everything if not is_done(task, session) and task.label not in outcome.missing]
    if unfinished:
        state = "not complete" if outcome.missing else "trained"
        log(
            f"shard {shard} is {state}; {len(unfinished)} of {len(everything)} tasks "
            f"of other shards are not: {_shortened(unfinished)}"
        )
    if unfinished or outcome.missing:
        return outcome
    join_finished(study, session, everything, log)
    for task in shard.of(measure_tasks(study, session, agents_per_task=1)):
        measure(task, session, log)
    log(f"the study is trained; `rookery reproduce {study.name}` without --shard measures what is left and judges")
    return outcome


def _train(tasks: list[TrainTask], session: Session, log: Callable[[str], None]) -> Outcome:
    """Train tasks one after another, whichever of them fail."""
    outcome = Outcome()
    for task in tasks:
        if is_done(task, session):
            log(f"{task.label}: finished before")
            continue
        if lost := [other.label for other in tasks if task.depends_on(other) and other.label in outcome.missing]:
            outcome.missing[task.label] = missing_start(lost)
            continue
        folder = part_dir(session.run_dir(task.run), task.part)
        log(f"{task.label}: {task.part.num_replicas} agents in {folder}")
        config = session.run_config(task.run)
        try:
            if not train_part(config, task.part, folder, quiet=session.quiet, stop_after=session.seconds_left):
                outcome.stopped = True
                break
        except StorageError:
            raise
        except Exception as error:
            if (explained := explain_failure(error)) is None:
                raise
            outcome.missing[task.label] = str(explained)
            log(f"{task.label} failed: {explained}")
    return outcome


def measure(task: MeasureTask, session: Session, log: Callable[[str], None]) -> None:
    """Measure agents in this process and store the measurements."""
    log(f"measures {task.label}")
    for agent, seed in task.agents:
        measure_or_load(session.evaluator(task.eval_condition), agent, seed, session.measurements_dir)


def _shortened(labels: list[str], most: int = 5) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")
