"""What the formulas of a protocol share: episodes of one condition as numpy arrays, and numbers with intervals.

Letters in shapes: E episodes, T steps, A agents, of which the scored one is agent 0, R resamples.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from rookery.intervals import CONFIDENCE, Interval

if TYPE_CHECKING:
    from rookery.viz.recording import Recording

NUM_EPISODE_RESAMPLES = 2_000


@dataclasses.dataclass(frozen=True)
class ConditionEpisodes:
    """All episodes of one condition."""

    reward: Float[np.ndarray, "T E A"]
    entry: Int[np.ndarray, "T E A"]  # goal that the agent entered in this step; -1: none
    position: Int[np.ndarray, "T E A 2"]  # (row, col) before the action
    prestige: Float[np.ndarray, "T E A"]  # of equation 4, before the action, whatever color is shown
    agent_mask: Bool[np.ndarray, "T E A"]  # who is in the world before the action
    film: Recording | None = None  # the first episode, of the condition that the protocol shows

    @property
    def num_steps(self) -> int:
        return len(self.reward)

    def returns(self, agent: int = 0, steps: slice = slice(None)) -> Float[np.ndarray, "E"]:
        """Sum of an agent's rewards in each episode, or in a part of it."""
        return self.reward[steps, :, agent].astype(np.float64).sum(0)

    def expert_returns(self, steps: slice = slice(None)) -> Float[np.ndarray, "E"]:
        """Mean return of the two partners."""
        return (self.returns(1, steps) + self.returns(2, steps)) / 2


def interval_of_means(statistic: Callable[..., Any], *values: Float[np.ndarray, "E"]) -> Interval:
    """A function of means over episodes, with its 95 % percentile-bootstrap interval.

    Episodes are resampled together in all arrays, because all conditions play the same worlds. The resamples are
    fixed, so equal values give equal intervals.

    Args:
      statistic: a function of as many numbers as there are arrays, also for arrays of numbers; NaN where undefined.
      values: one number per episode each.
    Returns: NaN for an undefined value; no bounds where some resample is undefined.
    """
    arrays = [np.asarray(value, np.float64) for value in values]
    num_episodes = len(arrays[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(*(array.mean() for array in arrays)))
        if num_episodes < 2 or not np.isfinite(value):
            return Interval.unknown(value if np.isfinite(value) else np.nan)
        counts = _resampled_counts(num_episodes)
        resampled = np.asarray(statistic(*(counts @ array / num_episodes for array in arrays)), np.float64)
    if not np.isfinite(resampled).all():
        return Interval.unknown(value)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


@functools.lru_cache(maxsize=4)
def _resampled_counts(num_episodes: int) -> Int[np.ndarray, "R E"]:
    """How often each episode is in each resample."""
    random = np.random.default_rng(0)
    return random.multinomial(num_episodes, np.full(num_episodes, 1 / num_episodes), size=NUM_EPISODE_RESAMPLES)


def first_step(happens: Bool[np.ndarray, "T ..."]) -> Float[np.ndarray, "..."]:
    """Step, from 1, at which something first happens in each episode; T + 1 where it never does."""
    return np.where(happens.any(0), happens.argmax(0) + 1.0, len(happens) + 1.0)


def last_step(happens: Bool[np.ndarray, "T E"]) -> Float[np.ndarray, "E"]:
    """Step, from 1, at which something last happens in each episode; 0 where it never does."""
    return np.where(happens.any(0), len(happens) - happens[::-1].argmax(0).astype(np.float64), 0.0)


def repeats(
    entry: Int[np.ndarray, "T E"], partner_entry: Int[np.ndarray, "T E"], follow_steps: int
) -> Bool[np.ndarray, "T E"]:
    """Whether an agent enters the goal that a partner entered last, at most `follow_steps` steps after it.

    Entries in the same step are not a repetition.
    """
    repeated = np.zeros(entry.shape, bool)
    last_goal, last_time = np.full(entry.shape[1], -1), np.full(entry.shape[1], -1)
    for t, (goal, partner_goal) in enumerate(zip(entry, partner_entry, strict=True)):
        repeated[t] = (goal >= 0) & (goal == last_goal) & (t - last_time <= follow_steps)
        last_goal = np.where(partner_goal >= 0, partner_goal, last_goal)
        last_time = np.where(partner_goal >= 0, t, last_time)
    return repeated


def ratio(numerator: Any, denominator: Any) -> Any:
    """A quotient of means, undefined unless the denominator is positive."""
    return np.where(np.asarray(denominator) > 0, numerator / np.where(denominator == 0, 1.0, denominator), np.nan)
