"""What a run's folder says about it, read without JAX: its task, how far it is, its returns, whether it trains."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.limits import MAX_SEEDS_PER_VARIANT, check_path_type
from rookery.storage.atomic import is_file, is_folder, path_exists, read_file, storage_error
from rookery.storage.metrics import read_metrics
from rookery.storage.run_files import (
    CONFIG_FILE,
    LOCK_FILE,
    METRICS_FILE,
    STATUS_FILE,
    foreign_entries,
    no_run,
    read_status,
)
from rookery.storage.serialization import load_json
from rookery.tracking.tracker import mean_value
from rookery.tracking.trackers import saved_trackers

RETURN = "return"
CLOCK_TOLERANCE = 60.0
"""Seconds by which the clock of a disk, or a clock that was set, may differ."""
_SEARCH_DEPTH = 3  # folders below the one that is listed: runs/studies/NAME/PART


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """One run, as its folder describes it."""

    run_dir: Path
    name: str
    """Of the folder; the configuration may have been given another name with --out."""
    config: dict[str, Any]
    """As in config.json; of clones: their configuration."""
    is_clone: bool
    status: dict[str, Any]
    """Content of status.json; empty before the first checkpoint."""

    @property
    def task(self) -> str:
        """Kind of the task; "-" for clones, whose dataset names it."""
        task = self.config.get("task")
        return str(task.get("kind", "-")) if isinstance(task, dict) else "-"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        first, count = self.config.get("seed", 0), self.config.get("num_seeds", 1)
        return tuple(range(first, first + count))

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants."""
        return tuple(variant["name"] for variant in self.config.get("variants", ()))

    def last_metrics(self) -> dict[str, Any]:
        """The newest value of every metric, without evaluations that later lines lack; empty if there is none yet.

        Raises: CorruptFileError or StorageError.
        """
        if not path_exists(self.run_dir / METRICS_FILE):
            return {}
        newest: dict[str, Any] = {}
        for row in read_metrics(self.run_dir):
            newest |= row
        return newest

    def returns(self, metrics: dict[str, Any]) -> dict[str, float]:
        """Mean return over seeds of each learning agent in each variant, by "variant/agent", from `last_metrics`."""
        learning = [group["name"] for group in self.config.get("team", ()) if group.get("learner")]
        found = {}
        for name, value in metrics.items():
            parts = name.split("/")
            if len(parts) != 3 or parts[0] not in self.variants or parts[2] != RETURN:
                continue
            agent = parts[1]
            if any(agent == group or re.fullmatch(rf"{re.escape(group)}-\d+", agent) for group in learning):
                mean = mean_value(value)
                if mean is not None:
                    found[f"{parts[0]}/{agent}"] = mean
        return found

    @property
    def state(self) -> str:
        """`training`, `finished`, `stopped`, or `started` if it has not reached a checkpoint."""
        if training_process(self.run_dir) is not None:
            return "training"
        if not self.status:
            return "started"
        return "finished" if self.status.get("num_updates") == self.status.get("total_updates") else "stopped"

    @property
    def trackers(self) -> dict[str, str | None]:
        """Its trackers and their ids. Raises: CorruptFileError."""
        return saved_trackers(self.run_dir)


def read_run_info(run_dir: Path | str) -> RunInfo:
    """Read a run's folder. Raises: NotFoundError if it holds no run; CorruptFileError if a file in it is damaged."""
    check_path_type("run", run_dir)
    run_dir = Path(run_dir)
    config, is_clone = read_run_config(run_dir)
    status = read_status(run_dir) if path_exists(run_dir / STATUS_FILE) else {}
    return RunInfo(run_dir, run_dir.name or run_dir.resolve().name, config, is_clone, status)


