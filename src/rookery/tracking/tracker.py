"""The base class of trackers: what receives the metrics of a run while it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """The run that a tracker follows."""

    name: str
    run_dir: Path
    config: Mapping[str, Any]
    """The complete configuration, as JSON values."""
    seeds: tuple[int, ...]
    """The training seeds, in the order of the lists in `metrics.jsonl`."""
    first_step: int | None = None
    """None for a new run. For a resumed one, the first environment step whose metrics are written (again)."""


class Tracker:
    """Receives the metrics of one run. All methods but `write` do nothing by default.

    An instance is made without arguments, then `start`, any number of `write`, and `finish`. Metrics have the same
    names in every tracker, see `metric_curves`. An exception in `start` ends the run before it trains; an exception in
    `write` or `finish` is logged, and the run continues without the tracker: a lost connection must not cost a training
    run.
    """

    kind: ClassVar[str] = ""
    """Name on the command line: `--track KIND`."""
    package: ClassVar[str | None] = None
    """Module that must be installed; None: nothing beyond Rookery's own dependencies."""

    def start(self, run: TrackedRun, run_id: str | None) -> str | None:
        """Begin to track a run, or continue.

        Args:
          run_id: what `start` returned for an earlier process of this run; None for the first one.
        Returns: an id with which a resumed run continues the same tracked run; None if the tracker needs none.
        """
        return None

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """Record one update. *Required.*

        Args:
          steps: environment steps of each seed so far.
          values: finite numbers by name.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method write(steps, values)")

    def finish(self) -> None:
        """The process ends, whether or not the run is complete."""


def metric_curves(metrics: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, float]:
    """The curves of one line of `metrics.jsonl`, named alike in every tracker.

    A metric that is one number keeps its name. One with a value per seed gives `NAME/mean` for the mean over seeds and
    `NAME/seedN` for the seed N (not `NAME` for the mean: MLflow's file store keeps a metric as a file, which cannot be
    a folder as well). Values that are null (not finite, or not measured) are left out.

    Args:
      metrics: as `rookery.storage.metrics.flatten_metrics` returns them.
      seeds: the run's training seeds; a list of another length is numbered from 0 instead.
    """
    curves: dict[str, float] = {}
    for name, value in metrics.items():
        mean = mean_value(value)
        if mean is None:
            continue
        if not isinstance(value, list):
            curves[name] = mean
            continue
        curves[f"{name}/mean"] = mean
        labels = [f"seed{seed}" for seed in seeds] if len(value) == len(seeds) else [str(i) for i in range(len(value))]
        parts = zip(labels, map(mean_value, value), strict=True)
        curves |= {f"{name}/{label}": part for label, part in parts if part is not None}
    return curves


def mean_value(value: Any) -> float | None:
    """The mean of a number or of nested lists of numbers, without nulls; None if nothing is left."""
    if not isinstance(value, list):
        return None if value is None else float(value)
    parts = [part for part in map(mean_value, value) if part is not None]
    return sum(parts) / len(parts) if parts else None
