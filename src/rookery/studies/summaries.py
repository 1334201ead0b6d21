"""What `rookery reproduce --list` says about each study, in a file, because importing all studies takes seconds.

After a change to a study: `python -m rookery.studies.summaries` writes the file again. A test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SUMMARIES_FILE = Path(__file__).with_name("summaries.json")


def read_summaries() -> dict[str, dict[str, Any]]:
    """Study name to its summary, as `make_summaries` made it. Imports nothing."""
    return json.loads(SUMMARIES_FILE.read_text(encoding="utf-8"))


def make_summaries() -> dict[str, dict[str, Any]]:
    """Study name to what it compares, its runs, its seeds and, for each budget, the environment steps of one seed."""
    from rookery.studies.registry import STUDIES, load_study
    from rookery.studies.reproduce import count_training_steps

    summaries = {}
    for name in STUDIES:
        study = load_study(name)
        summaries[name] = {
            "compares": study.compares,
            "runs": [run.name for run in study.runs],
            "num_seeds": study.num_seeds,
            "steps_per_second": study.steps_per_second,
            "steps_per_seed": {budget: count_training_steps(study, budget, 1) for budget in study.budgets},
        }
    return summaries


if __name__ == "__main__":
    from rookery.storage.atomic import write_json

    write_json(SUMMARIES_FILE, make_summaries())
