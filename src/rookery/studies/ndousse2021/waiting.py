"""How a follower behaves: it waits, lets the expert pay for finding the order, and follows.

An agent's first goal always pays, so there is nothing to wait for; what an expert can show is which to enter second.
Novices are compared with solo learners next to the same experts, which have learned nothing to wait for.

Source: Ndousse et al. 2021, section 4.1, which describes this without measuring it.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import changed, mean_greater
from rookery.studies.expert_distance import (
    enters_twice,
    entries_differ,
    following_measures,
    stays_nearer,
)
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VANILLA,
    SOLO_NEXT_FRAME,
)
from rookery.studies.study import Study

_NEXT_FRAME, _SOLO = SOCIAL_NEXT_FRAME.label, SOLO_NEXT_FRAME.label
_CONTROL = (enters_twice(_SOLO),)
"""Who never enters a second goal neither waits for it nor fails to."""
_CONDITIONS = (SOCIAL_NEXT_FRAME, SOCIAL_VANILLA, SOLO_NEXT_FRAME, EXPERT_AGENTS)

STUDY = Study(
    name="ndousse2021/waiting",
    title="Waiting for the experts",
    source="Ndousse et al. 2021, section 4.1",
    compares="mistakes, step of the first goal and distance to the nearest expert during an episode: novices and "
    "experts",
    conditions=_CONDITIONS,
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        changed(entries_differ("Novices wait: they enter fewer goals before an expert has closed its cycle than solo "
                               "learners do next to the same experts.", "entries_before_closed_cycle", _SOLO,
                               _NEXT_FRAME, since=2), mechanisms=_CONTROL),
        changed(entries_differ("Novices enter their second goal later than solo learners do next to the same experts.",
                               "step_of_second_entry", _NEXT_FRAME, _SOLO, since=2), mechanisms=_CONTROL),
        changed(entries_differ("Novices follow: more of their entries after the first repeat an expert's than those of "
                               "solo learners.", "repeated_fraction", _NEXT_FRAME, _SOLO, since=2),
                mechanisms=_CONTROL),
        mean_greater("Novices make fewer mistakes than their experts.",
                     _NEXT_FRAME, _NEXT_FRAME, "metrics_partners: mistakes", other_measure="metrics_social: mistakes"),
        mean_greater("Novices make fewer mistakes with experts than alone.",
                     _NEXT_FRAME, _NEXT_FRAME, "metrics_solo: mistakes", other_measure="metrics_social: mistakes"),
        stays_nearer("Over the second half of an episode novices are nearer to an expert than solo learners that are "
                     "evaluated with experts.", _NEXT_FRAME, _SOLO),
    ),
    figures=figures.waiting_figures,
    num_seeds=12,
    definition=3,
    changes={2: "the step of the second entry and the entries before an expert has closed its cycle are measured, "
                "against solo learners next to the same experts; the first goal always pays, and solo learners reach "
                "it later still; " + budgets.DEFINITION_2,
             3: budgets.DEFINITION_3},
    measure_extra=lambda session: following_measures(session, GOAL_CYCLE_3, _CONDITIONS),
)  # fmt: skip
