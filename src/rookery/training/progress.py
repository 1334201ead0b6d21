"""How far a run is: a live bar in a terminal, a plain line at intervals in a log.

The bar is rich's. The speed is our own: rich measures it over a time, ours over the last updates, so that a run whose
updates take minutes also has a speed, and the compilation before the first update is forgotten.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

from rookery.errors import printable
from rookery.training.lasting_output import LastingOutput

_WINDOW = 10  # updates over which the speed is measured


class Progress:
    """Shows a run's progress; use as a context manager.

    Args:
      total_steps: environment steps that all replicas together will have at the end.
      label: the run's name, first on every line.
      quiet: show nothing at all.
      num_replicas: runs that train side by side; steps are shown for each of them, as they were asked for.
      initial_steps: steps already done when it starts (a resumed run), so that they do not count as speed.
      interval: seconds between two lines when the output is not a terminal.
      clock: seconds, never decreasing.
      stream: where to write; standard output if None.
    """

    def __init__(
        self,
        total_steps: int,
        label: str,
        quiet: bool = False,
        *,
        num_replicas: int = 1,
        initial_steps: int = 0,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ):
        self.total_steps = total_steps
        self.label: str = printable(label)
        self._quiet = quiet
        self._num_replicas = num_replicas
        self._activity = ""  # what it does now, if that is not training
        self._interval = interval
        self._clock = clock
        self._stream = LastingOutput(sys.stdout if stream is None else stream)
        self._start_time = clock()
        self._window: deque[tuple[float, int]] = deque([(self._start_time, initial_steps)], maxlen=_WINDOW + 1)
        self._metrics: dict[str, float] = {}
        self._last_line: tuple[float, int] | None = None  # time and steps of the last plain line
        self._bar: _Bar | None = None

    def __enter__(self) -> Progress:
        if not self._quiet and self._is_terminal():
            file: Any = self._stream
            self._bar = _Bar(Console(file=file, force_terminal=True, highlight=False), self)
            self._bar.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.stop()  # leaves the last state on the screen
        elif self._last_line is not None and self._last_line[1] != self.steps:
            self._print(self.line())

    @property
    def steps(self) -> int:
        """Steps done so far."""
        return self._window[-1][1]

    def update(self, steps: int, metrics: Mapping[str, float] | None = None) -> None:
        """Report `steps` done in all, and a few `metrics` to show with them, such as the return of each group."""
        now = self._clock()
        self._window.append((now, int(steps)))
        self._metrics = dict(metrics or {})
        if self._bar is None and (self._last_line is None or now - self._last_line[0] >= self._interval):
            self._print(self.line())
            self._last_line = (now, self.steps)

    @contextlib.contextmanager
    def during(self, activity: str) -> Iterator[None]:
        """Show what is done now in place of the time left, such as "compiling"; its time does not count as speed."""
        if self._bar is None and self._last_line is None:
            self._print(f"[{self.label}] {activity}")  # or a log would be silent until the first update
        self._activity = activity
        try:
            yield
        finally:
            self._activity = ""
            if len(self._window) == 1:  # before the first update
                self._window[0] = (self._clock(), self.steps)

    def note(self, text: str) -> None:
        """Show one line of text above the bar or among the lines."""
        text = printable(text)
        if self._bar is not None:
            self._bar.console.print(Text(f"[{self.label}] {text}"))
        else:
            self._print(f"[{self.label}] {text}")

    def speed(self) -> float | None:
        """Steps per second over the last few updates; None before the first."""
        (then, before), (now, after) = self._window[0], self._window[-1]
        return (after - before) / (now - then) if now > then and after > before else None

    def line(self) -> str:
        """The state as one plain line."""
        return f"[{self.label}] {self.status()}" + "".join(f"  {text}" for text in self.metric_texts())

    def status(self) -> str:
        """Steps of each replica, percentage, speed of all together, and time left."""
        done, total = (format_count(steps // self._num_replicas) for steps in (self.steps, self.total_steps))
        replicas = f" × {self._num_replicas} runs" if self._num_replicas > 1 else ""
        parts = [f"{done}/{total} steps{replicas}"]
        if self.total_steps > 0:
            parts.append(f"{math.floor(100 * self.steps / self.total_steps)}%")
        speed = self.speed()
        if speed is not None:
            parts.append(f"{speed:,.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s")
        remaining = self.total_steps - self.steps
        if remaining <= 0:
            parts.append(f"done in {self.elapsed()}")
        elif self._activity:
            parts.append(self._activity)
        elif speed is not None:
            # An update may take minutes: the time left moves while it runs.
            since_update = self._clock() - self._window[-1][0]
            parts.append(f"{format_duration(remaining / speed - since_update)} left")
        return "  ".join(parts)

    def elapsed(self) -> str:
        return format_duration(self._clock() - self._start_time)

    def metric_texts(self) -> list[str]:
        return [f"{name} {format_number(value)}" for name, value in self._metrics.items()]

    def _is_terminal(self) -> bool:
        # Not rich's own test: with FORCE_COLOR that one takes log files for terminals.
        return self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def _print(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)


class _Bar(RichProgress):
    """The bar of a `Progress`, and a second line with its metrics."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._progress = progress
        label = TextColumn("{task.description}", style="bold", markup=False)
        one_line = Column(no_wrap=True, overflow="ellipsis")
        status = TextColumn("{task.fields[status]}", markup=False, table_column=one_line)
        super().__init__(label, BarColumn(24), status, console=console, refresh_per_second=4)
        self._bar_task = self.add_task(progress.label, total=max(progress.total_steps, 1), status="")

    def get_renderables(self) -> Iterable[RenderableType]:
        status = self._progress.status()
        if self._progress.steps < self._progress.total_steps:  # the time that it took is said at the end
            status += f"  {self._progress.elapsed()} so far"
        for task in self.tasks:
            task.completed = self._progress.steps
            task.fields["status"] = status
        yield self.make_tasks_table(self.tasks)
        # Always two lines, or the bar would jump when the first metrics arrive.
        metrics = "  ".join(self._progress.metric_texts())
        yield Text(f"  {metrics}" if metrics else "", no_wrap=True, overflow="ellipsis")


def format_count(steps: int) -> str:
    """A count in few characters: 950, 8,430, 12.3k, 1.20M, 2.50G."""
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if steps >= size:
            return f"{steps / size:.2f}{unit}"
    return f"{steps / 1000:.1f}k" if steps >= 10_000 else f"{steps:,}"


def format_duration(seconds: float) -> str:
    """A time in its two largest units: 38s, 4m12s, 2h05m, 3d04h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def format_number(value: float) -> str:
    """A metric in few characters; "-" for what is not finite."""
    value = float(value)
    if not math.isfinite(value):
        return "-"
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.2f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.2g}"
