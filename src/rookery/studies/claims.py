"""Ways to judge a claim. Each claim holds, does not hold, or stays undecided; the interval decides.

A claim about conditions is judged by an interval over seeds, and fewer than three seeds decide nothing. A claim about
these particular agents ("every seed stops after one goal") is judged by each agent's interval over its episodes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rookery import intervals
from rookery.intervals import Interval
from rookery.studies.measures import measure_label
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_SEEDS_TO_JUDGE = 3


def judge_interval(interval: Interval, above: float = -math.inf, below: float = math.inf) -> str:
    """HOLDS if the whole interval lies in (above, below), FAILS if none of it does, else (and for NaN) UNDECIDED."""
    if interval.low > above and interval.high < below:
        return HOLDS
    if interval.high <= above or interval.low >= below:
        return FAILS
    return UNDECIDED


def withhold_if_few_seeds(interval: Interval, num_seeds: int) -> Interval:
    """An interval over seeds; without its bounds where there are too few seeds to judge."""
    return interval if num_seeds >= MIN_SEEDS_TO_JUDGE else Interval.unknown(interval.value)


def mean_over_judged_seeds(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean of f[seeds] with its interval; without bounds where there are too few seeds to judge."""
    return withhold_if_few_seeds(intervals.mean_interval(values), len(values))


def mean_above(
    text: str, condition: str, threshold: float, measure: str = "social_gain", eval_condition: str | None = None
) -> Claim:
    """The condition's mean over seeds lies above a number."""

    def judge(results: Results) -> Verdict:
        interval = _mean_interval(results, condition, measure, eval_condition)
        quantity = f"{_describe_quantity(measure, condition, eval_condition)}, mean over seeds; claimed > {threshold:g}"
        return Verdict(judge_interval(interval, above=threshold), quantity, interval)

    return Claim(text=text, judge=judge)


