"""Whether agents were still improving when training ended: a verdict is about training of that length."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from rookery.intervals import Interval, mean_interval
from rookery.studies.results import Results

LAST_PART = 0.2
"""Of the checkpoints."""
MIN_CHECKPOINTS = 3
"""Fewer show no slope."""


@dataclasses.dataclass(frozen=True)
class TracedResults(Results):
    """Results that record whose returns with experts, or what follows from them, a claim reads."""

    read: dict[str, None] = dataclasses.field(default_factory=dict)
    """The conditions, in order."""

    def curve(self, condition: str) -> dict[str, Any]:
        self.read[condition] = None
        return super().curve(condition)

    def values(self, condition: str, measure: str = "return_social", eval_condition: str | None = None) -> np.ndarray:
        self._record(condition, measure)
        return super().values(condition, measure, eval_condition)

    def intervals(
        self, condition: str, measure: str = "return_social", eval_condition: str | None = None
    ) -> list[Interval]:
        self._record(condition, measure)
        return super().intervals(condition, measure, eval_condition)

    def _record(self, condition: str, measure: str) -> None:
        if measure.startswith(("return_social", "social_gain", "metrics_social: ")):
            self.read[condition] = None


def late_rise(curve: dict[str, Any]) -> Interval:
    """By how much the return with experts rises over the last fifth of the checkpoints, mean over seeds.

    Each seed has a straight line of its own; the interval is Student's over seeds.

    Args:
      curve: a condition's learning curves.
    Returns: without a value where there are too few checkpoints, and without bounds for a single seed.
    """
    checkpoints = curve.get("checkpoints", {})
    steps = np.array(checkpoints.get("steps", ()), float)
    count = max(MIN_CHECKPOINTS, math.ceil(LAST_PART * len(steps)))
    if len(steps) < count or "return_social" not in checkpoints:
        return Interval.unknown()
    late = steps[-count:] - steps[-count:].mean()
    returns = np.array(checkpoints["return_social"], float)[:, -count:]
    return mean_interval(returns @ late / (late @ late) * (late[-1] - late[0]))


def still_rising(results: TracedResults) -> str:
    """Which of the conditions that a claim read still improve at the end, in words; empty if none is seen to."""
    parts = []
    for condition in results.read:
        rise = late_rise(results.curves.get(condition, {}))
        if rise.low > 0:
            parts.append(f"'{condition}' by {rise.value:.2f} [{rise.low:.2f}, {rise.high:.2f}]")
    return f"return with experts still rises over the last fifth of training: {', '.join(parts)}" if parts else ""
