"""Whether stale memories hurt: hidden states recomputed within an update, or only before it.

Source: the first author's talk of 2020; Ndousse et al. 2021, appendix 7.2.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import mean_greater
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3, SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME
from rookery.studies.study import Budget, Study, TrainedAgents, TrainingRun
from rookery.studies.study import Condition as Condition
from rookery.training.config import RunConfig, Variant


def _stale_config(budget: Budget) -> RunConfig:
    arms = (Variant(name="social"), Variant(name="solo", social_episode_prob=0.0))
    return budgets.run_config(budget, "no-recompute", arms, learner={"recompute_every": None})


_STALE_RUN = TrainingRun(name="no-recompute", configure=_stale_config)
_STALE_SOCIAL = Condition(label="no recomputation, social", agents=TrainedAgents(run=_STALE_RUN, variant="social"))
_STALE_SOLO = Condition(label="no recomputation, solo", agents=TrainedAgents(run=_STALE_RUN, variant="solo"))

STUDY = Study(
    name="ndousse2021/talk2020/refresh",
    title="Fresh and stale memories",
    source="Ndousse 2020, talk: hidden-state refresh",
    compares="hidden states and advantages recomputed within each update, on and off",
    conditions=(SOCIAL_NEXT_FRAME, _STALE_SOCIAL, SOLO_NEXT_FRAME, _STALE_SOLO, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        mean_greater("With refresh social learners earn more.", SOCIAL_NEXT_FRAME.label, _STALE_SOCIAL.label),
        mean_greater("With refresh their social gain is larger.", SOCIAL_NEXT_FRAME.label, _STALE_SOCIAL.label, "social_gain"),
        mean_greater("With refresh solo learners earn more.", SOLO_NEXT_FRAME.label, _STALE_SOLO.label, "return_solo"),
    ),
    figures=figures.training_figures,
)
