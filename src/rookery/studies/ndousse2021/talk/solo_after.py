"""What of social learning is left when the experts have gone.

Source: planned in the first author's talk of 2020: a solo test after social training.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import exceeds, more
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, SOCIAL_NEXT, SOLO, VANILLA
from rookery.studies.study import Study

NEXT, ALONE = SOCIAL_NEXT.label, SOLO.label

STUDY = Study(
    name="ndousse2021/talk/solo-after",
    title="Alone after company",
    source="Ndousse 2020, talk: solo test after social training",
    compares="social learners tested alone, at every checkpoint and at the end, against solo learners",
    arms=(SOCIAL_NEXT, VANILLA, SOLO, EXPERTS),
    scenes=(HOME,),
    claims=(
        more("Left alone, social learners earn less than beside experts.", NEXT, NEXT, "beside", of_other="alone"),
        more("Left alone, social learners earn more than solo learners do.", NEXT, ALONE, "alone"),
        exceeds("Left alone, social learners earn more than stopping after one goal.", NEXT, 1.05, "alone"),
    ),
    figures=figures.alone,
    seeds=5,
)
