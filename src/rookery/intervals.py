"""Intervals: every number that says how certain a result is comes from here; tests of claims, from `significance`.

Over seeds, a mean has Student's t interval and a difference of means has Welch's, because both miss the true value in
about 5 % of cases from five seeds on, where percentile bootstraps miss it in a fifth (`benchmarks/intervals.py`). Over
the many episodes of one agent: the normal interval of a mean. For a fraction of seeds: the exact binomial interval.
Interquartile means and the probability of improvement describe a sample; their percentile bootstraps are shown and
decide nothing.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rookery.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000
NORMAL_QUANTILE = 1.959964
"""Half-width of the 95 % interval of a normal distribution, in standard deviations."""


class Interval(NamedTuple):
    """A value and its interval (95 % unless said otherwise); low and high are NaN where they cannot be known."""

    value: float
    low: float
    high: float

    @classmethod
    def unknown(cls, value: float = math.nan) -> Interval:
        """A value without an interval."""
        return cls(value, math.nan, math.nan)

    @classmethod
    def from_dict(cls, data: Mapping[str, float | None], value_key: str = "value") -> Interval:
        """From what `to_dict` made, or a longer mapping with these keys."""
        numbers = (data[key] for key in (value_key, "low", "high"))
        return cls(*(math.nan if number is None else number for number in numbers))

    def to_dict(self, value_key: str = "value") -> dict[str, float | None]:
        """{value_key, "low", "high"}, with None for what is not finite (JSON has no NaN)."""
        return {
            key: float(number) if np.isfinite(number) else None
            for key, number in zip((value_key, "low", "high"), self, strict=True)
        }


def format_interval(interval: tuple[float, float, float], spec: str = ".2f", gap: str = " ") -> str:
    """A value with its interval, for people: '1.23 [0.45, 2.01]'; without bounds where they are unknown.

    Args:
      spec: Python's format of the value, such as '8.3f'; of the bounds without its width. gap: between both.
    """
    value, low, high = interval
    bound = spec[spec.index(".") :]
    return format(value, spec) + ("" if math.isnan(low) else f"{gap}[{low:{bound}}, {high:{bound}}]")


def iqm(values: ArrayLike, axis: int = -1) -> Any:
    """Interquartile mean: the mean of the middle half; a value cut by a quartile counts in part.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis)
    count = ordered.shape[axis]
    edges = np.arange(count + 1) / count
    weight = np.maximum(0, np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25))
    shape = [1] * ordered.ndim
    shape[axis] = count
    return np.sum(ordered * weight.reshape(shape), axis) / weight.sum()


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean of independent values f[n], such as one per seed, with Student's t interval.

    Args:
      confidence: in (0, 1).
    Returns: one value has no interval: low and high are NaN. Equal values have an interval of width 0.
    Raises: ConfigError for no values, values that are not finite, or a confidence out of range.
    """
    values = _check_values(values)
    low, high = mean_band(values[:, None], confidence=confidence)
    return Interval(float(values.mean()), float(low[0]), float(high[0]))


def mean_band(values: ArrayLike, *, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """`mean_interval` for each of N columns at once.

    Args: values f[n, N], finite; n seeds.
    Returns: low f[N], high f[N]; all NaN if n < 2.
    Raises: ConfigError as `mean_interval`.
    """
    values = np.asarray(values, np.float64)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence={confidence} must lie in (0, 1)")
    _check_finite(values)
    num_seeds, columns = values.shape
    if num_seeds < 2:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    mean = np.where(np.ptp(values, 0) == 0, values[0], values.mean(0))  # rounding would move the mean of equal values
    half_width = student_quantile(num_seeds - 1, confidence) * values.std(0, ddof=1) / num_seeds**0.5
    half_width = np.where(np.ptp(values, 0) == 0, 0.0, half_width)
    return mean - half_width, mean + half_width


def student_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Half-width of an interval in standard errors, by Student's t with so many degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, degrees))


def pairs_interval(values: ArrayLike) -> Interval:
    """Mean over the pairs of K agents, f[K, K] without its diagonal, with its interval over agents.

    Pairs that share an agent are dependent, so a jackknife leaves out one agent with all its pairs at a time.

    Returns: without bounds for fewer than three agents.
    """
    values = np.asarray(values, np.float64)
    agents = np.arange(len(values))
    value = float(_check_values(values[agents[:, None] != agents]).mean())
    if len(agents) < 3:
        return Interval.unknown(value)
    rests = [np.delete(agents, agent) for agent in agents]
    error = jackknife_error([values[np.ix_(rest, rest)][rest[:, None] != rest].mean() for rest in rests])
    half_width = student_quantile(len(agents) - 1) * error if error else 0.0
    return Interval(value, value - half_width, value + half_width)


def jackknife_error(without: ArrayLike) -> float:
    """Standard error of a statistic, from its values f[n] without each of n independent units."""
    without = _check_values(without)
    return 0.0 if np.ptp(without) == 0 else (len(without) - 1) ** 0.5 * float(without.std())


def iqm_interval(values: ArrayLike) -> Interval:
    """Interquartile mean of f[n], one value per seed, with its percentile-bootstrap interval."""
    return _bootstrap(iqm, values)


def difference_of_means(first: ArrayLike, second: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean of f[n] minus mean of f[m], independent values such as one per seed each, with Welch's t interval.

    Returns: without bounds where a sample has fewer than two values.
    """
    first, second = _check_values(first), _check_values(second)
    value = float(first.mean() - second.mean())
    if min(len(first), len(second)) < 2:
        return Interval.unknown(value)
    error, degrees = welch_error(first, second)
    half_width = student_quantile(degrees, confidence) * error if error else 0.0
    return Interval(value, value - half_width, value + half_width)


