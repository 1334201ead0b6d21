"""Which strategy each agent has learned, and claims about the fraction of seeds that learn one.

Returns of such agents have two peaks, followers and others, so that a mean over seeds says little; what a condition
changes is the fraction of seeds that become followers, which exact tests judge.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery import intervals, significance
from rookery.intervals import Interval
from rookery.studies.claims import judge_count, judge_interval, judge_test
from rookery.studies.results import Results
from rookery.studies.study import UNDECIDED, Claim, Verdict

MIN_FOLLOWER_RETURN = 1.5
"""With experts. One goal and no more earns 1."""
MIN_GAIN_FRACTION = 0.5
"""Of a follower's return with experts."""
ONE_GOAL_TOLERANCE = 0.1
"""Goals per episode of an agent that stops after one goal lie this near 1, and its mistakes this near 0."""
MIN_EPISODES_OF_MEANS = 500
"""From which means of goals and mistakes are compared with numbers without an interval."""
STRATEGIES = ("follower", "explorer", "one goal", "other")
TIGHT_DISTANCE = 2.0
"""Cells to the nearest expert, mean over the second half of episodes; tight followers stay within it."""


def is_follower(return_social: Any, return_solo: Any) -> Any:
    """Whether an agent earns more than 1.5 with experts, at least half of it social gain. Numbers or f[...] arrays."""
    return (return_social > MIN_FOLLOWER_RETURN) & (return_social - return_solo >= MIN_GAIN_FRACTION * return_social)


def is_one_goal(goals: Any, mistakes: Any) -> Any:
    """Whether an agent enters one goal per episode and makes no mistake. Numbers or f[...] arrays.

    A return of 1 does not show it: agents that gamble and lose, or that do nothing, earn no more.
    """
    return (abs(goals - 1) <= ONE_GOAL_TOLERANCE) & (mistakes <= ONE_GOAL_TOLERANCE)


def classify_strategy(social: tuple[float, float, float], solo: tuple[float, float, float]) -> str:
    """The strategy that an agent has learned, one of STRATEGIES.

    An explorer earns more than 1.5 with experts or alone, and most of it without their help. Others lose what they win,
    or do nothing.

    Args: mean return, goals and mistakes per episode, with experts and alone.
    """
    if is_follower(social[0], solo[0]):
        return "follower"
    if max(social[0], solo[0]) > MIN_FOLLOWER_RETURN:
        return "explorer"
    return "one goal" if is_one_goal(*social[1:]) and is_one_goal(*solo[1:]) else "other"


def strategies(results: Results, condition: str, eval_condition: str | None = None) -> list[str]:
    """The strategy of each of a condition's seeds."""
    names = ("return_social", "metrics_social: goals", "metrics_social: mistakes")
    names += ("return_solo", "metrics_solo: goals", "metrics_solo: mistakes")
    columns = zip(*(results.values(condition, name, eval_condition).tolist() for name in names), strict=True)
    return [classify_strategy(row[:3], row[3:]) for row in columns]


def count_strategies(results: Results, condition: str, eval_condition: str | None = None) -> dict[str, int]:
    """Number of a condition's seeds with each strategy."""
    learned = strategies(results, condition, eval_condition)
    return {name: learned.count(name) for name in STRATEGIES}


def more_followers(text: str, condition: str, other: str, eval_condition: str | None = None) -> Claim:
    """A larger fraction of one condition's seeds than of another's become followers, by Fisher's exact test."""

    def judge(results: Results) -> Verdict:
        counts = [count_strategies(results, name, eval_condition) for name in (condition, other)]
        (hits, total), (other_hits, other_total) = ((c["follower"], sum(c.values())) for c in counts)
        test = significance.fractions_test(hits, total, other_hits, other_total)
        quantity = f"fraction of followers: '{condition}' minus '{other}'; claimed > 0"
        detail = f"{hits} of {total} seeds against {other_hits} of {other_total}, Fisher's exact p = {test.p_value:.2g}"
        outcome = judge_interval(test.interval, above=0.0) if test.agrees else judge_interval(Interval.unknown())
        return judge_test(test, outcome, quantity, min(total, other_total), detail)

    return Claim(text=text, judge=judge)


def most_seeds_follow(text: str, condition: str, eval_condition: str | None = None) -> Claim:
    """More than half of all seeds become followers, by the exact binomial test."""

    def judge(results: Results) -> Verdict:
        counts = count_strategies(results, condition, eval_condition)
        hits, total = counts["follower"], sum(counts.values())
        test = significance.fraction_test(hits, total)
        quantity = f"fraction of followers among seeds of '{condition}'; claimed > 0.5"
        return judge_test(
            test, judge_interval(test.interval, above=0.5), quantity, total, f"{hits} of {total} seeds follow"
        )

    return Claim(text=text, judge=judge)


def every_seed_stops_after_one_goal(
    text: str, condition: str, group: str = "metrics_solo", eval_condition: str | None = None
) -> Claim:
    """Each of these agents enters one goal per episode and makes no mistake, by its means over episodes.

    Results hold no spread of goals and mistakes. Over 1,000 episodes the tolerance exceeds the error of their means;
    over fewer than `MIN_EPISODES_OF_MEANS` nothing is decided.

    Args:
      group: 'metrics_solo' or 'metrics_social'.
    """

    def judge(results: Results) -> Verdict:
        goals, mistakes = (
            results.values(condition, f"{group}: {name}", eval_condition) for name in ("goals", "mistakes")
        )
        stops = is_one_goal(goals, mistakes)
        hits, total = int(stops.sum()), len(stops)
        outcome, reason = judge_count(hits, hits, total, total)
        if (episodes := results.data["eval_episodes"]) < MIN_EPISODES_OF_MEANS:
            outcome = UNDECIDED
            reason = f"{episodes} episodes: means over fewer than {MIN_EPISODES_OF_MEANS} decide nothing"
        where = "alone" if group == "metrics_solo" else "with others"
        quantity = (
            f"fraction of the seeds of '{condition}' that {where} enter one goal and make no mistake (each within "
            f"{ONE_GOAL_TOLERANCE:g}); claimed every seed"
        )
        rest = [f"{g:.2f} and {m:.2f}" for g, m in zip(goals[~stops], mistakes[~stops], strict=True)]
        parts = [
            part for part in (reason, f"goals and mistakes of the others: {', '.join(rest)}" if rest else "") if part
        ]
        return Verdict(outcome, quantity, intervals.binomial_fraction(hits, total), "; ".join(parts))

    return Claim(text=text, judge=judge)


def tight_and_loose(results: Results, condition: str) -> dict[str, list[int]]:
    """Positions among a condition's seeds of the followers that stay near an expert ('tight') and of the 'loose' ones.

    By the mean distance over the second half of episodes; results that hold entries are judged by repeated ones too.
    """
    profile = np.array(results.extra["distance_to_expert"][condition])
    is_near = profile[:, profile.shape[1] // 2 :].mean(1) <= TIGHT_DISTANCE
    entries = results.extra.get("entries", {}).get(condition)
    if entries is not None:
        is_near = is_near & (np.array(entries["repeated_fraction"], float) >= 0.5)
    learned = strategies(results, condition)
    followers = [number for number, name in enumerate(learned) if name == "follower"]
    return {"tight": [n for n in followers if is_near[n]], "loose": [n for n in followers if not is_near[n]]}
