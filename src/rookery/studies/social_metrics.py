"""Measures of a group of agents and of what its messages mean. Plain numpy on recorded episodes.

Letters: E episodes, T steps, A agents, N samples. Sources: Perolat et al. 2017 and Hughes et al. 2018 (equality,
sustainability, peace); Jaques et al. 2019 (speaker consistency, instantaneous coordination); Bogin et al. 2018 (context
independence).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from rookery.errors import ConfigError

NUM_SHUFFLES = 10
"""Pairings with other episodes that estimate what chance contributes to a measure."""


def collective_reward(reward: Float[np.ndarray, "... A"]) -> Float[np.ndarray, "..."]:
    """The sum over agents."""
    return np.asarray(reward, np.float64).sum(-1)


def equality(returns: Float[np.ndarray, "... A"]) -> Float[np.ndarray, "..."]:
    """1 - Gini = 1 - Σ_ij |e_i - e_j| / (2 A Σ e): 1 where all returns are equal, 1/A where one of A agents has it all.

    NaN where a return is negative or all are 0, unless all are equal: the index is undefined there, and unbounded near
    a sum of 0.
    """
    e = np.asarray(returns, np.float64)
    differences = np.abs(e[..., :, None] - e[..., None, :]).sum((-2, -1))
    total = e.sum(-1)
    is_defined = (total > 0) & (e >= 0).all(-1)
    gini = differences / np.where(is_defined, 2 * e.shape[-1] * total, np.nan)
    return np.where(differences == 0, 1.0, 1 - gini)


def sustainability(reward: Float[np.ndarray, "T A"]) -> float:
    """Mean step (from 1) of an agent's rewards, then the mean over the agents that have any. NaN if none has."""
    is_rewarded = np.asarray(reward) > 0
    step = np.arange(1, len(is_rewarded) + 1)[:, None]
    num_rewards = is_rewarded.sum(0)
    if not num_rewards.any():
        return float("nan")
    return float(((is_rewarded * step).sum(0)[num_rewards > 0] / num_rewards[num_rewards > 0]).mean())


def peace(times_zapped: Float[np.ndarray, "T A"]) -> float:
    """Number of agents minus the mean number of hits per step: A where no agent is ever hit.

    Perolat et al. subtract agents that are timed out; there is no time-out in Jaques et al.'s games, so each hit counts
    once.
    """
    times_zapped = np.asarray(times_zapped)
    return float(times_zapped.shape[1] - times_zapped.sum() / len(times_zapped))


def mutual_information(x: Int[np.ndarray, "N"], y: Int[np.ndarray, "N"]) -> float:
    """Of two discrete variables, from the counts of their pairs. Nats; biased upwards for few samples."""
    counts = _contingency_table(x, y)
    joint = counts / max(counts.sum(), 1)
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    occurs = joint > 0
    return float((joint[occurs] * np.log(joint[occurs] / independent[occurs])).sum())


def instantaneous_coordination(
    signal: Int[np.ndarray, "E T A"],
    action: Int[np.ndarray, "E T A"],
    step_mask: Bool[np.ndarray, "E T A"] | None = None,
) -> float:
    """Instantaneous coordination: I(signal of k at t; action of j at t+1), largest over ordered pairs k ≠ j, minus
    what chance contributes.

    The mutual information of few samples is above 0 even without any dependence, the more so the fewer samples and the
    more pairs there are. The same quantity with j's actions from other episodes estimates this, and is subtracted.

    Args:
      signal: messages or actions of k.
      step_mask: the steps of k that count, such as those with influence of at least its mean; default all.
    Raises: ConfigError for a single agent or a single episode.
    Source: Jaques et al. 2019; the subtraction is this project's.
    """
    signal, action = np.asarray(signal), np.asarray(action)
    num_episodes, _, num_agents = signal.shape
    if num_agents < 2 or num_episodes < 2:
        raise ConfigError(
            f"coordination needs at least 2 agents and 2 episodes, not {num_agents} agents in {num_episodes} episodes"
        )
    mask = np.ones(signal.shape, bool)[:, :-1] if step_mask is None else np.asarray(step_mask)[:, :-1]
    pairs = [(k, j) for k in range(num_agents) for j in range(num_agents) if k != j]

    def largest(next_action):
        return max(
            mutual_information(signal[:, :-1, k][mask[..., k]], next_action[..., j][mask[..., k]]) for k, j in pairs
        )

    next_action = action[:, 1:]
    shifts = np.unique(np.linspace(1, num_episodes - 1, min(num_episodes - 1, NUM_SHUFFLES)).astype(int))
    return largest(next_action) - float(np.mean([largest(np.roll(next_action, shift, 0)) for shift in shifts]))


def speaker_consistency(
    message: Int[np.ndarray, "N"], action: Int[np.ndarray, "N"], vocab_size: int, num_actions: int
) -> float:
    """How far a speaker's symbols and its own actions determine each other: 1 where they correspond one to one.

    0 where they are independent and uniform; above 0 where some symbols or actions are rare, even without dependence,
    so compare it with its value for the messages of other episodes.

    Half the mean over symbols of 1 - H(action | symbol) / ln(num_actions), plus half the mean over actions of
    1 - H(symbol | action) / ln(vocab_size); symbols and actions that never occur are left out.
    Source: Jaques et al. 2019, equation 8, with means for its sums: only then does it lie in [0, 1], as the paper says.
    """
    counts = _contingency_table(message, action, vocab_size, num_actions)
    return 0.5 * (_mean_certainty(counts) + _mean_certainty(counts.T))


def context_independence(message: Int[np.ndarray, "N"], concept: Int[np.ndarray, "N"]) -> float:
    """How far each concept has a symbol of its own: the mean over concepts c of p(m | c) p(c | m), m = argmax p(c | m).

    Source: Bogin, Geva and Berant 2018, arXiv:1809.00549, section 4.
    """
    counts = _contingency_table(message, concept)
    counts = counts[:, counts.any(0)]
    message_given_concept = counts / counts.sum(0)
    concept_given_message = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    best = concept_given_message.argmax(0)
    concepts = np.arange(counts.shape[1])
    return float((message_given_concept[best, concepts] * concept_given_message[best, concepts]).mean())


def fraction_above_mean(influence: Float[np.ndarray, "..."]) -> float:
    """Fraction of steps whose influence is above its mean: small where influence is rare and strong."""
    influence = np.asarray(influence, np.float64)
    return float((influence > influence.mean()).mean())


def _contingency_table(x, y, rows: int | None = None, columns: int | None = None) -> np.ndarray:
    """How often each pair of values occurs, f[rows, columns]."""
    x, y = np.asarray(x).ravel(), np.asarray(y).ravel()
    rows = int(x.max(initial=-1)) + 1 if rows is None else rows
    columns = int(y.max(initial=-1)) + 1 if columns is None else columns
    return np.bincount(x * columns + y, minlength=rows * columns).reshape(rows, columns).astype(np.float64)


def _mean_certainty(counts: np.ndarray) -> float:
    """Mean over the rows that occur of 1 - H(column | row) / ln(columns)."""
    counts = counts[counts.any(1)]
    p = counts / counts.sum(1, keepdims=True)
    entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), 1)
    return float((1 - entropy / np.log(counts.shape[1])).mean())
