"""What reading a numpy archive (.npz) raises where the file is none, or is altered."""

from __future__ import annotations

import zipfile
import zlib

ARCHIVE_ERRORS = (
    ValueError, TypeError, OSError, KeyError, EOFError, RuntimeError, MemoryError, OverflowError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""Of numpy and zipfile. NotImplementedError is a RuntimeError; MemoryError is of a header that names a huge shape."""
