"""Where frozen agents and teams are evaluated, and the stored measurement of each.

Evaluation episodes never overlap with training episodes, and the same seed gives the same worlds for every condition.
Every measurement is one small file, so an interrupted study repeats none of them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.agents.zoo import load_trained_agent
from rookery.errors import ConfigError, CorruptFileError
from rookery.learning.rollout import EpisodeStats
from rookery.storage.atomic import write_json
from rookery.storage.serialization import check_json, load_json, to_dict
from rookery.studies.measures import agent_measures, team_measures
from rookery.studies.results_shape import AgentMeasures, TeamMeasures
from rookery.studies.training_run import Budget
from rookery.tasks.registry import make_env
from rookery.training.config import PolicyConfig
from rookery.training.evaluation import EVAL_BATCH_SIZE, evaluate_team
from rookery.types import PyTree

MEASUREMENT_FORMAT = 3
"""Format of a stored measurement; a change of what is measured makes another one."""
AGENT_GROUP = "evaluated"
"""Name of the group of the agent under evaluation."""


@dataclasses.dataclass(frozen=True)
class EvaluatedAgent:
    """Frozen agents under evaluation: one agent, or one for every slot of a team."""

    seed: int | None
    """Seed of its training; None: it has none (zoo, scripted or random)."""
    policies: tuple[PolicyConfig, ...]
    """[1] for a single agent, [A] for a team."""
    fingerprint: str
    """Equal for equal agents: identifies a stored measurement."""

    @classmethod
    def of(cls, *policies: PolicyConfig, seed: int | None = None) -> EvaluatedAgent:
        """An agent or team, with its fingerprint.

        Raises: NotFoundError or CorruptFileError for a trained agent that cannot be loaded.
        """
        prints = [policy_fingerprint(policy) for policy in policies]
        return cls(seed, policies, prints[0] if len(prints) == 1 else json.dumps(prints))


def policy_fingerprint(policy: PolicyConfig) -> str:
    """The digest of a trained agent's weights; any other policy's configuration."""
    if policy.checkpoint:
        return load_trained_agent(policy.checkpoint).card["sha256"]
    return json.dumps(to_dict(policy), sort_keys=True)


class ConditionEvaluator:
    """An evaluation condition set up for one budget."""

    measures: Any
    """Type of what it measures, as of `rookery.storage.serialization.check_json`."""

    def __init__(self, task: Any, eval_episodes: int) -> None:
        self.task: Any
        self.eval_episodes: int
        self.task, self.eval_episodes = task, eval_episodes
        self.env: Any = make_env(task)

    def build_team(self, agent: EvaluatedAgent) -> TeamSetup:
        """The agent or team in this condition, ready to play.

        Raises: IncompatibleError for an agent that does not fit the task.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method build_team(agent)")

    def evaluate(self, agent: EvaluatedAgent, seed: int) -> dict[str, Any]:
        """The row of measures of an agent or team (see `rookery.studies.measures`)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method evaluate(agent, seed)")

    def condition_settings(self) -> list[Any]:
        """What identifies the condition, as JSON."""
        return [to_dict(self.task)]

    def measurement_key(self, agent: EvaluatedAgent, seed: int) -> str:
        """File name of this agent's measurement: different for other settings."""
        settings = [*self.condition_settings(), agent.fingerprint, self.eval_episodes, seed]
        text = json.dumps([MEASUREMENT_FORMAT, *settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def play(self, setup: TeamSetup, seed: int, agent_mask: np.ndarray | None = None) -> EpisodeStats:
        """Play the condition's evaluation episodes. `agent_mask`: bool[A], the agents that take part; None: all."""
        batch_size = min(EVAL_BATCH_SIZE, self.eval_episodes)
        return evaluate_team(setup, self.eval_episodes, seed, agent_mask, batch_size)


class AgentConditionEvaluator(ConditionEvaluator):
    """One agent in a slot, evaluated with fixed partners in the other slots and alone."""

    measures = AgentMeasures

    def __init__(self, task: Any, partners: tuple[PolicyConfig, ...], eval_episodes: int, slot: int = 0) -> None:
        super().__init__(task, eval_episodes)
        self.partners = partners
        self.slot = slot

    def condition_settings(self) -> list[Any]:
        settings = [*super().condition_settings(), [policy_fingerprint(policy) for policy in self.partners]]
        return [*settings, self.slot] if self.slot else settings

    def build_team(self, agent: EvaluatedAgent) -> TeamSetup:
        (policy_config,) = agent.policies
        policy, params = policy_config.make_policy(self.env, self.slot, AGENT_GROUP)
        groups, partner_params = self._partner_groups
        team = Team((AgentGroup(AGENT_GROUP, (self.slot,), policy), *groups))
        return TeamSetup(self.env, team, {AGENT_GROUP: params, **partner_params}, agent_slot=self.slot)

    @functools.cached_property
    def _partner_groups(self) -> tuple[list[AgentGroup], dict[str, PyTree]]:
        """One group for each kind of partner, and their parameters."""
        groups, params = [], {}
        others = [other for other in range(len(self.partners) + 1) if other != self.slot]
        for number, config in enumerate(dict.fromkeys(self.partners)):
            slots = tuple(other for other, partner in zip(others, self.partners, strict=True) if partner == config)
            name = f"partners-{number}"
            policy, params[name] = config.make_policy(self.env, slots[0], name)
            groups.append(AgentGroup(name, slots, policy))
        return groups, params

    def evaluate(self, agent: EvaluatedAgent, seed: int) -> dict[str, Any]:
        setup = self.build_team(agent)
        return agent_measures(self.play(setup, seed), self.play(setup, seed, setup.only_agent), self.slot)


class TeamConditionEvaluator(ConditionEvaluator):
    """A team of trained agents that fills every slot."""

    measures = TeamMeasures

    def condition_settings(self) -> list[Any]:
        return ["team", *super().condition_settings()]

    def build_team(self, agent: EvaluatedAgent) -> TeamSetup:
        groups, params = [], {}
        for slot, config in enumerate(agent.policies):
            name = f"agent-{slot}"
            policy, params[name] = config.make_policy(self.env, slot, name)
            groups.append(AgentGroup(name, (slot,), policy))
        return TeamSetup(self.env, Team(tuple(groups)), params)

    def evaluate(self, agent: EvaluatedAgent, seed: int) -> dict[str, Any]:
        return team_measures(self.play(self.build_team(agent), seed), self.env.max_steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeamEvalCondition:
    """A task that trained teams are evaluated in; they fill all its slots."""

    name: str
    task: Callable[[Budget], Any]

    def evaluator(self, budget: Budget, eval_episodes: int) -> ConditionEvaluator:
        """The condition set up for a budget."""
        return TeamConditionEvaluator(self.task(budget), eval_episodes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalCondition(TeamEvalCondition):
    """A task and partners that single agents are evaluated with."""

    partners: Callable[[Budget], tuple[PolicyConfig, ...]]
    """One for each slot but the agent's own."""
    slot: int = 0
    """The agent's own."""

    def evaluator(self, budget: Budget, eval_episodes: int) -> AgentConditionEvaluator:
        return AgentConditionEvaluator(self.task(budget), self.partners(budget), eval_episodes, self.slot)


def read_measurement(path: Path, measures: Any) -> dict[str, Any]:
    """A stored measurement.

    Args:
      measures: its type, as of `check_json`.
    Raises: CorruptFileError if the file is damaged; StorageError if it cannot be read.
    """
    try:
        stored = load_json(path, CorruptFileError)
        check_json(measures, stored, "measurement")
    except CorruptFileError as error:
        raise CorruptFileError(f"{error}, or remove the file to measure again") from None
    except ConfigError as error:
        raise CorruptFileError(f"{path} is damaged: {error}; remove the file to measure again") from None
    return stored


def measure_or_load(
    evaluator: ConditionEvaluator, agent: EvaluatedAgent, seed: int, measurements_dir: Path
) -> dict[str, Any]:
    """The row of one agent or team in one condition, from its file if it was measured before.

    Args:
      seed: of the evaluation episodes: agents of one seed are evaluated in the same worlds in every condition.
    Raises: as `read_measurement`.
    """
    path = measurements_dir / f"{evaluator.measurement_key(agent, seed)}.json"
    if path.exists():
        return read_measurement(path, evaluator.measures)
    row = evaluator.evaluate(agent, seed)
    write_json(path, row)
    return row
