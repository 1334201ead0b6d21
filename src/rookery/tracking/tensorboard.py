"""TensorBoard event files in the run's folder `tb`; `tensorboard --logdir runs` shows them."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from rookery.storage.atomic import storage_error
from rookery.storage.run_files import TENSORBOARD_DIR
from rookery.tracking.tracker import TrackedRun, Tracker

_EVENT_FILE = re.compile(r"events\.out\.tfevents\.(\d{10})\.")


class TensorBoardTracker(Tracker):
    """Writes in this thread; a resumed run makes TensorBoard discard the steps that are written again.

    tensorboardX's SummaryWriter passes events to a thread through a short queue; if that thread dies on a full disk,
    training waits for the queue forever. Its RecordWriter writes at once and raises the error.
    """

    kind: ClassVar[str] = "tensorboard"

    def start(self, run: TrackedRun, run_id: str | None) -> None:
        """Open a new event file. Raises: StorageError if the disk refuses."""
        self._folder = run.run_dir / TENSORBOARD_DIR
        try:
            self._open(self._folder, run.first_step)
        except OSError as error:
            raise storage_error("write", self._folder, error) from error

    def _open(self, folder: Path, first_step: int | None) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        # TensorBoard reads files by name, so this one comes after those of earlier sessions, also if a clock was set
        # back or another machine's was ahead. Nanoseconds and process: two sessions never write into one file.
        second = max([int(now), *(1 + earlier for earlier in _seconds_in_names(folder))])
        name = f"events.out.tfevents.{second}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        self._writer = RecordWriter(str(folder / name))
        step = first_step or 0
        self._put(Event(wall_time=now, step=step, file_version="brain.Event:2"))
        if first_step is not None:
            self._put(Event(wall_time=now, step=step, session_log=SessionLog(status=SessionLog.START)))
        self._writer.flush()

    def _put(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """One event with every curve. Raises: StorageError if the disk refuses."""
        scalars = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        try:
            self._put(self._event(wall_time=time.time(), step=steps, summary=self._summary(value=scalars)))
            self._writer.flush()
        except OSError as error:
            raise storage_error("write", self._folder, error) from error

    def finish(self) -> None:
        """Close the file. Raises: StorageError if the disk refuses."""
        try:
            self._writer.close()
        except OSError as error:
            raise storage_error("write", self._folder, error) from error


def _seconds_in_names(folder: Path) -> list[int]:
    """The time in the name of each event file (Unix seconds)."""
    names = map(_EVENT_FILE.match, os.listdir(folder))
    return [int(name[1]) for name in names if name is not None]
