"""Why mistakes must cost: learners of penalty 0 have no need to watch anybody.

Source: Ndousse et al. 2021, figure 9.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import mean_above, mean_greater, mean_not_greater
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    GOAL_CYCLE_4,
    SOCIAL_NEXT_FRAME,
    THREE_GOAL_EXPERTS,
)
from rookery.studies.study import Budget, Study, TrainedAgents, TrainingRun
from rookery.studies.study import Condition as Condition
from rookery.training.config import RunConfig, Variant


def _free_config(budget: Budget) -> RunConfig:
    arms = (Variant(name="social"), Variant(name="solo", social_episode_prob=0.0))
    schedules = {} if budget == "paper" else budgets.default_env_schedules()
    return budgets.run_config(budget, "no-penalty", arms, env_schedules={**schedules, "penalty": 0.0})


_FREE_RUN = TrainingRun(name="no-penalty", configure=_free_config)
_FREE_SOCIAL = Condition(label="penalty 0, social", agents=TrainedAgents(run=_FREE_RUN, variant="social"))
_FREE_SOLO = Condition(label="penalty 0, solo", agents=TrainedAgents(run=_FREE_RUN, variant="solo"))
_NEXT_FRAME, _GOAL_CYCLE_4 = SOCIAL_NEXT_FRAME.label, GOAL_CYCLE_4.name

STUDY = Study(
    name="ndousse2021/fig9",
    title="What free mistakes teach",
    source="Ndousse et al. 2021, figure 9",
    compares="trained at penalty 1.5 against 0, tested with 4 goals at penalty 1.5",
    conditions=(SOCIAL_NEXT_FRAME, _FREE_SOCIAL, _FREE_SOLO, THREE_GOAL_EXPERTS, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_4, GOAL_CYCLE_3),
    claims=(
        mean_greater("Trained at penalty 1.5 they earn more with four goals than trained at 0.",
             _NEXT_FRAME, _FREE_SOCIAL.label, eval_condition=_GOAL_CYCLE_4),
        mean_greater("Trained at penalty 1.5 their social gain with four goals is larger than trained at 0.",
             _NEXT_FRAME, _FREE_SOCIAL.label, "social_gain", _GOAL_CYCLE_4),
        mean_not_greater("Trained at penalty 0 they transfer no better than the 3-goal experts.",
                _FREE_SOCIAL.label, THREE_GOAL_EXPERTS.label, eval_condition=_GOAL_CYCLE_4),
        mean_above("Trained at penalty 1.5 they use the experts of the four goals: their social gain is above 0.",
                _NEXT_FRAME, 0.0, "social_gain", _GOAL_CYCLE_4),
    ),
    figures=figures.eval_condition_figures,
)  # fmt: skip
