"""`rookery resume`: continue a stopped or killed run."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import (
    Coordinator,
    Cores,
    JoinTimeout,
    Json,
    NumProcesses,
    ProcessId,
    TimeLimit,
    check_cores,
    time_limit_seconds,
    use_cores,
)
from rookery.commands.processes import check_join_timeout, train_together
from rookery.commands.train import print_result
from rookery.scaling.launch import find_launch
from rookery.training.devices import request_deterministic_ops

if TYPE_CHECKING:
    from rookery.training.process_group import ProcessGroup


@dataclasses.dataclass
class ResumeCommand:
    """Continue a stopped or killed run, with the same numbers as if it had never stopped."""

    run: Annotated[Positional[Path], arg(metavar="RUN", help="Folder of the run.")]
    time_limit: TimeLimit = None
    """Save and stop after so many minutes."""
    cores: Cores = None
    """CPU cores to spread seeds over; extra cores share the updates of a seed."""
    deterministic_ops: bool = False
    """On a GPU: add up in a fixed order, so that a run repeats to the bit; slower. As when it was started."""
    coordinator: Coordinator = None
    num_processes: NumProcesses = None
    process_id: ProcessId = None
    join_timeout: JoinTimeout = 300.0
    quiet: bool = False
    """Show no progress."""
    restart: bool = False
    """Start over if all checkpoints, or metrics, are lost; what is left is kept in a folder in the run's."""
    json: Json = False

    def __call__(self) -> int:
        return run_resume(self)


def run_resume(options: ResumeCommand) -> int:
    """Continue the run. Returns 0, or STOPPED_EXIT_CODE if it was stopped before its end."""
    stop_after = time_limit_seconds(options.time_limit)
    if options.deterministic_ops:
        request_deterministic_ops()
    check_cores(options.cores)
    check_join_timeout(options.join_timeout)
    launch = find_launch(options.coordinator, options.num_processes, options.process_id, os.environ)
    quiet = options.quiet or options.json

    def run(processes: ProcessGroup) -> int:
        from rookery.training.trainer import resume

        result = resume(options.run, quiet=quiet, stop_after=stop_after, restart=options.restart, processes=processes)
        return print_result(result, quiet, options.json)

    if launch is None:
        from rookery.storage.run_files import recorded_threads

        use_cores(options.cores, recorded_threads(options.run))
        from rookery.training.process_group import ONE_PROCESS

        return run(ONE_PROCESS)
    from rookery.training.trainer import load_config

    config = None if launch.process_id else load_config(options.run)
    return train_together(launch, "resume", config, options, run)
