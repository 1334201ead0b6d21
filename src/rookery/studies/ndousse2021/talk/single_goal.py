"""One visible goal: does it help to have an expert beside?

Source: the first author's talk of 2020, repeating Borsa et al. 2019, arXiv:1706.06617: novices learn no faster.
"""

from __future__ import annotations

import numpy as np

from rookery.runs.config import Arm, RunConfig, Scripted
from rookery.studies import figures, recipe, statistics
from rookery.studies.claims import alike, enough, verdict
from rookery.studies.ndousse2021.programs import TASK_EXPERTS
from rookery.studies.results import Results
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Claim, Judgement, Learned, Scene, Study, Training
from rookery.tasks.single_goal import SingleGoal
from rookery.world.spec import View

FASTER = 0.1
"""By which share the return while learning must rise to count as faster."""


def _task(budget: Budget) -> SingleGoal:
    if budget == "paper":
        return SingleGoal(views=(View(),) * 2)
    size = (9, 9, 7, 125) if budget == "desk" else (7, 8, 2, 10)
    height, width, obstacles, steps = size
    return SingleGoal(
        height=height, width=width, obstacles=obstacles, max_steps=steps, actions=3, views=(recipe.SEES,) * 2
    )


def _train(budget: Budget) -> RunConfig:
    arms = (Arm(name="social"), Arm(name="solo", social_share=0.0))
    return recipe.run(budget, "single-goal", arms, task=_task(budget), beside=(Scripted(),), schedules={})


TRAINING = Training(name="single-goal", configure=_train)
SOCIAL = Condition(label="beside an expert", agents=Learned(training=TRAINING, arm="social"))
SOLO = Condition(label="alone", agents=Learned(training=TRAINING, arm="solo"))
SCENE = Scene(name="single goal", task=_task, beside=lambda budget: (Scripted(),))


def _no_faster(results: Results) -> Judgement:
    means = {arm: np.mean(results.data["curves"][arm]["learning"]["return"], 1) for arm in (SOCIAL.label, SOLO.label)}
    found = enough(statistics.difference(*means.values()), min(map(len, means.values())))
    bound = FASTER * float(means[SOLO.label].mean())
    named = f"mean return over the whole course of learning, beside an expert less alone; claimed < {bound:.2f}"
    return Judgement(verdict(found, below=bound), named, found)


STUDY = Study(
    name="ndousse2021/talk/single-goal",
    title="One goal, with and without an expert",
    source="Ndousse 2020, talk; after Borsa et al. 2019",
    compares="single-goal with and without an expert (the paper says: no faster)",
    arms=(SOCIAL, SOLO, TASK_EXPERTS),
    scenes=(SCENE,),
    claims=(
        Claim(text="Beside an expert novices learn no faster.", judge=_no_faster),
        alike("In the end both earn the same alone, within 10 %.", SOCIAL.label, SOLO.label, 0.1, "alone"),
    ),
    figures=figures.training,
)  # fmt: skip
