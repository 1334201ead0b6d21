"""What was tried and what failed, kept after every trial, so that the script can be stopped and continued."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rookery import __version__
from rookery.errors import printable
from rookery.storage.atomic import write_json, write_text
from rookery.training.devices import machine_info

MAX_EXAMPLES = 20


class TrialError(Exception):
    """A trial that showed something wrong; the message says what."""


@dataclasses.dataclass(frozen=True)
class Section:
    """One kind of trial.

    Attributes:
      name: for the command line.
      title: a row of the table.
      full: number of trials at scale 1.
      trial: called with the number of the trial, from 0; raises TrialError, or any other error, if something is wrong.
        May return a line about what it measured; the last one is shown.
      weight: how much one trial counts, such as 20,000 updates in one.
      unit: what is counted.
    """

    name: str
    title: str
    full: int
    trial: Callable[[int], str | None]
    unit: str = "trials"
    weight: int = 1


class Record:
    """The counts of all sections, in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}

    def run(self, section: Section, target: int, seconds: float) -> None:
        """Continue a section up to `target` trials, or until the time is over."""
        row = self.data.setdefault(section.name, {"tried": 0, "failed": 0, "seconds": 0.0, "failures": [], "note": ""})
        end, saved = time.monotonic() + seconds, time.monotonic()
        while row["tried"] < target and time.monotonic() < end:
            start = time.monotonic()
            try:
                row["note"] = section.trial(row["tried"]) or row["note"]
            except Exception as error:  # whatever goes wrong is a finding
                row["failed"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = "" if isinstance(error, TrialError) else f" at {Path(where.filename).name}:{where.lineno}"
                text = printable(f"trial {row['tried']}: {type(error).__name__}: {error}"[:400]) + place
                print(f"{section.name}: {text}", flush=True)
                row["failures"] = [*row["failures"], text][:MAX_EXAMPLES]
            row["tried"] += 1
            row["seconds"] = round(row["seconds"] + time.monotonic() - start, 2)
            if time.monotonic() - saved > 1 or row["tried"] == target:
                saved = time.monotonic()
                row["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
                write_json(self.path, self.data)
        row["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
        write_json(self.path, self.data)

    def table(self, sections: list[Section]) -> str:
        """Markdown: one row per section that was tried."""
        lines = ["| what | tried | of | failed | seconds | date | measured |", "|---|---:|---:|---:|---:|---|---|"]
        for section in sections:
            if row := self.data.get(section.name):
                tried, full = row["tried"] * section.weight, section.full * section.weight
                cells = (f"{tried:,} {section.unit}", f"{full:,}", row["failed"], f"{row['seconds']:,.0f}", row["date"])
                lines.append(f"| {section.title} | {' | '.join(map(str, cells))} | {row['note']} |")
        return "\n".join(lines)

    def write_page(self, page: Path, sections: list[Section]) -> None:
        """Replace what stands between the two marks of a page."""
        text = page.read_text(encoding="utf-8")
        head, _, rest = text.partition(START_MARK)
        _, _, tail = rest.partition(END_MARK)
        machine = machine_info()
        about = (
            f"Rookery {__version__}, JAX {machine['jax']}, Python {machine['python']}, {machine['system']}, "
            f"{machine['cores']} cores of an {machine['processor']}."
        )
        failures = [f"- {name}: {text}" for name, row in self.data.items() for text in row["failures"]]
        parts = [START_MARK, about, self.table(sections), *(["What failed:", "\n".join(failures)] if failures else [])]
        write_text(page, head + "\n\n".join(parts) + "\n\n" + END_MARK + tail)


START_MARK, END_MARK = "<!-- table: start -->", "<!-- table: end -->"
