"""Metrics of a run: one JSON line per update in `metrics.jsonl`, and the same numbers for TensorBoard.

A line is `{"update": 12, "steps": 48000, "novice/return": [0.9, 1.1], ...}`: nested names are joined by "/",
values of several seeds are lists (first axis: seed), and what is not finite is null.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.storage.atomic import storage_error, write_bytes

METRICS_FILE = "metrics.jsonl"
_RESERVED_METRIC_NAMES = ("update", "steps")


class MetricsWriter:
    """Appends to a run's metrics; use as a context manager or call `close`.

    Args:
      run_dir: the run's folder, created if absent.
      resume_at: None starts a new file. A number u continues an old one: lines of updates after u, and an incomplete
        last line, are dropped, and TensorBoard discards the same steps.
    Raises: StorageError if a new run already has metrics or the disk refuses; CorruptFileError as `read_metrics`.
    """

    def __init__(self, run_dir: Path | str, resume_at: int | None = None) -> None:
        run_dir = Path(run_dir)
        self._path = run_dir / METRICS_FILE
        purge: int | None = None
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            used = self._path.exists() and self._path.stat().st_size > 0
            if resume_at is None and used:
                raise StorageError(f"{self._path} exists already; resume that run or choose another run name")
            if resume_at is not None and used:
                remaining = [row for row in read_metrics(run_dir) if row["update"] <= resume_at]
                write_bytes(self._path, b"".join(map(_line, remaining)))
                purge = max((row["steps"] for row in remaining), default=-1) + 1
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            self._size = os.fstat(self._file).st_size
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise storage_error("write", self._path, error) from error
        try:
            self._tensorboard = _TensorBoardWriter(run_dir / "tb", purge)
        except OSError as error:
            os.close(self._file)
            raise storage_error("write", run_dir / "tb", error) from error

    def write(self, update: int, steps: int, values: Mapping[str, Any]) -> None:
        """Record one update.

        Args:
          update: the update just done.
          steps: environment steps so far; TensorBoard's horizontal axis.
          values: numbers, arrays or None, nested in mappings at will. An array's first axis is the seed.
        Raises: ValueError or TypeError for a name or value that cannot be recorded; StorageError if the disk
          refuses: no incomplete line is left behind.
        """
        flat = flatten_metrics(values)
        for name in _RESERVED_METRIC_NAMES:
            if name in flat:
                raise ValueError(f"metric name {name!r} is taken; choose another")
        row = {"update": int(update), "steps": int(steps), **flat}
        line = _line(row)
        try:
            self._append(line)
            self._tensorboard.write(int(steps), flat)
        except OSError as error:
            raise storage_error("write", self._path, error) from error

    def _append(self, line: bytes) -> None:
        try:
            done = 0
            while done < len(line):
                done += os.write(self._file, line[done:])
        except OSError:
            os.ftruncate(self._file, self._size)  # or the next line would be appended to half of this one
            raise
        self._size += len(line)

    def sync(self) -> None:
        """Sync the lines written so far to the disk, so that they survive a power cut. Raises: StorageError."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise storage_error("write", self._path, error) from error

    def close(self) -> None:
        """Close both files; harmless when repeated. Raises: StorageError if the disk refuses."""
        if self._file >= 0:
            file, self._file = self._file, -1
            try:
                os.close(file)
                self._tensorboard.close()
            except OSError as error:
                raise storage_error("write", self._path, error) from error

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.close()
        except StorageError:
            if error is None:  # do not hide the first error
                raise


def read_metrics(run_dir: Path | str) -> list[dict[str, Any]]:
    """Every complete line of a run's metrics, in order.

    An incomplete last line, left by a process that was killed, is ignored.
    Raises: NotFoundError if the run has none; CorruptFileError naming the number of a bad line; StorageError if
      the file cannot be read.
    """
    path = Path(run_dir) / METRICS_FILE
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no {path}; train first, or name another run") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line.decode())
            if type(row["update"]) is not int or type(row["steps"]) is not int:
                raise TypeError
            rows.append(row)
        except (ValueError, TypeError, KeyError, RecursionError):
            if number == len(lines):  # incomplete, or nothing after the last line's end
                break
            raise CorruptFileError(
                f"{path} is damaged: line {number} is not a record; remove that line to continue"
            ) from None
    return rows


def flatten_metrics(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one of "a/b" names, values as JSON knows them: numbers, None and lists.

    Raises: TypeError for a value that is not a number, ValueError for an empty or repeated name.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if not isinstance(key, str) or not key:
            raise ValueError(f"metric name {name!r} must be a string of one character or more")
        inner = (
            flatten_metrics(value, f"{name}/") if isinstance(value, Mapping) else {name: _to_json_value(name, value)}
        )
        for full in inner:
            if full in flat:
                raise ValueError(f"metric {full!r} is given twice")
        flat |= inner
    return flat


def _to_json_value(name: str, value: Any) -> Any:
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.astype(np.int64).tolist() if array.dtype.kind == "b" else array.tolist()
    if array.dtype.kind not in "fV" or array.dtype.names:  # V: bfloat16 and similar types
        raise TypeError(f"metric {name!r} must be a number or an array of numbers, not {type(value).__name__}")
    array = array.astype(np.float64)
    return _nonfinite_to_none(array.tolist())


def _nonfinite_to_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_nonfinite_to_none(item) for item in value]
    return value if math.isfinite(value) else None


def _line(row: dict[str, Any]) -> bytes:
    return (json.dumps(row, allow_nan=False, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


class _TensorBoardWriter:
    """TensorBoard events, written in this thread.

    tensorboardX's SummaryWriter passes events to a thread through a short queue; if that thread dies on a full disk,
    training waits for the queue forever. Its RecordWriter writes at once and raises the error.
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        # Nanoseconds and process: a run resumed within the second must not overwrite its past.
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        self._writer = RecordWriter(str(folder / name))
        step = purge_step or 0
        self._put(Event(wall_time=now, step=step, file_version="brain.Event:2"))
        if purge_step is not None:
            self._put(Event(wall_time=now, step=step, session_log=SessionLog(status=SessionLog.START)))
        self._writer.flush()

    def _put(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def write(self, step: int, flat: dict[str, Any]) -> None:
        points = [(n, v) for name, value in flat.items() for n, v in _tensorboard_curves(name, value)]
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in points]
        self._put(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _tensorboard_curves(name: str, value: Any) -> list[tuple[str, float]]:
    """The curves of one metric: itself, or each seed's and the seeds' mean; nulls leave gaps."""
    if not isinstance(value, list):
        return [] if value is None else [(name, float(value))]
    seeds = [(f"{name}/seed{i}", _mean(item)) for i, item in enumerate(value)]
    return [(n, v) for n, v in [(name, _mean(value)), *seeds] if v is not None]


def _mean(value: Any) -> float | None:
    if not isinstance(value, list):
        return None if value is None else float(value)
    parts = [part for part in map(_mean, value) if part is not None]
    return sum(parts) / len(parts) if parts else None
