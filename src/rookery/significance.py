"""Tests of claims about few independent runs, each with the interval, the p-value and the smallest detectable effect.

Scores: Student's or Welch's t test, and an exact permutation test that must agree, because a few seeds can be far from
normal. Fractions of seeds: exact binomial and Fisher tests. Times: the log-rank test with its exact permutation
distribution, and Kaplan and Meier's estimate. `benchmarks/intervals.py` measures how often each decides a true null.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from rookery import intervals
from rookery.errors import ConfigError
from rookery.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

MIN_SEEDS = 5
"""Fewer decide nothing: three against three cannot reach 5 % in any exact test, and a t test of three seeds rests on
their being normal, which nothing in them can show."""
LEVEL = 0.05
"""Two-sided."""
SIGN_FLIP_LEVEL = 2 / 2**MIN_SEEDS
"""Two-sided level of the exact test that must agree with Student's: the smallest p-value that five seeds can have."""
POWER = 0.8
FINE_GRID, SCORE_GRID = 1_000_000_000, 2_000
"""Scores of a permutation test are rounded to this many steps between 0 and the largest: to the second number where
they are so many, and so different, that half of them have more than `MAX_SUMS` sums."""
MAX_SUMS = 1_000_000

Sums: TypeAlias = tuple[np.ndarray, np.ndarray]
"""The sums that some steps can have, i64[N], ascending, and in how many ways each, f[N]."""


class SignificanceTest(NamedTuple):
    """What a test says about an effect, which is 0 under the null hypothesis."""

    interval: Interval
    """The measured quantity with its 95 % interval."""
    p_value: float
    """Two-sided; NaN where there is none. Corrected for many claims by `holm`."""
    exact_p_value: float
    """Two-sided, of the permutation test that must agree; equal to `p_value` where that is exact itself."""
    agrees: bool
    """Whether the exact test decides as well."""
    detectable: float
    """The smallest effect that so many seeds with such a spread show in 80 % of cases, by the test of `p_value` alone
    and without correction; of fractions, the smallest larger fraction, given that of the other condition. Infinite
    where no effect is shown in so many cases, which may still decide in fewer; NaN where unknown."""

    @property
    def decides(self) -> bool:
        """Whether the null hypothesis is rejected, without correction for other claims."""
        return self.agrees and self.p_value <= LEVEL


def mean_test(values: ArrayLike, level: float = 0.0) -> SignificanceTest:
    """Whether the mean of f[n] differs from a level: Student's t test, and an exact test that flips signs."""
    values = np.asarray(values, np.float64)
    interval = intervals.mean_interval(values)
    if len(values) < 2:
        return SignificanceTest(interval, math.nan, math.nan, False, math.nan)
    error = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1)) / len(values) ** 0.5
    p_value = _t_p_value(interval.value - level, error, len(values) - 1)
    exact = sign_flip_p_value(values - level)
    return SignificanceTest(
        interval, p_value, exact, exact <= SIGN_FLIP_LEVEL + 1e-12, _detectable_mean(error, len(values) - 1)
    )


def agent_test(values: ArrayLike, agent: Interval) -> SignificanceTest:
    """Whether the mean of f[n], one per seed, differs from that of a single agent without seeds.

    The agent's mean is known up to its error over episodes (`intervals.mean_over_episodes`), which is added to that of
    the seeds; without bounds it counts as exact. The exact test flips signs around it.
    """
    values = np.asarray(values, np.float64)
    value = float(values.mean()) - agent.value
    if len(values) < 2:
        return SignificanceTest(Interval.unknown(value), math.nan, math.nan, False, math.nan)
    error, degrees = intervals.agent_error(values, agent)
    half_width = intervals.student_quantile(degrees) * error if error else 0.0
    exact = sign_flip_p_value(values - agent.value)
    return SignificanceTest(
        Interval(value, value - half_width, value + half_width),
        _t_p_value(value, error, degrees),
        exact,
        exact <= SIGN_FLIP_LEVEL + 1e-12,
        _detectable_mean(error, degrees),
    )


def episodes_test(interval: Interval, level: float = 0.0) -> SignificanceTest:
    """Whether an agent's mean over many episodes, or a difference of two, differs from a level, by its 95 % interval.

    The error is that of the interval's side towards the level. NaN where it has no bounds.
    """
    effect = interval.value - level
    side = interval.value - interval.low if effect > 0 else interval.high - interval.value
    error = side / intervals.NORMAL_QUANTILE
    p_value = math.nan if math.isnan(error) else _t_p_value(effect, error, math.inf)
    detectable = _detectable_mean(error, math.inf)
    return SignificanceTest(interval, p_value, p_value, p_value <= LEVEL, detectable)


