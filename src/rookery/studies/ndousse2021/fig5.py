"""How good the experts must be: novices with near-optimal and with imperfect experts.

Source: Ndousse et al. 2021, figure 5 and section 4.1.
"""

from __future__ import annotations

import functools

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import PretrainedAgent, TrainedAgents
from rookery.studies.claims import changed, few_seeds_exceed, mean_above, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    GOAL_CYCLE_3_IMPERFECT,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VARIANT,
    SOLO_NEXT_FRAME,
    imperfect_experts,
)  # fmt: skip
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig


def _imperfect_config(budget: Budget) -> RunConfig:
    return budgets.run_config(budget, "imperfect", (SOCIAL_VARIANT,), partners=imperfect_experts(budget))


_IMPERFECT_RUN = TrainingRun(name="imperfect", configure=_imperfect_config)
_SOCIAL_IMPERFECT = Condition(
    label="social, imperfect experts", agents=TrainedAgents(run=_IMPERFECT_RUN, variant="social")
)
_IMPERFECT_EXPERTS = Condition(
    label="imperfect experts", agents=PretrainedAgent(policy=lambda budget: imperfect_experts(budget)[0])
)
_NEXT_FRAME, _SOLO, _WITH_IMPERFECT = SOCIAL_NEXT_FRAME.label, SOLO_NEXT_FRAME.label, GOAL_CYCLE_3_IMPERFECT.name

STUDY = Study(
    name="ndousse2021/fig5",
    title="Near-optimal and imperfect experts",
    source="Ndousse et al. 2021, figure 5",
    compares="social + next frame with near-optimal and with imperfect experts, both frozen, and solo",
    conditions=(SOCIAL_NEXT_FRAME, _SOCIAL_IMPERFECT, SOLO_NEXT_FRAME, EXPERT_AGENTS, _IMPERFECT_EXPERTS),
    eval_conditions=(GOAL_CYCLE_3, GOAL_CYCLE_3_IMPERFECT),
    claims=(
        mean_above("Novices trained with imperfect experts learn socially: they earn more with them than alone.",
                   _SOCIAL_IMPERFECT.label, 0.0, "social_gain", _WITH_IMPERFECT),
        changed(mean_greater("Novices with near-optimal experts earn more than solo learners alone.", _NEXT_FRAME,
                             _SOLO, other_measure="return_solo"), since=2),
        changed(mean_greater("Novices with imperfect experts still earn more than solo learners alone.",
                             _SOCIAL_IMPERFECT.label, _SOLO, eval_condition=_WITH_IMPERFECT,
                             other_measure="return_solo"), since=2),
        mean_greater("Near-optimal experts make better novices, each evaluated with the experts it trained with.",
                     _NEXT_FRAME, _SOCIAL_IMPERFECT.label, eval_condition=GOAL_CYCLE_3.name,
                     other_eval_condition=_WITH_IMPERFECT),
        few_seeds_exceed("Few novices learn to earn more than the imperfect experts.",
                         _SOCIAL_IMPERFECT.label, _IMPERFECT_EXPERTS.label, max_fraction=0.4,
                         eval_condition=_WITH_IMPERFECT),
    ),
    figures=functools.partial(figures.training_figures, levels_in={_IMPERFECT_EXPERTS.label: _WITH_IMPERFECT}),
    num_seeds=6,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
