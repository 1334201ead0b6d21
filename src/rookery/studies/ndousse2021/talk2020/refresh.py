"""Whether stale hidden states hurt: recomputed during an update, or only before it.

Source: the first author's talk of 2020; Ndousse et al. 2021, section 3.2 and appendix 7.8.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, mean_greater
from rookery.studies.followers import more_followers
from rookery.studies.mechanisms import MechanismCheck
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VARIANT,
    SOLO_NEXT_FRAME,
    SOLO_VARIANT,
)
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig
from rookery.training.mechanism_health import RECURRENT_STATE


def _no_recompute_config(budget: Budget) -> RunConfig:
    return budgets.run_config(budget, "no-recompute", (SOCIAL_VARIANT, SOLO_VARIANT), learner={"recompute_every": None})


_STALE_RUN = TrainingRun(name="no-recompute", configure=_no_recompute_config)
_STALE_SOCIAL = Condition(label="no recomputation, social", agents=TrainedAgents(run=_STALE_RUN, variant="social"))
_STALE_SOLO = Condition(label="no recomputation, solo", agents=TrainedAgents(run=_STALE_RUN, variant="solo"))

_STATES_GO_STALE, _SOLO_STATES_GO_STALE = (
    MechanismCheck(mechanism=RECURRENT_STATE, condition=condition.label)
    for condition in (SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME)
)
"""Measured where states are recomputed: how far off they would be without."""

STUDY = Study(
    name="ndousse2021/talk2020/refresh",
    title="Recomputed and stale hidden states",
    source="Ndousse 2020, talk: hidden-state refresh",
    compares="hidden states and advantages recomputed within each update, on and off",
    conditions=(SOCIAL_NEXT_FRAME, _STALE_SOCIAL, SOLO_NEXT_FRAME, _STALE_SOLO, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        *(changed(claim, mechanisms=(_STATES_GO_STALE,)) for claim in (
            more_followers("With recomputation more seeds follow.", SOCIAL_NEXT_FRAME.label, _STALE_SOCIAL.label),
            mean_greater("With recomputation social learners earn more.", SOCIAL_NEXT_FRAME.label, _STALE_SOCIAL.label),
            mean_greater("With recomputation social learners have a larger social gain.",
                         SOCIAL_NEXT_FRAME.label, _STALE_SOCIAL.label, "social_gain"),
        )),
        changed(mean_greater("With recomputation solo learners earn more.",
                             SOLO_NEXT_FRAME.label, _STALE_SOLO.label, "return_solo"),
                mechanisms=(_SOLO_STATES_GO_STALE,)),
    ),
    figures=figures.training_figures,
    num_seeds=6,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
