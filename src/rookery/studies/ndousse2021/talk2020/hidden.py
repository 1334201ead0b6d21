"""Goals that novices cannot see: only by following another agent can they find any.

Source: the first author's talk of 2020: novices then follow reliably, and end slightly below the experts.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import mean_above, mean_greater
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.ndousse2021.shared_runs import GOAL_CYCLE_3, SOCIAL_VARIANT, SOLO_VARIANT
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig


def _hidden_goals_config(budget: Budget) -> RunConfig:
    return budgets.run_config(
        budget,
        "hidden-goals",
        (SOCIAL_VARIANT, SOLO_VARIANT),
        task=budgets.hidden_goals_task(budget),
    )


_HIDDEN_GOALS_RUN = TrainingRun(name="hidden-goals", configure=_hidden_goals_config)
_HIDDEN_SOCIAL = Condition(label="goals hidden, social", agents=TrainedAgents(run=_HIDDEN_GOALS_RUN, variant="social"))
_HIDDEN_SOLO = Condition(label="goals hidden, solo", agents=TrainedAgents(run=_HIDDEN_GOALS_RUN, variant="solo"))
_HIDDEN_GOALS_CONDITION = EvalCondition(
    name="3-goal cycle, goals hidden from slot 0", task=budgets.hidden_goals_task, partners=budgets.expert_partners
)

STUDY = Study(
    name="ndousse2021/talk2020/hidden",
    title="Goals hidden from novices",
    source="Ndousse 2020, talk: masked goals",
    compares="goals hidden from novices throughout: social and solo",
    conditions=(_HIDDEN_SOCIAL, _HIDDEN_SOLO),
    eval_conditions=(_HIDDEN_GOALS_CONDITION, GOAL_CYCLE_3),
    claims=(
        mean_above("Novices follow: their social gain is above 0.", _HIDDEN_SOCIAL.label, 0.0, "social_gain"),
        mean_greater("Novices with experts earn more than solo learners alone, which see no goals either.",
                     _HIDDEN_SOCIAL.label, _HIDDEN_SOLO.label, other_measure="return_solo"),
        mean_greater("They end below their experts, which see the goals.",
                     _HIDDEN_SOCIAL.label, _HIDDEN_SOCIAL.label, "return_partners", other_measure="return_social"),
    ),
    figures=figures.training_figures,
    num_seeds=6,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
