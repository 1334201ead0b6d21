"""Why mistakes must cost: learners of penalty 0 have no need to watch anybody.

Source: Ndousse et al. 2021, figure 9.
"""

from __future__ import annotations

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import exceeds, more, no_more
from rookery.studies.ndousse2021.programs import EXPERTS, FOUR_GOALS, HOME, SOCIAL_NEXT, THREE_GOAL_EXPERTS
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Study, Training


def _free(budget: Budget) -> RunConfig:
    arms = (Arm(name="social"), Arm(name="solo", social_share=0.0))
    schedules = {} if budget == "paper" else recipe.default_schedules()
    return recipe.run(budget, "free", arms, schedules={**schedules, "penalty": 0.0})


FREE = Training(name="free", configure=_free)
SOCIAL = Condition(label="penalty 0, social", agents=Learned(training=FREE, arm="social"))
SOLO = Condition(label="penalty 0, solo", agents=Learned(training=FREE, arm="solo"))
NEXT, FOUR = SOCIAL_NEXT.label, FOUR_GOALS.name

STUDY = Study(
    name="ndousse2021/fig9",
    title="What free mistakes teach",
    source="Ndousse et al. 2021, figure 9",
    compares="trained at penalty 1.5 against 0, tested with 4 goals at penalty 1.5",
    arms=(SOCIAL_NEXT, SOCIAL, SOLO, THREE_GOAL_EXPERTS, EXPERTS),
    scenes=(FOUR_GOALS, HOME),
    claims=(
        more("Trained at penalty 1.5 they earn more with four goals than trained at 0.",
             NEXT, SOCIAL.label, scene=FOUR),
        more("Trained at penalty 1.5 their social gain with four goals is larger than trained at 0.",
             NEXT, SOCIAL.label, "gain", FOUR),
        no_more("Trained at penalty 0 they transfer no better than the 3-goal experts.",
                SOCIAL.label, THREE_GOAL_EXPERTS.label, scene=FOUR),
        exceeds("Trained at penalty 1.5 they use the experts of the four goals: their social gain is above 0.",
                NEXT, 0.0, "gain", FOUR),
    ),
    figures=figures.scenes,
)  # fmt: skip
