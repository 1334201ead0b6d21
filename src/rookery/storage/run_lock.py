"""One writer per run: two processes never train into one folder, and none continues in one that is not its own."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from rookery.errors import InUseError, StorageError
from rookery.storage.atomic import check_path, check_regular_file, read_file, refuse_link, storage_error
from rookery.storage.run_files import LOCK_FILE, own_paths

# A file system without locks (some network disks): an unguarded run is better than none.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class RunLock:
    """Holds `run_dir/.lock` while the process lives; the system releases it however the process ends.

    Use as a context manager, or `acquire` and `release`. The file stays behind and means nothing when no process locks
    it, whatever host or process it names: removing it would let a third process lock a new file while a second one
    still waits for the old.
    """

    def __init__(self, run_dir: Path | str) -> None:
        check_path(run_dir)
        self.run_dir: Path = Path(run_dir)
        self._path = self.run_dir / LOCK_FILE
        # No soft lock, which a killed process would leave behind.
        self._lock = FileLock(self._path, timeout=0, fallback_to_soft=False)
        self._folder: int | None = None  # descriptor of the run's folder: its number cannot be given to another one

    def acquire(self) -> RunLock:
        """Take the lock or fail at once.

        Raises: InUseError if another process holds it, naming that process; StorageError if the folder cannot be
          written, if one of the run's own files is a symbolic link (runs are copied from machine to machine, and
          writing through a link would change files elsewhere), or if one is a pipe, a socket or a device.
        """
        if self._lock.is_locked:
            return self
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            _check_own_files(self.run_dir)
            if self._folder is None and os.name == "posix":  # first: `check` also serves where there are no locks
                self._folder = os.open(self.run_dir, os.O_RDONLY | os.O_DIRECTORY)
            self._lock.acquire()
            self._path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        except Timeout:
            self.release()
            raise InUseError(
                f"{self.run_dir} is in use by {self._holder()}; wait for it to end, stop it, or use another run name"
            ) from None
        except NotImplementedError:
            pass
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            if error.errno not in _NO_LOCKS:
                self.release()
                raise storage_error("lock", self.run_dir, error) from error
        return self

    def check(self) -> None:
        """Check that the run's folder is still where it was: removed or renamed folders must not come back half.

        Raises: StorageError if it is not.
        """
        if self._is_in_place():
            return
        raise StorageError(
            f"{self.run_dir} was removed, renamed or replaced while the run wrote to it; nothing more is written: "
            "put the folder back, then continue it with 'rookery resume'"
        )

    def _is_in_place(self) -> bool:
        if self._folder is None:
            return True
        try:
            return os.path.samestat(os.stat(self.run_dir), os.fstat(self._folder))
        except OSError:
            return False

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return read_file(self._path).decode(errors="replace")[:200].strip() or "another process"
        return "another process"

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                if self._is_in_place():
                    self._path.write_text("")
            self._lock.release()
        if self._folder is not None:
            folder, self._folder = self._folder, None
            os.close(folder)

    def __enter__(self) -> RunLock:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()


def _check_own_files(run_dir: Path) -> None:
    """Raises: StorageError, naming the first, for a link among a run's files, or what is not a regular file."""
    for path in own_paths(run_dir):
        refuse_link(path)
        try:
            check_regular_file(path)
        except OSError as error:
            if error.errno == errno.ESPIPE:
                raise storage_error("use", path, error) from None
