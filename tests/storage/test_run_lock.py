import errno
import os
import subprocess
import sys

import pytest

from rookery.errors import StorageError
from rookery.storage.run_lock import RunLock

CHILD = """
import sys
from rookery.storage.run_lock import RunLock
lock = RunLock(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_holds_it(tmp_path):
    with RunLock(tmp_path / "run") as lock:
        assert lock.acquire() is lock  # held already: no second lock
        with pytest.raises(StorageError, match=f"in use by process {os.getpid()} on ") as caught:
            RunLock(tmp_path / "run").acquire()
        assert "\n" not in str(caught.value)
    with RunLock(tmp_path / "run"):
        pass


def test_a_killed_holder_holds_no_more(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match=f"process {child.pid} "):
            RunLock(tmp_path).acquire()
        child.kill()
        child.wait()
        RunLock(tmp_path).acquire().release()


def test_a_path_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot lock"):
        RunLock(tmp_path / "file").acquire()


def test_a_lock_file_left_behind_means_nothing(tmp_path):
    """Neither one of a dead process nor one that another host wrote."""
    for text in ("process 999999999 on elsewhere", "garbage \0", ""):
        (tmp_path / ".lock").write_text(text)
        with RunLock(tmp_path):
            assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        assert (tmp_path / ".lock").read_text() == ""


def test_a_file_system_without_locks_is_used_unguarded(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunLock(tmp_path / "run"), RunLock(tmp_path / "run") as lock:
        lock.check()
        (tmp_path / "run").rename(tmp_path / "renamed")
        with pytest.raises(StorageError, match="was removed, renamed or replaced"):
            lock.check()


def test_a_child_process_does_not_inherit_the_lock(tmp_path):
    with RunLock(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with child:
        RunLock(tmp_path).acquire().release()
        child.stdin.close()
