"""An orderly stop of training, asked by a signal."""

from __future__ import annotations

import inspect
import signal
from typing import Any


def stop_signals() -> list[signal.Signals]:
    """SIGINT, SIGTERM, and the end of the terminal, SIGHUP, unless that is ignored, as under `nohup`."""
    hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # Windows has none
    return [signal.SIGINT, signal.SIGTERM, *(number for number in hangup if signal.getsignal(number) != signal.SIG_IGN)]


class StopSignal:
    """Signals (`stop_signals`) request an orderly stop; a second one stops at once.

    One within another begins with what was requested of that one, and hands on what is requested of itself: who does
    several things one after another, each of which can be stopped, learns of a signal that came as one of them ended.
    """

    def __init__(self) -> None:
        self.requested: bool = False
        self._enclosing: StopSignal | None = None
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        for number in stop_signals():
            try:
                previous = signal.signal(number, self._on_signal)
            except ValueError:  # not in the main thread, which alone may handle signals
                break
            self._previous_handlers[number] = previous
            if inspect.ismethod(previous) and isinstance(previous.__self__, StopSignal):
                self._enclosing = previous.__self__
                self.requested |= previous.__self__.requested
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        if self._enclosing is not None:
            self._enclosing.requested |= self.requested

    def _on_signal(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