def difference_test(first: ArrayLike, second: ArrayLike) -> SignificanceTest:
    """Whether the means of f[n] and f[m] differ: Welch's t test, and the exact permutation test of ranks."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    interval = intervals.difference_of_means(first, second)
    if min(len(first), len(second)) < 2:
        return SignificanceTest(interval, math.nan, math.nan, False, math.nan)
    from scipy.stats import rankdata

    error, degrees = intervals.welch_error(first, second)
    exact = permutation_p_value(rankdata(np.concatenate([first, second])), len(first))
    return SignificanceTest(
        interval,
        _t_p_value(interval.value, error, degrees),
        exact,
        exact <= LEVEL,
        _detectable_mean(error, degrees),
    )


def correlation_test(first: ArrayLike, second: ArrayLike) -> SignificanceTest:
    """Whether f[S, A] and f[S, A], of the A agents of each of S teams, are correlated: Student's t over teams."""
    interval = intervals.correlation_interval(first, second)
    z, error = intervals.correlation_error(first, second)
    p_value = math.nan if math.isnan(error) else _t_p_value(z, error, len(np.asarray(first)) - 1)
    return SignificanceTest(interval, p_value, p_value, p_value <= LEVEL, math.nan)


def fractions_test(hits: int, total: int, other_hits: int, other_total: int) -> SignificanceTest:
    """Whether two fractions of seeds differ: Fisher's exact test; the interval of the difference is Newcombe's."""
    from scipy.stats import fisher_exact

    _check_totals(total, other_total)
    table = [[hits, total - hits], [other_hits, other_total - other_hits]]
    p_value = min(1.0, float(np.asarray(fisher_exact(table))[1]))
    interval = _newcombe_interval((hits, total), (other_hits, other_total))
    detectable = detectable_fraction(total, other_total, other_hits / other_total)
    return SignificanceTest(interval, p_value, p_value, p_value <= LEVEL, detectable)


def stratified_fractions_test(strata: Sequence[tuple[int, int, int, int]]) -> SignificanceTest:
    """Whether fractions differ in the same direction in several pairs of groups: the exact Mantel-Haenszel test.

    Args:
      strata: (hits, total, other hits, other total) of each pair.
    Returns: the quantity is the mean difference of the fractions; its interval combines Newcombe's of the pairs.
    """
    from scipy.stats import hypergeom

    if not strata:
        raise ConfigError("strata is empty; give the counts of at least one pair of groups")
    counts, expected, ways = 0, 0.0, np.ones(1)
    for hits, total, other_hits, other_total in strata:
        _check_totals(total, other_total)
        successes = hits + other_hits
        pmf = hypergeom.pmf(np.arange(total + 1), total + other_total, successes, total)
        ways = np.convolve(ways, pmf)
        counts, expected = counts + hits, expected + total * successes / (total + other_total)
    far = np.abs(np.arange(len(ways)) - expected) >= abs(counts - expected) - 1e-9
    p_value = min(1.0, float(ways[far].sum()))
    parts = [_newcombe_interval(stratum[:2], stratum[2:]) for stratum in strata]
    value = float(np.mean([part.value for part in parts]))
    low, high = (
        float(np.linalg.norm([part.value - bound for part, bound in zip(parts, bounds, strict=True)])) / len(parts)
        for bounds in ([part.low for part in parts], [part.high for part in parts])
    )
    interval = Interval(value, value - low, value + high)
    _, total, other_hits, other_total = (sum(column) for column in zip(*strata, strict=True))
    detectable = detectable_fraction(total, other_total, other_hits / other_total)  # as of one pair
    return SignificanceTest(interval, p_value, p_value, p_value <= LEVEL, detectable)


def fraction_test(hits: int, total: int, fraction: float = 0.5) -> SignificanceTest:
    """Whether a fraction of seeds differs from a given one: exact binomial test and Clopper-Pearson interval."""
    from scipy.stats import binomtest

    _check_totals(total)
    sides = [binomtest(hits, total, fraction, alternative=side).pvalue for side in ("less", "greater")]
    p_value = min(1.0, 2 * float(min(sides)))  # decides exactly where the interval excludes the fraction
    interval = intervals.binomial_fraction(hits, total)
    return SignificanceTest(interval, p_value, p_value, p_value <= LEVEL, math.nan)


