"""Try to break Rookery, and keep a record: kills, damaged files, nonsense, full disks, long runs, divergence.

    python -m benchmarks.torture [--scale S] [--only NAME ...] [--minutes M] [--work FOLDER] [--write PAGE]

From the repository's folder. The whole takes many hours; stopped, the same command continues where it was. It prints
one table, and with --write puts it into a page between two marks.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from functools import cached_property
from pathlib import Path

from benchmarks.torture.record import Record, Section


class Sections:
    """Made when they are run: some train a run first."""

    def __init__(self, work: Path) -> None:
        self.work = work

    @cached_property
    def all(self) -> list[Section]:
        from benchmarks.torture import game, resources

        return [
            Section("arguments", "mutated configurations, maps and command lines", 10_000, self._arguments),
            Section("files", "damaged files, each through its reader", 10_000, self._files),
            Section("disk", "a write refused: every call in turn, and every size of a file", 1_000, self._disk),
            Section(
                "divergence", "learning rate 1e38: every learner, intrinsic reward and auxiliary loss", 48,
                self._divergence,
            ),
            Section("saves", "memory of checkpoints", 1, resources.memory_of_saves, "saves", resources.SAVES_PER_TRIAL),
            Section(
                "updates", f"memory and descriptors, in runs of {resources.UPDATES_PER_TRIAL:,} updates", 10,
                resources.memory_of_updates, "updates", resources.UPDATES_PER_TRIAL,
            ),
            Section("game", "malformed messages to the game", 100, game.trial, "messages", game.MESSAGES_PER_TRIAL),
            Section("kills", "kill -9, then compared byte for byte", 1_000, self._kills, "kills"),
        ]  # fmt: skip

    def _files(self, number: int) -> None:
        self.files.trial(number)

    def _arguments(self, number: int) -> None:
        from benchmarks.torture import arguments

        arguments.trial(number)

    def _disk(self, number: int) -> None:
        self.disk.trial(number)

    def _divergence(self, number: int) -> None:
        self.divergence.trial(number)

    def _kills(self, number: int) -> None:
        self.kills.trial(number)

    @cached_property
    def files(self):
        from benchmarks.torture.files import Files

        return Files(self.work / "files")

    @cached_property
    def disk(self):
        from benchmarks.torture.resources import FullDisk

        return FullDisk(self.work / "disk")

    @cached_property
    def divergence(self):
        from benchmarks.torture.divergence import Divergence

        return Divergence(self.work / "divergence")

    @cached_property
    def kills(self):
        from benchmarks.torture.kills import Kills

        return Kills(self.work / "kills")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of trials")
    parser.add_argument("--only", nargs="*", default=[], help="names of sections")
    parser.add_argument("--minutes", type=float, default=math.inf, help="at most, for each section")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "rookery-torture")
    parser.add_argument("--write", type=Path, help="page to put the table into, such as docs/reliability.md")
    options = parser.parse_args()
    from tests.flags import quick_flags

    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", quick_flags())  # most of a trial's time is compilation
    options.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(options.work / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    trace_programs_once()
    record, sections = Record(options.work / "record.json"), Sections(options.work).all
    names = [section.name for section in sections]
    if unknown := [name for name in options.only if name not in names]:
        parser.error(f"--only {unknown[0]}: no such section; allowed: {', '.join(names)}")
    for section in sections:
        if not options.only or section.name in options.only:
            record.run(section, math.ceil(section.full * options.scale), 60 * options.minutes)
    print(record.table(sections))
    if options.write is not None:
        record.write_page(options.write, sections)


def trace_programs_once() -> None:
    """Runs with equal programs share one; nothing else of them changes."""
    import pytest
    from tests.tiny import trace_once

    trace_once(pytest.MonkeyPatch())


if __name__ == "__main__":
    main()
