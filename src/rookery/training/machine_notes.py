"""What a run that continues must find again on its machine so that its numbers stay the same to the bit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rookery.errors import CorruptFileError, NotFoundError
from rookery.storage.atomic import path_exists
from rookery.storage.run_files import CONFIG_FILE, read_status, recorded_threads, status_machines
from rookery.training.devices import machine_info, thread_count, without_own_flags


def started_threads(run_dirs: Iterable[Path]) -> int | None:
    """`recorded_threads` of the first of these folders that holds a run; None if none does. Does not start JAX.

    Raises: CorruptFileError if the run's configuration is damaged.
    """
    run_dir = next((run_dir for run_dir in run_dirs if path_exists(run_dir / CONFIG_FILE)), None)
    return None if run_dir is None else recorded_threads(run_dir)


def machine_notes(run_dir: Path, devices: Sequence[Any] | None = None) -> list[str]:
    """A sentence on each thing that differs from earlier sessions of a run, on which last bits depend.

    Args:
      devices: JAX's with which it continues; None: all.
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
    machine = _recorded_machine(run_dir)
    before, flags = machine.get("xla_flags"), without_own_flags() or "none"
    if before is not None and sorted(before.split()) != sorted(flags.split()):
        notes.append(
            f"XLA_FLAGS were {before} in the run's last session, and are {flags} now: from here on last bits may "
            "differ from those of a run that was not stopped; set the same flags as before"
        )
    current = machine_info(devices)
    for key, noun in _NUMBERS_DEPEND_ON.items():
        if key in machine and machine[key] != current[key]:
            notes.append(
                f"{noun} {machine[key]} in the run's last session, and {current[key]} now: from here on numbers may "
                "differ from those of a run that was not stopped; use the same as before"
            )
    return notes


def part_notes(run: str, folders: Iterable[Path]) -> list[str]:
    """A sentence on each thing that differs between finished parts of a run, on which last bits depend.

    Raises: as `read_status`.
    """
    statuses = map(read_status, folders)
    machines = [machine for status in statuses for machine in status_machines(status)]
    notes = []
    for key, noun in {**_NUMBERS_DEPEND_ON, "xla_flags": "XLA_FLAGS were", "threads": "threads were"}.items():
        found = list(dict.fromkeys(str(machine[key]) for machine in machines if key in machine))
        if len(found) > 1:
            notes.append(
                f"{run}: {noun} {' in one part, and in another '.join(found)}: last bits may differ from those of a "
                "run that one process trained; to avoid it, remove the folders of one kind and train these parts again"
            )
    return notes


_NUMBERS_DEPEND_ON = {
    "jax": "JAX was",
    "jaxlib": "jaxlib was",
    "rookery": "Rookery was",
    "rookery_source": "the digest of Rookery's source was",
    "matmul_precision": "JAX_DEFAULT_MATMUL_PRECISION was",
    "device": "the device was",
    "processor": "the processor was",
}
"""Keys of `machine_info`, and how a sentence about them begins."""


def _recorded_machine(run_dir: Path) -> dict[str, str]:
    """What is known of the machine of the run's last session; nothing before its first checkpoint."""
    try:
        machine = read_status(run_dir)["machine"]
    except (NotFoundError, CorruptFileError):
        return {}
    return {key: value for key, value in machine.items() if isinstance(value, str)}
