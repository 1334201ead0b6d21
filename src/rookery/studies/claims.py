"""Ways to judge a claim. Each claim holds, does not hold, or stays undecided.

A claim about conditions is judged over seeds: its interval and an exact test must agree, and fewer than five seeds
decide nothing. A claim about these particular agents ("every seed earns at most 1") counts them, each by its interval
over its episodes; fewer than five agents decide nothing either.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery import intervals, significance
from rookery.intervals import Interval
from rookery.significance import LEVEL, MIN_SEEDS, SignificanceTest
from rookery.studies.measures import measure_label
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    Values = Sequence[float] | np.ndarray


def judge_interval(interval: Interval, above: float = -math.inf, below: float = math.inf) -> str:
    """HOLDS if the whole interval lies in (above, below), FAILS if none of it does, else (and for NaN) UNDECIDED."""
    if interval.low > above and interval.high < below:
        return HOLDS
    if interval.high <= above or interval.low >= below:
        return FAILS
    return UNDECIDED


def judge_mean(
    values: Values, quantity: str, *, above: float = -math.inf, below: float = math.inf, detail: str = ""
) -> Verdict:
    """The mean of f[seeds] lies above or below a number; give one of the two."""
    level = above if math.isfinite(above) else below
    test = significance.mean_test(values, level)
    return judge_test(test, judge_interval(test.interval, above, below), quantity, len(values), detail)


def judge_difference(
    first: Values, second: Values, quantity: str, *, above: float = -math.inf, below: float = math.inf, detail: str = ""
) -> Verdict:
    """The mean of f[seeds] minus that of f[other seeds] lies above or below a number; give one of the two."""
    level = above if math.isfinite(above) else below
    test = significance.difference_test(np.asarray(first, float) - level, second)
    shifted = Interval(*(bound + level for bound in test.interval))
    test = test._replace(interval=shifted)
    outcome = judge_interval(shifted, above, below)
    return judge_test(test, outcome, quantity, min(len(first), len(second)), detail)


def judge_agent_difference(
    values: Values,
    agent: Interval,
    quantity: str,
    *,
    agent_first: bool = False,
    above: float = -math.inf,
    below: float = math.inf,
) -> Verdict:
    """The mean of f[seeds] minus that of an agent without seeds lies above or below 0; `agent_first`: the agent's minus
    that of the seeds. The agent's error over episodes counts."""
    test = significance.agent_test(values, agent)
    if agent_first:
        value, low, high = test.interval
        test = test._replace(interval=Interval(-value, -high, -low))
    detail = "" if math.isfinite(agent.low) else "the agent's error over episodes was not stored, and counts as 0"
    return judge_test(test, judge_interval(test.interval, above, below), quantity, len(values), detail)


def judge_test(test: SignificanceTest, outcome: str, quantity: str, num_seeds: int, detail: str = "") -> Verdict:
    """A verdict over seeds: undecided where they are too few, or where the exact test does not agree."""
    reason = None
    if num_seeds < MIN_SEEDS:
        outcome, reason = UNDECIDED, f"{num_seeds} seeds: fewer than {MIN_SEEDS} decide nothing"
    elif outcome != UNDECIDED and not test.agrees:
        outcome, reason = UNDECIDED, f"the exact test does not agree (p = {test.exact_p_value:.2g})"
    parts = [part for part in (reason, detail) if part]
    return Verdict(outcome, quantity, test.interval, "; ".join(parts), test)


def judge_count(hits: int, possible: int, total: int, needed: int) -> tuple[str, str]:
    """HOLDS if at least `needed` of these agents surely do it, FAILS if fewer possibly do; and the reason if neither.

    Args:
      hits: number that surely do. possible: number that may. total: all.
    """
    if total < MIN_SEEDS:
        return UNDECIDED, f"{total} seeds: fewer than {MIN_SEEDS} decide nothing"
    return (HOLDS if hits >= needed else FAILS if possible < needed else UNDECIDED), ""


def changed(claim: Claim, **changes: Any) -> Claim:
    """The claim with other settings, such as `mechanisms`, `withheld` or `since`."""
    return dataclasses.replace(claim, **changes)


