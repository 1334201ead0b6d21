"""What remains of social learning without the experts.

Source: planned in the first author's talk of 2020: a solo test after social training.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import changed, mean_above, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VANILLA,
    SOLO_NEXT_FRAME,
)
from rookery.studies.study import Study

_NEXT_FRAME, _SOLO = SOCIAL_NEXT_FRAME.label, SOLO_NEXT_FRAME.label

STUDY = Study(
    name="ndousse2021/talk2020/solo-after",
    title="Alone after social training",
    source="Ndousse 2020, talk: solo test after social training",
    compares="social learners evaluated alone, at every checkpoint and at the end, and solo learners",
    conditions=(SOCIAL_NEXT_FRAME, SOCIAL_VANILLA, SOLO_NEXT_FRAME, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        mean_greater("Social learners earn less alone than with experts.",
                     _NEXT_FRAME, _NEXT_FRAME, "return_social", other_measure="return_solo"),
        changed(mean_greater("Alone, social learners earn more than solo learners.", _NEXT_FRAME, _SOLO, "return_solo"),
                since=2),
        mean_above("Alone, social learners earn more than agents that stop after one goal.",
                   _NEXT_FRAME, 1.05, "return_solo"),
    ),
    figures=figures.solo_figures,
    num_seeds=12,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
