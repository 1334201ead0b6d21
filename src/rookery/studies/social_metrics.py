"""What a society of agents comes to, and what its messages mean. Plain numpy on recorded episodes.

Letters: T steps, A agents, V symbols. Sources: Perolat et al. 2017 and Hughes et al. 2018 (equality, sustainability,
peace); Jaques et al. 2019, section 4.1 (speaker consistency, instantaneous coordination) and 3.2; Bogin et al. 2018
(context independence).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rookery.errors import ConfigError

NUM_SHUFFLES = 10
"""Pairings with other episodes, to tell what chance makes of a measure."""


def collective_reward(reward: Float[np.ndarray, "... A"]) -> Float[np.ndarray, "..."]:
    """The sum over agents."""
    return np.asarray(reward, np.float64).sum(-1)


def equality(returns: Float[np.ndarray, "... A"]) -> Float[np.ndarray, "..."]:
    """1 - Gini = 1 - Σ_ij |e_i - e_j| / (2 A Σ e): 1 where all earn the same, 1/A where one of A earns all.

    NaN where somebody earns less than nothing or all earn nothing, unless all earn the same: there the index means
    nothing, and near a sum of 0 it has no bound.
    """
    e = np.asarray(returns, np.float64)
    apart = np.abs(e[..., :, None] - e[..., None, :]).sum((-2, -1))
    total = e.sum(-1)
    means = (total > 0) & (e >= 0).all(-1)
    share = apart / np.where(means, 2 * e.shape[-1] * total, np.nan)
    return np.where(apart == 0, 1.0, 1 - share)


def sustainability(reward: Float[np.ndarray, "T A"]) -> float:
    """The mean step, from 1, at which an agent is paid, then the mean over the agents that are. NaN if none is."""
    paid = np.asarray(reward) > 0
    step = np.arange(1, len(paid) + 1)[:, None]
    times = paid.sum(0)
    if not times.any():
        return float("nan")
    return float(((paid * step).sum(0)[times > 0] / times[times > 0]).mean())


def peace(times_zapped: Float[np.ndarray, "T A"]) -> float:
    """Agents less beams that hit one, a step on the mean: A where nobody is ever hit.

    Perolat et al. take away agents that are timed out; in Jaques et al.'s worlds nobody is, so each hit counts once.
    """
    times_zapped = np.asarray(times_zapped)
    return float(times_zapped.shape[1] - times_zapped.sum() / len(times_zapped))


def mutual_information(x: Int[np.ndarray, "N"], y: Int[np.ndarray, "N"]) -> float:
    """Of two discrete variables, from how often their values occur together. Nats; biased upwards for few samples."""
    together = _contingency_table(x, y)
    p = together / max(together.sum(), 1)
    apart = p.sum(1, keepdims=True) * p.sum(0)
    there = p > 0
    return float((p[there] * np.log(p[there] / apart[there])).sum())


def instantaneous_coordination(
    signal: Int[np.ndarray, "E T A"],
    action: Int[np.ndarray, "E T A"],
    step_mask: Bool[np.ndarray, "E T A"] | None = None,
) -> float:
    """Instantaneous coordination: I(what k says or does at t; what j does at t+1), the largest of ordered pairs k ≠ j,
    less what chance makes of it.

    Few samples make mutual information of nothing, fewer more of it, and the largest of many pairs more again. So from
    what is measured is taken the mean of the same with j's actions of other episodes.

    Args:
      signal: messages or actions. when: the steps of k that count, such as those with influence at least its mean.
    Raises: ConfigError for one agent alone, or one episode. Source: Jaques et al. 2019, section 4.1.
    """
    signal, action = np.asarray(signal), np.asarray(action)
    episodes, _, agents = signal.shape
    if agents < 2 or episodes < 2:
        raise ConfigError(f"coordination is between agents, over episodes; {agents} in {episodes} cannot have any")
    now = np.ones(signal.shape, bool)[:, :-1] if step_mask is None else np.asarray(step_mask)[:, :-1]
    pairs = [(k, j) for k in range(agents) for j in range(agents) if k != j]

    def largest(then):
        return max(mutual_information(signal[:, :-1, k][now[..., k]], then[..., j][now[..., k]]) for k, j in pairs)

    then = action[:, 1:]
    shifts = np.unique(np.linspace(1, episodes - 1, min(episodes - 1, NUM_SHUFFLES)).astype(int))
    return largest(then) - float(np.mean([largest(np.roll(then, shift, 0)) for shift in shifts]))


def speaker_consistency(
    message: Int[np.ndarray, "N"], action: Int[np.ndarray, "N"], vocab_size: int, num_actions: int
) -> float:
    """How far a speaker's symbols and its own actions determine each other: 1 one to one.

    0 where neither tells of the other and all are as frequent; more where some are rare, though nothing is told: lay
    beside it what it comes to with the messages of other episodes.

    Half the mean over symbols of 1 - H(action | symbol) / ln(actions), plus half the mean over actions of
    1 - H(symbol | action) / ln(symbols). What never occurs is left out of its mean.
    Source: Jaques et al. 2019, equation 8, with means for its sums: only so does it lie in [0, 1] as they say.
    """
    together = _contingency_table(message, action, vocab_size, num_actions)
    return 0.5 * (_mean_certainty(together) + _mean_certainty(together.T))


def context_independence(message: Int[np.ndarray, "N"], concept: Int[np.ndarray, "N"]) -> float:
    """How far each concept has a symbol of its own: the mean over concepts c of p(m | c) p(c | m), m = argmax p(c | m).

    Source: Bogin, Geva and Berant 2018, arXiv:1809.00549, section 4.
    """
    together = _contingency_table(message, concept)
    together = together[:, together.any(0)]
    of_concept = together / together.sum(0)  # p(m | c)
    of_message = together / np.maximum(together.sum(1, keepdims=True), 1)  # p(c | m)
    best = of_message.argmax(0)
    concepts = np.arange(together.shape[1])
    return float((of_concept[best, concepts] * of_message[best, concepts]).mean())


def fraction_above_mean(influence: Float[np.ndarray, "..."]) -> float:
    """The share of steps whose influence is above its mean: small where influence is rare and strong."""
    influence = np.asarray(influence, np.float64)
    return float((influence > influence.mean()).mean())


class PearsonCorrelation(NamedTuple):
    rho: float  # Pearson's
    p: float  # of no correlation, two-sided


def influence_reward_correlation(
    influence_received: Float[np.ndarray, "N"], reward: Float[np.ndarray, "N"]
) -> PearsonCorrelation:
    """Do agents that are influenced more earn more themselves? One entry an agent and run.

    Raises: ConfigError for fewer than three entries, or where one of the two never varies.
    """
    from scipy.stats import pearsonr

    x, y = np.asarray(influence_received, np.float64), np.asarray(reward, np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ConfigError(f"a correlation of {len(x)} entries needs at least 3, and both must vary")
    rho, p = np.asarray(pearsonr(x, y))
    return PearsonCorrelation(float(rho), float(p))


def _contingency_table(x, y, rows: int | None = None, columns: int | None = None) -> np.ndarray:
    """How often each pair of values occurs."""
    x, y = np.asarray(x).ravel(), np.asarray(y).ravel()
    rows = int(x.max(initial=-1)) + 1 if rows is None else rows
    columns = int(y.max(initial=-1)) + 1 if columns is None else columns
    return np.bincount(x * columns + y, minlength=rows * columns).reshape(rows, columns).astype(np.float64)


def _mean_certainty(together: np.ndarray) -> float:
    """Mean over rows that occur of 1 - H(column | row) / ln(columns)."""
    together = together[together.any(1)]
    p = together / together.sum(1, keepdims=True)
    entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), 1)
    return float((1 - entropy / np.log(together.shape[1])).mean())
