"""Leaving the experts part-way: what learners keep who train mostly alone from some point on.

Source: Ndousse et al. 2021, figure 7, which shows one seed.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import equivalent_within, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    GOAL_CYCLE_4,
    NEXT_FRAME_RUN,
    SOCIAL_NEXT_FRAME,
    SOLO_NEXT_FRAME,
)
from rookery.studies.study import Budget, Study, TrainedAgents, TrainingRun
from rookery.studies.study import Condition as Condition
from rookery.training.config import RunConfig, Variant


def _continued_config(budget: Budget) -> RunConfig:
    arms = (Variant(name="stay", social_episode_prob=1.0), Variant(name="switch", social_episode_prob=0.25))
    return budgets.continued_run_config(budget, "continued", arms)


_CONTINUED_RUN = TrainingRun(
    name="continued", configure=_continued_config, init_from=TrainedAgents(run=NEXT_FRAME_RUN, variant="social")
)
_STAYED = Condition(label="stayed social", agents=TrainedAgents(run=_CONTINUED_RUN, variant="stay"))
_SWITCHED = Condition(label="switched to 75 % solo", agents=TrainedAgents(run=_CONTINUED_RUN, variant="switch"))
_SWITCHED_LABEL, _STAYED_LABEL, _BEFORE_LABEL = _SWITCHED.label, _STAYED.label, SOCIAL_NEXT_FRAME.label

STUDY = Study(
    name="ndousse2021/fig7",
    title="From company to solitude",
    source="Ndousse et al. 2021, figure 7",
    compares="social learners that switch to 75 % solo and 25 % social episodes against staying social; "
    "tested social, solo and with 4 goals",
    conditions=(_SWITCHED, _STAYED, SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3, GOAL_CYCLE_4),
    claims=(
        mean_greater("Who switched earns more alone than who stayed social.", _SWITCHED_LABEL, _STAYED_LABEL, "return_solo"),
        mean_greater("Who switched earns more alone than agents that only ever trained solo.", _SWITCHED_LABEL, SOLO_NEXT_FRAME.label, "return_solo"),
        equivalent_within("Beside the experts who switched earns as much as who stayed, within 10 %.", _SWITCHED_LABEL, _STAYED_LABEL, 0.1),
        equivalent_within("So it does with four goals.", _SWITCHED_LABEL, _STAYED_LABEL, 0.1, eval_condition=GOAL_CYCLE_4.name),
        mean_greater("Who stays social loses what it could do alone: it earned more alone before.", _BEFORE_LABEL, _STAYED_LABEL, "return_solo"),
        mean_greater("Staying makes more social: the social gain of who stayed is larger than of who switched.",
             _STAYED_LABEL, _SWITCHED_LABEL, "social_gain"),
    ),
    figures=figures.solo_figures,
    notes=(
        "The learners go on from agents trained to the end of their course, with a fresh optimizer and decoder; "
        "the paper switches in mid-course.",
    ),
)  # fmt: skip
