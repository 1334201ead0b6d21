"""Schelling diagrams: what cooperating and defecting pay, by how many of the others cooperate.

With N agents, C(l) is the return of a cooperator and D(l) that of a defector if l of the other N - 1 agents cooperate
and the rest defect. The task, with these two policies, is a social dilemma if

1. mutual cooperation pays more than mutual defection: C(N-1) > D(0);
2. mutual cooperation pays more than being exploited: C(N-1) > C(0);
3. there is fear, greed or both. Fear: among defectors, defecting pays more than cooperating, D(0) > C(0). Greed: among
   cooperators, it pays more, D(N-1) > C(N-1).

Source: Hughes et al. 2018, arXiv:1803.08884, which asks for fear where sufficiently few others cooperate, and for greed
where sufficiently many do; here that is none and all of them, the strictest reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.dilemma_policies.policy_pairs import DILEMMA_ROLES
from rookery.errors import ConfigError
from rookery.intervals import Interval, difference_of_means, mean_interval
from rookery.limits import check_interval_episodes
from rookery.studies.study import Figures
from rookery.training.evaluation import EVAL_BATCH_SIZE, evaluate_team
from rookery.training.make_team import load_policy
from rookery.types import Env
from rookery.viz.dilemma_plots import schelling_curves

DILEMMA_CONDITIONS = {
    "mutual cooperation over mutual defection": "C(N-1) - D(0)",
    "mutual cooperation over being exploited": "C(N-1) - C(0)",
    "fear": "D(0) - C(0)",
    "greed": "D(N-1) - C(N-1)",
}
"""Name of a condition to the difference of returns that must exceed 0."""


class SchellingDiagram(NamedTuple):
    """Returns per episode of one agent, with 95 % intervals over episodes, and what follows from them."""

    cooperator: list[Interval]  # C(l) for l = 0 … N-1
    defector: list[Interval]  # D(l)
    conditions: dict[str, Interval]  # of `DILEMMA_CONDITIONS`

    def holds(self, condition: str) -> bool | None:
        """Whether a condition of `DILEMMA_CONDITIONS` holds; None if its interval contains 0 and it is undecided."""
        value, low, high = self.conditions[condition]
        if low > 0:
            return True
        return False if high < 0 or value == low == high == 0 else None

    @property
    def is_dilemma(self) -> bool | None:
        """Whether it is a social dilemma; None if a condition that it depends on is undecided."""
        over_defection, over_exploited, fear, greed = (self.holds(name) for name in DILEMMA_CONDITIONS)
        tempts = True if True in (fear, greed) else None if None in (fear, greed) else False
        needed = (over_defection, over_exploited, tempts)
        return False if False in needed else None if None in needed else True

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        if self.is_dilemma is None:
            undecided = [name for name in DILEMMA_CONDITIONS if self.holds(name) is None]
            return f"undecided with so few episodes: {', '.join(undecided)}"
        if not self.is_dilemma:
            for name in list(DILEMMA_CONDITIONS)[:2]:
                if self.holds(name) is False:
                    return f"not a social dilemma of these two policies: no {name}"
            return "not a social dilemma of these two policies: neither fear nor greed"
        return f"a social dilemma, by {' and '.join(name for name in ('fear', 'greed') if self.holds(name))}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SchellingDiagram:
        """What `to_dict` returned."""
        cooperator, defector = ([_interval(row) for row in data[role]] for role in ("cooperator", "defector"))
        return cls(cooperator, defector, {name: _interval(data["conditions"][name]) for name in DILEMMA_CONDITIONS})

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "cooperator": [interval.to_dict() for interval in self.cooperator],
            "defector": [interval.to_dict() for interval in self.defector],
            "conditions": {
                name: {**interval.to_dict(), "holds": self.holds(name)} for name, interval in self.conditions.items()
            },
            "is_dilemma": self.is_dilemma,
            "verdict": self.verdict,
        }


def _interval(data: Mapping[str, Any]) -> Interval:
    """From JSON, which has no NaN."""
    return Interval(*(np.nan if data[name] is None else data[name] for name in ("value", "low", "high")))


def schelling_diagram(
    env: Env,
    cooperator: str = DILEMMA_ROLES[0],
    defector: str = DILEMMA_ROLES[1],
    *,
    episodes: int = 200,
    seed: int = 0,
) -> SchellingDiagram:
    """Play teams of every number of cooperators and measure both.

    The first slots are the cooperators', so the slots of the task must have the same chances: as where agents start on
    random cells.

    Args:
      cooperator, defector: the scripted ones of the task; or trained agents, as the command line names them.
      episodes: for each number of cooperators, at least 2.
    Raises: ConfigError for a task without scripted policies, a single agent or too few episodes; NotFoundError,
      CorruptFileError or IncompatibleError for trained agents that cannot be loaded or do not fit.
    """
    num_agents = env.num_agents
    if num_agents < 2:
        raise ConfigError(f"the task has {num_agents} agent; a Schelling diagram needs at least 2")
    check_interval_episodes("episodes", episodes)
    every_slot = tuple(range(num_agents))
    policies = [load_policy(source, env, every_slot) for source in (cooperator, defector)]
    returns: dict[str, list[np.ndarray]] = {role: [] for role in DILEMMA_ROLES}  # by the number of others
    for num_cooperators in range(num_agents + 1):
        slots_by_role = zip(DILEMMA_ROLES, (every_slot[:num_cooperators], every_slot[num_cooperators:]), strict=True)
        played = {
            role: (AgentGroup(role, slots, policy), params)
            for (role, slots), (policy, params) in zip(slots_by_role, policies, strict=True)
            if slots
        }
        team = Team(tuple(group for group, _ in played.values()))
        setup = TeamSetup(env, team, {role: params for role, (_, params) in played.items()})
        stats = evaluate_team(setup, episodes, seed, batch_size=min(episodes, EVAL_BATCH_SIZE))
        episode_return = np.asarray(stats.episode_return)
        for role, (group, _) in played.items():
            returns[role].append(episode_return[:, list(group.slots)].mean(1))
    return diagram_of_returns(*returns.values())


def diagram_of_returns(cooperator: list[np.ndarray], defector: list[np.ndarray]) -> SchellingDiagram:
    """The diagram from returns of episodes, f[E] for each number of other cooperators, from 0."""
    pairs = (
        (cooperator[-1], defector[0]),
        (cooperator[-1], cooperator[0]),
        (defector[0], cooperator[0]),
        (defector[-1], cooperator[-1]),
    )
    return SchellingDiagram(
        cooperator=[mean_interval(values) for values in cooperator],
        defector=[mean_interval(values) for values in defector],
        conditions={name: difference_of_means(*pair) for name, pair in zip(DILEMMA_CONDITIONS, pairs, strict=True)},
    )


def schelling_figures(diagram: SchellingDiagram, task_name: str) -> Figures:
    """The diagram as a figure of a study."""
    figure = schelling_curves(diagram.cooperator, diagram.defector, title=task_name)
    caption = f"Return of one agent by how many of the others cooperate: {diagram.verdict}."
    return [("schelling", figure, caption)]
