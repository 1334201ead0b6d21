"""Metrics of a run: one JSON line per update in `metrics.jsonl`, and the same numbers for its trackers.

A line is `{"update": 12, "steps": 48000, "novice/return": [0.9, 1.1], ...}`: nested names are joined by "/",
values of several seeds are lists (first axis: seed), and what is not finite is null.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.storage.atomic import check_path, read_file, storage_error, write_bytes
from rookery.storage.run_files import METRICS_FILE
from rookery.storage.strict_json import parse_json

_RESERVED_METRIC_NAMES = ("update", "steps")


class MetricSink:
    """Receives what a `MetricsWriter` records; does nothing by default. `rookery.tracking` has those of runs."""

    def open(self, first_step: int | None) -> None:
        """Before the first line. `first_step`: None for a new run, else the first step that is written again."""

    def write(self, steps: int, metrics: Mapping[str, Any]) -> None:
        """One line: environment steps so far, and metrics as `flatten_metrics` returns them."""

    def close(self) -> None:
        """After the last line that this process writes."""


class MetricsWriter:
    """Appends to a run's metrics; use as a context manager or call `close`.

    Args:
      run_dir: the run's folder, created if absent.
      resume_at: None starts a new file. A number u continues an old one: lines of updates after u, and an incomplete
        last line, are dropped, and the sink is given the step from which on.
      sink: receives every line as well.
    Raises: StorageError if a new run already has metrics or the disk refuses; CorruptFileError as `read_metrics`.
    """

    def __init__(self, run_dir: Path | str, resume_at: int | None = None, sink: MetricSink | None = None) -> None:
        check_path(run_dir)
        run_dir = Path(run_dir)
        self._sink = sink or MetricSink()
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
            self._sink.open(purge)
        except BaseException:
            os.close(self._file)
            raise

    def write(self, update: int, steps: int, values: Mapping[str, Any]) -> None:
        """Record one update.

        Args:
          update: the update just done.
          steps: environment steps so far.
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
        self._check_in_place()
        try:
            self._append(line)
            self._sink.write(int(steps), flat)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise storage_error("write", self._path, error) from error

    def _check_in_place(self) -> None:
        """Raises StorageError if the file was removed or replaced: what is appended to it then would be lost."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._file)):
                return
        raise StorageError(
            f"{self._path} was removed or replaced while the run wrote to it; nothing more is written: put it back, "
            "then continue with 'rookery resume'"
        )

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
        """Close the file and the sink; harmless when repeated. Raises: StorageError if the disk refuses."""
        if self._file >= 0:
            file, self._file = self._file, -1
            try:
                os.close(file)
                self._sink.close()
            except OSError as error:
                if isinstance(error, StorageError):
                    raise
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
    check_path(path)
    try:
        lines = read_file(path).removeprefix(codecs.BOM_UTF8).split(b"\n")  # an editor may add the mark
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no {path}; train first, or name another run") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_parse_line(line))
        except ValueError as error:
            if number == len(lines):  # incomplete, or nothing after the last line's end
                break
            raise CorruptFileError(
                f"{path} is damaged: line {number} is not a record ({error}); put a copy of the file back, or write "
                f'{{"update": {number}, "steps": ...}} in place of that line, with the number that belongs there, to '
                "continue without its other numbers"
            ) from None
    return rows


def check_all_updates(run_dir: Path | str, rows: list[dict[str, Any]], num_updates: int) -> None:
    """Check that a run's metrics up to an update are one line for each of the updates 1 to `num_updates`, in order.

    Args:
      rows: all of the run's, as from `read_metrics`.
    Raises: CorruptFileError, naming what is missing.
    """
    found = [row["update"] for row in rows if row["update"] <= num_updates]
    if found == [*range(1, num_updates + 1)]:
        return
    missing = sorted({*range(1, num_updates + 1)} - {*found})
    more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
    problem = f"it lacks updates {', '.join(map(str, missing[:10]))}{more}" if missing else "its lines are out of order"
    raise CorruptFileError(
        f"{Path(run_dir) / METRICS_FILE} is damaged: {problem}, of {num_updates} that were done; put a copy of it back"
    )


def seed_values(run_dir: Path | str, row: Mapping[str, Any], name: str, num_seeds: int) -> list[float | None]:
    """A metric of one line of a run's metrics that is one number per seed; None where it was not finite.

    Raises: CorruptFileError naming the update if the line lacks it or it is anything else.
    """
    values = row.get(name)
    if type(values) is not list or len(values) != num_seeds or any(type(value) is list for value in values):
        raise _damaged_metric(run_dir, row, name, f"one number for each of {num_seeds} seeds")
    return values


def check_seed_metrics(
    run_dir: Path | str, rows: Iterable[Mapping[str, Any]], prefixes: tuple[str, ...], num_seeds: int
) -> None:
    """Check that every metric whose name begins with a prefix is a list with a number, or a list, per seed.

    Raises: CorruptFileError naming the update and the metric.
    """
    for row in rows:
        for name, values in row.items():
            if name.startswith(prefixes) and (type(values) is not list or len(values) != num_seeds):
                raise _damaged_metric(run_dir, row, name, f"a list for {num_seeds} seeds")


def _damaged_metric(run_dir: Path | str, row: Mapping[str, Any], name: str, expected: str) -> CorruptFileError:
    problem = f"is {str(row[name])[:40]}" if name in row else "is missing"
    return CorruptFileError(
        f"{Path(run_dir) / METRICS_FILE} is damaged: in the line of update {row['update']}, {name!r} {problem}; it "
        f"must be {expected}: correct it, or remove the run to train it again"
    )


def _parse_line(line: bytes) -> dict[str, Any]:
    """Raises ValueError for a line that `MetricsWriter` never writes."""
    row = parse_json(line.decode())
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    for name in _RESERVED_METRIC_NAMES:
        if type(row.get(name)) is not int or not 0 <= row[name] < 2**63:
            raise ValueError(f"{name!r} is missing or not a whole number")
    for name, value in row.items():
        if not _is_metric(value):
            raise ValueError(f"{name[:80]!r} is neither a number nor a list of numbers")
    return row


def _is_metric(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_metric, value))
    return value is None or type(value) in (int, float)


def flatten_metrics(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one of "a/b" names, values as JSON knows them: numbers, None and lists.

    Raises: TypeError for a value that is not a number, ValueError for a repeated name and as `check_metric_name`.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        check_metric_name(key)
        inner = (
            flatten_metrics(value, f"{name}/") if isinstance(value, Mapping) else {name: _to_json_value(name, value)}
        )
        for full in inner:
            if full in flat:
                raise ValueError(f"metric {full!r} is given twice")
        flat |= inner
    return flat


def check_metric_name(name: object) -> None:
    """Raises ValueError for a name that files and trackers could not hold: anything but printable text.

    "/" joins the parts of a name, none of which is empty.
    """
    if not isinstance(name, str) or not name.isprintable() or not all(name.split("/")):
        raise ValueError(
            f"metric name {name!r:.60} must be a string of one character or more, printable, with text before and "
            "after each /"
        )


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
