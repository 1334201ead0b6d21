"""How a follower behaves: it waits, lets the expert pay for finding the order, and follows.

Source: Ndousse et al. 2021, section 4.1, which describes this without measuring it.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import mean_greater
from rookery.studies.expert_distance import distance_profiles, stays_nearer
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VANILLA,
    SOLO_NEXT_FRAME,
)
from rookery.studies.study import Study

_NEXT_FRAME, _SOLO = SOCIAL_NEXT_FRAME.label, SOLO_NEXT_FRAME.label
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
        mean_greater("Novices make fewer mistakes than their experts.",
                     _NEXT_FRAME, _NEXT_FRAME, "metrics_partners: mistakes", other_measure="metrics_social: mistakes"),
        mean_greater("Novices reach their first goal later than their experts.",
                     _NEXT_FRAME, _NEXT_FRAME, "metrics_social: steps_to_first_reward",
                     other_measure="metrics_partners: steps_to_first_reward"),
        mean_greater("Novices make fewer mistakes with experts than alone.",
                     _NEXT_FRAME, _NEXT_FRAME, "metrics_solo: mistakes", other_measure="metrics_social: mistakes"),
        stays_nearer("Over the second half of an episode novices are nearer to an expert than solo learners that are "
                     "evaluated with experts.", _NEXT_FRAME, _SOLO),
    ),
    figures=figures.waiting_figures,
    num_seeds=5,
    measure_extra=lambda session: distance_profiles(session, GOAL_CYCLE_3, _CONDITIONS),
)  # fmt: skip
