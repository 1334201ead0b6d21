"""What a study will take, measured and not guessed: each of its runs trains for some seconds and is continued later."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from rookery.errors import CorruptFileError, NotFoundError
from rookery.storage.metrics import read_metrics
from rookery.storage.run_files import CONFIG_FILE, read_status
from rookery.studies.session import Session
from rookery.studies.study import Study
from rookery.studies.training_run import TrainingRun
from rookery.training.continue_run import is_finished, train_or_resume
from rookery.training.run_parts import read_split
from rookery.training.stop_signal import StopSignal
from rookery.training.trainer import CHECKPOINTS_DIR

MEASURED_SECONDS = 10.0
"""Per run, compiling included; at least one update is done."""


@dataclasses.dataclass(frozen=True)
class RunCost:
    """What is left of one run."""

    name: str
    num_agents: int
    steps: int
    """Environment steps of all agents that are still to do."""
    steps_per_second: float | None
    """Measured; None: it starts from agents that are not trained yet, and takes the study's other runs' rate."""
    disk: int
    """Bytes that it will hold at its end."""


def measure_cost(session: Session, run: TrainingRun, seconds: float = MEASURED_SECONDS) -> RunCost | None:
    """Train a run for some seconds, or as long as one update takes. Returns None for one that is finished,
    or that `rookery.scaling` began in parts.

    The numbers of the run are those of one that was never stopped.
    Raises: as `Session.train`; KeyboardInterrupt if a signal asks to stop.
    """
    config, folder = session.run_config(run), session.run_dir(run)
    is_divided = not (folder / CONFIG_FILE).exists() and read_split(folder) is not None
    if is_finished(folder) or is_divided:
        return None
    replicas = len(config.replicas)
    total = config.total_updates * config.steps_per_update * replicas
    if run.init_from is not None and not is_finished(session.run_dir(run.init_from.run)):
        return RunCost(run.name, replicas, total, None, 0)
    if session.seconds_left is not None:
        seconds = min(seconds, session.seconds_left)
    with StopSignal() as stop_signal:
        finished = train_or_resume(config, folder, quiet=True, stop_after=seconds)
    if stop_signal.requested:
        raise KeyboardInterrupt
    if finished:
        return None
    rows = read_metrics(folder)
    rates = sorted(rate for row in rows if isinstance(rate := row.get("time/steps_per_second"), int | float))
    checkpoints = sorted((folder / CHECKPOINTS_DIR).iterdir())
    disk = _size(folder) + _size(checkpoints[-1]) * max(0, config.max_checkpoints - len(checkpoints))
    rate = rates[len(rates) // 2] if rates else None
    return RunCost(run.name, replicas, total - _steps_done(folder) * replicas, rate, disk)


def show_cost(study: Study, session: Session, log: Callable[[str], None], seconds: float = MEASURED_SECONDS) -> None:
    """Measure every run that is not finished, and say what all of them will take on this machine.

    What conditions train besides, such as generations, is named and not measured. Raises: as `AgentSource.validate`,
    before anything is trained; as `measure_cost`.
    """
    for condition in study.conditions:
        condition.agents.validate(session)
    costs = []
    for run in study.runs:
        if session.seconds_left == 0.0:  # what a time limit cuts off is not measured
            return
        if (cost := measure_cost(session, run, seconds)) is not None:
            costs.append(cost)
    if costs:
        _show_runs(costs, session, log)
    others: dict[str, str] = {}
    for condition in study.conditions:
        others |= condition.agents.left_to_prepare(session)
    for name, text in others.items():
        log(f"{'plus ' if costs else ''}{name}: {text}, not measured")


def _show_runs(costs: list[RunCost], session: Session, log: Callable[[str], None]) -> None:
    measured = [cost.steps_per_second for cost in costs if cost.steps_per_second]
    fallback = sum(measured) / len(measured) if measured else None
    hours = 0.0
    for cost in costs:
        rate = cost.steps_per_second or fallback
        line = f"{cost.name}: {cost.num_agents} agents, {cost.steps / 1e6:,.1f}M steps to do"
        if rate:
            hours += cost.steps / rate / 3600
            line += f", {rate:,.0f} steps/s, {_format_hours(cost.steps / rate / 3600)}"
            line += "" if cost.steps_per_second else " (at the other runs' rate)"
        log(f"{line}, {cost.disk / 2**20:,.0f} MiB of disk")
    disk, free = sum(cost.disk for cost in costs), shutil.disk_usage(session.runs_dir).free
    steps = sum(cost.steps for cost in costs)
    log(
        f"in all {steps / 1e6:,.1f}M steps, {_format_hours(hours)} of training on this machine as busy as it is now, "
        f"{disk / 2**20:,.0f} MiB of disk ({free / 2**20:,.0f} MiB are free); evaluation comes on top"
    )


def _steps_done(folder: Path) -> int:
    """Environment steps of one agent."""
    try:
        return read_status(folder)["steps"]
    except (NotFoundError, CorruptFileError):
        return 0


def _size(path: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _format_hours(hours: float) -> str:
    return (
        f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
    )