def welch_error(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Standard error of a difference of means, and its degrees of freedom by Welch and Satterthwaite."""
    parts = [0.0 if np.ptp(x) == 0 else float(x.var(ddof=1)) / len(x) for x in (first, second)]
    total = sum(parts)
    if not total:
        return 0.0, float(len(first) + len(second) - 2)
    return total**0.5, total**2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (first, second), strict=True))


def agent_error(values: np.ndarray, agent: Interval) -> tuple[float, float]:
    """Standard error of the mean of f[n] minus that of an agent, whose interval is one over many episodes, and its
    degrees of freedom by Welch and Satterthwaite: the agent's own are without bound."""
    over_seeds = 0.0 if np.ptp(values) == 0 else float(values.var(ddof=1)) / len(values)
    over_episodes = ((agent.high - agent.low) / 2 / NORMAL_QUANTILE) ** 2 if math.isfinite(agent.low) else 0.0
    total = over_seeds + over_episodes
    if not over_seeds:
        return total**0.5, math.inf if total else float(len(values) - 1)
    return total**0.5, (total / over_seeds) ** 2 * (len(values) - 1)


def probability_of_improvement(first: ArrayLike, second: ArrayLike) -> Interval:
    """Probability that a value of the first sample exceeds a value of the second; equal values count half.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """

    def statistic(x, y, axis):
        x, y = np.moveaxis(x, axis, -1)[..., :, None], np.moveaxis(y, axis, -1)[..., None, :]
        return ((x > y) + 0.5 * (x == y)).mean((-2, -1))

    return _bootstrap(statistic, first, second)


def mean_over_episodes(values: ArrayLike) -> Interval:
    """Mean of f[n], one value per episode of one agent, with its normal interval (1.96 standard errors)."""
    values = _check_values(values)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval.unknown(mean)
    half_width = NORMAL_QUANTILE * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(mean, mean - half_width, mean + half_width)


def difference_of_agents(first: Interval, second: Interval) -> Interval:
    """Difference of two agents' means over episodes: squared half-widths add, as for independent episodes."""
    value = first.value - second.value
    half_width = ((first.high - first.low) ** 2 + (second.high - second.low) ** 2) ** 0.5 / 2
    return Interval(value, value - half_width, value + half_width)


def binomial_fraction(hits: int, total: int) -> Interval:
    """`hits` of `total` as a fraction with its exact binomial (Clopper-Pearson) interval.

    Raises: ConfigError unless 0 <= hits <= total and total >= 1.
    """
    from scipy.stats import binomtest

    if not 0 <= hits <= total or total < 1:
        raise ConfigError(
            f"{hits} of {total} is not a fraction; hits must lie in 0 to total, and total must be at least 1"
        )
    interval = binomtest(hits, total).proportion_ci(CONFIDENCE, "exact")
    return Interval(hits / total, float(interval.low), float(interval.high))


def correlation_interval(first: ArrayLike, second: ArrayLike) -> Interval:
    """Pearson's correlation of f[S, A] with f[S, A] over the A agents of each of S teams; the interval is over teams.

    Returns: without bounds for fewer than three teams, and where a correlation without one of them is undefined.
    """
    rho = _correlation(np.asarray(first, np.float64), np.asarray(second, np.float64))
    z, error = correlation_error(first, second)
    half_width = student_quantile(max(len(np.asarray(first)) - 1, 1)) * error
    return Interval(rho, math.tanh(z - half_width), math.tanh(z + half_width))


def correlation_error(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Fisher's z of the correlation over agents and teams, and its error by a jackknife over teams.

    The agents of a team share what happens to it: as independent pairs their interval is too narrow.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    without = [_correlation(np.delete(first, n, 0), np.delete(second, n, 0)) for n in range(len(first))]
    z = _fisher_z(_correlation(first, second))
    is_known = len(first) >= 3 and np.isfinite(without).all()
    return z, jackknife_error(list(map(_fisher_z, without))) if is_known else math.nan


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """NaN where one of the two never varies."""
    if not first.size or not np.ptp(first) or not np.ptp(second):
        return math.nan
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _fisher_z(rho: float) -> float:
    return math.atanh(np.clip(rho, -0.999999, 0.999999))


def two_level_interval(values: np.ndarray, over_seeds: bool = True) -> Interval:
    """Mean of f[S, E] (S seeds with E episodes each) and its interval.

    The means of seeds differ because seeds differ and because their episodes do, so that Student's t interval over them
    is over both levels.

    Args:
      over_seeds: False gives the interval of the mean of just these seeds, over their episodes.
    """
    values = np.asarray(values, np.float64)
    num_seeds, num_episodes = values.shape
    means = values.mean(1)
    if over_seeds and num_seeds > 1:
        return mean_interval(means)
    variance = values.var(1, ddof=1) / num_episodes if num_episodes > 1 else np.zeros(num_seeds)
    mean, half_width = float(means.mean()), NORMAL_QUANTILE * float(variance.sum()) ** 0.5 / num_seeds
    return Interval(mean, mean - half_width, mean + half_width)


def _check_values(values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ConfigError(f"an interval needs a list of at least one value, not shape {values.shape}")
    return _check_finite(values)


def _check_finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ConfigError("an interval needs finite values; leave out the runs that diverged, and say so")
    return values


def _bootstrap(statistic: Callable, *samples) -> Interval:
    """A statistic of one or more independent samples f[n]; the same samples always give the same interval."""
    arrays = tuple(_check_values(values) for values in samples)
    value = float(statistic(*arrays, axis=-1))
    if min(len(array) for array in arrays) < 2:
        return Interval.unknown(value)
    if all(np.ptp(array) == 0 for array in arrays):
        return Interval(value, value, value)  # scipy warns about a distribution of width 0
    low, high = _bootstrap_bounds(statistic, arrays, axis=-1, vectorized=True)
    return Interval(value, float(low), float(high))


def _bootstrap_bounds(statistic: Callable, samples: tuple[np.ndarray, ...], **options: Any):
    """Low and high of scipy's percentile bootstrap."""
    from scipy.stats import bootstrap

    interval = bootstrap(
        samples,
        statistic,
        method="percentile",
        confidence_level=CONFIDENCE,
        n_resamples=NUM_RESAMPLES,
        **random_argument(bootstrap),
        **options,
    ).confidence_interval
    return interval.low, interval.high


def random_argument(function: Callable, seed: int = 0) -> dict[str, np.random.Generator]:
    """A generator with a fixed seed as the argument that scipy's function takes it by: scipy renamed it in 1.15."""
    name = "rng" if "rng" in inspect.signature(function).parameters else "random_state"
    return {name: np.random.default_rng(seed)}
