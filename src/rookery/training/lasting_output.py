"""Output whose loss must not cost a training run."""

from __future__ import annotations

import contextlib
import io
from typing import TextIO


class LastingOutput:
    """A stream that outlasts its reader, so that training does.

    The reader of a pipe may leave (`| head`), a terminal may close before the work in it is done, the disk of a log may
    fill up, and a process without a console has no stream at all (None): what is written from then on is lost.
    """

    def __init__(self, stream: TextIO | LastingOutput | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        return "utf-8" if self._stream is None else self._stream.encoding

    def isatty(self) -> bool:
        with contextlib.suppress(ValueError):  # it is closed
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("there is no stream")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()
