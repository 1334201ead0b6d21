"""What a run that continues must find again on its machine so that its numbers stay the same to the bit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rookery.errors import CorruptFileError, NotFoundError
from rookery.storage.run_files import CONFIG_FILE, read_status, recorded_threads
from rookery.training.devices import thread_count, without_own_flags


def started_threads(run_dirs: Iterable[Path]) -> int | None:
    """`recorded_threads` of the first of these folders that holds a run; None if none does. Does not start JAX.

    Raises: CorruptFileError if the run's configuration is damaged.
    """
    run_dir = next((run_dir for run_dir in run_dirs if (run_dir / CONFIG_FILE).exists()), None)
    return None if run_dir is None else recorded_threads(run_dir)


def machine_notes(run_dir: Path) -> list[str]:
    """A sentence on each thing that differs from earlier sessions of a run, on which last bits depend.

    Starts JAX's backend. Raises: as `recorded_threads`.
    """
    notes = []
    started, now = recorded_threads(run_dir), thread_count()
    if started not in (None, now):
        notes.append(
            f"sums were split over {started} threads when the run was started, and are over {now} now: from here "
            "on last bits may differ from those of a run that was not stopped; 'rookery resume' uses as many as "
            "before"
        )
    before, flags = _recorded_flags(run_dir), without_own_flags() or "none"
    if before is not None and sorted(before.split()) != sorted(flags.split()):
        notes.append(
            f"XLA_FLAGS were {before} in the run's last session, and are {flags} now: from here on last bits may "
            "differ from those of a run that was not stopped; set the same flags as before"
        )
    return notes


def _recorded_flags(run_dir: Path) -> str | None:
    """XLA_FLAGS of the run's last session; None before its first checkpoint, or if they are not known."""
    try:
        flags = read_status(run_dir)["machine"].get("xla_flags")
    except (NotFoundError, CorruptFileError):
        return None
    return flags if isinstance(flags, str) else None