def read_run_config(run_dir: Path) -> tuple[dict[str, Any], bool]:
    """A run's configuration, and whether it is that of clones.

    Only what a `RunInfo` reads of it is checked: decoding the whole needs JAX, and the packages that a task is from.
    Raises: as `read_run_info`.
    """
    path = run_dir / CONFIG_FILE
    if not is_file(path):
        raise NotFoundError(f"{no_run(run_dir)}; see rookery runs list")
    data = load_json(path, CorruptFileError)
    config = data.get("config", data.get("clone")) if isinstance(data, dict) else None
    if not isinstance(config, dict):
        raise CorruptFileError(f"{path} is not a run's configuration")
    seed, num_seeds = config.get("seed", 0), config.get("num_seeds", 1)
    checks = {
        "seed": type(seed) is int and 0 <= seed < 2**31,
        "num_seeds": type(num_seeds) is int and 1 <= num_seeds <= MAX_SEEDS_PER_VARIANT,
        "team": _are_named(config.get("team", [])),
        "variants": _are_named(config.get("variants", [])),
    }
    if wrong := [name for name, right in checks.items() if not right]:
        raise CorruptFileError(f"{path} is not a run's configuration: {wrong[0]!r} is not what it must be")
    return config, "config" not in data


def check_removable(run_dir: Path) -> None:
    """Check that a folder is that of a run or of clones and holds nothing that no run wrote; files may be damaged.

    Raises: as `read_run_info`; StorageError naming what else is in the folder.
    """
    path = run_dir / CONFIG_FILE
    config, is_clone = read_run_config(run_dir)
    if "rookery" not in load_json(path, CorruptFileError) or not all(
        config.get(key) for key in (("network", "learner") if is_clone else ("task", "team", "variants"))
    ):
        raise CorruptFileError(f"{path} is not a run's configuration; remove {run_dir} yourself if it is to go")
    if others := foreign_entries(run_dir):
        raise StorageError(
            f"{run_dir} holds {', '.join(others)}, which is not a run's own and would be removed with it; move "
            f"{'that' if len(others) == 1 else 'those'} to another folder first"
        )


def _are_named(entries: Any) -> bool:
    """Whether these are objects with names, as the groups of a team and the variants are."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries
    )


def find_runs(folder: Path) -> Iterator[Path]:
    """The folders of runs in a folder and the folders in it, sorted; those that cannot be looked into count as runs.

    Raises: NotFoundError if it does not exist; StorageError if it cannot be listed itself.
    """
    if not is_folder(folder):
        raise NotFoundError(f"there is no folder {folder}; train first, or name another folder")
    yield from _find_runs(folder, _SEARCH_DEPTH)


def _find_runs(folder: Path, depth: int) -> Iterator[Path]:
    if is_file(folder / CONFIG_FILE):
        yield folder
    elif depth:
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            raise storage_error("list", folder, error) from error
        for path in paths:
            if is_folder(path) and not path.is_symlink():
                try:
                    found = list(_find_runs(path, depth - 1))
                except StorageError:  # reading it says why
                    found = [path]
                yield from found


def training_process(run_dir: Path) -> str | None:
    """The process that trains a run now, by what its lock file says; None if there is none.

    Only reads: taking the lock, even for a moment, could turn away a process that is about to train.
    """
    try:
        text = read_file(run_dir / LOCK_FILE).decode(errors="replace")
        locked_at = (run_dir / LOCK_FILE).stat().st_mtime
    except OSError:
        return None
    match = re.fullmatch(r"process (\d+) on (.+)", text.strip())
    if match is None:
        return None
    if match[2] == socket.gethostname() and not _lives_since(int(match[1]), locked_at):
        return None  # it was killed
    return text.strip()


def _lives_since(process: int, time: float) -> bool:
    """Whether a process lives that was there at this time (Unix seconds): after a restart of the machine, the number of
    one that was killed belongs to another one. Without `/proc`: whether any process has the number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        (boot,) = re.findall(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return True
    return int(boot) + ticks / os.sysconf("SC_CLK_TCK") < time + CLOCK_TOLERANCE
