"""SIGKILL at random and chosen moments; what is continued must have the very bytes of what was not stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from benchmarks.torture.record import TrialError

KINDS = ("ppo", "a2c", "r2d2", "cloning", "demo", "score", "study", "ray")
MOMENTS = ("fsync", "replace", "rename", "rmdir", "ftruncate")


class Kills:
    """Every trial is one kill. A run continues from trial to trial until it is finished, then it is compared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial(self, number: int) -> str | None:
        dice = random.Random(number)
        kind = KINDS[number % len(KINDS)]
        reference, seconds = self._reference(kind)
        run_dir = self.folder / f"run-{kind}"
        moment = [dice.choice(MOMENTS), str(dice.randint(1, 25))] if number // len(KINDS) % 2 else []
        with tempfile.TemporaryFile() as errors:
            process = start(kind, run_dir, errors, *moment)
            try:
                process.wait(seconds * 3 + 60 if moment else dice.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
            code = process.wait()
            if code not in (0, -9):
                raise TrialError(f"{kind}: exit code {code} after a kill: {_tail(errors)}")
        if code == 0 or dice.random() < 0.3:  # finished, or enough of it: to the end, and compare
            finish(kind, run_dir)
            differing = compare(reference, run_dir)
            shutil.rmtree(run_dir)
            shutil.rmtree(run_dir.with_name(f"{run_dir.name}-data"), ignore_errors=True)
            if differing:
                raise TrialError(f"{kind}: {differing} differs from the run that was not killed")
        return None

    def _reference(self, kind: str) -> tuple[Path, float]:
        """A run that was not killed, and its seconds."""
        folder = self.folder / f"reference-{kind}"
        seconds = folder.with_name(f"{folder.name}.seconds")
        if not seconds.exists():
            shutil.rmtree(folder, ignore_errors=True)
            begin = time.monotonic()
            finish(kind, folder)
            seconds.write_text(str(time.monotonic() - begin))
        return folder, float(seconds.read_text())


def start(kind: str, run_dir: Path, errors: IO[bytes], *moment: str) -> subprocess.Popen:
    """`errors`: a file for what it prints there; a pipe that is not read would make it wait."""
    command = [sys.executable, "-m", "benchmarks.torture.child", kind, str(run_dir), *moment]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}  # also for the workers of Ray
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment)


def finish(kind: str, run_dir: Path) -> None:
    with tempfile.TemporaryFile() as errors:
        if code := start(kind, run_dir, errors).wait():
            raise TrialError(f"{kind}: cannot be continued: exit code {code}: {_tail(errors)}")


def _tail(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode("utf-8", "replace")[-300:]


def compare(left: Path, right: Path) -> str:
    """The first file that differs, of agents, checkpoints, metrics, results and cards; '' if none does.

    One that only one of the two has differs. Half-written files of killed processes are not compared: they are removed
    when their file is next written.
    """
    folders = (left, right)
    names = {path.relative_to(folder) for folder in folders for path in folder.rglob("*") if ".tmp-" not in str(path)}
    for name in sorted(names):
        read = _READERS.get(name.name) or _READERS.get(name.suffix)
        if read is None:
            continue
        if not all((folder / name).exists() for folder in folders) or read(left / name) != read(right / name):
            return str(name)
    return ""


def _results(path: Path) -> Any:
    """Results without times and machines."""

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if key not in ("seconds", "machine", "machines")}

    return json.loads(path.read_text(), object_pairs_hook=kept)


def _rows(path: Path) -> list[dict]:
    lines = map(json.loads, path.read_text().splitlines())
    return [{key: value for key, value in line.items() if not key.startswith("time/")} for line in lines]


_READERS: dict[str, Callable[[Path], Any]] = {
    ".safetensors": Path.read_bytes,
    ".npz": Path.read_bytes,
    "metrics.jsonl": _rows,
    "results.json": _results,
    "tiny.json": Path.read_bytes,
    "tiny.html": Path.read_bytes,
}
"""What of a run has to be equal, without what a clock measured."""
