"""Why mistakes must cost something: agents trained without a penalty have no reason to learn from others.

Source: Ndousse et al. 2021, figure 9 and appendix 7.2.
"""

from __future__ import annotations

import functools

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, mean_above, mean_greater, mean_less
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    GOAL_CYCLE_4,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VARIANT,
    SOLO_VARIANT,
    THREE_GOAL_EXPERTS,
    only_in,
)
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig


def _no_penalty_config(budget: Budget) -> RunConfig:
    return budgets.run_config(budget, "no-penalty", (SOCIAL_VARIANT, SOLO_VARIANT), env_schedules={"penalty": 0.0})


_NO_PENALTY_RUN = TrainingRun(name="no-penalty", configure=_no_penalty_config)
_NO_PENALTY_SOCIAL = Condition(label="penalty 0, social", agents=TrainedAgents(run=_NO_PENALTY_RUN, variant="social"))
_NO_PENALTY_SOLO = Condition(label="penalty 0, solo", agents=TrainedAgents(run=_NO_PENALTY_RUN, variant="solo"))
_NEXT_FRAME, _FOUR_GOALS = SOCIAL_NEXT_FRAME.label, GOAL_CYCLE_4.name

STUDY = Study(
    name="ndousse2021/fig9",
    title="Training without a penalty",
    source="Ndousse et al. 2021, figure 9",
    compares="trained at penalty 1.5 and at penalty 0, evaluated with 4 goals at penalty 1.5",
    conditions=(SOCIAL_NEXT_FRAME, _NO_PENALTY_SOCIAL, _NO_PENALTY_SOLO, only_in(THREE_GOAL_EXPERTS, GOAL_CYCLE_4),
                only_in(EXPERT_AGENTS, GOAL_CYCLE_3)),
    eval_conditions=(GOAL_CYCLE_4, GOAL_CYCLE_3),
    claims=(
        changed(mean_greater("Without a penalty agents gain less from experts: with three goals, agents trained at "
                             "penalty 1.5 have a larger social gain than at 0.", _NEXT_FRAME, _NO_PENALTY_SOCIAL.label,
                             "social_gain", GOAL_CYCLE_3.name), since=2),
        changed(mean_greater("With four goals, agents trained at penalty 1.5 earn more than those trained at 0.",
                             _NEXT_FRAME, _NO_PENALTY_SOCIAL.label, eval_condition=_FOUR_GOALS), since=2),
        changed(mean_greater("With four goals, agents trained at penalty 1.5 have a larger social gain than at 0.",
                             _NEXT_FRAME, _NO_PENALTY_SOCIAL.label, "social_gain", _FOUR_GOALS), since=2),
        changed(mean_less("With four goals, agents trained at penalty 0 earn less than the 3-goal experts (the paper: "
                          "no more).", _NO_PENALTY_SOCIAL.label, THREE_GOAL_EXPERTS.label, eval_condition=_FOUR_GOALS),
                since=2),
        mean_above("Agents trained at penalty 0 gain from experts all the same: with three goals their social gain is "
                   "above 0 (not in the paper, and the reverse of what it says).",
                   _NO_PENALTY_SOCIAL.label, 0.0, "social_gain", GOAL_CYCLE_3.name),
        mean_above("Agents trained at penalty 1.5 use the experts of the four-goal task: their social gain is above 0.",
                   _NEXT_FRAME, 0.0, "social_gain", _FOUR_GOALS),
    ),
    figures=functools.partial(figures.eval_condition_figures, trained_in=GOAL_CYCLE_3.name),
    num_seeds=6,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
    notes=(
        "In results of definition 1, goals were hidden from all novices for half of training, whatever the penalty, so "
        "that following paid without one as well: agents trained at penalty 0 gained as much as those at 1.5, or more. "
        "This does not test the paper's claim, and its claims are withheld there.",
    ),
)  # fmt: skip
