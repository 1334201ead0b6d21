"""Keeps XLA's alarms about slow compilation from the terminal; everything else on standard error passes.

XLA logs "Very slow compile? If you want to file a bug, ..." as an error, straight to file descriptor 2, on every
machine that is busy. A log level that hid it would hide real errors as well. So descriptor 2 leads to a small process
that passes lines on, except those of the alarm. It outlives a crash of this process, so that the last messages of one
are not lost.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

_ALARM_LINES = re.compile(
    rb"slow_operation_alarm\.cc:\d+\]"
    rb"|^\*{20,}\s*$"
    rb"|Very slow compile\? If you want to file a bug"
    rb"|^The operation took \d"
)


def filter_native_messages() -> None:
    """From now on, leave out the alarm's lines in what native code writes to standard error.

    Call it before any thread is started. Python's own `sys.stderr` keeps writing to the terminal directly. Does nothing
    where processes cannot fork.
    """
    if not hasattr(os, "fork"):
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        _pass_on(read_end, terminal, write_end)
    os.close(read_end)
    os.dup2(write_end, 2)
    os.close(write_end)
    sys.stderr = open(terminal, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115


def _pass_on(read_end: int, terminal: int, write_end: int) -> None:
    """The other process: pass lines on until the last writer has gone. Does not return."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it must outlive the process whose messages it passes on
        # A reader of those must not wait for this process, nor the pipe for its own writing end.
        for descriptor in (0, 1, 2, write_end):
            os.close(descriptor)
        with os.fdopen(read_end, "rb", buffering=0) as source:
            copy_without_alarms(source, lambda data: os.write(terminal, data))
    finally:
        os._exit(0)


def copy_without_alarms(source: BinaryIO, write: Callable[[bytes], object]) -> None:
    """Pass complete lines to `write`, except those of the alarm, and what is left at the end."""
    pending = b""
    while data := source.read(65536):
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            if not _ALARM_LINES.search(line):
                write(line + b"\n")
    if pending and not _ALARM_LINES.search(pending):
        write(pending)
