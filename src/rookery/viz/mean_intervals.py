"""How sure a mean over seeds is."""

import inspect
from typing import Any

import numpy as np

from rookery.errors import ConfigError


def mean_interval(values, confidence=0.95, num_resamples=10_000, seed=0) -> tuple[float, float, float]:
    """Mean of a few independent values and its percentile-bootstrap interval.

    Args:
      values: f[n], one a seed, finite.
      confidence: in (0, 1).
      resamples: bootstrap samples; `seed` fixes them, so equal values give equal intervals.
    Returns: (mean, low, high). One value has no interval: low and high are NaN. Equal values have an
      interval of no width.
    Raises: ConfigError for no values, values that are not finite, or a confidence out of range.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ConfigError(f"an interval needs a list of at least one value, not shape {values.shape}")
    low, high = mean_band(values[:, None], confidence=confidence, num_resamples=num_resamples, seed=seed)
    return float(values.mean()), float(low[0]), float(high[0])


def mean_band(values, *, confidence=0.95, num_resamples=10_000, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """`mean_interval` for each of N columns at once, with the same resampled seeds in all.

    Args: values f[n, N], finite; n seeds.
    Returns: low f[N], high f[N]; all NaN if n < 2.
    Raises: ConfigError as `mean_interval`.
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, np.float64)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence={confidence} must lie in (0, 1)")
    if num_resamples < 1:
        raise ConfigError(f"resamples={num_resamples} must be at least 1")
    if not np.isfinite(values).all():
        raise ConfigError("an interval needs finite values; drop the runs that diverged, and say so")
    seeds, columns = values.shape
    if seeds < 2:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    low, high = values.min(0), values.max(0)
    varied = low < high  # the bootstrap of equal values is exact, and rounding would blur it
    if varied.any():
        # scipy renamed the argument in 1.15; both take a Generator, and draw the same numbers from it.
        named = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"
        generator: dict[str, Any] = {named: np.random.default_rng(seed)}
        interval = bootstrap(
            (values[:, varied],),
            np.mean,
            axis=0,
            method="percentile",
            confidence_level=confidence,
            n_resamples=num_resamples,
            batch=max(1, 2_000_000 // values.size),  # 16 MB of resamples at a time
            **generator,
        ).confidence_interval
        low[varied], high[varied] = interval.low, interval.high
    return low, high
