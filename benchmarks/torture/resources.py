"""Long runs and full disks: memory and descriptors stay flat; every refused write is an error that loses nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.torture.configs import LEARNERS, run_config, train_to_end
from benchmarks.torture.kills import compare
from benchmarks.torture.record import TrialError
from tests.tiny import TASK

from rookery.errors import StorageError
from rookery.storage import checkpoint
from rookery.training.trainer import resume

UPDATES_PER_TRIAL = 2000
SAVES_PER_TRIAL = 1000
MAX_SLOPE = 0.5  # kB per update or save, of a straight line through the second half
CALLS = ("fsync", "replace", "rename", "mkdir", "open", "ftruncate", "write")


def memory_of_updates(number: int) -> str:
    """Kilobytes and descriptors gained per update, by a straight line through the second half of a run."""
    config = run_config(LEARNERS["ppo"], total_timesteps=UPDATES_PER_TRIAL * 4 * TASK.max_steps)
    points: list[tuple[int, int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        train_to_end(config, run_dir, on_update=lambda done, saved: points.append((done, *_usage())))
    return _judge(points, "update")


def memory_of_saves(number: int) -> str:
    """The same of checkpoints alone."""
    tree = {f"{i}": np.zeros(500, np.float32) for i in range(40)}
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for update in range(SAVES_PER_TRIAL):
            checkpoint.save(folder, update, tree)
            points.append((update, *_usage()))
    return _judge(points, "save")


def _usage() -> tuple[int, int]:
    """Resident kB and open descriptors."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024, len(os.listdir("/proc/self/fd"))


def _judge(points: list[tuple[int, int, int]], what: str) -> str:
    half = np.array(points[len(points) // 2 :])
    slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0])
    descriptors = int(half[-1, 2] - half[0, 2])
    line = f"{slope:+.2f} kB per {what}, {descriptors:+d} descriptors over {len(half):,}"
    if slope > MAX_SLOPE or descriptors > 0:
        raise TrialError(f"not flat: {line}")
    return line


class FullDisk:
    """The disk refuses one write of a run: the n-th call of a function, or every file above a size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = run_config(LEARNERS["ppo"])
        self.reference = folder / "reference"
        if not (self.reference / "status.json").exists():
            shutil.rmtree(self.reference, ignore_errors=True)
            train_to_end(self.config, self.reference)

    def trial(self, number: int) -> str | None:
        run_dir = self.folder / "run"
        shutil.rmtree(run_dir, ignore_errors=True)
        refusal = _limited_size(200 * (1 + number // 2)) if number % 2 else _refused_call(number // 2)
        refused = False
        try:
            with refusal:
                train_to_end(self.config, run_dir)
        except StorageError as error:
            refused = True
            if not str(error).isprintable():
                raise TrialError(f"the message is not a printable line: {str(error)[:200]!r}") from None
        if refused and (run_dir / "config.json").exists():
            if not resume(run_dir, quiet=True).finished:
                raise KeyboardInterrupt
        elif refused:
            train_to_end(self.config, run_dir)
        if differing := compare(self.reference, run_dir):
            raise TrialError(f"{differing} differs after a refused write")
        if left := [path.name for path in run_dir.rglob("*") if ".tmp-" in path.name]:
            raise TrialError(f"{left[0]} was left behind")
        return None


@contextlib.contextmanager
def _limited_size(size: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def _refused_call(number: int):
    """Call number // len(CALLS) of one function of `os` is refused."""
    name, countdown = CALLS[number % len(CALLS)], number // len(CALLS)
    real = getattr(os, name)

    def refuse(*args, **kwargs):
        nonlocal countdown
        countdown -= 1
        if countdown == -1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    setattr(os, name, refuse)
    try:
        yield
    finally:
        setattr(os, name, real)
