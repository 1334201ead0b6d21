"""One visible goal: does an expert help?

Source: the first author's talk of 2020, repeating Borsa et al. 2019, arXiv:1706.06617: novices learn no faster.
"""

from __future__ import annotations

import numpy as np

from rookery.gridworld.spec import ViewConfig
from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import equivalent_within, judge_difference
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.ndousse2021.shared_runs import SOCIAL_VARIANT, SOLO_VARIANT, TASK_EXPERTS
from rookery.studies.results import Results
from rookery.studies.study import Claim, Condition, Study, Verdict
from rookery.studies.training_run import Budget, TrainingRun
from rookery.tasks.single_goal import SingleGoal
from rookery.training.config import RunConfig, ScriptedPolicyConfig

_FASTER_FRACTION = 0.1
"""Fraction by which the return during training must rise to count as faster."""


def _task(budget: Budget) -> SingleGoal:
    if budget == "paper":
        return SingleGoal(views=(ViewConfig(),) * 2)
    height, width, num_obstacles, max_steps = (9, 9, 7, 125) if budget == "desk" else (7, 8, 2, 10)
    return SingleGoal(
        height=height,
        width=width,
        num_obstacles=num_obstacles,
        max_steps=max_steps,
        num_actions=budgets.goal_cycle_task(budget).num_actions,
        views=(budgets.DESK_VIEW,) * 2,
    )


def _single_goal_config(budget: Budget) -> RunConfig:
    return budgets.run_config(
        budget,
        "single-goal",
        (SOCIAL_VARIANT, SOLO_VARIANT),
        task=_task(budget),
        partners=(ScriptedPolicyConfig(),),
    )


_SINGLE_GOAL_RUN = TrainingRun(name="single-goal", configure=_single_goal_config)
_WITH_EXPERT = Condition(label="with an expert", agents=TrainedAgents(run=_SINGLE_GOAL_RUN, variant="social"))
_SOLO = Condition(label="solo", agents=TrainedAgents(run=_SINGLE_GOAL_RUN, variant="solo"))
_SINGLE_GOAL_CONDITION = EvalCondition(
    name="single goal", task=_task, partners=lambda budget: (ScriptedPolicyConfig(),)
)


def _judge_no_faster(results: Results) -> Verdict:
    with_expert, solo = (
        np.mean(results.curves[condition.label]["learning"]["return"], 1) for condition in (_WITH_EXPERT, _SOLO)
    )
    bound = _FASTER_FRACTION * float(solo.mean())
    quantity = f"mean return over all of training, with an expert minus solo; claimed < {bound:.2f}"
    return judge_difference(with_expert, solo, quantity, below=bound)


STUDY = Study(
    name="ndousse2021/talk2020/single-goal",
    title="One goal, with and without an expert",
    source="Ndousse 2020, talk; after Borsa et al. 2019",
    compares="one visible goal, with and without an expert (the talk says: no faster)",
    conditions=(_WITH_EXPERT, _SOLO, TASK_EXPERTS),
    eval_conditions=(_SINGLE_GOAL_CONDITION,),
    claims=(
        Claim(text="With an expert, novices learn no faster.", judge=_judge_no_faster),
        equivalent_within("In the end both earn the same alone, within 10 %.",
                          _WITH_EXPERT.label, _SOLO.label, 0.1, "return_solo"),
    ),
    figures=figures.training_figures,
    num_seeds=5,
    definition=3,
    changes={2: "the novices' preset, with a next-frame loss that predicts", 3: budgets.DEFINITION_3},
)  # fmt: skip
