"""What `rookery reproduce --list` says about each study, in a file, because importing all studies takes seconds.

After a change to a study: `python -m rookery.studies.summaries` writes the file again. A test compares the two.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.errors import error_text
from rookery.studies.entry_points import other_packages_studies

if TYPE_CHECKING:
    from rookery.studies.study import Study
    from rookery.studies.training_run import Budget

SMOKE_SEEDS = 2
"""Seeds of each condition at the budget smoke."""
SUMMARIES_FILE = Path(__file__).with_name("summaries.json")


def read_summaries() -> dict[str, dict[str, Any]]:
    """Study name to its summary, as `make_summaries` made it; imports the studies of other packages alone."""
    summaries = json.loads(SUMMARIES_FILE.read_text(encoding="utf-8"))
    for name in other_packages_studies(summaries):
        from rookery.studies.study_list import load_study

        try:
            summaries[name] = summarize_study(load_study(name))
        except Exception as error:  # whatever is wrong in another package, the list of these studies stays usable
            warnings.warn(f"the study {name!r} is left out of the list: {error_text(error)}", stacklevel=2)
    return summaries


def make_summaries() -> dict[str, dict[str, Any]]:
    """Name of each study of this package to its summary."""
    from rookery.studies.study_list import STUDIES, load_study

    return {name: summarize_study(load_study(name)) for name in STUDIES}


def summarize_study(study: Study) -> dict[str, Any]:
    """What a study compares, its runs, its seeds and, for each budget, the environment steps of all that it trains.

    Some runs of a study have fewer seeds than others, so the steps of one seed times the seeds would be too many.
    """
    from rookery.studies.run_study import count_training_steps

    def steps(budget: Budget) -> int:
        return count_training_steps(study, budget, SMOKE_SEEDS if budget == "smoke" else study.num_seeds)

    return {
        "compares": study.compares,
        "runs": [run.name for run in study.runs],
        "num_seeds": study.num_seeds,
        "steps_per_second": study.steps_per_second,
        "training_steps": {budget: steps(budget) for budget in study.budgets},
    }


if __name__ == "__main__":
    from rookery.storage.atomic import write_json

    write_json(SUMMARIES_FILE, make_summaries())
