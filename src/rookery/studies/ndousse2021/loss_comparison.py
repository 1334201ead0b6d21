"""What the studies share that train with the next-frame loss and without it in one world: their claims and figures."""

from __future__ import annotations

import dataclasses

from rookery.learning.auxiliary import NextFramePrediction
from rookery.studies import figures
from rookery.studies.claims import changed, mean_above, mean_greater
from rookery.studies.followers import every_seed_stops_after_one_goal, more_followers, most_seeds_follow
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.results import Results
from rookery.studies.study import Claim, Condition, Figures
from rookery.studies.time_to_follow import follows_sooner

LOSS = NextFramePrediction(weight=3.0, error="squared")
"""With the paper's weight. Symbolic views do not teach an absolute error anything (docs/auxiliary-losses.md)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossComparison:
    """The conditions of such a study."""

    next_frame: Condition
    vanilla: Condition
    solo: Condition
    """Trained alone, with the loss."""
    reconstruction: Condition | None = None
    since: int = 1
    """Definition of the study that added solo learners and reconstruction."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All, in the order of tables."""
        ablation = () if self.reconstruction is None else (self.reconstruction,)
        return (self.next_frame, self.vanilla, *ablation, self.solo)

    def claims(self) -> tuple[Claim, ...]:
        """The first is the study's primary one. Those about the loss are tested where it predicts."""
        loss, without = self.next_frame.label, self.vanilla.label
        predicts = FramePredictionCheck(condition=loss, like_figure_2=False)
        tests_the_loss = (
            follows_sooner("Agents with the next-frame loss become followers sooner than agents without an auxiliary "
                           "loss.", loss, without),
            more_followers("The next-frame loss makes more seeds follow, at the end of training.", loss, without),
            most_seeds_follow("Most seeds with the next-frame loss follow.", loss),
            mean_greater("The next-frame loss increases social gain compared with no auxiliary loss.", loss, without,
                         "social_gain"),
            mean_above("Agents with the next-frame loss learn socially: frozen, they earn more with experts than "
                       "alone.", loss, 0.0, "social_gain"),
        )  # fmt: skip
        return (
            *(changed(claim, mechanisms=(predicts,)) for claim in tests_the_loss),
            every_seed_stops_after_one_goal("Agents without an auxiliary loss stop after one goal, in every seed.",
                                            without, "metrics_social"),
            *self._claims_about_reconstruction(predicts),
            changed(every_seed_stops_after_one_goal("Solo learners stop after one goal, in every seed.",
                                                    self.solo.label), since=self.since),
            changed(mean_greater("Social learners earn more than solo learners, each evaluated as it trained.", loss,
                                 self.solo.label, other_measure="return_solo"), mechanisms=(predicts,),
                    since=self.since),
        )  # fmt: skip

    def _claims_about_reconstruction(self, predicts: FramePredictionCheck) -> tuple[Claim, ...]:
        if self.reconstruction is None:
            return ()
        loss, without, ablation = self.next_frame.label, self.vanilla.label, self.reconstruction.label
        reconstructs = FramePredictionCheck(mechanism="reconstruction", condition=ablation, like_figure_2=False)
        return (
            changed(follows_sooner("Agents with the next-frame loss become followers sooner than agents with the "
                                   "reconstruction loss.", loss, ablation),
                    mechanisms=(predicts, reconstructs), since=self.since),
            changed(follows_sooner("Agents with the reconstruction loss become followers sooner than agents without "
                                   "an auxiliary loss.", ablation, without),
                    mechanisms=(reconstructs,), since=self.since),
        )  # fmt: skip

    def figures(self, results: Results) -> Figures:
        """When agents follow, and their curves."""
        trained = [condition.label for condition in self.conditions if condition.label in results.curves]
        return figures.follower_figures(results, trained)
