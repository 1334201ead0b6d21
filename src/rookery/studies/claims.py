"""Ways to judge a claim. Each holds, does not hold, or stays undecided; the interval says which.

A claim about arms is judged by an interval over seeds, and fewer than three seeds decide nothing. A claim about
these very agents ("every seed stops after one goal") is judged by each one's interval over its episodes.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.studies import statistics
from rookery.studies.results import Results
from rookery.studies.statistics import Interval
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Verdict

MIN_SEEDS_TO_JUDGE = 3
MEASURE_LABELS = {
    "return_social": "return beside others",
    "return_solo": "return alone",
    "social_gain": "social gain",
    "collective_reward": "collective reward",
}


def judge_interval(interval: Interval, above: float = -math.inf, below: float = math.inf) -> str:
    """Whether the whole interval lies in (above, below), wholly outside, or neither. NaN decides nothing."""
    if interval.low > above and interval.high < below:
        return HOLDS
    if interval.high <= above or interval.low >= below:
        return FAILS
    return UNDECIDED


def mean_above(
    text: str, condition: str, threshold: float, measure: str = "social_gain", eval_condition: str | None = None
) -> Claim:
    """The arm's mean over seeds lies above a number."""

    def judge(results: Results) -> Verdict:
        found = _mean_interval(results, condition, measure, eval_condition)
        named = f"{_describe_quantity(measure, condition, eval_condition)}, mean over seeds"
        return Verdict(judge_interval(found, above=threshold), f"{named}; claimed > {threshold:g}", found)

    return Claim(text=text, judge=judge)


