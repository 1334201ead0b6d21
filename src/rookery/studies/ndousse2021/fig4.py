"""Which agents learn from experts in the three-goal cycle: the auxiliary loss and its ablations.

Source: Ndousse et al. 2021, figure 4 and section 4.1.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import every_seed_at_most, mean_above, mean_greater, most_seeds_exceed
from rookery.studies.ndousse2021.shared_runs import (
    CLONED_EXPERTS,
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_RECONSTRUCTION,
    SOCIAL_VANILLA,
    SOLO_NEXT_FRAME,
)
from rookery.studies.study import Study

_NEXT_FRAME, _RECONSTRUCTION, _VANILLA, _SOLO = (
    condition.label for condition in (SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, SOCIAL_VANILLA, SOLO_NEXT_FRAME)
)

STUDY = Study(
    name="ndousse2021/fig4",
    title="Social learning in the three-goal cycle",
    source="Ndousse et al. 2021, figure 4",
    compares="3-goal cycle, penalty 1.5: social + next frame, social + reconstruction, social vanilla, solo + next "
    "frame; levels of experts and cloning",
    conditions=(
        SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, SOCIAL_VANILLA, SOLO_NEXT_FRAME, EXPERT_AGENTS, CLONED_EXPERTS,
    ),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        every_seed_at_most("Solo learners stop after one goal, in every seed.", _SOLO, 1.05, "return_solo"),
        every_seed_at_most("Vanilla social learners stop after one goal, in every seed.", _VANILLA, 1.05),
        most_seeds_exceed("Most social learners with the next-frame loss earn more than their experts.",
                          _NEXT_FRAME, "experts"),
        most_seeds_exceed("Most of them earn more than clones of the experts.", _NEXT_FRAME, CLONED_EXPERTS.label),
        mean_greater("Agents with the next-frame loss earn more than agents with the reconstruction loss.",
                     _NEXT_FRAME, _RECONSTRUCTION),
        mean_greater("Agents with the reconstruction loss earn more than agents without an auxiliary loss.",
                     _RECONSTRUCTION, _VANILLA),
        mean_greater("Agents with the next-frame loss earn more than agents without an auxiliary loss.",
                     _NEXT_FRAME, _VANILLA),
        mean_greater("Social learners earn more than solo learners, each evaluated as it trained.", _NEXT_FRAME, _SOLO,
                     other_measure="return_solo"),
        mean_above("Agents with the next-frame loss learn socially: frozen, they earn more with experts than alone.",
                   _NEXT_FRAME, 0.0, "social_gain"),
        mean_greater("The next-frame loss increases social gain compared with no auxiliary loss.",
                     _NEXT_FRAME, _VANILLA, "social_gain"),
    ),
    figures=figures.training_figures,
    num_seeds=5,
)  # fmt: skip
