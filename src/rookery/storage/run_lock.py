"""One writer a run: two processes must never train into the same folder."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from rookery.errors import StorageError
from rookery.storage.atomic import storage_error

# A file system without locks (some network disks): better an unguarded run than none.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class RunLock:
    """Holds `run_dir/.lock` while the process lives; the system lets go of it however the process ends.

    Use as a context manager, or `acquire` and `release`. The file stays behind, empty of meaning: removing it
    would let a third process lock a new file while a second still waits at the old one.
    """

    def __init__(self, run_dir: Path | str):
        self.run_dir = Path(run_dir)
        self._descriptor: int | None = None

    def acquire(self) -> RunLock:
        """Take the lock or fail at once.

        Raises: StorageError if another holds it, naming its process; or if the folder cannot be written.
        """
        if self._descriptor is not None:
            return self
        path = self.run_dir / ".lock"
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise storage_error("lock", self.run_dir, error) from error
        try:
            _lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise StorageError(
                f"{self.run_dir} is in use by {holder}; wait for it to end, stop it, or use another run name"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise storage_error("lock", self.run_dir, error) from error
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> RunLock:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()


def _lock(descriptor: int) -> None:
    """An exclusive lock without waiting. Raises: BlockingIOError if another has it."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
