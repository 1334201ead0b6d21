"""An orderly stop of training, asked by a signal."""

from __future__ import annotations

import signal
from typing import Any


class StopSignal:
    """SIGINT and SIGTERM request an orderly stop; a second one stops at once."""

    def __init__(self) -> None:
        self.requested: bool = False
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
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
