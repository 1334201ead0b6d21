"""How far a run is: a live bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TextIO

_WINDOW = 10  # updates over which the speed is measured


class Progress:
    """Shows a run's progress; use as a context manager.

    Args:
      total_steps: environment steps the run will have at its end.
      label: the run's name, first on every line.
      quiet: show nothing at all.
      done: steps already done when it starts (a resumed run), so that they do not count as speed.
      every: seconds between two lines when the output is no terminal.
      clock: seconds, never going back.
      stream: where to write; standard output if None.
    """

    def __init__(
        self,
        total_steps: int,
        label: str,
        quiet: bool = False,
        *,
        initial_steps: int = 0,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ):
        self.total_steps = total_steps
        self.label = label
        self._quiet = quiet
        self._every = interval
        self._clock = clock
        self._stream = sys.stdout if stream is None else stream
        self._began = clock()
        self._window: deque[tuple[float, int]] = deque([(self._began, initial_steps)], maxlen=_WINDOW + 1)
        self._numbers: dict[str, float] = {}
        self._printed: tuple[float, int] | None = None  # time and steps of the last plain line
        self._live: Any = None

    def __enter__(self) -> Progress:
        if not self._quiet and self._is_terminal():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, force_terminal=True, highlight=False)
            self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()  # leaves the last state on the screen
        elif self._printed is not None and self._printed[1] != self.steps:
            self._print(self.line())

    @property
    def steps(self) -> int:
        """Steps done so far."""
        return self._window[-1][1]

    def update(self, steps: int, metrics: Mapping[str, float] | None = None) -> None:
        """`steps` are done in all; `numbers` are a few to show beside, such as the return of each group."""
        now = self._clock()
        self._window.append((now, int(steps)))
        self._numbers = dict(metrics or {})
        if self._live is None and (self._printed is None or now - self._printed[0] >= self._every):
            self._print(self.line())
            self._printed = (now, self.steps)

    def note(self, text: str) -> None:
        """Show one line of text above the bar or among the lines."""
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text(f"[{self.label}] {text}"))
        else:
            self._print(f"[{self.label}] {text}")

    def speed(self) -> float | None:
        """Steps a second over the last few updates; None before the first."""
        (then, before), (now, after) = self._window[0], self._window[-1]
        return (after - before) / (now - then) if now > then and after > before else None

    def line(self) -> str:
        """The state as one plain line."""
        return "  ".join([f"[{self.label}] {self._count()}", *self._speed_and_time_left(), *self._metric_texts()])

    def _count(self) -> str:
        return f"{format_count(self.steps)}/{format_count(self.total_steps)} steps"

    def _speed_and_time_left(self) -> list[str]:
        parts = [f"{math.floor(100 * self.steps / self.total_steps)}%"] if self.total_steps > 0 else []
        speed = self.speed()
        if speed is not None:
            parts.append(f"{speed:,.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s")
        left = self.total_steps - self.steps
        if left <= 0:
            parts.append(f"done in {format_duration(self._clock() - self._began)}")
        elif speed is not None:
            parts.append(f"{format_duration(left / speed)} left")
        return parts

    def _metric_texts(self) -> list[str]:
        return [f"{name} {format_number(value)}" for name, value in self._numbers.items()]

    def _is_terminal(self) -> bool:
        # Not rich's own test: FORCE_COLOR makes that one see terminals in log files.
        return self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def _render(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self.total_steps, 1), completed=self.steps, width=24)
        elapsed = format_duration(self._clock() - self._began)
        text = "  ".join([self._count(), *self._speed_and_time_left(), f"{elapsed} so far"])
        row.add_row(Text(self.label, style="bold"), bar, Text(text, no_wrap=True, overflow="ellipsis"))
        named = self._metric_texts()
        # Always two lines, or the bar would jump when the first numbers come.
        return Group(row, Text("  " + "  ".join(named) if named else "", no_wrap=True, overflow="ellipsis"))

    def _print(self, text: str) -> None:
        if self._quiet:
            return
        try:
            print(text, file=self._stream, flush=True)
        except BrokenPipeError:  # the reader has gone (`| head`); the training goes on
            self._quiet = True


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
    """A measure in few characters; "-" for what is not finite."""
    value = float(value)
    if not math.isfinite(value):
        return "-"
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.2f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.2g}"
