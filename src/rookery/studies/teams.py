"""Teams that learned together and are tested together: a source of agents, and the scene they are tested in.

What a team earns is told of all its agents at once: collective reward, equality, sustainability and peace, as
`social.py` has them, and what the task counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.agents import zoo
from rookery.agents.team import Group, Team
from rookery.learning.rollout import Tally
from rookery.runs.build import check_fit
from rookery.runs.codec import to_dict
from rookery.runs.evaluation import BATCH, Match
from rookery.studies import social
from rookery.studies.agents import agent_path
from rookery.studies.statistics import Interval, mean_over_episodes
from rookery.studies.study import Budget, Training
from rookery.tasks.registry import environment

if TYPE_CHECKING:
    from rookery.studies.session import Session

TEAM_MEASURES = ("collective", "equality", "sustainability", "peace")
"""Collective reward of an episode; 1 - Gini of what the agents earned in it; the mean step of being paid; agents less
those hit in a step."""

FORMAT = 2
"""Of a stored measurement; a change of what is measured makes another."""


@dataclasses.dataclass(frozen=True)
class TeamSubject:
    """One frozen team under test."""

    seed: int  # of its training
    sources: tuple[str, ...]  # of each slot's agent: a .safetensors file
    identity: str  # equal for equal teams


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnedTeam:
    """Everybody that one arm of a training made, one team a seed. All slots of its world must learn."""

    training: Training
    arm: str

    def trainings(self) -> tuple[Training, ...]:
        return (self.training,)

    def subjects(self, session: Session) -> list[TeamSubject]:
        """The team of each seed."""
        config, folder = session.config(self.training), session.folder(self.training)
        owner = {slot: group.name for group in config.team for slot in group.slots}
        found = []
        for seed in session.own_seeds:
            paths = tuple(str(agent_path(folder, self.arm, seed, owner[slot], slot)) for slot in sorted(owner))
            known = json.dumps([zoo.load(path).card["sha256"] for path in paths])
            found.append(TeamSubject(seed, paths, known))
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeamScene:
    """Where learned teams are tested: they fill all its slots."""

    name: str
    task: Callable[[Budget], Any]


class TeamStage:
    """A scene set up for one budget; compiles one match for each kind of team that enters it."""

    def __init__(self, scene: TeamScene, budget: Budget, episodes: int):
        self.scene, self.episodes = scene, episodes
        self.task = scene.task(budget)
        self.env: Any = environment(self.task)
        self._matches: dict[Any, Match] = {}

    def key(self, team: TeamSubject, seed: int) -> str:
        """A name for this team's measurement here: other settings, other name."""
        said = json.dumps([FORMAT, "team", to_dict(self.task), team.identity, self.episodes, seed], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:24]

    def play(self, team: TeamSubject, seed: int) -> dict:
        """A row: the team's measures with intervals over episodes, each agent's return, and what the task counts."""
        groups, params = [], {}
        for slot, source in enumerate(team.sources):
            agent = zoo.load(source)
            check_fit(agent.policy, self.env.observation_shape(slot), self.env.actions, f"slot {slot}: {source}")
            groups.append(Group(f"agent-{slot}", (slot,), agent.policy))
            params[f"agent-{slot}"] = agent.params
        kind = tuple(group.policy for group in groups)
        if kind not in self._matches:
            self._matches[kind] = Match(self.env, Team(tuple(groups)), min(BATCH, self.episodes))
        return measures(self._matches[kind].play(params, self.episodes, seed), self.env.max_steps)


def measures(tally: Tally, steps: int) -> dict:
    """What a team's episodes of so many steps came to."""
    returns, events = np.asarray(tally.episode_return, np.float64), tally.events
    found = {
        "episodes": len(returns),
        "collective": _said(mean_over_episodes(social.collective_reward(returns))),
        "equality": _defined(social.equality(returns)),
    }
    if "apple_steps" in events:
        found["sustainability"] = _defined(_mean_step(events["apples"], events["apple_steps"]))
    if "struck" in events:
        found["peace"] = _said(mean_over_episodes(returns.shape[1] - events["struck"].sum(1) / steps))
    return {
        **found,
        "returns": {f"agent {slot}": float(mean) for slot, mean in enumerate(returns.mean(0))},
        "counts": {name: float(value.sum(1).mean()) for name, value in events.items() if name != "apple_steps"},
    }


def _mean_step(times, steps) -> np.ndarray:
    """Sustainability of each episode, f[E], from how often each agent ate, f[E, A], and the sum of the steps."""
    ate = np.asarray(times) > 0
    own = np.where(ate, np.asarray(steps, np.float64) / np.where(ate, times, 1), 0)
    with np.errstate(invalid="ignore"):  # where nobody ate there is none
        return own.sum(1) / ate.sum(1)


def _defined(values) -> dict[str, float | None]:
    """Over the episodes in which there is such a number."""
    values = np.asarray(values)[np.isfinite(values)]
    return _said(mean_over_episodes(values) if len(values) else Interval(*[float("nan")] * 3))


def _said(interval: Interval) -> dict[str, float | None]:
    return {name: x if np.isfinite(x) else None for name, x in zip(("mean", "low", "high"), interval, strict=True)}
