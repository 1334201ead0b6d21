"""A part's folder as bytes, for machines that share no disk: what is needed to continue it elsewhere, or to join it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from rookery.errors import CorruptFileError, StorageError
from rookery.storage.atomic import replacing_folder, storage_error, sync_tree
from rookery.storage.checkpoint import saved_updates
from rookery.storage.run_files import (
    AGENTS_DIR,
    CHECKPOINTS_DIR,
    CONFIG_FILE,
    LOG_FILE,
    METRICS_FILE,
    STATUS_FILE,
    TRACKING_FILE,
)


def pack(run_dir: Path) -> bytes:
    """A run's files in one archive, without TensorBoard's, with its newest checkpoint only. Empty if it has none."""
    updates = saved_updates(run_dir / CHECKPOINTS_DIR)
    if not updates:
        return b""
    newest = f"{CHECKPOINTS_DIR}/{updates[-1]:08d}"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in (CONFIG_FILE, TRACKING_FILE, METRICS_FILE, STATUS_FILE, LOG_FILE, AGENTS_DIR, newest):
            if (run_dir / name).exists():
                archive.add(run_dir / name, name, filter=_without_leftovers)
    return file.getvalue()


def _without_leftovers(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """None for what a killed process left half-written."""
    return None if Path(entry.name).name.startswith(".") else entry


def unpack(data: bytes, run_dir: Path) -> None:
    """Put the files of an archive in place of a run's folder, all at once.

    Raises: CorruptFileError if it is not one; StorageError if the disk refuses, or for a symbolic link in its place.
    """
    try:
        with replacing_folder(run_dir) as new:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                archive.extractall(new, filter="data")
            sync_tree(new)  # before the files that it replaces are gone
    except tarfile.TarError as error:
        raise CorruptFileError(f"what arrived for {run_dir} is not an archive of a run ({error})") from None
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error("write", run_dir, error) from error
