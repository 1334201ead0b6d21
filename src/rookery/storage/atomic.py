"""Files that are either the old or the new version, never a mixture.

A file is written under a temporary name next to its target, synced to the disk, then renamed over it: after a crash or
a power cut, and for every reader, one whole version is there. Every refusal of the disk becomes one `StorageError`.

Libraries for this do not sync the folder, without which a power cut can undo the rename, and leave the errors as they
are.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from pathlib import Path

from rookery.errors import StorageError

_ERRNO_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, then run the command again",
    errno.EDQUOT: "your disk quota is used up; free some space, then run the command again",
    errno.EFBIG: "the file is larger than this disk or account allows; write to another folder",
    errno.EACCES: "no permission; write to a folder of your own or change its permissions",
    errno.EPERM: "not permitted; write to a folder of your own or change its permissions",
    errno.EROFS: "the disk is read-only; write to another folder",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "it is a folder, not a file; choose another path",
    errno.EEXIST: "part of the path is a file, not a folder; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def storage_error(action: str, path: Path | str, error: Exception) -> StorageError:
    """The error for a refusal of the disk, one line: `cannot <action> <path>: <why>; <what to do>`."""
    number = getattr(error, "errno", None)
    if number is None:  # some libraries report the reason only in words
        number = next((n for n in (errno.ENOSPC, errno.EDQUOT) if os.strerror(n) in str(error)), None)
    why = _ERRNO_ADVICE.get(number) if number is not None else None
    if why is None:
        reason = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        why = f"{reason[:300]}; check the disk, then run the command again"
    return StorageError(f"cannot {action} {path}: {why}")


def write_bytes(path: Path | str, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all; missing folders are created, a symbolic link is followed.

    Raises: StorageError if the disk refuses; the old content, if any, is then untouched.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}-{threading.get_ident()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_directory(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise storage_error("write", path, error) from error
        raise


def write_text(path: Path | str, text: str) -> None:
    """`write_bytes` of `text` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, data: object, *, indent: int | None = 2) -> None:
    """`write_text` of `data` as strict JSON with a final newline.

    Raises: StorageError as `write_bytes`; ValueError for NaN or infinity, TypeError for what JSON cannot hold, both
      before anything is written.
    """
    write_text(path, json.dumps(data, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")


def sync_directory(path: Path | str) -> None:
    """Sync a folder's list of names to the disk, so that a rename in it survives a power cut.

    Raises: OSError; does nothing on systems and file systems that cannot do it.
    """
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
