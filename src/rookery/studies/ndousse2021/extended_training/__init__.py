"""Three settings of `paper_gap` in which agents did not learn to follow, with three times the training; one study each.

After 3.2 million steps, nearly every seed stops after one goal or before: with goals shown at the full penalty, with
the paper's step size, and with pixels (except one seed). Three times the training shows whether that is the end.
"""

from __future__ import annotations

import dataclasses

from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.study import Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig

LENGTH_FACTOR = 3


def extended_study(
    name: str, description: str, short_run: TrainingRun, variants: tuple[str, str], eval_condition: EvalCondition
) -> Study:
    """One setting of `paper_gap` with longer training.

    Args:
      name: of the study. description: what is as in the paper.
      short_run: the run of `paper_gap`. variants: of that run, with the loss and without.
      eval_condition: the task they train and are evaluated in.
    """

    def configure(budget: Budget) -> RunConfig:
        run = short_run.configure(budget)
        # Schedules are given in fractions of the whole run, so they stretch with it.
        steps = run.total_timesteps if budget == "smoke" else LENGTH_FACTOR * run.total_timesteps
        chosen = tuple(variant for variant in run.variants if variant.name in variants)
        return dataclasses.replace(run, name=f"extended-{name}", total_timesteps=steps, variants=chosen)

    run = TrainingRun(name=f"extended-{name}", configure=configure)
    pair = paper_gap.condition_pair(description, run, variants, eval_condition)
    return Study(
        name=f"ndousse2021/extended-training/{name}",
        title=f"{description[0].upper()}{description[1:]}, three times as long",
        source="Ndousse et al. 2021, section 4.1, one setting at a time",
        compares=f"the easy setting of `paper_gap` except for this: {description}; three times the steps, with and "
        "without the next-frame loss: which seeds become followers, explorers or neither",
        conditions=(*pair, paper_gap.EASY_EXPERTS),
        eval_conditions=(eval_condition,),
        claims=tuple(paper_gap.pair_claims(description, pair)),
        figures=lambda results: paper_gap.pair_figures(results, {description: pair}),
        num_seeds=5,
        budgets=("smoke", "desk"),
        definition=paper_gap.STUDY.definition,
        changes=paper_gap.STUDY.changes,
    )
