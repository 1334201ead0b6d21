"""Whether the mechanisms that a study ablates were alive in its runs: a claim about one that was not is not tested.

The numbers come from the metrics that every run logs (`rookery.training.mechanism_health`), are stored in results.json,
and are judged with the claims. Results from before runs logged them are judged by what they do hold: figure 2 measured
the next-frame loss of the same run, and the learning curves of teams hold their influence reward.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rookery.interfaces import IntrinsicReward
from rookery.studies.results import Results
from rookery.training.mechanism_health import MIN_REWARD_RATIO, reward_is_felt

ALIVE_FRACTION = 0.75
"""Fraction of the seeds in which a mechanism must have been alive."""
PREDICTION_STUDY = "ndousse2021/fig2"

OtherResults = Callable[[str], Results | None]
"""The results of another study that lie in the same folder, by name; None if there are none."""


@dataclasses.dataclass(frozen=True)
class CheckOutcome:
    """Whether a mechanism was alive, over seeds."""

    alive: bool | None
    """None: nothing was measured."""
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class MechanismCheck:
    """One mechanism of one condition's agents."""

    mechanism: str
    """As in `rookery.training.mechanism_health.mechanism_health`."""
    condition: str
    """Label of the condition whose agents have it."""
    by: float = 1.0
    """Fraction of training at which it must be alive."""

    @property
    def key(self) -> str:
        """Its name in results.json."""
        return f"{self.condition} | {self.mechanism} | {self.by:g}"

    def outcome(self, results: Results, others: OtherResults) -> CheckOutcome:
        """Judge the check by the results, or by what older results hold."""
        stored = results.data.get("mechanisms", {}).get(self.key)
        if stored is None:
            return self.older_outcome(results, others)
        measured = [check for check in stored if check["alive"] is not None]
        if not measured:
            return CheckOutcome(None, stored[0]["reason"] if stored else "nothing was measured")
        num_alive = sum(check["alive"] for check in measured)
        num_unknown = len(stored) - len(measured)
        alive, may_be = (number >= ALIVE_FRACTION * len(stored) for number in (num_alive, num_alive + num_unknown))
        example = next((c["reason"] for c in measured if c["alive"] == alive), measured[0]["reason"])
        unknown = f", not measured in {num_unknown}" if num_unknown else ""
        reason = f"alive in {num_alive} of {len(stored)} seeds{unknown} ({example})"
        return CheckOutcome(None if may_be != alive else alive, reason)

    def older_outcome(self, results: Results, others: OtherResults) -> CheckOutcome:
        """Judge it by results that hold no checks."""
        return CheckOutcome(None, "the runs did not measure it")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramePredictionCheck(MechanismCheck):
    """The next-frame or reconstruction loss."""

    mechanism: str = "next-frame"
    like_figure_2: bool = True
    """Whether its runs have figure 2's view and loss, so that figure 2 speaks for results from before runs measured."""

    def older_outcome(self, results: Results, others: OtherResults) -> CheckOutcome:
        prediction = others(PREDICTION_STUDY)
        applies = self.mechanism == "next-frame" and self.like_figure_2
        if not applies or prediction is None or not _same_loss(results, prediction):
            return super().older_outcome(results, others)
        ratio = prediction_error_ratio(prediction)
        mean, runs = float(ratio.mean()), ", ".join(run["run"] for run in prediction.data["runs"])
        text = (
            f"by {PREDICTION_STUDY} (run {runs}, {len(ratio)} seeds), the error of the predicted view is {mean:.2f} "
            "times that of predicting no change"
        )
        return CheckOutcome(bool((ratio < 1).mean() >= ALIVE_FRACTION), text)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluenceCheck(MechanismCheck):
    """An influence reward, by its size against the environment's."""

    reward: IntrinsicReward
    """Its weight, and how much of the environment's reward it is added to: older results hold neither."""
    episode_steps: Callable[[Any], int]
    """Steps per episode at a budget."""

    def older_outcome(self, results: Results, others: OtherResults) -> CheckOutcome:
        curve = results.curves.get(self.condition, {}).get("learning", {})
        intrinsic = curve.get(f"intrinsic_reward/{self.mechanism}")
        if intrinsic is None:
            return super().older_outcome(results, others)
        last = len(intrinsic[0]) * 3 // 4
        num_agents = len(results.rows(self.condition)[0]["returns"])
        own = np.abs(self.reward.weight * np.array(intrinsic, float)[:, last:].mean(1))
        steps = self.episode_steps(results.data["budget"])
        of_environment = abs(self.reward.extrinsic_coef) if self.reward.pays_messages else 1.0
        extrinsic = np.abs(np.array(curve["return"], float)[:, last:]).mean(1) / num_agents / steps
        alive = reward_is_felt(own, of_environment * extrinsic)
        sizes = f"{', '.join(f'{100 * x:.2g}' for x in own / np.maximum(extrinsic, 1e-9))} % of the environment's"
        bound = f"alive at {100 * MIN_REWARD_RATIO:.0f} %" if of_environment else "messages get nothing else"
        reason = (
            f"alive in {alive.sum()} of {len(alive)} seeds (in the last quarter of training the influence reward was "
            f"{sizes}, by seed; {bound})"
        )
        return CheckOutcome(bool(alive.sum() >= ALIVE_FRACTION * len(alive)), reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredCheck(MechanismCheck):
    """A mechanism that the study itself measures."""

    measure: Callable[[Results], CheckOutcome]

    def outcome(self, results: Results, others: OtherResults) -> CheckOutcome:
        return self.measure(results)


def dead_mechanisms(checks: Iterable[MechanismCheck], results: Results, others: OtherResults) -> list[str]:
    """Why the checks that fail, or that nothing was measured of, leave a claim untested; one sentence each."""
    reasons = []
    for check in checks:
        outcome = check.outcome(results, others)
        if not outcome.alive:
            state = "not alive" if outcome.alive is False else "not measured"
            reasons.append(f"{check.mechanism} of '{check.condition}' was {state}: {outcome.reason}")
    return reasons


def prediction_error_ratio(prediction: Results) -> np.ndarray:
    """From figure 2's results, f[seeds]: the error of the predicted view over that of predicting no change, weighted by
    how often each action is taken."""
    frequency, error, no_change = (
        np.array(prediction.extra[name], float) for name in ("action_frequency", "prediction_error", "no_change_error")
    )
    return (error * frequency).sum(1) / np.maximum((no_change * frequency).sum(1), 1e-9)


def _same_loss(results: Results, prediction: Results) -> bool:
    """Whether runs of both have the same auxiliary loss and observations, by their differences from the paper."""
    return bool(_loss_settings(prediction) & _loss_settings(results))


def _loss_settings(results: Results) -> set[tuple[tuple[str, str], ...]]:
    """The settings of the next-frame loss and of the view of each run."""
    by_run = {}
    for row in results.data["config_diff"]:
        if "auxiliary.next-frame" in row["setting"] or row["setting"].endswith("observation_type"):
            for run in row["runs"]:
                by_run.setdefault(run, []).append((row["setting"], repr(row["here"])))
    return {tuple(sorted(settings)) for settings in by_run.values()}
