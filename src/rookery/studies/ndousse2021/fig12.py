"""How an expert comes about: a low penalty first.

Source: Ndousse et al. 2021, figure 12 and appendix 7.1.
"""

from __future__ import annotations

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import every_seed_at_most, exceeds, more
from rookery.studies.ndousse2021.programs import EXPERTS, HOME
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Study, Training

FIRST_STAGE = 81_920 * 250 / 375e6
"""Share of the published run before the penalty rises from 0.5 to 1."""


def _curriculum(budget: Budget) -> RunConfig:
    rising = recipe.EXPERT_PENALTY
    if budget == "paper":
        rising = ((0.0, 0.5), (FIRST_STAGE, 0.5), (FIRST_STAGE + 1e-6, 1.0), (0.5, 1.0), (0.500001, 1.5))
    arms = (Arm(name="curriculum", task_schedules={"penalty": rising}), Arm(name="direct"))
    return recipe.to_expert(budget, "curriculum", arms, schedules={"penalty": 1.5})


CURRICULUM = Training(name="curriculum", configure=_curriculum)
RISING = Condition(label="rising penalty", agents=Learned(training=CURRICULUM, arm="curriculum"))
DIRECT = Condition(label="penalty 1.5 throughout", agents=Learned(training=CURRICULUM, arm="direct"))

STUDY = Study(
    name="ndousse2021/fig12",
    title="The penalty curriculum",
    source="Ndousse et al. 2021, figure 12",
    compares="an agent alone under a rising penalty against penalty 1.5 throughout",
    arms=(RISING, DIRECT, EXPERTS),
    scenes=(HOME,),
    claims=(
        every_seed_at_most("Under the full penalty from the start, every seed stops after one goal.",
                           DIRECT.label, 1.05, "alone"),
        more("A rising penalty earns more.", RISING.label, DIRECT.label, "alone"),
        exceeds("A rising penalty makes an expert: it earns more than stopping after one goal.",
                RISING.label, 1.05, "alone"),
    ),
    figures=figures.alone,
    notes=("The paper gives the first two stages, 0.5 and 1; what follows is this project's choice.",),
)  # fmt: skip
