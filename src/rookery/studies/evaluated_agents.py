"""Where a study's agents come from, and how they stand in a scene."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from rookery.agents import zoo
from rookery.agents.team import AgentGroup, Team
from rookery.storage.serialization import to_dict
from rookery.studies.study import Budget, EvalCondition
from rookery.tasks.registry import make_env
from rookery.training.config import FrozenPolicyConfig, GroupConfig, PolicyConfig
from rookery.training.evaluation import TeamEvaluator
from rookery.types import Env, PyTree


@dataclasses.dataclass(frozen=True)
class EvaluatedAgent:
    """One frozen agent under test."""

    seed: int | None  # of its training; None: it has none
    policy: PolicyConfig
    fingerprint: str  # equal for equal agents: what a stored measurement is known by


def evaluated_agent(policy: PolicyConfig, seed: int | None = None) -> EvaluatedAgent:
    """A frozen agent, known by its weights' digest; a scripted or random one by its kind."""
    if isinstance(policy, FrozenPolicyConfig):
        return EvaluatedAgent(seed, policy, zoo.load_trained_agent(policy.checkpoint).card["sha256"])
    return EvaluatedAgent(seed, policy, json.dumps(to_dict(policy), sort_keys=True))


def policy_and_params(policy: PolicyConfig, env: Env, slot: int) -> tuple[Any, PyTree]:
    """The policy a configuration stands for, and its parameters."""
    return policy.make_policy(env, slot, "evaluated")


class ConditionEvaluator:
    """A scene set up for one budget; compiles one match for each kind of policy that enters it."""

    def __init__(self, eval_condition: EvalCondition, budget: Budget, eval_episodes: int):
        self.eval_condition, self.eval_episodes = eval_condition, eval_episodes
        self.task = eval_condition.task(budget)
        self.partners = eval_condition.partners(budget)
        self.env: Any = make_env(self.task)
        self._team_evaluators: dict[Any, TeamEvaluator] = {}

    def build_team(self, policy: PolicyConfig) -> tuple[Team, dict[str, PyTree]]:
        """The agent in slot 0 and its company, with their parameters by group."""
        params: dict[str, PyTree] = {}
        own, params["evaluated"] = policy_and_params(policy, self.env, 0)
        groups = [AgentGroup("evaluated", (0,), own)]
        for number, kind in enumerate(dict.fromkeys(self.partners)):
            slots = tuple(i + 1 for i, b in enumerate(self.partners) if b == kind)
            name = f"partners-{number}"
            played, params[name] = policy_and_params(kind, self.env, slots[0])
            groups.append(AgentGroup(name, slots, played))
        return Team(tuple(groups)), params

    def team_evaluator(self, team: Team) -> TeamEvaluator:
        key = team.groups[0].policy
        if key not in self._team_evaluators:
            from rookery.training.evaluation import EVAL_BATCH_SIZE

            self._team_evaluators[key] = TeamEvaluator(self.env, team, min(EVAL_BATCH_SIZE, self.eval_episodes))
        return self._team_evaluators[key]

    def measurement_key(self, agent: EvaluatedAgent, seed: int) -> str:
        """A name for this agent's measurement here: other settings, other name."""
        company = [evaluated_agent(policy).fingerprint for policy in self.partners]
        said = json.dumps(
            [AGENT_MEASUREMENT_FORMAT, to_dict(self.task), company, agent.fingerprint, self.eval_episodes, seed],
            sort_keys=True,
        )
        return hashlib.sha256(said.encode()).hexdigest()[:24]


AGENT_MEASUREMENT_FORMAT = 2
"""Of a stored measurement; a change of what is measured makes another."""


def agent_path(run_dir: Path, variant: str, seed: int | str, group: str, slot: int) -> Path:
    """Where a run exports an agent."""
    from rookery.training.trainer import AGENTS_DIR, agent_file

    return run_dir / AGENTS_DIR / agent_file(variant, seed, group, slot)  # type: ignore[arg-type]
