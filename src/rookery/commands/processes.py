"""What `rookery train` and `rookery resume` do as one of several processes of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rookery.commands.options import use_cores
from rookery.errors import STOPPED_EXIT_CODE, ConfigError
from rookery.scaling.launch import Launch

if TYPE_CHECKING:
    from rookery.commands.resume import ResumeCommand
    from rookery.commands.train import TrainCommand
    from rookery.training.agent_paths import FindAgent
    from rookery.training.config import RunConfig
    from rookery.training.process_group import ProcessGroup


MAX_JOIN_TIMEOUT = 1_000_000.0
"""Seconds; the system's own timeouts cannot be of any length."""


def check_join_timeout(seconds: float) -> None:
    """Check an option that also a run in one process may have, as in a script that starts any number of them.

    Raises: ConfigError for a time that no system waits.
    """
    if not 0 < seconds <= MAX_JOIN_TIMEOUT:
        raise ConfigError(f"join_timeout={seconds} must be above 0 and at most {MAX_JOIN_TIMEOUT:,.0f} seconds")


def train_together(
    launch: Launch,
    command: str,
    config: RunConfig | None,
    options: TrainCommand | ResumeCommand,
    run: Callable[[ProcessGroup], int],
) -> int:
    """Train a run with the other processes. Returns 0, or STOPPED_EXIT_CODE before the end.

    Args:
      command: 'train' or 'resume', the same in all processes.
      config: None: process 0 knows it.
      run: trains or continues the run as its process 0, and returns the exit code.
    Raises: as `rookery.scaling.hosts.joined`, `run` and `rookery.training.replica_updates.follow_run`.
    """
    from rookery.scaling.hosts import Proposal, joined
    from rookery.storage.serialization import from_dict, to_dict
    from rookery.training.config import RunConfig
    from rookery.training.replica_updates import follow_run

    proposal = Proposal(
        command=command,
        config=None if config is None else to_dict(config),
        num_replicas=None if config is None else len(config.replicas),
        cores=options.cores,
        num_threads=None if command == "train" else _recorded_threads(launch, options),
    )
    with joined(launch, proposal, join_timeout=options.join_timeout) as processes:
        use_cores(options.cores, processes.num_threads)
        if launch.process_id:
            finished = follow_run(from_dict(RunConfig, processes.config), processes, find=_find_agent(command, options))
            return 0 if finished else STOPPED_EXIT_CODE
        return run(processes)


def _find_agent(command: str, options: TrainCommand | ResumeCommand) -> FindAgent:
    """Where this process loads the agents of a run from: of one that continues, from where they were at its start."""
    from rookery.storage.atomic import path_exists
    from rookery.storage.run_files import CONFIG_FILE
    from rookery.training.agent_paths import AgentFinder

    if command == "train" or not path_exists(options.run / CONFIG_FILE):  # type: ignore[union-attr] (of resume)
        return str
    return AgentFinder.of_run(options.run)  # type: ignore[union-attr]


def _recorded_threads(launch: Launch, options: TrainCommand | ResumeCommand) -> int | None:
    from rookery.storage.run_files import recorded_threads

    return None if launch.process_id else recorded_threads(options.run)  # type: ignore[union-attr] (of resume)