def time_test(
    times: ArrayLike, reached: ArrayLike, other_times: ArrayLike, other_reached: ArrayLike
) -> SignificanceTest:
    """Whether events come earlier in one group than in another: the log-rank test with its exact distribution.

    Args:
      times: of the event, or of the end of observation where `reached` is False, f[n]. The others: f[m].
    Returns: the quantity is the expected minus the observed number of events in the second group: above 0 if the first
      group's events come earlier.
    Source: Mantel 1966; the permutation distribution treats all runs as exchangeable, ties included.
    """
    times, other_times = np.asarray(times, np.float64), np.asarray(other_times, np.float64)
    everything = np.concatenate([times, other_times])
    is_event = np.concatenate([np.asarray(reached, bool), np.asarray(other_reached, bool)])
    scores = log_rank_scores(everything, is_event)
    p_value = permutation_p_value(scores, len(times))
    surplus = Interval.unknown(float(scores[: len(times)].sum()))
    return SignificanceTest(surplus, p_value, p_value, p_value <= LEVEL, math.nan)


def log_rank_scores(times: np.ndarray, is_event: np.ndarray) -> np.ndarray:
    """Each run's event minus its expected number of events, f[n]; the log-rank statistic is their sum over a group."""
    hazard = np.zeros(len(times))
    for time in np.unique(times[is_event]):
        at_risk = times >= time
        hazard += at_risk * ((times == time) & is_event).sum() / at_risk.sum()
    return is_event - hazard


class SurvivalCurve(NamedTuple):
    """Kaplan and Meier's estimate of the fraction of runs that have reached the event, a step function."""

    time: np.ndarray
    """f[K + 1], where it steps, from 0."""
    reached: np.ndarray
    """f[K + 1], from each time on."""
    low: np.ndarray
    high: np.ndarray
    """95 % interval of `reached` (log-log Greenwood), NaN where it is unknown."""
    censored: np.ndarray
    """Times at which observation ended without the event."""


def survival_curve(times: ArrayLike, reached: ArrayLike) -> SurvivalCurve:
    """The fraction of runs that have reached an event, by time, where some runs ended before it.

    Args:
      times: of the event, or of the end of observation where `reached` is False, f[n].
    """
    from scipy.stats import CensoredData, ecdf

    times, is_event = np.asarray(times, np.float64), np.asarray(reached, bool)
    curve = ecdf(CensoredData(uncensored=times[is_event], right=times[~is_event])).sf
    with warnings.catch_warnings():  # the interval is unknown where all or none have reached the event
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds = curve.confidence_interval(intervals.CONFIDENCE, method="log-log")
    steps = [np.concatenate([[start], values]) for start, values in (
        (0.0, curve.quantiles),
        (0.0, 1 - curve.probabilities),
        (np.nan, 1 - bounds.high.probabilities),
        (np.nan, 1 - bounds.low.probabilities),
    )]  # fmt: skip
    return SurvivalCurve(*steps, censored=np.sort(times[~is_event]))


def permutation_p_value(scores: ArrayLike, num_first: int) -> float:
    """Two-sided p-value of the sum of the first scores among all ways to choose so many of f[n].

    All choices are counted, not sampled: those of each half of the scores, in a table of sums, and then their pairs.
    What is as far as the observed sum but for its rounding counts as being so, because equal sums are rounded apart.
    """
    scores = np.asarray(scores, np.float64)
    steps, rounding = _to_grid(scores - scores.min())
    num_others = len(steps) - num_first
    expected = steps.sum() * num_first / len(steps)
    # Each score moves a distance by its rounding, times others / all if it is chosen, else times first / all.
    tolerance = 4 * rounding * num_first * num_others / len(steps) + 1e-9
    half, other_half = (_choices(part) for part in _halves(steps))
    pairs = [(half[count], other_half[num_first - count]) for count in range(len(half))
             if 0 <= num_first - count < len(other_half)]  # fmt: skip
    return _fraction_as_far(pairs, expected, abs(steps[:num_first].sum() - expected) - tolerance)


def sign_flip_p_value(differences: ArrayLike) -> float:
    """Two-sided p-value of the sum of f[n] among all ways to choose their signs, as of `permutation_p_value`."""
    differences = np.asarray(differences, np.float64)
    if not differences.any():
        return 1.0
    steps, rounding = _to_grid(np.abs(differences))
    middle = steps.sum() / 2  # the sum of the positive ones if signs do not matter
    tolerance = rounding * len(steps) + 1e-9  # each moves a distance by half of its rounding
    half, other_half = (_merge(_choices(part)) for part in _halves(steps))
    return _fraction_as_far([(half, other_half)], middle, abs(steps[differences > 0].sum() - middle) - tolerance)


