"""Processes made by `fork` after JAX started in their parent: an error at once instead of a hang.

JAX's backend has threads, and a fork copies none of them: the first computation in the child would wait forever. So
every adapter calls `check_not_forked` before it computes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from rookery.errors import RookeryError


class ForkError(RookeryError, RuntimeError):
    """This process was forked from one in which JAX had started, so nothing can be computed in it."""

    exit_code = 2


def check_not_forked() -> None:
    """Raises ForkError in a process that was forked after JAX started in its parent."""
    if _forked:
        raise ForkError(
            "this process was forked from one that had used JAX, which would hang here. Start worker processes with "
            "'spawn' (multiprocessing.set_start_method('spawn'), or context='spawn'), or make them before the parent "
            "resets an environment or uses JAX"
        )


def _backend_started() -> bool:
    # The dictionary itself: JAX's function for this takes a lock, which another thread may have held at the fork.
    return bool(vars(sys.modules.get("jax._src.xla_bridge", object)).get("_backends"))


def _note_fork() -> None:
    global _forked
    _forked = _forked or _backend_started()


def _forked_before_import() -> bool:
    """A worker process has a backend but not its threads: they stayed in the parent."""
    if not _backend_started() or multiprocessing.parent_process() is None:
        return False
    tasks = Path("/proc/self/task")
    return tasks.is_dir() and sum(1 for _ in tasks.iterdir()) == 1


_forked = _forked_before_import()
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_note_fork)