def mean_below(
    text: str, condition: str, threshold: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The arm's mean lies below a number."""

    def judge(results: Results) -> Verdict:
        found = _mean_interval(results, condition, measure, eval_condition)
        named = _describe_quantity(measure, condition, eval_condition)
        return Verdict(judge_interval(found, below=threshold), f"{named}; claimed < {threshold:g}", found)

    return Claim(text=text, judge=judge)


def mean_greater(
    text: str,
    condition: str,
    other: str,
    measure: str = "return_social",
    eval_condition: str | None = None,
    *,
    other_measure: str | None = None,
    other_eval_condition: str | None = None,
) -> Claim:
    """The arm's mean exceeds another's. The other's measure and scene are the same unless given."""

    def judge(results: Results) -> Verdict:
        found, named, detail = _compare_conditions(
            results, condition, other, (measure, other_measure), (eval_condition, other_eval_condition)
        )
        return Verdict(judge_interval(found, above=0.0), f"{named}; claimed > 0", found, detail)

    return Claim(text=text, judge=judge)


def mean_not_greater(
    text: str, condition: str, other: str, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The arm's mean does not exceed another's."""

    def judge(results: Results) -> Verdict:
        found, named, detail = _compare_conditions(results, condition, other, (measure, None), (eval_condition, None))
        said = HOLDS if found.high <= 0 else judge_interval(found, below=0.0)
        return Verdict(said, f"{named}; claimed ≤ 0", found, detail)

    return Claim(text=text, judge=judge)


def _compare_conditions(results: Results, arm: str, than: str, measures, scenes) -> tuple[Interval, str, str]:
    """The arms' difference, what it is a difference of, and the probability of improvement."""
    measure, other = measures[0], measures[1] or measures[0]
    scene, there = scenes[0], scenes[1] or scenes[0]
    ours, theirs = results.values(arm, measure, scene), results.values(than, other, there)
    named = f"{_describe_quantity(measure, arm, scene)} less {_describe_quantity(other, than, there if there != scene else None)}"
    if arm == than:  # the same agents: what differs is compared agent by agent
        found = statistics.mean_over_seeds(ours - theirs)
        return withhold_if_few_seeds(found, len(ours)), named, f"{int((ours > theirs).sum())} of {len(ours)} seeds"
    if not results.has_seeds(arm) and not results.has_seeds(than):
        pair = _single_agent_interval(results, arm, measure, scene), _single_agent_interval(results, than, other, there)
        return statistics.difference_of_agents(*pair), named, "two agents without seeds: over their episodes"
    found, detail = _difference_interval(results, arm, than, ours, theirs), ""
    if len(ours) > 1 and len(theirs) > 1:
        chance = statistics.probability_of_improvement(ours, theirs)
        detail = f"probability of improvement {chance.value:.2f} [{chance.low:.2f}, {chance.high:.2f}]"
    return found, named, detail


def equivalent_within(
    text: str, condition: str, other: str, tolerance: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The arms' means differ by less than a share of the other's."""

    def judge(results: Results) -> Verdict:
        ours, theirs = (
            results.values(condition, measure, eval_condition),
            results.values(other, measure, eval_condition),
        )
        found = _difference_interval(results, condition, other, ours, theirs)
        bound = tolerance * abs(float(theirs.mean()))
        named = f"{_describe_quantity(measure, condition, eval_condition)} less {_describe_quantity(measure, other)}"
        return Verdict(
            judge_interval(found, above=-bound, below=bound),
            f"{named}; claimed within ±{bound:.2f} ({tolerance:.0%})",
            found,
        )

    return Claim(text=text, judge=judge)


def every_seed_at_most(
    text: str, condition: str, limit: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """Each of these agents stays at or below a number."""

    def judge(results: Results) -> Verdict:
        each = results.intervals(condition, measure, eval_condition)
        largest = max(each, key=lambda interval: interval.value)
        if any(interval.low > limit for interval in each):
            found = FAILS
        else:
            found = HOLDS if all(interval.high <= limit for interval in each) else UNDECIDED
        over = sum(interval.value > limit for interval in each)
        named = f"{_describe_quantity(measure, condition, eval_condition)}, largest of {len(each)} seeds; claimed ≤ {limit:g} in every seed"
        return Verdict(found, named, largest, f"{over} of {len(each)} seeds above")

    return Claim(text=text, judge=judge)


def most_seeds_exceed(
    text: str,
    condition: str,
    reference: str,
    min_fraction: float = 0.6,
    measure: str = "return_social",
    eval_condition: str | None = None,
) -> Claim:
    """At least a share of these agents earn more than another arm's mean."""

    def judge(results: Results) -> Verdict:
        surely, perhaps, total, share = _count_seeds_above(results, condition, reference, measure, eval_condition)
        needed = math.ceil(min_fraction * total - 1e-9)
        found = HOLDS if surely >= needed else FAILS if perhaps < needed else UNDECIDED
        return Verdict(found, f"{share[0]}; claimed at least {needed} of these {total}", *share[1:])

    return Claim(text=text, judge=judge)


def few_seeds_exceed(
    text: str,
    condition: str,
    reference: str,
    max_fraction: float = 0.4,
    measure: str = "return_social",
    eval_condition: str | None = None,
) -> Claim:
    """At most a share of these agents earn more than another arm's mean."""

    def judge(results: Results) -> Verdict:
        surely, perhaps, total, share = _count_seeds_above(results, condition, reference, measure, eval_condition)
        allowed = math.floor(max_fraction * total + 1e-9)
        found = HOLDS if perhaps <= allowed else FAILS if surely > allowed else UNDECIDED
        return Verdict(found, f"{share[0]}; claimed at most {allowed} of these {total}", *share[1:])

    return Claim(text=text, judge=judge)


def _count_seeds_above(results: Results, arm: str, level: str, measure: str, scene: str | None):
    """How many agents lie surely and perhaps above a level, of how many; and (words, share, detail)."""
    bound = results.mean(level, measure, scene)
    each = results.intervals(arm, measure, scene)
    surely, perhaps = sum(i.low > bound for i in each), sum(not i.high <= bound for i in each)
    share = statistics.binomial_fraction(sum(i.value > bound for i in each), len(each))
    named = f"share of seeds of {arm} above {level} ({bound:.2f})"
    detail = f"{surely} surely above, {len(each) - perhaps} surely not; the interval is of the share of all seeds"
    return surely, perhaps, len(each), (named, share, detail)


def _mean_interval(results: Results, arm: str, measure: str, scene: str | None) -> Interval:
    values = results.values(arm, measure, scene)
    if not results.has_seeds(arm):
        return _single_agent_interval(results, arm, measure, scene)
    return withhold_if_few_seeds(statistics.mean_over_seeds(values), len(values))


def _single_agent_interval(results: Results, arm: str, measure: str, scene: str | None) -> Interval:
    """An arm without seeds is one agent: what is known of it is its interval over episodes."""
    if measure.endswith(": success"):
        episodes = results.data["eval_episodes"]
        return statistics.binomial_fraction(round(results.mean(arm, measure, scene) * episodes), episodes)
    if ": " in measure:  # a count, of which the mean alone was kept
        return Interval(results.mean(arm, measure, scene), math.nan, math.nan)
    return results.intervals(arm, measure, scene)[0]


def _difference_interval(results: Results, arm: str, other: str, ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """An agent without seeds is a fixed level: it adds no spread."""
    seeded = [len(values) for name, values in ((arm, ours), (other, theirs)) if results.has_seeds(name)]
    sides = []
    for name, values in ((arm, ours), (other, theirs)):
        sides.append(values if results.has_seeds(name) else np.repeat(values, 2))
    found = statistics.difference_of_means(*sides)
    return withhold_if_few_seeds(found, min(seeded)) if seeded else found


def withhold_if_few_seeds(interval: Interval, num_seeds: int) -> Interval:
    """An interval over seeds, withheld where they are too few."""
    return interval if num_seeds >= MIN_SEEDS_TO_JUDGE else Interval(interval.value, math.nan, math.nan)


def _describe_quantity(measure: str, arm: str, scene: str | None = None) -> str:
    return f"{MEASURE_LABELS.get(measure, measure)} of {arm}" + (f" in {scene}" if scene else "")
