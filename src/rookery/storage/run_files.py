"""What a run keeps in its folder, under which names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError
from rookery.storage.atomic import is_file, is_folder, path_exists, storage_error
from rookery.storage.serialization import load_json

LOCK_FILE = ".lock"
CONFIG_FILE = "config.json"
STATUS_FILE = "status.json"
METRICS_FILE = "metrics.jsonl"
AGENTS_DIR = "agents"
CHECKPOINTS_DIR = "checkpoints"
TENSORBOARD_DIR = "tb"
GENERATIONS_FILE = "generations.json"
"""In the folder of all generations: their configuration."""
SWEEP_FILE = "sweep.json"
"""In the folder of a sweep: its configuration."""
TRACKING_FILE = "tracking.json"
"""Each tracker's name and the id that continues it."""
RESULT_ENTRIES = (STATUS_FILE, METRICS_FILE, AGENTS_DIR, CHECKPOINTS_DIR, TENSORBOARD_DIR)
"""What training produces."""
START_AGENTS_DIR = "start"
"""In the folder of a run's part: copies of the agents that it starts from."""
HANDED_ON_DIR = "handed-on"
"""In the folder of a generation's run: the agents of the one before, one per replica."""
DATASET_DIR = "data"
"""In the folder of clones: the episodes that they were trained on, where no other dataset was named."""
RUN_ENTRIES = (
    LOCK_FILE, CONFIG_FILE, TRACKING_FILE, *RESULT_ENTRIES, START_AGENTS_DIR, HANDED_ON_DIR, DATASET_DIR,
)  # fmt: skip
WANDB_DIR = "wandb"
LOG_FILE = "log.txt"
"""In the folder of a part that a worker of Ray trained: what it printed."""
ASIDE_PREFIX = "before-restart-"
"""Of the folders, numbered from 1, in which a run that starts over keeps what it had."""

THREADS_KEY = "threads"
"""In CONFIG_FILE: over how many threads the run's sums were split, on which their last bits depend."""
MAX_RECORDED_THREADS = 4096
MAX_RECORDED_COUNT = 10**18
"""More updates or steps than any run can do."""
CHECKPOINT_HASHES_KEY = "checkpoint_hashes"
"""In CONFIG_FILE: the SHA-256 digest of each agent of another run that the run trains with."""


def check_no_results(run_dir: Path) -> None:
    """Check a folder in which a run is about to begin: what another one produced would be taken for its own.

    Raises: ConfigError, naming the first thing that is there.
    """
    for name in RESULT_ENTRIES:
        path = run_dir / name
        if is_file(path) or (is_folder(path) and any(path.iterdir())):
            raise ConfigError(
                f"{run_dir} has the {name} of a run, and no {CONFIG_FILE}; put that back to continue, or name another "
                "folder"
            )


def no_run(run_dir: Path | str, name: str = CONFIG_FILE) -> NotFoundError:
    """The error for a folder without a run's configuration `name`: what it holds instead, and what continues that."""
    run_dir = Path(run_dir)
    others = {
        GENERATIONS_FILE: "generations: 'rookery generations' with the same options continues them",
        SWEEP_FILE: "a sweep: 'rookery sweep' with the same options continues it",
    }
    held = next((f"; it holds {words}" for file, words in others.items() if path_exists(run_dir / file)), "")
    inner = sorted(path.parent for depth in ("*", "*/*") for path in run_dir.glob(f"{depth}/{CONFIG_FILE}"))
    if inner:
        held += f"; for {'the run' if len(inner) == 1 else f'one of the {len(inner)} runs'} in it, name {inner[0]}"
    return NotFoundError(f"{run_dir} holds no run ({name} is missing){held}")


def holds_clones(run_dir: Path | str) -> IncompatibleError:
    """The error for a folder of clones where only that of a run will do."""
    return IncompatibleError(
        f"{run_dir} holds clones and not the run of a team: 'rookery clone' with the same options continues them, and "
        f"their agents, which other commands take, are in {Path(run_dir) / AGENTS_DIR}"
    )


def own_paths(run_dir: Path) -> Iterator[Path]:
    """The paths of everything that a run wrote, or would write, in its folder."""
    for name in RUN_ENTRIES:
        yield run_dir / name
        if is_folder(run_dir / name) and not (run_dir / name).is_symlink():
            for folder, folders, files in os.walk(run_dir / name):
                yield from (Path(folder) / entry for entry in (*folders, *files))


