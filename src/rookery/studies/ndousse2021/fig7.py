"""Leaving the experts: what social learners retain if they train mostly alone from some point on.

Source: Ndousse et al. 2021, figure 7, which shows one seed, and section 4.3.
"""

from __future__ import annotations

import functools

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, equivalent_within, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    GOAL_CYCLE_4,
    NEXT_FRAME_RUN,
    SOCIAL_NEXT_FRAME,
    SOLO_NEXT_FRAME,
    THREE_GOAL_EXPERTS,
    only_in,
)
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainedSlot, TrainingRun
from rookery.training.config import RunConfig, Variant


def _continued_config(budget: Budget) -> RunConfig:
    variants = (Variant(name="stay", social_episode_prob=1.0), Variant(name="switch", social_episode_prob=0.25))
    return budgets.continued_run_config(budget, "continued", variants)


_CONTINUED_RUN = TrainingRun(
    name="continued", configure=_continued_config, init_from=TrainedSlot(run=NEXT_FRAME_RUN, variant="social")
)
_STAYED = Condition(label="stayed social", agents=TrainedAgents(run=_CONTINUED_RUN, variant="stay"))
_SWITCHED = Condition(label="switched to 75 % solo", agents=TrainedAgents(run=_CONTINUED_RUN, variant="switch"))

STUDY = Study(
    name="ndousse2021/fig7",
    title="From social to mostly solo training",
    source="Ndousse et al. 2021, figure 7",
    compares="social learners that switch to 75 % solo and 25 % social episodes, and social learners that do not; "
    "evaluated with experts, alone and with 4 goals",
    conditions=(_SWITCHED, _STAYED, SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME, only_in(EXPERT_AGENTS, GOAL_CYCLE_3),
                only_in(THREE_GOAL_EXPERTS, GOAL_CYCLE_4)),
    eval_conditions=(GOAL_CYCLE_3, GOAL_CYCLE_4),
    claims=(
        mean_greater("Alone, agents that switched earn more than agents that stayed social.",
                     _SWITCHED.label, _STAYED.label, "return_solo"),
        changed(mean_greater("Alone, agents that switched earn more than agents that only ever trained solo.",
                             _SWITCHED.label, SOLO_NEXT_FRAME.label, "return_solo"), since=2),
        equivalent_within("With the experts, agents that switched earn as much as agents that stayed, within 10 %.",
                          _SWITCHED.label, _STAYED.label, 0.1),
        equivalent_within("The same holds with four goals.", _SWITCHED.label, _STAYED.label, 0.1,
                          eval_condition=GOAL_CYCLE_4.name),
        mean_greater("Agents that stay social lose solo return: they earned more alone before.",
                     SOCIAL_NEXT_FRAME.label, _STAYED.label, "return_solo"),
        mean_greater("Agents that stayed social have a larger social gain than agents that switched.",
                     _STAYED.label, _SWITCHED.label, "social_gain"),
    ),
    figures=functools.partial(
        figures.solo_figures,
        trained_in=GOAL_CYCLE_3.name,
        continues=dict.fromkeys((_SWITCHED.label, _STAYED.label), SOCIAL_NEXT_FRAME.label),
    ),
    num_seeds=6,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
    notes=(
        "The learners continue from agents at the end of their training, with a new optimizer and decoder; the paper "
        "switches during training.",
    ),
)  # fmt: skip
