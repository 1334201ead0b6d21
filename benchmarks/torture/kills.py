"""SIGKILL at random and chosen moments; what is continued must have the very bytes of what was not stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.torture.record import TrialError

KINDS = ("ppo", "a2c", "r2d2", "cloning", "demo", "score", "study", "ray")
MOMENTS = ("fsync", "replace", "rename", "rmdir", "ftruncate")


class Kills:
    """Every trial is one kill. A run goes on from trial to trial until it is finished, then it is compared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial(self, number: int) -> str | None:
        dice = random.Random(number)
        kind = KINDS[number % len(KINDS)]
        reference, seconds = self._reference(kind)
        run_dir = self.folder / f"run-{kind}"
        moment = [dice.choice(MOMENTS), str(dice.randint(1, 25))] if number // len(KINDS) % 2 else []
        process = start(kind, run_dir, *moment)
        try:
            process.wait(seconds * 3 + 60 if moment else dice.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        code = process.wait()
        if code not in (0, -9):
            raise TrialError(f"{kind}: exit code {code} after a kill: {process.stderr.read()[-300:]}")
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


def start(kind: str, run_dir: Path, *moment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "benchmarks.torture.child", kind, str(run_dir), *moment]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}  # also for the workers of Ray
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def finish(kind: str, run_dir: Path) -> None:
    process = start(kind, run_dir)
    _, errors = process.communicate()
    if process.returncode:
        raise TrialError(f"{kind}: cannot be continued: exit code {process.returncode}: {errors[-300:]}")


def compare(left: Path, right: Path) -> str:
    """The first file that differs, of agents, checkpoints, metrics, results and cards; '' if none does."""
    for path in sorted(left.rglob("*")):
        name = path.relative_to(left)
        read = _READERS.get(path.name) or _READERS.get(path.suffix)
        if read is not None and (not (right / name).exists() or read(path) != read(right / name)):
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
