"""An environment, the team that fills it and the team's parameters: what evaluation, replays and games start from."""

from __future__ import annotations

import dataclasses

import numpy as np

from rookery.agents.team import Team
from rookery.types import Env, PyTree


@dataclasses.dataclass(frozen=True)
class TeamSetup:
    """A team ready to play: a policy and its parameters for each of the A slots of an environment.

    Made from names, as on the command line, by `rookery.training.make_team.make_team_setup`.
    """

    env: Env
    team: Team
    params: dict[str, PyTree]
    """Policy parameters by group name. Those of a group with a learner lead with one entry per slot."""
    agent_names: tuple[str, ...] = ()
    """What to call the agent in each slot, [A]; empty: they have no names."""
    roles: tuple[str, ...] = ()
    """How each agent came to act as it does, [A], such as "scripted" or "trained"; empty: not known."""
    task_id: str = ""
    """What to call the task."""
    description: str = ""
    """One line on the task, for people who watch or play."""
    rules: tuple[str, ...] = ()
    """What earns and what costs how much, in a few sentences, for people who play."""
    agent_slot: int = 0
    """The slot of the agent that is evaluated next to partners."""

    @property
    def only_agent(self) -> np.ndarray:
        """bool[A]: the evaluated agent without the others."""
        return np.arange(self.env.num_agents) == self.agent_slot
