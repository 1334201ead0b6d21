"""Write every curve of a run to one CSV file: the smallest useful tracker."""

from __future__ import annotations

import csv
from typing import ClassVar

import rookery


class CsvTracker(rookery.Tracker):
    """`curves.csv` in the run's folder, with a line per update and curve; a resumed run appends to it."""

    kind: ClassVar[str] = "csv"

    def start(self, run, run_id):
        self._file = open(run.run_dir / "curves.csv", "w" if run.first_step is None else "a", newline="")  # noqa: SIM115
        self._writer = csv.writer(self._file)

    def write(self, steps, values):
        self._writer.writerows([steps, name, value] for name, value in values.items())
        self._file.flush()

    def finish(self):
        self._file.close()