def foreign_entries(run_dir: Path | str) -> list[str]:
    """Names of what a run's folder holds and no run writes, sorted; what a killed process left is the run's own.

    Raises: StorageError if the folder cannot be listed.
    """
    own = (*RUN_ENTRIES, WANDB_DIR, LOG_FILE)
    names = "|".join(map(re.escape, own))
    pattern = re.compile(rf"{names}|{ASIDE_PREFIX}\d+|\.(?:{names})\.(?:tmp-.*|backup)")
    try:
        return sorted(name for name in os.listdir(run_dir) if not pattern.fullmatch(name))
    except OSError as error:
        raise storage_error("list", run_dir, error) from error


def read_status(run_dir: Path | str) -> dict[str, Any]:
    """How far a run is: 'num_updates', 'total_updates', 'steps', 'seconds', 'machine' and, of newer runs, 'machines'.

    Raises: NotFoundError before its first checkpoint; CorruptFileError if the file is not what was written.
    """
    path = Path(run_dir) / STATUS_FILE
    status = load_json(path, CorruptFileError)
    if (wrong := _wrong_entry(status if isinstance(status, dict) else {})) is not None:
        raise CorruptFileError(
            f"{path} is damaged: {wrong!r} is missing or not what it must be; resume the run, which writes it again"
        )
    return status


def _wrong_entry(status: dict[str, Any]) -> str | None:
    """The first entry of a run's status that no run writes; None: there is none."""
    total = status.get("total_updates")
    if not _is_count(total) or total < 1:
        return "total_updates"
    updates, machines = status.get("num_updates"), status.get("machines", [])
    checks = {
        "num_updates": _is_count(updates) and updates <= total,
        "steps": _is_count(status.get("steps")),
        "seconds": _are_seconds(status.get("seconds")),
        "machine": _is_machine(status.get("machine")),
        "machines": isinstance(machines, list) and all(map(_is_training_machine, machines)),
    }
    return next((key for key, is_right in checks.items() if not is_right), None)


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < MAX_RECORDED_COUNT


def _are_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _is_machine(value: Any) -> bool:
    """What `machine_info` gives: texts and numbers by name. Older runs have fewer of them, those of another version
    others."""
    return isinstance(value, dict) and all(
        key.isprintable() and (type(item) in (int, float) or (isinstance(item, str) and item.isprintable()))
        for key, item in value.items()
    )


def _is_training_machine(value: Any) -> bool:
    """A machine, and the replicas that it trained if it says so: pairs of a variant's name and a seed."""
    if not isinstance(value, dict):
        return False
    facts = {key: item for key, item in value.items() if key != "replicas"}
    replicas = value.get("replicas", [])
    return bool(facts) and _is_machine(facts) and isinstance(replicas, list) and all(map(_is_replica, replicas))


def _is_replica(value: Any) -> bool:
    return (
        isinstance(value, list)
        and list(map(type, value)) == [str, int]
        and value[0].isprintable()
        and _is_count(value[1])
    )


def status_machines(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The machines that a run's status names; an older run's has only the last one."""
    return status.get("machines", [status["machine"]])


def recorded_threads(run_dir: Path | str) -> int | None:
    """Over how many threads a run's sums were split when it was started; None if that is not known.

    Raises: NotFoundError if there is no run; CorruptFileError if its configuration is damaged.
    """
    path = Path(run_dir) / CONFIG_FILE
    if not path_exists(path):
        raise no_run(run_dir)
    data = load_json(path, CorruptFileError)
    threads = data.get(THREADS_KEY) if isinstance(data, dict) else None
    if threads is not None and not is_thread_count(threads):
        raise CorruptFileError(f"{path}: {THREADS_KEY!r} must be a whole number from 1 to {MAX_RECORDED_THREADS}")
    return threads


def is_thread_count(value: object) -> bool:
    """Whether a value in a file can be a number of threads."""
    return type(value) is int and 1 <= value <= MAX_RECORDED_THREADS


def training_seconds(run_dir: Path, rows: list[dict[str, Any]]) -> float:
    """The seconds that a run has trained, by the last line of its metrics that says so; 0 if there is none.

    Raises: CorruptFileError if that is not a number.
    """
    seconds = next((row["time/seconds"] for row in reversed(rows) if "time/seconds" in row), 0.0)
    if not _are_seconds(seconds):
        raise CorruptFileError(
            f"{run_dir / METRICS_FILE} is damaged: 'time/seconds' of its last line is {str(seconds)[:40]}; correct it "
            "to a number"
        )
    return float(seconds)
