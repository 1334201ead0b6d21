"""One visible goal: does it help to have an expert beside?

Source: the first author's talk of 2020, repeating Borsa et al. 2019, arXiv:1706.06617: novices learn no faster.
"""

from __future__ import annotations

import numpy as np

from rookery.gridworld.spec import ViewConfig
from rookery.studies import budgets, figures, statistics
from rookery.studies.claims import equivalent_within, judge_interval, withhold_if_few_seeds
from rookery.studies.ndousse2021.shared_runs import TASK_EXPERTS
from rookery.studies.results import Results
from rookery.studies.study import Budget, Claim, EvalCondition, Study, TrainedAgents, TrainingRun, Verdict
from rookery.studies.study import Condition as Condition
from rookery.tasks.single_goal import SingleGoal
from rookery.training.config import RunConfig, ScriptedPolicyConfig, Variant

_FASTER_FRACTION = 0.1
"""By which share the return while learning must rise to count as faster."""


def _task(budget: Budget) -> SingleGoal:
    if budget == "paper":
        return SingleGoal(views=(ViewConfig(),) * 2)
    size = (9, 9, 7, 125) if budget == "desk" else (7, 8, 2, 10)
    height, width, obstacles, steps = size
    return SingleGoal(
        height=height,
        width=width,
        num_obstacles=obstacles,
        max_steps=steps,
        num_actions=3,
        views=(budgets.DESK_VIEW,) * 2,
    )


def _single_goal_config(budget: Budget) -> RunConfig:
    arms = (Variant(name="social"), Variant(name="solo", social_episode_prob=0.0))
    return budgets.run_config(
        budget, "single-goal", arms, task=_task(budget), partners=(ScriptedPolicyConfig(),), env_schedules={}
    )


_SINGLE_GOAL_RUN = TrainingRun(name="single-goal", configure=_single_goal_config)
_WITH_EXPERT = Condition(label="with an expert", agents=TrainedAgents(run=_SINGLE_GOAL_RUN, variant="social"))
_SOLO = Condition(label="solo", agents=TrainedAgents(run=_SINGLE_GOAL_RUN, variant="solo"))
_SINGLE_GOAL_CONDITION = EvalCondition(
    name="single goal", task=_task, partners=lambda budget: (ScriptedPolicyConfig(),)
)


def _judge_no_faster(results: Results) -> Verdict:
    means = {
        arm: np.mean(results.data["curves"][arm]["learning"]["return"], 1) for arm in (_WITH_EXPERT.label, _SOLO.label)
    }
    found = withhold_if_few_seeds(statistics.difference_of_means(*means.values()), min(map(len, means.values())))
    bound = _FASTER_FRACTION * float(means[_SOLO.label].mean())
    named = f"mean return over the whole course of learning, beside an expert less alone; claimed < {bound:.2f}"
    return Verdict(judge_interval(found, below=bound), named, found)


STUDY = Study(
    name="ndousse2021/talk2020/single-goal",
    title="One goal, with and without an expert",
    source="Ndousse 2020, talk; after Borsa et al. 2019",
    compares="single-goal with and without an expert (the paper says: no faster)",
    conditions=(_WITH_EXPERT, _SOLO, TASK_EXPERTS),
    eval_conditions=(_SINGLE_GOAL_CONDITION,),
    claims=(
        Claim(text="Beside an expert novices learn no faster.", judge=_judge_no_faster),
        equivalent_within("In the end both earn the same alone, within 10 %.", _WITH_EXPERT.label, _SOLO.label, 0.1, "return_solo"),
    ),
    figures=figures.training_figures,
)  # fmt: skip
