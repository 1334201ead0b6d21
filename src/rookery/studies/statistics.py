"""How sure a study is: everything it computes from its seeds, in one place.

Over seeds: percentile bootstrap. Over the many episodes of one agent: the normal interval of a mean. For a share
of seeds: the exact binomial interval, for a bootstrap of five out of five would claim certainty.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rookery.errors import ConfigError

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000


class Interval(NamedTuple):
    """A value and its 95 % interval; low and high are NaN where nothing can be said."""

    value: float
    low: float
    high: float


def iqm(values, axis: int = -1):
    """Interquartile mean: the mean of the middle half, a value cut by a quartile counting by its part.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis)
    count = ordered.shape[axis]
    edges = np.arange(count + 1) / count
    weight = np.maximum(0, np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25))
    shape = [1] * ordered.ndim
    shape[axis] = count
    return np.sum(ordered * weight.reshape(shape), axis) / weight.sum()


def mean_over_seeds(values) -> Interval:
    """Mean of f[n], one value a seed, with its percentile bootstrap interval."""
    return _bootstrap(lambda x, axis: np.mean(x, axis), values)


def iqm_over_seeds(values) -> Interval:
    """Interquartile mean of f[n], one value a seed, with its percentile bootstrap interval."""
    return _bootstrap(iqm, values)


def difference_of_means(ours, theirs) -> Interval:
    """Mean of one arm less mean of another, each arm's seeds drawn anew."""
    return _bootstrap(lambda x, y, axis: np.mean(x, axis) - np.mean(y, axis), ours, theirs)


def probability_of_improvement(ours, theirs) -> Interval:
    """Probability that a seed of one arm exceeds a seed of the other; equal ones count half.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """

    def statistic(x, y, axis):
        x, y = np.moveaxis(x, axis, -1)[..., :, None], np.moveaxis(y, axis, -1)[..., None, :]
        return ((x > y) + 0.5 * (x == y)).mean((-2, -1))

    return _bootstrap(statistic, ours, theirs)


def mean_over_episodes(values) -> Interval:
    """Mean of f[n], one value an episode of one agent, with its normal interval (1.96 standard errors)."""
    values = _check_values(values)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = 1.959964 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(mean, mean - half, mean + half)


def difference_of_agents(ours: Interval, theirs: Interval) -> Interval:
    """One agent's mean over episodes less another's: half-widths add as squares, as of independent episodes."""
    value = ours.value - theirs.value
    half = ((ours.high - ours.low) ** 2 + (theirs.high - theirs.low) ** 2) ** 0.5 / 2
    return Interval(value, value - half, value + half)


def binomial_fraction(hits: int, total: int) -> Interval:
    """`hits` of `total` seeds as a share with its exact binomial (Clopper-Pearson) interval."""
    from scipy.stats import binomtest

    if not 0 <= hits <= total or total < 1:
        raise ConfigError(f"{hits} of {total} is no share; give 0 to {total} of at least 1")
    found = binomtest(hits, total).proportion_ci(CONFIDENCE, "exact")
    return Interval(hits / total, float(found.low), float(found.high))


def _check_values(values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ConfigError(f"an interval needs a list of at least one value, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ConfigError("an interval needs finite values; drop the runs that diverged, and say so")
    return values


def _bootstrap(statistic: Callable, *samples) -> Interval:
    """A statistic of one or more independent samples; the same samples always give the same interval."""
    from scipy.stats import bootstrap

    arrays = [_check_values(values) for values in samples]
    value = float(statistic(*arrays, axis=-1))
    if min(len(array) for array in arrays) < 2:
        return Interval(value, float("nan"), float("nan"))
    if all(np.ptp(array) == 0 for array in arrays):
        return Interval(value, value, value)  # scipy warns of a distribution without spread
    # scipy renamed the argument in 1.15; both take a Generator, and draw the same numbers from it.
    named = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"
    generator: dict[str, Any] = {named: np.random.default_rng(0)}
    found = bootstrap(
        tuple(arrays), statistic, vectorized=True, method="percentile", confidence_level=CONFIDENCE,
        n_resamples=NUM_RESAMPLES, **generator,
    ).confidence_interval  # fmt: skip
    return Interval(value, float(found.low), float(found.high))
