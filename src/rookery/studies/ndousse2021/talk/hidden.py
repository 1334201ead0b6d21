"""Goals that novices cannot see: whoever finds them follows somebody.

Source: the first author's talk of 2020: novices then follow robustly, and end slightly below the experts.
"""

from __future__ import annotations

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import exceeds, more
from rookery.studies.ndousse2021.programs import HOME
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Scene, Study, Training


def _hidden(budget: Budget) -> RunConfig:
    arms = (Arm(name="social"), Arm(name="solo", social_share=0.0))
    schedules = {} if budget == "paper" else {"penalty": recipe.PENALTY}
    return recipe.run(budget, "hidden", arms, task=recipe.hidden(budget), schedules=schedules)


HIDDEN = Training(name="hidden", configure=_hidden)
SOCIAL = Condition(label="goals hidden, social", agents=Learned(training=HIDDEN, arm="social"))
SOLO = Condition(label="goals hidden, solo", agents=Learned(training=HIDDEN, arm="solo"))
SCENE = Scene(name="3-goal cycle, goals hidden from slot 0", task=recipe.hidden, beside=recipe.experts)

STUDY = Study(
    name="ndousse2021/talk/hidden",
    title="Goals hidden from novices",
    source="Ndousse 2020, talk: masked goals",
    compares="goals hidden from novices throughout: social against solo",
    arms=(SOCIAL, SOLO),
    scenes=(SCENE, HOME),
    claims=(
        more("Beside experts novices earn more than solo learners alone.", SOCIAL.label, SOLO.label, of_other="alone"),
        exceeds("They do it by following: their social gain is above 0.", SOCIAL.label, 0.0, "gain"),
        more("They end below the experts beside them, who see the goals.",
             SOCIAL.label, SOCIAL.label, "others", of_other="beside"),
    ),
    figures=figures.training,
)  # fmt: skip
