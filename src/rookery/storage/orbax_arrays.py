"""A list of arrays in one folder, written and read by Orbax, without its logging and its restrictions on paths."""

from __future__ import annotations

import contextlib
import gc
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rookery.errors import StorageError
from rookery.storage.atomic import storage_error

_UNSAFE_CHARACTERS = frozenset("*?[]\\")
"""In a path: Orbax takes them for a pattern of file names and then merges no files; TensorStore refuses backslashes."""


def dtype_of(name: str) -> np.dtype:
    """The dtype of a name, bfloat16 and similar ones included, which numpy alone does not know."""
    return jax.numpy.dtype(name)


def write_arrays(folder: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write arrays into a new folder. Raises StorageError if the disk refuses."""
    item = _named(arrays)
    if not item:
        folder.mkdir()
        return
    try:
        with _silence_orbax():
            ocp, checkpointer = _orbax()
            with checkpointer, _safe_path(folder) as path:
                checkpointer.save(path, args=ocp.args.PyTreeSave(item))
    except Exception as error:  # its storage layer reports a full disk as ValueError, among others
        raise storage_error("save checkpoint in", folder.parent.parent, error) from error


def read_arrays(folder: Path, forms: Sequence[tuple[tuple[int, ...], np.dtype]]) -> list[np.ndarray]:
    """Read the arrays back.

    Args:
      forms: shape and dtype of each.
    Raises: StorageError if they cannot be read.
    """
    arrays = [np.zeros(shape, dtype) for shape, dtype in forms]
    item = _named(arrays)
    if item:
        try:
            with _silence_orbax():
                ocp, checkpointer = _orbax()
                how = {key: ocp.RestoreArgs(restore_type=np.ndarray) for key in item}
                with checkpointer, _safe_path(folder) as path:
                    restored = checkpointer.restore(path, args=ocp.args.PyTreeRestore(item=item, restore_args=how))
        except Exception as error:
            # The caller has verified every byte, so the files are not damaged: it may be memory, or a much newer Orbax.
            reason = " ".join(str(error).split())[:300]
            raise StorageError(f"cannot read checkpoint {folder.parent}: {reason}; its files are intact") from error
        for key, array in restored.items():
            arrays[int(key)] = np.asarray(array)
    return arrays


def _named(arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by number. Orbax refuses arrays without elements; their shape and dtype are all there is to keep."""
    return {f"{i:05d}": array for i, array in enumerate(arrays) if array.size}


@contextlib.contextmanager
def _silence_orbax() -> Iterator[None]:
    """Orbax logs through absl, and asyncio logs what a failed Orbax call dropped: neither is for our users."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except BaseException:
        gc.collect()  # asyncio logs a dropped task when it is collected: now, while logging is off
        raise
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _orbax() -> tuple[Any, Any]:
    """Orbax and a checkpointer that waits for no other process."""
    import orbax.checkpoint as ocp  # a third of a second: not at import

    options = {}
    if jax.process_count() > 1:
        me = jax.process_index()
        options["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"rookery-{me}"
        )
    return ocp, ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options), **options)


@contextlib.contextmanager
def _safe_path(folder: Path) -> Iterator[Path]:
    """The absolute path of a folder for Orbax: through a symbolic link if its own has characters that break it."""
    folder = folder.absolute()
    if _UNSAFE_CHARACTERS.isdisjoint(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="rookery-") as links:
        link = Path(links) / "parent"
        link.symlink_to(folder.parent, target_is_directory=True)
        yield link / folder.name
