"""What a watcher does: it waits, lets the expert pay for finding the order, and follows.

Source: Ndousse et al. 2021, section 5, where it is told and not measured.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import more
from rookery.studies.following import distance_profiles, nearer
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, SOCIAL_NEXT, SOLO, VANILLA
from rookery.studies.study import Study

NEXT, ALONE = SOCIAL_NEXT.label, SOLO.label
ARMS = (SOCIAL_NEXT, VANILLA, SOLO, EXPERTS)

STUDY = Study(
    name="ndousse2021/waiting",
    title="Waiting for those who know",
    source="Ndousse et al. 2021, section 5",
    compares="mistakes, step of the first goal and distance to the nearest expert over an episode: novices and experts",
    arms=ARMS,
    scenes=(HOME,),
    claims=(
        more("Novices make fewer mistakes than the experts beside them.",
             NEXT, NEXT, "counts of others: mistakes", of_other="counts beside: mistakes"),
        more("They reach their first goal later than the experts beside them.",
             NEXT, NEXT, "counts beside: first goal at step", of_other="counts of others: first goal at step"),
        more("They make fewer mistakes beside experts than alone.",
             NEXT, NEXT, "counts alone: mistakes", of_other="counts beside: mistakes"),
        nearer("Over the second half of an episode they are nearer to an expert than solo learners put beside one.",
               NEXT, ALONE),
    ),
    figures=figures.waiting,
    seeds=5,
    measure=lambda session: distance_profiles(session, HOME, ARMS),
)  # fmt: skip
