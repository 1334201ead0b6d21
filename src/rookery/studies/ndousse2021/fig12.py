"""How an expert comes about: a low penalty first.

Source: Ndousse et al. 2021, figure 12 and appendix 7.1.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import every_seed_at_most, mean_above, mean_greater
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3
from rookery.studies.study import Budget, Study, TrainedAgents, TrainingRun
from rookery.studies.study import Condition as Condition
from rookery.training.config import RunConfig, Variant

_FIRST_STAGE_FRACTION = 81_920 * 250 / 375e6
"""Share of the published run before the penalty rises from 0.5 to 1."""


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
    arms = (Variant(name="curriculum", env_schedules={"penalty": rising}), Variant(name="direct"))
    return budgets.expert_run_config(budget, "curriculum", arms, env_schedules={"penalty": 1.5})


_CURRICULUM_RUN = TrainingRun(name="curriculum", configure=_curriculum_config)
_RISING = Condition(label="rising penalty", agents=TrainedAgents(run=_CURRICULUM_RUN, variant="curriculum"))
_DIRECT = Condition(label="penalty 1.5 throughout", agents=TrainedAgents(run=_CURRICULUM_RUN, variant="direct"))

STUDY = Study(
    name="ndousse2021/fig12",
    title="The penalty curriculum",
    source="Ndousse et al. 2021, figure 12",
    compares="an agent alone under a rising penalty against penalty 1.5 throughout",
    conditions=(_RISING, _DIRECT, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        every_seed_at_most("Under the full penalty from the start, every seed stops after one goal.",
                           _DIRECT.label, 1.05, "return_solo"),
        mean_greater("A rising penalty earns more.", _RISING.label, _DIRECT.label, "return_solo"),
        mean_above("A rising penalty makes an expert: it earns more than stopping after one goal.",
                _RISING.label, 1.05, "return_solo"),
    ),
    figures=figures.solo_figures,
    notes=("The paper gives the first two stages, 0.5 and 1; what follows is this project's choice.",),
)  # fmt: skip
