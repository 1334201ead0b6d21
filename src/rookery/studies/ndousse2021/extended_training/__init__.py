"""Steps of the walk after which nobody had learned to follow, with three times the training, a study each.

After 3.2 million steps every seed that was shown goals at the full penalty, that took the paper's step size, or that
saw pixels (but for one) stops after one goal or before. That may be where it ends, or only where it is by then.
"""

from __future__ import annotations

import dataclasses

from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS
from rookery.studies.study import Budget, EvalCondition, Study, TrainingRun
from rookery.training.config import RunConfig

LENGTH_FACTOR = 3


def extended_study(
    name: str, words: str, short_run: TrainingRun, variants: tuple[str, str], eval_condition: EvalCondition
) -> Study:
    """One step of the walk taken further.

    Args:
      name: of the study. words: what is as in the paper. short: the walk's training.
      arms: of that training, with the loss and without. scene: where they train and are tested.
    """

    def configure(budget: Budget) -> RunConfig:
        run = short_run.configure(budget)
        # Schedules go by shares of the whole, and stretch with it.
        steps = run.total_timesteps if budget == "smoke" else LENGTH_FACTOR * run.total_timesteps
        chosen = tuple(arm for arm in run.variants if arm.name in variants)
        return dataclasses.replace(run, name=f"extended-{name}", total_timesteps=steps, variants=chosen)

    training = TrainingRun(name=f"extended-{name}", configure=configure)
    pair = paper_gap.condition_pair(words, training, variants, eval_condition)
    return Study(
        name=f"ndousse2021/extended-training/{name}",
        title=f"{words[0].upper()}{words[1:]}, three times as long",
        source="Ndousse et al. 2021, section 5, taken apart",
        compares=f"the desk recipe but for this: {words}; three times the steps of the walk, with and without the "
        "next-frame loss: who becomes a watcher, an explorer or neither",
        conditions=(*pair, EXPERT_AGENTS),
        eval_conditions=(eval_condition,),
        claims=tuple(paper_gap.pair_claims(words, pair)),
        figures=lambda results: paper_gap.pair_figures(results, {words: pair}),
        num_seeds=5,
        budgets=("smoke", "desk"),
    )
