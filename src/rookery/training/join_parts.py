"""The folder of a whole run, made from the folders of its parts."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rookery import __version__
from rookery.errors import CorruptFileError, InUseError, NotFoundError
from rookery.storage import checkpoint
from rookery.storage.atomic import read_file, refuse_link, storage_error, write_bytes, write_json
from rookery.storage.metrics import MetricsWriter, check_all_updates, check_seed_metrics, read_metrics
from rookery.storage.run_files import (
    AGENTS_DIR,
    CHECKPOINT_HASHES_KEY,
    CHECKPOINTS_DIR,
    CONFIG_FILE,
    METRICS_FILE,
    STATUS_FILE,
    TENSORBOARD_DIR,
    THREADS_KEY,
    TRACKING_FILE,
    read_status,
    recorded_threads,
    status_machines,
)
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import to_dict
from rookery.tracking.trackers import RunTrackers, choose_trackers, joined_trackers, save_trackers
from rookery.training.agent_paths import agent_names, start_record
from rookery.training.build import build, checkpoint_hashes, initial_hashes
from rookery.training.config import RunConfig, variant_prefixes
from rookery.training.continue_run import is_finished
from rookery.training.machine_notes import part_notes
from rookery.training.run_parts import (
    RunPart,
    Split,
    check_begun_parts,
    check_part_agents,
    check_part_config,
    part_dir,
    split_run,
    train_part,
)
from rookery.training.train_step import wrong_update

_logger = logging.getLogger(__name__)
_Parts = list[tuple[RunPart, Path]]  # with their folders

JOIN_SECONDS = 3600.0
"""How long to wait for another process that is joining the same run: it reads and writes the states of all replicas."""


def finish_parts(
    config: RunConfig, run_dir: Path, split: Split, *, quiet: bool = False, seconds_left: Callable[[], float | None],
    log: Callable[[str], None] = _logger.info,
) -> bool:  # fmt: skip
    """Train the parts of a divided run that are missing, one after another, and join them all.

    Args:
      seconds_left: asked before each part; None: no limit.
      log: called with how many parts are missing, if any: on one machine, the rest of a divided run may take long.
    Returns: whether the run reached its end.
    Raises: as `train_part` and `join_parts`; as `choose_trackers` before anything is trained.
    """
    choose_trackers()
    parts = split_run(config, split.replicas_per_part)
    check_begun_parts(config, run_dir, parts)
    if missing := sum(not is_finished(part_dir(run_dir, part)) for part in parts):
        verb = "is" if missing == 1 else "are"
        log(f"{missing} of {len(parts)} parts of {config.name} {verb} not here; training them in this process")
    for part in parts:
        if not train_part(config, part, part_dir(run_dir, part), quiet=quiet, stop_after=seconds_left()):
            return False
    join_parts(config, run_dir, parts, log)
    return True


def join_parts(
    config: RunConfig, run_dir: Path, parts: list[RunPart], log: Callable[[str], None] = _logger.warning
) -> None:
    """Write the folder of the whole run: configuration, metrics, last checkpoint, agents and status.

    Everything is as one process would have written it, but for times, machines and earlier checkpoints. Trackers
    get all updates now.

    Args:
      log: called with a line for each thing that differs between the parts, on which last bits depend.
    Raises: NotFoundError if a part is not finished; ConfigError if one is of another configuration; IncompatibleError
      if the agents that one trained with have changed since; CorruptFileError if one is damaged; StorageError if the
      disk refuses, another process writes there, or the run's folder is a symbolic link.
    """
    folders = [(part, part_dir(run_dir, part)) for part in parts]
    missing = [part.name for part, folder in folders if not is_finished(folder)]
    if missing:
        raise NotFoundError(f"{run_dir.name} lacks {len(missing)} of {len(parts)} parts: {', '.join(missing)}")
    refuse_link(run_dir)
    with _wait_for_lock(run_dir) as lock:
        if is_finished(run_dir):  # joined by another process
            return
        for part, folder in folders:
            check_part_config(config, part, folder)
            check_part_agents(config, part, folder)
        for note in part_notes(run_dir.name, (folder for _, folder in folders)):
            log(note)
        _join_metrics(config, run_dir, folders)
        _join_checkpoints(config, run_dir, folders)
        _join_agents(run_dir, folders)
        hashes = checkpoint_hashes(config) | initial_hashes(config)
        lock.check()
        saved = {"rookery": __version__, THREADS_KEY: recorded_threads(folders[0][1]), "config": to_dict(config)}
        saved |= start_record(agent_names(config), run_dir)
        _join_status(run_dir, folders)
        # Last: a folder that has it is taken for a run that one process began, and is not joined again.
        write_json(run_dir / CONFIG_FILE, saved | ({CHECKPOINT_HASHES_KEY: hashes} if hashes else {}))


def _wait_for_lock(run_dir: Path, seconds: float = JOIN_SECONDS) -> RunLock:
    """The lock of a run that another process may be joining. Raises StorageError."""
    lock, give_up = RunLock(run_dir), time.monotonic() + seconds
    while True:
        try:
            return lock.acquire()
        except InUseError:
            if time.monotonic() > give_up:
                raise
            time.sleep(1.0)


def _join_metrics(config: RunConfig, run_dir: Path, folders: _Parts) -> None:
    trackers = joined_trackers(run_dir, [folder for _, folder in folders])
    try:
        (run_dir / METRICS_FILE).unlink(missing_ok=True)  # of a process that was killed while it joined them
        (run_dir / TRACKING_FILE).unlink(missing_ok=True)
        shutil.rmtree(run_dir / TENSORBOARD_DIR, ignore_errors=True)
    except OSError as error:
        raise storage_error("write", run_dir / METRICS_FILE, error) from error
    last = config.total_updates
    rows = [read_metrics(folder) for _, folder in folders]
    for (part, folder), of_part in zip(folders, rows, strict=True):
        check_seed_metrics(folder, of_part, variant_prefixes(config), len(part.seeds))
        _check_part_metrics(folder, of_part, last)
    seeds = range(config.seed, config.seed + config.num_seeds)
    save_trackers(run_dir, trackers)
    way_out = "leave it out of ROOKERY_TRACK, then run the same command again"
    sink = RunTrackers(run_dir, config.name, to_dict(config), seeds, way_out)
    with MetricsWriter(run_dir, sink=sink) as writer:
        for row in zip(*(of_part[:last] for of_part in rows), strict=True):
            by_part = [(part, entry) for (part, _), entry in zip(folders, row, strict=True)]
            writer.write(row[0]["update"], row[0]["steps"], _join_row(config, by_part))
        writer.sync()


def _check_part_metrics(folder: Path, rows: list[dict[str, Any]], total_updates: int) -> None:
    """Raises CorruptFileError for a part whose metrics are not those of every update."""
    try:
        check_all_updates(folder, rows, total_updates)
    except CorruptFileError as error:
        raise CorruptFileError(f"{error}, or remove the folder {folder} to train that part again") from None


def _join_row(config: RunConfig, by_part: list[tuple[RunPart, dict[str, Any]]]) -> dict[str, Any]:
    """One update's metrics of the whole run, in the order in which one process writes them.

    A part whose line was damaged, and was put in order without its numbers, has none for its seeds.
    """
    joined: dict[str, Any] = {}
    for prefix in ("", "evaluation/"):
        for variant in config.variants:
            of_variant = [(part, entry) for part, entry in by_part if variant.name in part.variants]
            names = dict.fromkeys(name for _, entry in of_variant for name in entry)
            for name in names:
                if name.startswith(f"{prefix}{variant.name}/"):
                    values = [entry.get(name, [None] * len(part.seeds)) for part, entry in of_variant]
                    joined[name] = [_with_nan(value) for of_part in values for value in of_part]
        if not prefix:
            for name in dict.fromkeys(name for _, entry in by_part for name in entry if name.startswith("time/")):
                joined[name] = sum(entry.get(name, 0.0) for _, entry in by_part)
    return joined


def _with_nan(value: Any) -> Any:
    """Numbers from a line of metrics as they were before null stood for what is not finite."""
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return float("nan") if value is None else value


def _join_checkpoints(config: RunConfig, run_dir: Path, folders: _Parts) -> None:
    """The last checkpoint of the whole run: the replicas' states in their order."""
    like = jax.eval_shape(build(config).init)
    states: dict[tuple[str, int], Any] = {}
    for part, folder in folders:
        of_part = jax.tree.map(lambda x, n=part.num_replicas: jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype), like)
        notes: list[str] = []
        update, state = checkpoint.restore_latest(folder / CHECKPOINTS_DIR, of_part, notes.append, wrong_update)
        if update != config.total_updates:
            raise CorruptFileError(
                f"{folder} lacks a valid checkpoint of its last update{f' ({notes[0]})' if notes else ''}; remove "
                f"{folder / STATUS_FILE}, and the same command trains the part from update {update} on"
            )
        for number, replica in enumerate((name, seed) for name in part.variants for seed in part.seeds):
            states[replica] = jax.tree.map(lambda x, n=number: x[n], state)
    state = jax.tree.map(lambda *leaves: np.stack(leaves), *(states[replica] for replica in config.replicas))
    checkpoint.save(run_dir / CHECKPOINTS_DIR, config.total_updates, state, max_checkpoints=1)


def _join_agents(run_dir: Path, folders: _Parts) -> None:
    for _, folder in folders:
        for path in sorted((folder / AGENTS_DIR).iterdir()):
            if not path.name.startswith("."):  # what a process of another machine, killed, left half-written
                write_bytes(run_dir / AGENTS_DIR / path.name, read_file(path))


def _join_status(run_dir: Path, folders: _Parts) -> None:
    """Status of the whole run: its seconds are those of all parts together."""
    statuses = [read_status(folder) for _, folder in folders]
    machines = [machine for status in statuses for machine in status_machines(status)]
    seconds = round(sum(status["seconds"] for status in statuses), 1)
    write_json(run_dir / STATUS_FILE, statuses[0] | {"seconds": seconds, "machines": machines})
