"""Where a run continues: its newest valid checkpoint, or the beginning if that loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, CorruptFileError, NotFoundError
from rookery.storage import checkpoint
from rookery.storage.atomic import storage_error, sync_directory
from rookery.storage.metrics import check_all_updates, read_metrics
from rookery.storage.run_files import AGENTS_DIR, ASIDE_PREFIX, CHECKPOINTS_DIR, RESULT_ENTRIES, STATUS_FILE


def restore_run(
    run_dir: Path,
    like: Any,
    checkpoint_interval: int,
    restart: bool,
    on_note: Callable[[str], None],
    problem_of: Callable[[int, Any], str | None] = lambda update, tree: None,
) -> tuple[int, Any] | None:
    """The newest valid checkpoint of a run; later ones are removed.

    A run killed before its first checkpoint starts over: that gives the same numbers. One that had checkpoints starts
    over only if asked to, and what it has is kept under another name; so does one whose metrics are not those of every
    update up to its checkpoint.

    Args:
      like, problem_of: as for `checkpoint.restore_latest`.
      checkpoint_interval: updates between checkpoints, by which one must have been written.
      restart: start over if no checkpoint is valid, or metrics are lost.
      on_note: called with lines for the user.
    Returns: its update and its tree; None: start from the beginning.
    Raises: NotFoundError if there was a checkpoint and none is valid, without `restart`; ConfigError if there is a
      valid one and all metrics, with `restart`; CorruptFileError if metrics are lost or damaged, without `restart`;
      IncompatibleError if it does not fit; StorageError.
    """
    folder, skipped = run_dir / CHECKPOINTS_DIR, []

    def skip(note: str) -> None:
        skipped.append(note)
        on_note(note)

    try:
        update, tree = checkpoint.restore_latest(folder, like, skip, problem_of)
    except NotFoundError:
        update, tree = None, None
    if update is not None and _metrics_are_whole(run_dir, update, restart):
        if restart:
            raise ConfigError(
                f"{run_dir} has a valid checkpoint of update {update}; continue it without --restart, or train with "
                "another --out"
            )
        checkpoint.discard_after(folder, update)
        return update, tree
    lost = _had_checkpoints(run_dir, checkpoint_interval)
    if lost and not restart:
        raise NotFoundError(
            f"{run_dir} has been trained, but has no valid checkpoint left{f' ({skipped[-1]})' if skipped else ''}; "
            f"put one back into {folder}, or train it from the beginning with --restart, which keeps what is there as "
            f"{_aside_dir(run_dir).name}"
        )
    kept = f"; what was there is kept in {_set_aside(run_dir)}" if lost else ""
    problem = "no valid checkpoint" if update is None else "metrics are lost"
    on_note(f"{problem}; starting again from the beginning{kept}")
    return None


def _metrics_are_whole(run_dir: Path, update: int, restart: bool) -> bool:
    """Whether a run has the metrics of every update up to its checkpoint. Raises CorruptFileError without `restart`."""
    try:
        check_all_updates(run_dir, _rows(run_dir), update)
    except CorruptFileError as error:
        if restart:
            return False
        raise CorruptFileError(
            f"{error}; or train from the beginning with --restart, which keeps what is there as "
            f"{_aside_dir(run_dir).name}"
        ) from None
    return True


def _had_checkpoints(run_dir: Path, checkpoint_interval: int) -> bool:
    """Whether anything shows that a checkpoint was written once."""
    if checkpoint.saved_updates(run_dir / CHECKPOINTS_DIR) or (run_dir / STATUS_FILE).exists():
        return True
    if (run_dir / AGENTS_DIR).is_dir() and any((run_dir / AGENTS_DIR).iterdir()):
        return True
    try:
        rows = _rows(run_dir)
    except CorruptFileError:
        return True
    return bool(rows) and rows[-1]["update"] > checkpoint_interval


def _rows(run_dir: Path) -> list[dict[str, Any]]:
    """A run's metrics; none if it has no file of them. Raises CorruptFileError."""
    try:
        return read_metrics(run_dir)
    except NotFoundError:
        return []


def _aside_dir(run_dir: Path) -> Path:
    number = 1
    while (run_dir / f"{ASIDE_PREFIX}{number}").exists():
        number += 1
    return run_dir / f"{ASIDE_PREFIX}{number}"


def _set_aside(run_dir: Path) -> Path:
    """Move all but the configuration into a folder of its own. Returns the folder."""
    aside = _aside_dir(run_dir)
    try:
        aside.mkdir()
        for name in RESULT_ENTRIES:
            if (run_dir / name).exists():
                (run_dir / name).rename(aside / name)
        sync_directory(aside)
        sync_directory(run_dir)
    except OSError as error:
        raise storage_error("set aside what is in", run_dir, error) from error
    return aside
