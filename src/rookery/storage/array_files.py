"""A list of arrays in one file: an uncompressed numpy archive, `00000` to the last.

Writing one takes milliseconds and keeps nothing in memory; a library for checkpoints of many hosts (Orbax) took most of
a second each time, kept some kilobytes for good, and read paths with brackets as patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from rookery.errors import StorageError
from rookery.storage.archive_errors import ARCHIVE_ERRORS


def dtype_of(name: str) -> np.dtype:
    """The dtype of a name, bfloat16 and similar ones included, which numpy alone does not know."""
    return jax.numpy.dtype(name)


def write_arrays(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write arrays into a new file. Raises OSError if the disk refuses."""
    named = {f"{number:05d}": _as_bytes(array) for number, array in enumerate(arrays)}
    with open(path, "xb") as file:
        np.savez(file, allow_pickle=False, **named)


def read_arrays(path: Path, forms: Sequence[tuple[tuple[int, ...], np.dtype]]) -> list[np.ndarray]:
    """Read the arrays back.

    Args:
      forms: shape and dtype of each.
    Raises: StorageError if they cannot be read, or are not of these forms.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[f"{number:05d}"].view(dtype).reshape(shape) for number, (shape, dtype) in enumerate(forms)]
    except ARCHIVE_ERRORS as error:
        # The caller has verified every byte, so the file is not damaged: it may be memory.
        reason = " ".join(str(error).split())[:300]
        raise StorageError(f"cannot read {path}: {reason}; its bytes are intact") from error


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """The array as u8[bytes]: numpy's format does not know every dtype."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
