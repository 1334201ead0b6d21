"""The metrics of a run as a tidy table: one row per seed, step and metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import printable
from rookery.optional_packages import import_optional, install_extra
from rookery.storage.atomic import write_bytes, write_text
from rookery.storage.metrics import read_metrics
from rookery.tracking.run_info import read_run_info
from rookery.tracking.tracker import mean_value

COLUMNS = ("run", "seed", "step", "metric", "value")
NO_SEED = -1
"""In the column `seed`: the metric is one of the whole run, such as its speed."""


def load_run(path: Path | str) -> dict[str, np.ndarray]:
    """The metrics of a run as columns of one length, ready for `pandas.DataFrame(rookery.load_run(path))`.

    Args:
      path: folder of the run; it may still be training.
    Returns: `run` (the folder's name, with escapes for what is not printable), `seed` (i64; -1 for a metric of the
      whole run), `step` (i64, environment steps of each seed), `metric` (such as "social/novice/return"), `value`
      (f64; NaN where it was not finite or not measured). Sorted by metric, then seed, then step.
    Raises: NotFoundError if there is no run or it has no metrics yet; CorruptFileError; StorageError.
    """
    info = read_run_info(path)
    steps: dict[str, list[int]] = {}
    values: dict[str, list[Any]] = {}
    for row in read_metrics(path):
        for name, value in row.items():
            if name not in ("update", "steps"):
                steps.setdefault(name, []).append(row["steps"])
                values.setdefault(name, []).append(value)
    parts = [_metric_columns(name, steps[name], values[name], info.seeds) for name in sorted(values)]
    seed, step, metric, value = (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else _no_rows()
    run = np.full(len(value), printable(info.name))
    return {"run": run, "seed": seed, "step": step, "metric": metric, "value": value}


def _metric_columns(name: str, steps: list[int], rows: list[Any], seeds: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Columns seed, step, metric and value of one metric; a list with a value per seed becomes a row per seed."""
    by_seed = [row if isinstance(row, list) else [row] for row in rows]
    width = max(map(len, by_seed))
    if not any(isinstance(row, list) for row in rows):
        labels: Sequence[int] = (NO_SEED,)
    else:
        labels = seeds if len(seeds) == width else range(width)
    means = [[mean_value(item) for item in row] + [None] * (width - len(row)) for row in by_seed]
    values = np.array([[np.nan if item is None else item for item in row] for row in means], float).T  # [seeds, N]
    seed = np.repeat(np.asarray(labels, np.int64), len(steps))
    return seed, np.tile(np.asarray(steps, np.int64), width), np.full(values.size, name), values.reshape(-1)


def _no_rows() -> tuple[np.ndarray, ...]:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, "<U1"), np.empty(0)


def concatenate(tables: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Tables of several runs, one below the other."""
    tables = list(tables)
    return {name: np.concatenate([table[name] for table in tables]) for name in COLUMNS}


def write_csv(table: dict[str, np.ndarray], path: Path) -> None:
    """Write a table as CSV; seed and value are empty where there is none. Raises: StorageError."""
    seeds = ("" if seed == NO_SEED else seed for seed in table["seed"].tolist())
    values = ("" if value != value else repr(value) for value in table["value"].tolist())
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    names = (table[name].tolist() for name in ("run", "step", "metric"))
    writer.writerows((run, seed, step, metric, value) for (run, step, metric), seed, value in zip(
        zip(*names, strict=True), seeds, values, strict=True
    ))  # fmt: skip
    write_text(path, file.getvalue(), follow_link=True)


def write_parquet(table: dict[str, np.ndarray], path: Path) -> None:
    """Write a table as Parquet; seed and value are null where there is none.

    Raises: MissingPackageError if pyarrow is not installed; StorageError.
    """
    missing = f"Parquet needs the package pyarrow: {install_extra('track')}; or write CSV with --csv"
    parquet, pyarrow = (import_optional(name, missing) for name in ("pyarrow.parquet", "pyarrow"))
    columns = {
        "run": pyarrow.array(table["run"].tolist()).dictionary_encode(),
        "seed": pyarrow.array(table["seed"], mask=table["seed"] == NO_SEED),
        "step": pyarrow.array(table["step"]),
        "metric": pyarrow.array(table["metric"].tolist()).dictionary_encode(),
        "value": pyarrow.array(table["value"], from_pandas=True),
    }
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    write_bytes(path, buffer.getvalue(), follow_link=True)
