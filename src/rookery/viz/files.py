"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path

from rookery.errors import StorageError


def write_file_atomic(path: str | os.PathLike, content: bytes) -> Path:
    """Write `content` beside `path`, then rename it into place; parent folders are made.

    A reader, or a crash, never meets half a file: the old one stays until the new one is complete.
    Returns: the path.
    Raises: StorageError if the disk refuses; nothing is left behind.
    """
    path = Path(path)
    # Not tempfile: its files are private to the user, and a report is meant to be read by others.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # gone already when all went well
            draft.unlink()
    return path
