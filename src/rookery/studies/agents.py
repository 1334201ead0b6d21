"""Where a study's agents come from, and how they stand in a scene."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from rookery.agents import zoo
from rookery.agents.team import Group, Team
from rookery.runs.build import group_policy
from rookery.runs.codec import to_dict
from rookery.runs.config import Frozen, GroupConfig, PolicyConfig
from rookery.runs.evaluation import Match
from rookery.studies.study import Budget, Scene
from rookery.tasks.registry import environment
from rookery.types import Env, PyTree


@dataclasses.dataclass(frozen=True)
class Subject:
    """One frozen agent under test."""

    seed: int | None  # of its training; None: it has none
    policy: PolicyConfig
    identity: str  # equal for equal agents: what a stored measurement is known by


def subject(policy: PolicyConfig, seed: int | None = None) -> Subject:
    """A frozen agent, known by its weights' digest; a scripted or random one by its kind."""
    if isinstance(policy, Frozen):
        return Subject(seed, policy, zoo.load(policy.source).card["sha256"])
    return Subject(seed, policy, json.dumps(to_dict(policy), sort_keys=True))


def played_by(policy: PolicyConfig, env: Env, slot: int) -> tuple[Any, PyTree]:
    """The policy a configuration stands for, and its parameters."""
    return group_policy(GroupConfig(name="subject", slots=(slot,), policy=policy), env)


class Stage:
    """A scene set up for one budget; compiles one match for each kind of policy that enters it."""

    def __init__(self, scene: Scene, budget: Budget, episodes: int):
        self.scene, self.episodes = scene, episodes
        self.task = scene.task(budget)
        self.beside = scene.beside(budget)
        self.env: Any = environment(self.task)
        self._matches: dict[Any, Match] = {}

    def team(self, policy: PolicyConfig) -> tuple[Team, dict[str, PyTree]]:
        """The agent in slot 0 and its company, with their parameters by group."""
        params: dict[str, PyTree] = {}
        own, params["subject"] = played_by(policy, self.env, 0)
        groups = [Group("subject", (0,), own)]
        for number, kind in enumerate(dict.fromkeys(self.beside)):
            slots = tuple(i + 1 for i, b in enumerate(self.beside) if b == kind)
            name = f"other-{number}"
            played, params[name] = played_by(kind, self.env, slots[0])
            groups.append(Group(name, slots, played))
        return Team(tuple(groups)), params

    def match(self, team: Team) -> Match:
        key = team.groups[0].policy
        if key not in self._matches:
            from rookery.runs.evaluation import BATCH

            self._matches[key] = Match(self.env, team, min(BATCH, self.episodes))
        return self._matches[key]

    def key(self, agent: Subject, seed: int) -> str:
        """A name for this agent's measurement here: other settings, other name."""
        company = [subject(policy).identity for policy in self.beside]
        said = json.dumps([FORMAT, to_dict(self.task), company, agent.identity, self.episodes, seed], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:24]


FORMAT = 1
"""Of a stored measurement; a change of what is measured makes another."""


def agent_path(run_dir: Path, arm: str, seed: int | str, group: str, slot: int) -> Path:
    """Where a run exports an agent."""
    from rookery.runs.trainer import AGENTS, agent_file

    return run_dir / AGENTS / agent_file(arm, seed, group, slot)  # type: ignore[arg-type]
