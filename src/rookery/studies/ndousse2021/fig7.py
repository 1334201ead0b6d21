"""Leaving the experts part-way: what learners keep who train mostly alone from some point on.

Source: Ndousse et al. 2021, figure 7, which shows one seed.
"""

from __future__ import annotations

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import alike, more
from rookery.studies.ndousse2021.programs import EXPERTS, FOUR_GOALS, HOME, NEXT, SOCIAL_NEXT, SOLO
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Study, Training


def _onward(budget: Budget) -> RunConfig:
    arms = (Arm(name="stay", social_share=1.0), Arm(name="switch", social_share=0.25))
    return recipe.onward(budget, "onward", arms)


ONWARD = Training(name="onward", configure=_onward, after=Learned(training=NEXT, arm="social"))
STAY = Condition(label="stayed social", agents=Learned(training=ONWARD, arm="stay"))
SWITCH = Condition(label="switched to 75 % solo", agents=Learned(training=ONWARD, arm="switch"))
KEPT, LEFT, BEFORE = SWITCH.label, STAY.label, SOCIAL_NEXT.label

STUDY = Study(
    name="ndousse2021/fig7",
    title="From company to solitude",
    source="Ndousse et al. 2021, figure 7",
    compares="social learners that switch to 75 % solo and 25 % social episodes against staying social; "
    "tested social, solo and with 4 goals",
    arms=(SWITCH, STAY, SOCIAL_NEXT, SOLO, EXPERTS),
    scenes=(HOME, FOUR_GOALS),
    claims=(
        more("Who switched earns more alone than who stayed social.", KEPT, LEFT, "alone"),
        more("Who switched earns more alone than agents that only ever trained solo.", KEPT, SOLO.label, "alone"),
        alike("Beside the experts who switched earns as much as who stayed, within 10 %.", KEPT, LEFT, 0.1),
        alike("So it does with four goals.", KEPT, LEFT, 0.1, scene=FOUR_GOALS.name),
        more("Who stays social loses what it could do alone: it earned more alone before.", BEFORE, LEFT, "alone"),
        more("Staying makes more social: the social gain of who stayed is larger than of who switched.",
             LEFT, KEPT, "gain"),
    ),
    figures=figures.alone,
    notes=(
        "The learners go on from agents trained to the end of their course, with a fresh optimiser and decoder; "
        "the paper switches in mid-course.",
    ),
)  # fmt: skip