def mean_below(
    text: str, condition: str, threshold: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The condition's mean lies below a number."""

    def judge(results: Results) -> Verdict:
        interval = _mean_interval(results, condition, measure, eval_condition)
        quantity = f"{_describe_quantity(measure, condition, eval_condition)}; claimed < {threshold:g}"
        return Verdict(judge_interval(interval, below=threshold), quantity, interval)

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
    """The condition's mean exceeds another's. The other's measure and evaluation condition default to the same."""

    def judge(results: Results) -> Verdict:
        interval, quantity, detail = _compare_conditions(
            results, condition, other, (measure, other_measure), (eval_condition, other_eval_condition)
        )
        return Verdict(judge_interval(interval, above=0.0), f"{quantity}; claimed > 0", interval, detail)

    return Claim(text=text, judge=judge)


def mean_not_greater(
    text: str, condition: str, other: str, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The condition's mean does not exceed another's."""

    def judge(results: Results) -> Verdict:
        interval, quantity, detail = _compare_conditions(
            results, condition, other, (measure, None), (eval_condition, None)
        )
        outcome = HOLDS if interval.high <= 0 else judge_interval(interval, below=0.0)
        return Verdict(outcome, f"{quantity}; claimed ≤ 0", interval, detail)

    return Claim(text=text, judge=judge)


def _compare_conditions(
    results: Results,
    condition: str,
    other: str,
    measures: tuple[str, str | None],
    eval_conditions: tuple[str | None, str | None],
) -> tuple[Interval, str, str]:
    """Difference of two conditions, what it is a difference of, and the probability of improvement."""
    measure, other_measure = measures[0], measures[1] or measures[0]
    place, other_place = eval_conditions[0], eval_conditions[1] or eval_conditions[0]
    first, second = results.values(condition, measure, place), results.values(other, other_measure, other_place)
    quantity = _describe_difference((measure, condition, place), (other_measure, other, other_place))
    if condition == other:  # the same agents: the differences are taken agent by agent
        detail = f"{int((first > second).sum())} of {len(first)} seeds"
        return mean_over_judged_seeds(first - second), quantity, detail
    if not results.has_seeds(condition) and not results.has_seeds(other):
        interval = intervals.difference_of_agents(
            _single_agent_interval(results, condition, measure, place),
            _single_agent_interval(results, other, other_measure, other_place),
        )
        return interval, quantity, "two agents without seeds: over their episodes"
    interval, detail = _difference_interval(results, condition, other, first, second), ""
    if len(first) > 1 and len(second) > 1:
        probability = intervals.probability_of_improvement(first, second)
        detail = f"probability of improvement {probability.value:.2f} [{probability.low:.2f}, {probability.high:.2f}]"
    return interval, quantity, detail


def equivalent_within(
    text: str,
    condition: str,
    other: str,
    tolerance: float,
    measure: str = "return_social",
    eval_condition: str | None = None,
) -> Claim:
    """The conditions' means differ by less than a fraction of the other's mean."""

    def judge(results: Results) -> Verdict:
        first, second = (results.values(name, measure, eval_condition) for name in (condition, other))
        interval = _difference_interval(results, condition, other, first, second)
        bound = tolerance * abs(float(second.mean()))
        difference = _describe_difference((measure, condition, eval_condition), (measure, other, eval_condition))
        quantity = f"{difference}; claimed within ±{bound:.2f} ({tolerance:.0%})"
        return Verdict(judge_interval(interval, above=-bound, below=bound), quantity, interval)

    return Claim(text=text, judge=judge)


def every_seed_at_most(
    text: str, condition: str, limit: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """Each of these agents stays at or below a number."""

    def judge(results: Results) -> Verdict:
        by_seed = results.intervals(condition, measure, eval_condition)
        largest = max(by_seed, key=lambda interval: interval.value)
        if any(interval.low > limit for interval in by_seed):
            outcome = FAILS
        else:
            outcome = HOLDS if all(interval.high <= limit for interval in by_seed) else UNDECIDED
        num_above = sum(interval.value > limit for interval in by_seed)
        quantity = (
            f"{_describe_quantity(measure, condition, eval_condition)}, largest of {len(by_seed)} seeds; "
            f"claimed ≤ {limit:g} in every seed"
        )
        return Verdict(outcome, quantity, largest, f"{num_above} of {len(by_seed)} seeds above")

    return Claim(text=text, judge=judge)


def most_seeds_exceed(
    text: str,
    condition: str,
    reference: str,
    min_fraction: float = 0.6,
    measure: str = "return_social",
    eval_condition: str | None = None,
) -> Claim:
    """At least a fraction of these agents earn more than another condition's mean."""

    def judge(results: Results) -> Verdict:
        surely, possibly, total, evidence = _count_seeds_above(results, condition, reference, measure, eval_condition)
        needed = math.ceil(min_fraction * total - 1e-9)
        outcome = HOLDS if surely >= needed else FAILS if possibly < needed else UNDECIDED
        return Verdict(outcome, f"{evidence[0]}; claimed at least {needed} of these {total}", *evidence[1:])

    return Claim(text=text, judge=judge)


def few_seeds_exceed(
    text: str,
    condition: str,
    reference: str,
    max_fraction: float = 0.4,
    measure: str = "return_social",
    eval_condition: str | None = None,
) -> Claim:
    """At most a fraction of these agents earn more than another condition's mean."""

    def judge(results: Results) -> Verdict:
        surely, possibly, total, evidence = _count_seeds_above(results, condition, reference, measure, eval_condition)
        allowed = math.floor(max_fraction * total + 1e-9)
        outcome = HOLDS if possibly <= allowed else FAILS if surely > allowed else UNDECIDED
        return Verdict(outcome, f"{evidence[0]}; claimed at most {allowed} of these {total}", *evidence[1:])

    return Claim(text=text, judge=judge)


def _count_seeds_above(
    results: Results, condition: str, reference: str, measure: str, eval_condition: str | None
) -> tuple[int, int, int, tuple[str, Interval, str]]:
    """Number of agents surely and possibly above a level, and of all; and (quantity, fraction, detail)."""
    level = results.mean(reference, measure, eval_condition)
    by_seed = results.intervals(condition, measure, eval_condition)
    surely, possibly = sum(i.low > level for i in by_seed), sum(not i.high <= level for i in by_seed)
    fraction = intervals.binomial_fraction(sum(i.value > level for i in by_seed), len(by_seed))
    quantity = f"fraction of the seeds of '{condition}' above '{reference}' ({level:.2f})"
    detail = (
        f"{surely} certainly above, {len(by_seed) - possibly} certainly not; the interval is for the fraction among "
        "all seeds"
    )
    return surely, possibly, len(by_seed), (quantity, fraction, detail)


def _mean_interval(results: Results, condition: str, measure: str, eval_condition: str | None) -> Interval:
    if not results.has_seeds(condition):
        return _single_agent_interval(results, condition, measure, eval_condition)
    return mean_over_judged_seeds(results.values(condition, measure, eval_condition))


def _single_agent_interval(results: Results, condition: str, measure: str, eval_condition: str | None) -> Interval:
    """A condition without seeds is one agent, which is known by its interval over episodes."""
    if measure.endswith(": success"):
        num_episodes = results.data["eval_episodes"]
        hits = round(results.mean(condition, measure, eval_condition) * num_episodes)
        return intervals.binomial_fraction(hits, num_episodes)
    if ": " in measure:  # a task metric, of which only the mean was stored
        return Interval.unknown(results.mean(condition, measure, eval_condition))
    return results.intervals(condition, measure, eval_condition)[0]


def _difference_interval(
    results: Results, condition: str, other: str, first: np.ndarray, second: np.ndarray
) -> Interval:
    """An agent without seeds is a fixed level: it adds no variance."""
    num_seeds, samples = [], []
    for name, values in ((condition, first), (other, second)):
        if results.has_seeds(name):
            num_seeds.append(len(values))
        samples.append(values if results.has_seeds(name) else np.repeat(values, 2))
    interval = intervals.difference_of_means(*samples)
    return withhold_if_few_seeds(interval, min(num_seeds)) if num_seeds else interval


def _describe_quantity(measure: str, condition: str, eval_condition: str | None = None) -> str:
    return f"{measure_label(measure)} of '{condition}'" + (f" in {eval_condition}" if eval_condition else "")


def _describe_difference(first: tuple[str, str, str | None], second: tuple[str, str, str | None]) -> str:
    """In words; first and second: measure, condition and evaluation condition."""
    if first[0] == second[0] and first[2] == second[2]:
        where = f" in {first[2]}" if first[2] else ""
        return f"{measure_label(first[0])}{where}: '{first[1]}' minus '{second[1]}'"
    return f"{_describe_quantity(*first)} minus {_describe_quantity(*second)}"
