"""How an expert is trained: with a low penalty first.

Source: Ndousse et al. 2021, figure 12, section 3.3 and appendix 7.5.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import mean_above, mean_greater
from rookery.studies.followers import every_seed_stops_after_one_goal
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig, Variant

_FIRST_STAGE_FRACTION = 81_920 * 250 / 375e6
"""Fraction of the published run before the penalty rises from 0.5 to 1."""


def _curriculum_config(budget: Budget) -> RunConfig:
    rising = budgets.EXPERT_PENALTY
    if budget == "paper":
        rising = (
            (0.0, 0.5),
            (_FIRST_STAGE_FRACTION, 0.5),
            (_FIRST_STAGE_FRACTION + 1e-6, 1.0),
            (0.5, 1.0),
            (0.500001, 1.5),
        )
    variants = (Variant(name="curriculum", env_schedules={"penalty": rising}), Variant(name="direct"))
    return budgets.expert_run_config(budget, "curriculum", variants, env_schedules={"penalty": 1.5})


_CURRICULUM_RUN = TrainingRun(name="curriculum", configure=_curriculum_config)
_RISING = Condition(label="rising penalty", agents=TrainedAgents(run=_CURRICULUM_RUN, variant="curriculum"))
_DIRECT = Condition(label="penalty 1.5 throughout", agents=TrainedAgents(run=_CURRICULUM_RUN, variant="direct"))

STUDY = Study(
    name="ndousse2021/fig12",
    title="The penalty curriculum",
    source="Ndousse et al. 2021, figure 12",
    compares="an agent that trains alone with a rising penalty, and one with penalty 1.5 throughout",
    conditions=(_RISING, _DIRECT, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        mean_greater("Agents trained with a rising penalty earn more.", _RISING.label, _DIRECT.label, "return_solo"),
        every_seed_stops_after_one_goal("With the full penalty from the start, every seed stops after one goal.",
                                        _DIRECT.label),
        mean_above("A rising penalty makes experts: they earn more than agents that stop after one goal.",
                   _RISING.label, 1.05, "return_solo"),
    ),
    figures=figures.solo_figures,
    num_seeds=5,
    definition=2,
    changes={2: budgets.DEFINITION_2},
    notes=(
        "The paper gives the first two stages, 0.5 and 1; the rest of the schedule is this project's choice.",
        "At `paper` agents have the step size of the paper's experts, 1e-5; the list of differences compares it with "
        "that of its novices.",
    ),
)  # fmt: skip
