"""What the experts must be worth: novices beside near-optimal and beside imperfect ones.

Source: Ndousse et al. 2021, figure 5.
"""

from __future__ import annotations

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import exceeds, few_seeds_exceed, more
from rookery.studies.ndousse2021.programs import (
    EXPERTS,
    HOME,
    HOME_IMPERFECT,
    SOCIAL_NEXT,
    SOLO,
    THREE_GOAL_EXPERTS,
    imperfect_experts,
)  # fmt: skip
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Study, Training


def _imperfect(budget: Budget) -> RunConfig:
    return recipe.run(budget, "imperfect", (Arm(name="social"),), beside=imperfect_experts(budget))


IMPERFECT = Training(name="imperfect", configure=_imperfect)
BESIDE = Condition(label="social, imperfect experts", agents=Learned(training=IMPERFECT, arm="social"))
LEVEL = Condition(label="imperfect experts", agents=THREE_GOAL_EXPERTS.agents)
NEXT, ALONE, IT = SOCIAL_NEXT.label, SOLO.label, HOME_IMPERFECT.name

STUDY = Study(
    name="ndousse2021/fig5",
    title="Near-optimal and imperfect experts",
    source="Ndousse et al. 2021, figure 5",
    compares="social + next frame beside near-optimal and beside imperfect experts, both frozen, and solo",
    arms=(SOCIAL_NEXT, BESIDE, SOLO, EXPERTS, LEVEL),
    scenes=(HOME, HOME_IMPERFECT),
    claims=(
        more("Beside near-optimal experts novices earn more than solo learners alone.", NEXT, ALONE, of_other="alone"),
        more("Beside imperfect experts novices still earn more than solo learners alone.",
             BESIDE.label, ALONE, scene=IT, of_other="alone"),
        exceeds("Novices trained beside imperfect experts learn socially: they earn more beside them than alone.",
                BESIDE.label, 0.0, "gain", IT),
        more("Near-optimal experts make better novices: each tested beside those it trained with.",
             NEXT, BESIDE.label, scene=HOME.name, other_scene=IT),
        few_seeds_exceed("Few novices come to earn more than the imperfect experts.",
                         BESIDE.label, LEVEL.label, most=0.4, scene=IT),
    ),
    figures=figures.training,
    seeds=4,
)  # fmt: skip