def _to_grid(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Scores of at least 0 as integers, and how far off they may be: twice the ranks exactly, others rounded."""
    if np.array_equal(2 * scores, np.round(2 * scores)) and scores.max() <= SCORE_GRID:
        return (2 * scores).astype(np.int64), 0.0
    num_sums = [np.prod(np.unique(half, return_counts=True)[1] + 1.0) for half in _halves(scores)]
    grid = FINE_GRID if max(num_sums) <= MAX_SUMS else SCORE_GRID
    return np.round(scores / scores.max() * grid).astype(np.int64), 0.5


def _halves(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of scores, which share those that are equal: so each half has few sums."""
    ordered = np.sort(scores)
    return ordered[::2], ordered[1::2]


def _choices(steps: np.ndarray) -> list[Sums]:
    """The sums of each number of steps, from none to all."""
    none = (np.zeros(0, np.int64), np.zeros(0))
    table = [(np.zeros(1, np.int64), np.ones(1))]
    for step in steps:
        with_it = [none, *((sums + step, ways) for sums, ways in table)]
        table = [_merge(pair) for pair in zip([*table, none], with_it, strict=True)]
    return table


def _merge(parts: Sequence[Sums]) -> Sums:
    sums, index = np.unique(np.concatenate([sums for sums, _ in parts]), return_inverse=True)
    return sums, np.bincount(index, np.concatenate([ways for _, ways in parts]), len(sums))


def _fraction_as_far(pairs: Iterable[tuple[Sums, Sums]], middle: float, distance: float) -> float:
    """The fraction of all sums of one from each of a pair that are at least so far from the middle."""
    if distance <= 0:
        return 1.0
    far = total = 0.0
    for (sums, ways), (others, other_ways) in pairs:
        up_to = np.concatenate([[0.0], np.cumsum(other_ways)])
        below = up_to[np.searchsorted(others, middle - distance - sums, "right")]
        above = up_to[-1] - up_to[np.searchsorted(others, middle + distance - sums, "left")]
        far, total = far + float(ways @ (below + above)), total + float(ways.sum() * up_to[-1])
    return min(1.0, far / total)


def holm(p_values: ArrayLike) -> np.ndarray:
    """P-values corrected for their number, f[n]: any false rejection among them is as rare as with a single test.

    Source: Holm 1979.
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values, kind="stable")
    corrected = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    result = np.empty_like(corrected)
    result[order] = np.minimum(corrected, 1.0)
    return result


def detectable_fraction(total: int, other_total: int, other_fraction: float) -> float:
    """The smallest fraction of seeds that Fisher's test tells from a smaller one in 80 % of cases; infinite if none.

    Infinite does not mean that the test cannot decide: it may in fewer cases, and for a fraction below the other one.

    Args:
      other_fraction: of the other condition's seeds, such as the observed one.
    """
    from scipy.stats import binom, fisher_exact

    _check_totals(total, other_total)
    hits, other_hits = np.arange(total + 1), np.arange(other_total + 1)
    decides = np.array([
        [a / total > b / other_total
         and np.asarray(fisher_exact([[a, total - a], [b, other_total - b]]))[1] <= LEVEL for b in other_hits]
        for a in hits
    ])  # fmt: skip
    other = binom.pmf(other_hits, other_total, other_fraction)
    for fraction in np.arange(0.01, 1.005, 0.01):
        if binom.pmf(hits, total, fraction) @ decides @ other >= POWER and fraction > other_fraction:
            return float(round(fraction, 2))
    return math.inf


def _check_totals(*totals: int) -> None:
    """Raises ConfigError for a fraction of no seeds."""
    if min(totals) < 1:
        listed = " and ".join(map(str, totals))
        raise ConfigError(f"fractions of {listed} seeds cannot be compared; each needs at least 1")


def _t_p_value(effect: float, error: float, degrees: float) -> float:
    from scipy.stats import t

    if not error:
        return 1.0 if effect == 0 else 0.0
    return float(2 * t.sf(abs(effect) / error, degrees))


def _detectable_mean(error: float, degrees: float) -> float:
    """An effect of this size gives p <= 5 % with probability `POWER`, near enough."""
    return (intervals.student_quantile(degrees) + intervals.student_quantile(degrees, 2 * POWER - 1)) * error


def _newcombe_interval(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """Difference of two fractions, each (hits, total). Source: Newcombe 1998, method 10."""
    from scipy.stats import binomtest

    (p, low, high), (q, other_low, other_high) = (
        (hits / total, *binomtest(hits, total).proportion_ci(intervals.CONFIDENCE, "wilson")) for hits, total in
        (first, second)
    )  # fmt: skip
    return Interval(p - q, p - q - math.hypot(p - low, other_high - q), p - q + math.hypot(high - p, q - other_low))
