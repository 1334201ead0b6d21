"""What a penalty makes of agents that learn alone.

Source: the first author's talk of 2020: low penalties are ignored, high ones end in one goal and none after.
"""

from __future__ import annotations

import numpy as np

from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe, statistics
from rookery.studies.claims import enough, falls_below, more, verdict
from rookery.studies.ndousse2021.programs import EXPERTS, HOME
from rookery.studies.results import Results
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Claim, Judgement, Learned, Study, Training

PENALTIES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


def _name(penalty: float) -> str:
    return f"penalty-{round(100 * penalty)}-percent"


def _sweep(budget: Budget) -> RunConfig:
    arms = tuple(Arm(name=_name(penalty), task_schedules={"penalty": penalty}) for penalty in PENALTIES)
    return recipe.soloists(budget, "penalties", arms, schedules={"penalty": 1.5})


SWEEP = Training(name="penalties", configure=_sweep)
ARMS = {p: Condition(label=f"penalty {p:g}", agents=Learned(training=SWEEP, arm=_name(p))) for p in PENALTIES}
GOALS, MISTAKES = "counts alone: goals", "counts alone: mistakes"


def _orderless(results: Results) -> Judgement:
    """Who enters any of the other two goals blindly is paid every second time."""
    goals, mistakes = (results.values(ARMS[0.0].label, name) for name in (GOALS, MISTAKES))
    share = goals / np.maximum(goals + mistakes, 1e-9)
    found = enough(statistics.mean_over_seeds(share), len(share))
    return Judgement(verdict(found, below=2 / 3), "share of entries that pay, at penalty 0; claimed < 0.67", found)


STUDY = Study(
    name="ndousse2021/talk/penalty",
    title="A penalty, alone",
    source="Ndousse 2020, talk: penalty sweep",
    compares="solo learners at constant penalties from 0 to 1.5: goals and mistakes an episode",
    arms=(*ARMS.values(), EXPERTS),
    scenes=(HOME,),
    claims=(
        more("The higher the penalty, the fewer mistakes: more at 0 than at 0.5.",
             ARMS[0.0].label, ARMS[0.5].label, MISTAKES),
        more("More mistakes at 0.5 than at 1.5.", ARMS[0.5].label, ARMS[1.5].label, MISTAKES),
        more("And the fewer goals: more at 0 than at 1.5.", ARMS[0.0].label, ARMS[1.5].label, GOALS),
        falls_below("At 1.5 agents take one goal and no more.", ARMS[1.5].label, 1.05, GOALS),
        Claim(text="Free of penalty agents keep no order: fewer than two of three entries pay.", judge=_orderless),
    ),
    figures=figures.counts,
)  # fmt: skip