def mean_above(
    text: str, condition: str, threshold: float, measure: str = "social_gain", eval_condition: str | None = None
) -> Claim:
    """The condition's mean, over seeds where it has some, lies above a number."""

    def judge(results: Results) -> Verdict:
        over = ", mean over seeds" if results.has_seeds(condition) else ""
        quantity = f"{_describe_quantity(measure, condition, eval_condition)}{over}; claimed > {threshold:g}"
        return _judge_condition(results, condition, measure, eval_condition, quantity, above=threshold)

    return Claim(text=text, judge=judge)


def mean_below(
    text: str, condition: str, threshold: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The condition's mean lies below a number."""

    def judge(results: Results) -> Verdict:
        quantity = f"{_describe_quantity(measure, condition, eval_condition)}; claimed < {threshold:g}"
        return _judge_condition(results, condition, measure, eval_condition, quantity, below=threshold)

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
        places = (eval_condition, other_eval_condition)
        return _compare_conditions(results, condition, other, (measure, other_measure), places, "> 0", above=0.0)

    return Claim(text=text, judge=judge)


def mean_less(
    text: str, condition: str, other: str, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """The condition's mean lies below another's."""

    def judge(results: Results) -> Verdict:
        return _compare_conditions(results, condition, other, (measure, None), (eval_condition, None), "< 0", below=0.0)

    return Claim(text=text, judge=judge)


def _compare_conditions(
    results: Results,
    condition: str,
    other: str,
    measures: tuple[str, str | None],
    eval_conditions: tuple[str | None, str | None],
    claimed: str,
    above: float = -math.inf,
    below: float = math.inf,
) -> Verdict:
    """Judge the difference of two conditions' means."""
    measure, other_measure = measures[0], measures[1] or measures[0]
    place, other_place = eval_conditions[0], eval_conditions[1] or eval_conditions[0]
    first, second = results.values(condition, measure, place), results.values(other, other_measure, other_place)
    quantity = _describe_difference((measure, condition, place), (other_measure, other, other_place))
    quantity = f"{quantity}; claimed {claimed}"
    if condition == other:  # the same agents: the differences are taken agent by agent
        return judge_mean(
            first - second,
            quantity,
            detail=f"{int((first > second).sum())} of {len(first)} seeds",
            above=above,
            below=below,
        )
    if not results.has_seeds(condition) and not results.has_seeds(other):
        interval = intervals.difference_of_agents(
            _single_agent_interval(results, condition, measure, place),
            _single_agent_interval(results, other, other_measure, other_place),
        )
        return _judge_episodes(
            interval, quantity, "two agents without seeds: over their episodes", above=above, below=below
        )
    if not results.has_seeds(other):
        agent = _single_agent_interval(results, other, other_measure, other_place)
        return judge_agent_difference(first, agent, quantity, above=above, below=below)
    if not results.has_seeds(condition):
        agent = _single_agent_interval(results, condition, measure, place)
        return judge_agent_difference(second, agent, quantity, agent_first=True, above=above, below=below)
    detail = ""
    if min(len(first), len(second)) > 1:
        probability = intervals.probability_of_improvement(first, second)
        detail = f"probability of improvement {probability.value:.2f}"
    return judge_difference(first, second, quantity, detail=detail, above=above, below=below)


def _judge_episodes(
    interval: Interval, quantity: str, detail: str = "", above: float = -math.inf, below: float = math.inf
) -> Verdict:
    """An agent without seeds is judged by its episodes, which are many."""
    test = significance.episodes_test(interval, above if math.isfinite(above) else below)
    return Verdict(judge_interval(interval, above=above, below=below), quantity, interval, detail, test)


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
        test = _equivalence_test(first, second, bound := tolerance * abs(float(second.mean())))
        difference = _describe_difference((measure, condition, eval_condition), (measure, other, eval_condition))
        quantity = f"{difference}; claimed within ±{bound:.2f} ({tolerance:.0%})"
        outcome = judge_interval(test.interval, above=-bound, below=bound)
        return judge_test(test, outcome, quantity, min(len(first), len(second)))

    return Claim(text=text, judge=judge)


def _equivalence_test(first: np.ndarray, second: np.ndarray, bound: float) -> SignificanceTest:
    """Two one-sided tests of |difference| < bound. The larger p-value is of the bound that is nearer: inside it is that
    of equivalence, outside that of exceeding the bound. Seeds are exchanged after the shift to that bound, too."""
    test = significance.difference_test(first, second)
    shifted = [significance.difference_test(first - shift, second) for shift in (bound, -bound)]
    exact_p_value = max(test.exact_p_value for test in shifted)
    return test._replace(
        p_value=max(test.p_value for test in shifted), exact_p_value=exact_p_value, agrees=exact_p_value <= LEVEL
    )


def every_seed_at_most(
    text: str, condition: str, limit: float, measure: str = "return_social", eval_condition: str | None = None
) -> Claim:
    """Each of these agents stays at or below a number."""

    def judge(results: Results) -> Verdict:
        by_seed = results.intervals(condition, measure, eval_condition)
        largest = max(by_seed, key=lambda interval: interval.value)
        surely, possibly = sum(i.high <= limit for i in by_seed), sum(not i.low > limit for i in by_seed)
        outcome, reason = judge_count(surely, possibly, len(by_seed), len(by_seed))
        num_above = sum(interval.value > limit for interval in by_seed)
        quantity = (
            f"{_describe_quantity(measure, condition, eval_condition)}, largest of {len(by_seed)} seeds; "
            f"claimed ≤ {limit:g} in every seed"
        )
        counted = f"{num_above} of {len(by_seed)} seeds above"
        return Verdict(outcome, quantity, largest, f"{reason}; {counted}" if reason else counted)

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
        outcome, reason = judge_count(surely, possibly, total, needed)
        quantity = f"{evidence[0]}; claimed at least {needed} of these {total}"
        return Verdict(outcome, quantity, evidence[1], f"{reason}; {evidence[2]}" if reason else evidence[2])

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
        outcome, reason = judge_count(total - possibly, total - surely, total, total - allowed)
        quantity = f"{evidence[0]}; claimed at most {allowed} of these {total}"
        return Verdict(outcome, quantity, evidence[1], f"{reason}; {evidence[2]}" if reason else evidence[2])

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


def _judge_condition(
    results: Results,
    condition: str,
    measure: str,
    eval_condition: str | None,
    quantity: str,
    above: float = -math.inf,
    below: float = math.inf,
) -> Verdict:
    """The mean of a condition's agents; an agent without seeds by its episodes."""
    if not results.has_seeds(condition):
        return _judge_episodes(
            _single_agent_interval(results, condition, measure, eval_condition), quantity, above=above, below=below
        )
    return judge_mean(results.values(condition, measure, eval_condition), quantity, above=above, below=below)


def _single_agent_interval(results: Results, condition: str, measure: str, eval_condition: str | None) -> Interval:
    """A condition without seeds is one agent, which is known by its interval over episodes."""
    if measure.endswith(": success"):
        num_episodes = results.data["eval_episodes"]
        hits = round(results.mean(condition, measure, eval_condition) * num_episodes)
        return intervals.binomial_fraction(hits, num_episodes)
    if ": " in measure:  # a task metric, of which only the mean was stored
        return Interval.unknown(results.mean(condition, measure, eval_condition))
    return results.intervals(condition, measure, eval_condition)[0]


def _describe_quantity(measure: str, condition: str, eval_condition: str | None = None) -> str:
    return f"{measure_label(measure)} of '{condition}'" + (f" in {eval_condition}" if eval_condition else "")


def _describe_difference(first: tuple[str, str, str | None], second: tuple[str, str, str | None]) -> str:
    """In words; first and second: measure, condition and evaluation condition."""
    if first[0] == second[0] and first[2] == second[2]:
        where = f" in {first[2]}" if first[2] else ""
        return f"{measure_label(first[0])}{where}: '{first[1]}' minus '{second[1]}'"
    return f"{_describe_quantity(*first)} minus {_describe_quantity(*second)}"
