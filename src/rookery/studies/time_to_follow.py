"""When agents become followers during training: times with censoring, claims by exact log-rank tests, and figures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rookery import significance
from rookery.intervals import Interval
from rookery.studies.claims import judge_test
from rookery.studies.followers import MIN_FOLLOWER_RETURN, is_follower
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Figures, Verdict
from rookery.viz.plots import survival_curves

CHECKPOINTS_IN_A_ROW = 3
DEFINITION = (
    f"the first of {CHECKPOINTS_IN_A_ROW} checkpoints in a row with a return with experts above "
    f"{MIN_FOLLOWER_RETURN:g}, at least half of it social gain"
)


class TimesToFollow(NamedTuple):
    """One condition's seeds."""

    time: np.ndarray
    """f[seeds], environment steps: of the event, or of the last checkpoint that could have been it."""
    reached: np.ndarray
    """bool[seeds]."""


def times_to_follow(curve: dict[str, Any]) -> TimesToFollow:
    """When each seed becomes a follower: DEFINITION.

    Args:
      curve: a condition's learning curves, with 'checkpoints'; fewer than three show no time.
    """
    checkpoints = curve["checkpoints"]
    steps = np.array(checkpoints["steps"], float)
    social, solo = (np.array(checkpoints[name], float) for name in ("return_social", "return_solo"))
    follows = np.asarray(is_follower(social, solo))
    last = len(steps) - CHECKPOINTS_IN_A_ROW + 1
    if last < 1:
        return TimesToFollow(np.full(len(follows), steps[-1] if len(steps) else 0.0), np.zeros(len(follows), bool))
    starts = np.ones((len(follows), last), bool)
    for offset in range(CHECKPOINTS_IN_A_ROW):
        starts &= follows[:, offset : offset + last]
    reached = np.asarray(starts.any(1))
    return TimesToFollow(np.where(reached, steps[starts.argmax(1)], steps[last - 1]), reached)


def follows_sooner(text: str, condition: str, other: str) -> Claim:
    """One condition's agents become followers sooner than another's, or at all: the exact log-rank test."""

    def judge(results: Results) -> Verdict:
        quantity = (
            f"followers of '{condition}' in excess of those expected if it did not differ from '{other}' (log-rank); "
            "claimed > 0"
        )
        curves = [results.curve(name) for name in (condition, other)]
        if reasons := [reason for curve in curves if (reason := _why_no_time(curve))]:
            return Verdict(UNDECIDED, quantity, Interval.unknown(), min(reasons))
        first, second = map(times_to_follow, curves)
        test = significance.time_test(*first, *second)
        earlier = test.interval.value > 0
        outcome = UNDECIDED if test.p_value > significance.LEVEL else HOLDS if earlier else FAILS
        detail = "; ".join(
            [*(_describe(name, times) for name, times in ((condition, first), (other, second))),
             f"exact log-rank p = {test.p_value:.2g}"]
        )  # fmt: skip
        num_seeds = (len(first.time), len(second.time))
        detectable = significance.detectable_fraction(*num_seeds, float(second.reached.mean()))
        return judge_test(test._replace(detectable=detectable), outcome, quantity, min(num_seeds), detail)

    return Claim(text=text, judge=judge)


def _why_no_time(curve: dict[str, Any]) -> str | None:
    """Why a condition's learning curves show no time; None if they do."""
    number = len(curve["checkpoints"]["steps"])
    if number >= CHECKPOINTS_IN_A_ROW:
        return None
    return f"{number} checkpoint{'' if number == 1 else 's'}: fewer than {CHECKPOINTS_IN_A_ROW} show no time"


def _describe(name: str, times: TimesToFollow) -> str:
    counted = f"'{name}': {int(times.reached.sum())} of {len(times.reached)} seeds follow"
    if not times.reached.any():
        return counted
    reached = significance.survival_curve(*times)
    half = np.flatnonzero(reached.reached >= 0.5 - 1e-9)  # 12 of 24 comes as 0.4999999999999999
    return f"{counted}, half of all by {reached.time[half[0]] / 1e6:.2f}M steps" if len(half) else counted


def time_figures(results: Results, conditions: list[str], name: str = "figure") -> Figures:
    """Kaplan and Meier's curves of the fraction of seeds that have become followers; none without checkpoints."""
    curves = {}
    for condition in conditions:
        curve = results.curves[condition]
        if steps := curve["checkpoints"]["steps"]:
            times = times_to_follow(curve)
            counted = _why_no_time(curve) or f"{int(times.reached.sum())} of {len(times.time)}"
            curves[f"{condition} ({counted})"] = (significance.survival_curve(*times), float(steps[-1]))
    if not curves:
        return []
    figure = survival_curves(curves, xlabel="environment steps per seed", ylabel="fraction of seeds that follow")
    return [
        (name, figure, f"Seeds that have become followers (Kaplan-Meier): {DEFINITION}. Ticks: seeds that never did.")
    ]
