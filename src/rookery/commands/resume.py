"""`rookery resume`: continue a stopped or killed run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Cores, Json, TimeLimit, check_cores, time_limit_seconds, use_cores
from rookery.commands.train import print_result


@dataclasses.dataclass
class ResumeCommand:
    """Continue a stopped or killed run, with the same numbers as if it had never stopped."""

    run: Annotated[Positional[Path], arg(metavar="RUN", help="Folder of the run.")]
    time_limit: TimeLimit = None
    """Save and stop after so many minutes."""
    cores: Cores = None
    """CPU cores to spread seeds over; extra cores share the updates of a seed."""
    quiet: bool = False
    """Show no progress."""
    restart: bool = False
    """Train from the beginning if all checkpoints are lost; what is left of the run is kept in a folder in it."""
    json: Json = False

    def __call__(self) -> int:
        return run_resume(self)


def run_resume(options: ResumeCommand) -> int:
    """Continue the run. Returns 0, or STOPPED_EXIT_CODE if it was stopped before its end."""
    stop_after = time_limit_seconds(options.time_limit)
    check_cores(options.cores)
    from rookery.storage.run_files import recorded_threads

    use_cores(options.cores, recorded_threads(options.run))
    from rookery.training.trainer import resume

    quiet = options.quiet or options.json
    result = resume(options.run, quiet=quiet, stop_after=stop_after, restart=options.restart)
    return print_result(result, quiet, options.json)
