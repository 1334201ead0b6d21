"""Who learns from experts in the three-goal cycle: the auxiliary loss against its ablations.

Source: Ndousse et al. 2021, figure 4 and section 5.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import every_seed_at_most, exceeds, more, most_seeds_exceed
from rookery.studies.ndousse2021.programs import CLONES, EXPERTS, HOME, SOCIAL_NEXT, SOCIAL_THIS, SOLO, VANILLA
from rookery.studies.study import Study

NEXT, THIS, PLAIN, ALONE = (arm.label for arm in (SOCIAL_NEXT, SOCIAL_THIS, VANILLA, SOLO))

STUDY = Study(
    name="ndousse2021/fig4",
    title="Social learning in the three-goal cycle",
    source="Ndousse et al. 2021, figure 4",
    compares="3-goal cycle, penalty 1.5: social + next frame, social + this frame, social vanilla, solo + next frame; "
    "levels of experts and cloning",
    arms=(SOCIAL_NEXT, SOCIAL_THIS, VANILLA, SOLO, EXPERTS, CLONES),
    scenes=(HOME,),
    claims=(
        every_seed_at_most("Solo learners stop after one goal, in every seed.", ALONE, 1.05, "alone"),
        every_seed_at_most("Vanilla social learners stop after one goal, in every seed.", PLAIN, 1.05),
        most_seeds_exceed("Most social learners with the next-frame loss out-earn their experts.", NEXT, "experts"),
        most_seeds_exceed("Most of them earn more than clones of the experts.", NEXT, CLONES.label),
        more("The next-frame loss earns more than the this-frame loss.", NEXT, THIS),
        more("The this-frame loss earns more than none.", THIS, PLAIN),
        more("The next-frame loss earns more than none.", NEXT, PLAIN),
        more("Social learners earn more than solo learners, each tested as it trained.", NEXT, ALONE, of_other="alone"),
        exceeds("With the next-frame loss learners learn socially: frozen, they earn more beside experts than alone.",
                NEXT, 0.0, "gain"),
        more("The next-frame loss makes learning more social than none: its social gain is larger.",
             NEXT, PLAIN, "gain"),
    ),
    figures=figures.training,
    seeds=5,
)  # fmt: skip
