"""Teams that learned together and are tested together: a source of agents, and the scene they are tested in.

What a team earns is told of all its agents at once: collective reward, equality, sustainability and peace, as
`social_metrics.py` has them, and what the task counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.agents import zoo
from rookery.agents.team import AgentGroup, Team
from rookery.learning.rollout import EpisodeStats
from rookery.storage.serialization import to_dict
from rookery.studies import social_metrics
from rookery.studies.evaluated_agents import agent_path
from rookery.studies.statistics import Interval, mean_over_episodes
from rookery.studies.study import Budget, TrainingRun
from rookery.tasks.registry import make_env
from rookery.training.policy_config import check_compatible
from rookery.training.evaluation import EVAL_BATCH_SIZE, TeamEvaluator

if TYPE_CHECKING:
    from rookery.studies.session import Session

TEAM_MEASURES = ("collective_reward", "equality", "sustainability", "peace")
"""Collective reward of an episode; 1 - Gini of what the agents earned in it; the mean step of being paid; agents less
those hit in a step."""

TEAM_MEASUREMENT_FORMAT = 3
"""Of a stored measurement; a change of what is measured makes another."""


@dataclasses.dataclass(frozen=True)
class EvaluatedTeam:
    """One frozen team under test."""

    seed: int  # of its training
    checkpoints: tuple[str, ...]  # of each slot's agent: a .safetensors file
    fingerprint: str  # equal for equal teams


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedTeam:
    """Everybody that one arm of a training made, one team a seed. All slots of its world must learn."""

    run: TrainingRun
    variant: str

    def runs(self) -> tuple[TrainingRun, ...]:
        return (self.run,)

    def evaluated_agents(self, session: Session) -> list[EvaluatedTeam]:
        """The team of each seed."""
        config, folder = session.run_config(self.run), session.run_dir(self.run)
        owner = {slot: group.name for group in config.team for slot in group.slots}
        found = []
        for seed in session.seed_range:
            paths = tuple(str(agent_path(folder, self.variant, seed, owner[slot], slot)) for slot in sorted(owner))
            known = json.dumps([zoo.load_trained_agent(path).card["sha256"] for path in paths])
            found.append(EvaluatedTeam(seed, paths, known))
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeamEvalCondition:
    """Where learned teams are tested: they fill all its slots."""

    name: str
    task: Callable[[Budget], Any]


class TeamConditionEvaluator:
    """A scene set up for one budget; compiles one match for each kind of team that enters it."""

    def __init__(self, eval_condition: TeamEvalCondition, budget: Budget, eval_episodes: int):
        self.eval_condition, self.eval_episodes = eval_condition, eval_episodes
        self.task = eval_condition.task(budget)
        self.env: Any = make_env(self.task)
        self._team_evaluators: dict[Any, TeamEvaluator] = {}

    def measurement_key(self, team: EvaluatedTeam, seed: int) -> str:
        """A name for this team's measurement here: other settings, other name."""
        said = json.dumps(
            [TEAM_MEASUREMENT_FORMAT, "team", to_dict(self.task), team.fingerprint, self.eval_episodes, seed],
            sort_keys=True,
        )
        return hashlib.sha256(said.encode()).hexdigest()[:24]

    def evaluate(self, team: EvaluatedTeam, seed: int) -> dict:
        """A row: the team's measures with intervals over episodes, each agent's return, and what the task counts."""
        groups, params = [], {}
        for slot, source in enumerate(team.checkpoints):
            agent = zoo.load_trained_agent(source)
            check_compatible(
                agent.policy, self.env.observation_shape(slot), self.env.num_actions, f"slot {slot}: {source}"
            )
            groups.append(AgentGroup(f"agent-{slot}", (slot,), agent.policy))
            params[f"agent-{slot}"] = agent.params
        kind = tuple(group.policy for group in groups)
        if kind not in self._team_evaluators:
            self._team_evaluators[kind] = TeamEvaluator(
                self.env, Team(tuple(groups)), min(EVAL_BATCH_SIZE, self.eval_episodes)
            )
        return team_measures(self._team_evaluators[kind].evaluate(params, self.eval_episodes, seed), self.env.max_steps)


def team_measures(stats: EpisodeStats, num_steps: int) -> dict:
    """What a team's episodes of so many steps came to."""
    returns, events = np.asarray(stats.episode_return, np.float64), stats.task_metrics
    found = {
        "eval_episodes": len(returns),
        "collective_reward": _interval_to_dict(mean_over_episodes(social_metrics.collective_reward(returns))),
        "equality": _mean_where_defined(social_metrics.equality(returns)),
    }
    if "apple_steps" in events:
        found["sustainability"] = _mean_where_defined(
            _sustainability_per_episode(events["apples"], events["apple_steps"])
        )
    if "times_zapped" in events:
        found["peace"] = _interval_to_dict(
            mean_over_episodes(returns.shape[1] - events["times_zapped"].sum(1) / num_steps)
        )
    return {
        **found,
        "returns": {f"agent_{slot}": float(mean) for slot, mean in enumerate(returns.mean(0))},
        "metrics": {name: float(value.sum(1).mean()) for name, value in events.items() if name != "apple_steps"},
    }


def _sustainability_per_episode(times, steps) -> np.ndarray:
    """Sustainability of each episode, f[E], from how often each agent ate, f[E, A], and the sum of the steps."""
    ate = np.asarray(times) > 0
    own = np.where(ate, np.asarray(steps, np.float64) / np.where(ate, times, 1), 0)
    with np.errstate(invalid="ignore"):  # where nobody ate there is none
        return own.sum(1) / ate.sum(1)


def _mean_where_defined(values) -> dict[str, float | None]:
    """Over the episodes in which there is such a number."""
    values = np.asarray(values)[np.isfinite(values)]
    return _interval_to_dict(mean_over_episodes(values) if len(values) else Interval(*[float("nan")] * 3))


def _interval_to_dict(interval: Interval) -> dict[str, float | None]:
    return {name: x if np.isfinite(x) else None for name, x in zip(("mean", "low", "high"), interval, strict=True)}
