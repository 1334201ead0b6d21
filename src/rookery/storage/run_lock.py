"""One writer per run: two processes must never train into the same folder."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from rookery.errors import StorageError
from rookery.storage.atomic import storage_error

LOCK_FILE = ".lock"

# A file system without locks (some network disks): an unguarded run is better than none.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class RunLock:
    """Holds `run_dir/.lock` while the process lives; the system releases it however the process ends.

    Use as a context manager, or `acquire` and `release`. The file stays behind and means nothing when no process locks
    it, whatever host or process it names: removing it would let a third process lock a new file while a second one
    still waits for the old.
    """

    def __init__(self, run_dir: Path | str) -> None:
        self.run_dir: Path = Path(run_dir)
        self._path = self.run_dir / LOCK_FILE
        # No soft lock, which a killed process would leave behind.
        self._lock = FileLock(self._path, timeout=0, fallback_to_soft=False)

    def acquire(self) -> RunLock:
        """Take the lock or fail at once.

        Raises: StorageError if another process holds it, naming that process, or if the folder cannot be written.
        """
        if self._lock.is_locked:
            return self
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        except Timeout:
            raise StorageError(
                f"{self.run_dir} is in use by {self._holder()}; wait for it to end, stop it, or use another run name"
            ) from None
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.release()
                raise storage_error("lock", self.run_dir, error) from error
        return self

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return self._path.read_text(errors="replace")[:200].strip() or "another process"
        return "another process"

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._path.write_text("")
            self._lock.release()

    def __enter__(self) -> RunLock:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()
