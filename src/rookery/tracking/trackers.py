"""The trackers of one run: chosen by name, recorded in the run's folder, and continued when it is resumed."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rookery.environment import read_variable
from rookery.errors import (
    ConfigError,
    CorruptFileError,
    MissingPackageError,
    RookeryError,
    StorageError,
    TrackerError,
    error_text,
)
from rookery.limits import as_texts, shortened
from rookery.optional_packages import install_extra
from rookery.plugins import TRACKERS
from rookery.storage.atomic import path_exists, storage_error, write_json
from rookery.storage.metrics import MetricSink
from rookery.storage.run_files import TRACKING_FILE
from rookery.storage.serialization import load_json
from rookery.tracking.tracker import TrackedRun, Tracker, metric_curves

DEFAULT_TRACKERS = ("tensorboard",)
"""Trackers of a run without such a file."""
NO_TRACKER = "none"

_logger = logging.getLogger(__name__)


def choose_trackers(names: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """The names of a new run's trackers, each known and installed.

    Args:
      names: as after `--track`, one or several; "none" alone for no tracker; None: those of ROOKERY_TRACK.
    Raises: NotFoundError for an unknown name; ConfigError for what is not a name; MissingPackageError for one whose
      package is not installed.
    """
    names = _tracker_names(names)
    for name in names:
        package = TRACKERS.get(name).package
        if package is not None and not _is_installed(package):
            raise MissingPackageError(f"the tracker {name!r} needs the package {package}; {install_extra('track')}")
    return names


def _is_installed(package: str) -> bool:
    """Whether a package, or one inside another, can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # the outer one is missing, or the name is not a package's
        return False


def _tracker_names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names that `choose_trackers` checks."""
    if names is None:
        names = [name.strip() for name in read_variable("ROOKERY_TRACK").split(",")]
    names = tuple(dict.fromkeys(as_texts("track", names, "tensorboard")))
    if names == (NO_TRACKER,):
        return ()
    if NO_TRACKER in names:
        raise ConfigError(f"track={', '.join(names)}: {NO_TRACKER!r} excludes the others; leave it out")
    return names


def part_trackers() -> str | tuple[str, ...]:
    """What `choose_trackers` takes for a part of a new run: those of ROOKERY_TRACK that need no other package.

    The others, such as those of a service, receive the metrics of the whole run when it is joined: one tracked run,
    from the machine on which the command was given.
    Raises: NotFoundError for an unknown name; ConfigError for what is not a name.
    """
    return tuple(name for name in _tracker_names(None) if TRACKERS.get(name).package is None) or NO_TRACKER


def save_trackers(run_dir: Path, trackers: Mapping[str, str | None]) -> None:
    """Record a run's trackers and their ids in its folder, in place of an earlier run's. Raises: StorageError."""
    path = run_dir / TRACKING_FILE
    if tuple(trackers) != DEFAULT_TRACKERS:
        write_json(path, {"trackers": dict(trackers)})
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error("remove", path, error) from error


def saved_trackers(run_dir: Path) -> dict[str, str | None]:
    """A run's trackers and their ids. Raises: CorruptFileError if the file is damaged."""
    path = run_dir / TRACKING_FILE
    if not path_exists(path):
        return dict.fromkeys(DEFAULT_TRACKERS)
    data = load_json(path, CorruptFileError)
    trackers = data.get("trackers") if isinstance(data, dict) else None
    if not isinstance(trackers, dict) or not all(
        value is None or isinstance(value, str) for value in trackers.values()
    ):
        raise CorruptFileError(f"{path} is damaged: 'trackers' must be ids by name; correct it or remove the file")
    return trackers


def joined_trackers(run_dir: Path, part_dirs: Sequence[Path]) -> dict[str, str | None]:
    """The trackers of a run that is made of finished parts, with the ids of an attempt to join it that was killed.

    Those of ROOKERY_TRACK, but for those of another package that followed every part, as in older versions: they have
    had every update.
    Raises: CorruptFileError as `saved_trackers`; else as `choose_trackers`.
    """
    earlier, followed = saved_trackers(run_dir), [saved_trackers(folder) for folder in part_dirs]
    return {
        name: earlier.get(name)
        for name in choose_trackers()
        if TRACKERS.get(name).package is None or not all(name in of_part for of_part in followed)
    }


class RunTrackers(MetricSink):
    """Hands the lines of a run's metrics to the trackers recorded in its folder.

    Args:
      run_dir: folder of the run.
      name: of the run.
      config: its configuration, as JSON values.
      seeds: its training seeds.
      way_out: what to do without a tracker that cannot start; None: what is right for a run that can be resumed.
    Raises: CorruptFileError, NotFoundError or ConfigError as `saved_trackers` and `choose_trackers`.
    """

    def __init__(
        self, run_dir: Path, name: str, config: Mapping[str, Any], seeds: Sequence[int], way_out: str | None = None
    ) -> None:
        self._run = (name, run_dir, config, tuple(seeds))
        resumed = f"remove it from {run_dir / TRACKING_FILE}, then continue with 'rookery resume {run_dir}'"
        self._way_out = resumed if way_out is None else way_out
        self._ids = saved_trackers(run_dir)
        choose_trackers(tuple(self._ids) or (NO_TRACKER,))  # all known and installed
        self._active: dict[str, Tracker] = {}

    def open(self, first_step: int | None) -> None:
        """Start or continue every tracker. Raises: TrackerError if one cannot start; StorageError."""
        run = TrackedRun(*self._run, first_step)
        for name, run_id in self._ids.items():
            tracker: Tracker = TRACKERS.get(name)()
            try:
                new_id = tracker.start(run, run_id)
                if not isinstance(new_id, str | None):  # the run's file could not be read again
                    raise ConfigError(f"start() returned {shortened(new_id)}, which must be a text or None")
            except StorageError:
                raise
            except Exception as error:  # whatever another package raises
                self._give_up()
                raise TrackerError(
                    f"the tracker {name!r} cannot start: {error_text(error)}; correct that, or {self._way_out}"
                ) from error
            self._ids[name], self._active[name] = new_id, tracker
        save_trackers(run.run_dir, self._ids)

    def _give_up(self) -> None:
        """Finish the trackers that started, and record all of them, so that one can be removed by hand."""
        self.close()
        write_json(self._run[1] / TRACKING_FILE, {"trackers": self._ids})

    def write(self, steps: int, metrics: Mapping[str, Any]) -> None:
        """Hand one line to every tracker. Raises: StorageError if the disk refuses."""
        values = metric_curves(metrics, self._run[3])
        for name, tracker in list(self._active.items()):
            try:
                tracker.write(steps, values)
            except RookeryError:
                raise
            except Exception as error:
                _logger.warning(
                    "%s: the tracker %s failed and is left out from step %d on: %s",
                    self._run[0],
                    name,
                    steps,
                    error_text(error),
                )
                del self._active[name]

    def close(self) -> None:
        """Finish every tracker. Raises: StorageError if the disk refuses."""
        while self._active:
            name, tracker = self._active.popitem()
            try:
                tracker.finish()
            except RookeryError:
                raise
            except Exception as error:
                _logger.warning("%s: the tracker %s did not finish: %s", self._run[0], name, error_text(error))
