"""Conformance check for trackers: a run of two sessions, in a temporary folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rookery.errors import NotFoundError
from rookery.plugins import TRACKERS
from rookery.testing.conformance import require
from rookery.tracking.tracker import TrackedRun, Tracker, metric_curves

_SEEDS = (3, 4)
_METRICS = {"social/novice/return": [0.5, None], "time/seconds": 1.5}


def check_tracker(cls: type[Tracker]) -> None:
    """Check a class against the contract of `rookery.tracking.tracker.Tracker`. It must be registered.

    Raises: ConformanceError, which names the method and what is wrong; whatever the tracker itself raises.
    """
    require(isinstance(cls, type), type(cls).__name__, f"is an instance; pass the class, {type(cls).__name__}")
    name = cls.__name__
    require(issubclass(cls, Tracker), name, "must be derived from rookery.tracking.tracker.Tracker")
    require(isinstance(cls.kind, str) and cls.kind.strip(), f"{name}.kind", "must be a name, the one after --track")
    try:
        registered = TRACKERS.get(cls.kind)
    except NotFoundError:
        registered = None
    require(registered is cls, f"{name}.kind", f"{cls.kind!r} is not registered for it: rookery.register_tracker")
    with tempfile.TemporaryDirectory() as folder:
        first = _session(cls, Path(folder), None, None)
        require(first is None or isinstance(first, str), f"{name}.start", f"must return a text or None, not {first!r}")
        again = _session(cls, Path(folder), first, 200)
        require(again == first, f"{name}.start", f"must continue the tracked run {first!r}; it returned {again!r}")


def _session(cls: type[Tracker], run_dir: Path, run_id: str | None, first_step: int | None) -> str | None:
    """Two updates from `first_step` on. Returns what `start` returned."""
    tracker = cls()
    run = TrackedRun("check", run_dir, {"seed": 3, "num_seeds": 2, "task": {"kind": "goal-cycle"}}, _SEEDS, first_step)
    returned = tracker.start(run, run_id)
    for update in range(2):
        tracker.write((first_step or 100) + 100 * update, metric_curves(_METRICS, _SEEDS))
    tracker.finish()
    return returned
