"""What is measured of evaluated agents: one row per agent or team, with intervals over its episodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.intervals import Interval, mean_over_episodes
from rookery.learning.rollout import EpisodeStats
from rookery.studies import social_metrics

AGENT_MEASURES = ("return_social", "return_solo", "social_gain")
"""Return with the partners, return alone, and the first minus the second, episode by episode."""
TEAM_MEASURES = ("collective_reward", "equality", "sustainability", "peace")
"""Collective reward of an episode; 1 - Gini index of the agents' returns; mean step at which a reward is received;
number of agents minus agents hit per step."""

MEASURE_LABELS = {
    "return_social": "return with others",
    "return_solo": "return alone",
    "social_gain": "social gain",
    "return_partners": "return of the partners",
    "collective_reward": "collective reward",
}
METRIC_LABELS = {
    "steps_to_first_reward": "steps to the first reward",
    "opened": "fraction of episodes in which the box is opened",
}
METRIC_GROUPS = {
    "metrics_social": "with others",
    "metrics_solo": "alone",
    "metrics_partners": "of the partners",
    "metrics": "",
}
"""Groups of task metrics in a row: of the evaluated agent with partners and alone, of the partners, of a whole team."""


def measure_label(measure: str) -> str:
    """A measure in words, for claims and axes: 'GROUP: METRIC' for a task metric, such as 'metrics_solo: goals'."""
    if ": " not in measure:
        return MEASURE_LABELS.get(measure, measure)
    group, name = measure.split(": ", 1)
    return f"{METRIC_LABELS.get(name, name)} {METRIC_GROUPS[group]}".strip()


def agent_measures(social: EpisodeStats, solo: EpisodeStats, slot: int = 0) -> dict[str, Any]:
    """The row of the agent in a slot: its measures, and mean task metrics of the agent and of its partners.

    Args:
      social: E episodes with the partners. solo: the same worlds without them.
    """
    num_agents = social.episode_return.shape[1]
    agent = slice(slot, slot + 1)
    partners = slice(1, None) if slot == 0 else [other for other in range(num_agents) if other != slot]
    return_social, return_solo = social.episode_return[:, slot], solo.episode_return[:, slot]
    return {
        "eval_episodes": len(return_social),
        "return_social": mean_over_episodes(return_social).to_dict("mean"),
        "return_solo": mean_over_episodes(return_solo).to_dict("mean"),
        "social_gain": mean_over_episodes(return_social - return_solo).to_dict("mean"),
        "return_partners": float(social.episode_return[:, partners].mean()) if num_agents > 1 else None,
        "metrics_social": _mean_metrics(social, agent),
        "metrics_solo": _mean_metrics(solo, agent),
        "metrics_partners": _mean_metrics(social, partners) if num_agents > 1 else {},
    }


def team_measures(stats: EpisodeStats, num_steps: int) -> dict[str, Any]:
    """The row of a team: its measures, each agent's mean return, and task metrics summed over agents.

    Args:
      stats: E episodes of `num_steps` steps.
    """
    returns, metrics = np.asarray(stats.episode_return, np.float64), stats.task_metrics
    row = {
        "eval_episodes": len(returns),
        "collective_reward": mean_over_episodes(social_metrics.collective_reward(returns)).to_dict("mean"),
        "equality": _mean_where_defined(social_metrics.equality(returns)),
    }
    if "apple_steps" in metrics:
        row["sustainability"] = _mean_where_defined(
            _sustainability_per_episode(metrics["apples"], metrics["apple_steps"])
        )
    if "times_zapped" in metrics:
        peace = returns.shape[1] - metrics["times_zapped"].sum(1) / num_steps
        row["peace"] = mean_over_episodes(peace).to_dict("mean")
    return {
        **row,
        "returns": {f"agent_{slot}": float(mean) for slot, mean in enumerate(returns.mean(0))},
        "metrics": {name: float(value.sum(1).mean()) for name, value in metrics.items() if name != "apple_steps"},
    }


def _mean_metrics(stats: EpisodeStats, slots: slice | list[int]) -> dict[str, float]:
    """Mean over episodes and slots of every task metric and of the steps to the first reward."""
    metrics = {name: float(value[:, slots].mean()) for name, value in stats.task_metrics.items()}
    return {**metrics, "steps_to_first_reward": float(stats.steps_to_first_reward[:, slots].mean())}


def _sustainability_per_episode(apples, apple_steps) -> np.ndarray:
    """Sustainability of each episode, f[E], from each agent's number of apples, f[E, A], and the sum of their steps."""
    has_eaten = np.asarray(apples) > 0
    mean_step = np.where(has_eaten, np.asarray(apple_steps, np.float64) / np.where(has_eaten, apples, 1), 0)
    with np.errstate(invalid="ignore"):  # undefined in an episode in which no agent eats
        return mean_step.sum(1) / has_eaten.sum(1)


def _mean_where_defined(values) -> dict[str, float | None]:
    """Over the episodes in which the value is defined."""
    values = np.asarray(values)[np.isfinite(values)]
    interval = mean_over_episodes(values) if len(values) else Interval.unknown()
    return interval.to_dict("mean")
