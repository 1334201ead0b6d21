"""An orderly stop of training, asked by a signal."""

from __future__ import annotations

import signal
from typing import Any


def stop_signals() -> list[signal.Signals]:
    """SIGINT, SIGTERM, and the end of the terminal, SIGHUP, unless that is ignored, as under `nohup`."""
    hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # Windows has none
    return [signal.SIGINT, signal.SIGTERM, *(number for number in hangup if signal.getsignal(number) != signal.SIG_IGN)]


class StopSignal:
    """Signals (`stop_signals`) request an orderly stop; a second one stops at once."""

    def __init__(self) -> None:
        self.requested: bool = False
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        for number in stop_signals():
            try:
                self._previous_handlers[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not in the main thread, which alone may handle signals
                break
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
