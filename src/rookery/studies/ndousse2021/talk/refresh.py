"""Whether stale memories hurt: hidden states recomputed within an update, or only before it.

Source: the first author's talk of 2020; Ndousse et al. 2021, appendix 7.2.
"""

from __future__ import annotations

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import more
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, SOCIAL_NEXT, SOLO
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Study, Training


def _stale(budget: Budget) -> RunConfig:
    arms = (Arm(name="social"), Arm(name="solo", social_share=0.0))
    return recipe.run(budget, "stale", arms, learner={"refresh_every": None})


STALE = Training(name="stale", configure=_stale)
OFF = Condition(label="no refresh, social", agents=Learned(training=STALE, arm="social"))
OFF_SOLO = Condition(label="no refresh, solo", agents=Learned(training=STALE, arm="solo"))

STUDY = Study(
    name="ndousse2021/talk/refresh",
    title="Fresh and stale memories",
    source="Ndousse 2020, talk: hidden-state refresh",
    compares="hidden states and advantages recomputed within each update, on and off",
    arms=(SOCIAL_NEXT, OFF, SOLO, OFF_SOLO, EXPERTS),
    scenes=(HOME,),
    claims=(
        more("With refresh social learners earn more.", SOCIAL_NEXT.label, OFF.label),
        more("With refresh their social gain is larger.", SOCIAL_NEXT.label, OFF.label, "gain"),
        more("With refresh solo learners earn more.", SOLO.label, OFF_SOLO.label, "alone"),
    ),
    figures=figures.training,
)
