"""Which agents learn from experts in the three-goal cycle: the auxiliary loss and its ablations.

The primary endpoint is when an agent becomes a follower; it was written down before any of these agents was trained.

Source: Ndousse et al. 2021, figure 4 and section 4.1.
"""

from __future__ import annotations

from rookery.studies import budgets, figures
from rookery.studies.claims import changed, mean_above, mean_greater, most_seeds_exceed
from rookery.studies.expert_distance import following_measures
from rookery.studies.followers import every_seed_stops_after_one_goal, more_followers, most_seeds_follow
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.shared_runs import (
    CLONED_EXPERTS,
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_RECONSTRUCTION,
    SOCIAL_VANILLA,
    SOLO_NEXT_FRAME,
    SOLO_VANILLA,
    clones_fail,
)
from rookery.studies.results import Results
from rookery.studies.study import Claim, Figures, Study
from rookery.studies.time_to_follow import follows_sooner

_NEXT_FRAME, _RECONSTRUCTION, _VANILLA, _SOLO, _SOLO_VANILLA = (
    condition.label
    for condition in (SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, SOCIAL_VANILLA, SOLO_NEXT_FRAME, SOLO_VANILLA)
)
LOSS_GATE = 0.2
"""Fraction of training by which the losses must predict: one that learns to do so later cannot make agents follow
sooner."""
_NEXT_FRAME_LIVES = FramePredictionCheck(condition=_NEXT_FRAME, by=LOSS_GATE)
_RECONSTRUCTION_LIVES = FramePredictionCheck(
    mechanism="reconstruction", condition=_RECONSTRUCTION, by=LOSS_GATE, like_figure_2=False
)
_TRAINED = (SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, SOCIAL_VANILLA, SOLO_NEXT_FRAME, SOLO_VANILLA)


def _claims() -> tuple[Claim, ...]:
    tests_the_loss = (
        follows_sooner("Agents with the next-frame loss become followers sooner than agents without an auxiliary loss.",
                       _NEXT_FRAME, _VANILLA),
        more_followers("The next-frame loss makes more seeds follow, at the end of training.", _NEXT_FRAME, _VANILLA),
        most_seeds_follow("Most seeds with the next-frame loss follow.", _NEXT_FRAME),
        mean_greater("The next-frame loss increases social gain compared with no auxiliary loss.",
                     _NEXT_FRAME, _VANILLA, "social_gain"),
        mean_above("Agents with the next-frame loss learn socially: frozen, they earn more with experts than alone.",
                   _NEXT_FRAME, 0.0, "social_gain"),
        most_seeds_exceed("Most social learners with the next-frame loss earn more than their experts.",
                          _NEXT_FRAME, "experts"),
    )  # fmt: skip
    with_clones = most_seeds_exceed("Most of them earn more than clones of the experts.", _NEXT_FRAME,
                                    CLONED_EXPERTS.label)  # fmt: skip
    both_losses = follows_sooner("Agents with the next-frame loss become followers sooner than agents with the "
                                 "reconstruction loss.", _NEXT_FRAME, _RECONSTRUCTION)  # fmt: skip
    reconstruction = follows_sooner("Agents with the reconstruction loss become followers sooner than agents without "
                                    "an auxiliary loss.", _RECONSTRUCTION, _VANILLA)  # fmt: skip
    return (
        *(changed(claim, mechanisms=(_NEXT_FRAME_LIVES,)) for claim in tests_the_loss),
        changed(with_clones, mechanisms=(_NEXT_FRAME_LIVES,), withheld=clones_fail),
        changed(both_losses, mechanisms=(_NEXT_FRAME_LIVES, _RECONSTRUCTION_LIVES)),
        changed(reconstruction, mechanisms=(_RECONSTRUCTION_LIVES,)),
        every_seed_stops_after_one_goal("Vanilla social learners stop after one goal, in every seed.", _VANILLA,
                                        "metrics_social"),
        every_seed_stops_after_one_goal("Solo learners stop after one goal, in every seed.", _SOLO),
        changed(every_seed_stops_after_one_goal("So do solo learners without an auxiliary loss.", _SOLO_VANILLA),
                since=2),
        changed(mean_greater("Social learners earn more than solo learners, each evaluated as it trained.", _NEXT_FRAME,
                             _SOLO, other_measure="return_solo"), since=2),
    )  # fmt: skip


def _figures(results: Results) -> Figures:
    trained = [condition.label for condition in _TRAINED if condition.label in results.curves]
    return figures.follower_figures(results, trained)


STUDY = Study(
    name="ndousse2021/fig4",
    title="Social learning in the three-goal cycle",
    source="Ndousse et al. 2021, figure 4",
    compares="3-goal cycle, penalty 1.5: social + next frame, social + reconstruction, social vanilla, solo + next "
    "frame, solo vanilla; levels of experts and cloning",
    conditions=(*_TRAINED, EXPERT_AGENTS, CLONED_EXPERTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=_claims(),
    figures=_figures,
    num_seeds=12,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
    measure_extra=lambda session: following_measures(session, GOAL_CYCLE_3, _TRAINED),
    notes=(
        "Primary endpoint, written down before training: the first of three checkpoints in a row (every 320,000 "
        "steps, at definition 2 every 160,000; 64 episodes with experts and 64 alone) with a return with experts above "
        "1.5, at least half of it gain.",
        "The two main conditions have twelve seeds each, the others six. At definition 3 the seeds (from 5000), "
        "their number and the length were fixed before any agent of that length was trained.",
    ),
)
