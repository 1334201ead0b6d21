"""Cross-play: every agent of a list with every other, such as the agents of all seeds of a run.

Agents that trained together may have found conventions of their own, or learned to exploit or to punish each other.
Self-play, the diagonal, cannot tell; play with agents of other seeds does.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.errors import ConfigError, NotFoundError
from rookery.intervals import Interval, format_interval, mean_interval, pairs_interval
from rookery.storage.run_files import AGENTS_DIR
from rookery.studies.study import Figures
from rookery.tasks.registry import make_env
from rookery.training.config import RunConfig
from rookery.training.evaluation import EVAL_BATCH_SIZE, evaluate_team
from rookery.training.make_team import load_policy
from rookery.training.trainer import agent_file
from rookery.types import Env
from rookery.viz.dilemma_plots import cross_play_matrix

if TYPE_CHECKING:
    from rookery.studies.agent_sources import TrainedTeam
    from rookery.studies.session import Session

MAX_PLAYERS = 50
"""Agents or teams of one matrix; their number squared is what is played."""
STUDY_EPISODES = 100
"""Episodes of each pair in a study, at most."""


class CrossPlay(NamedTuple):
    """Mean returns per episode. Row i: the agent that is measured, in slot 0; column j: the other slots are of j."""

    names: tuple[str, ...]  # of the K agents
    returns: Float[np.ndarray, "K K"]  # of the agent in slot 0
    others: Float[np.ndarray, "K K"]  # mean over the agents in the other slots

    @property
    def self_play(self) -> Interval:
        """Mean over agents of the return with themselves, with its interval over agents."""
        return mean_interval(np.diag(self.team_returns))

    @property
    def cross_play(self) -> Interval:
        """Mean over the pairs of different agents, with its interval over agents; unknown bounds for two."""
        return pairs_interval(self.team_returns)

    @property
    def team_returns(self) -> Float[np.ndarray, "K K"]:
        """Mean return of the two sides."""
        return (self.returns + self.others) / 2

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CrossPlay:
        """What `to_dict` returned."""
        returns, others = (np.array(data[name], float) for name in ("returns", "others"))
        return cls(tuple(data["agents"]), returns, others)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "agents": list(self.names),
            "returns": np.round(self.returns, 6).tolist(),
            "others": np.round(self.others, 6).tolist(),
            "self_play": self.self_play.to_dict(),
            "cross_play": self.cross_play.to_dict(),
        }


def cross_play(env: Env, players: Mapping[str, tuple[str, ...]], *, episodes: int = 100, seed: int = 0) -> CrossPlay:
    """Play every pair: the slot 0 of one with the other slots of the other, in the same worlds for all pairs.

    Args:
      players: name to the agents of all slots, as the command line names them; one agent alone plays in every slot.
      episodes: for each pair.
    Raises: ConfigError for fewer than two players, too many, a single-agent task or a wrong number of agents;
      NotFoundError, CorruptFileError or IncompatibleError for agents that cannot be loaded or do not fit.
    """
    num_agents = env.num_agents
    if num_agents < 2:
        raise ConfigError(f"the task has {num_agents} agent; cross-play needs at least 2")
    if not 2 <= len(players) <= MAX_PLAYERS:
        raise ConfigError(f"cross-play of {len(players)} agents or teams; it needs 2 to {MAX_PLAYERS}")
    loaded = {}
    for name, sources in players.items():
        if len(sources) not in (1, num_agents):
            raise ConfigError(f"{name} has {len(sources)} agents; the task has {num_agents}: name one, or one per slot")
        by_slot = sources * num_agents if len(sources) == 1 else sources
        loaded[name] = [load_policy(source, env, (slot,)) for slot, source in enumerate(by_slot)]
    size = len(players)
    returns, others = np.zeros((size, size)), np.zeros((size, size))
    for (i, first), (j, second) in itertools.product(enumerate(loaded.values()), repeat=2):
        # A group for each slot: then all pairs of agents of one kind are one compiled program.
        policies = [first[0], *second[1:]]
        groups = tuple(AgentGroup(f"slot{slot}", (slot,), policy) for slot, (policy, _) in enumerate(policies))
        params = {f"slot{slot}": params for slot, (_, params) in enumerate(policies)}
        setup = TeamSetup(env, Team(groups), params)
        episode_return = evaluate_team(setup, episodes, seed, batch_size=min(episodes, EVAL_BATCH_SIZE)).episode_return
        returns[i, j], others[i, j] = episode_return[:, 0].mean(), episode_return[:, 1:].mean()
    return CrossPlay(tuple(players), returns, others)


def cross_play_of_seeds(session: Session, team: TrainedTeam, task: Any) -> CrossPlay | None:
    """Teams of a condition, one per seed, with each other, for a study's `measure_extra`; None for a single seed."""
    players = {
        f"seed {agent.seed}": tuple(policy.checkpoint for policy in agent.policies)
        for agent in team.evaluated_agents(session)
    }
    if len(players) < 2:
        return None
    return cross_play(make_env(task), players, episodes=min(session.eval_episodes, STUDY_EPISODES))


def players_of_run(run_dir: Path, config: RunConfig, variant: str | None = None) -> dict[str, tuple[str, ...]]:
    """The teams of a run, one per seed: for `cross_play`. Every slot must have learned.

    Args:
      variant: which variant of the run; None: the only one, or all of them, with its name before the seed.
    Raises: NotFoundError for an unknown variant or agents that are not saved yet; ConfigError where a slot did not
      learn.
    """
    names = dict.fromkeys(name for name, _ in config.replicas)
    if variant is not None and variant not in names:
        raise NotFoundError(f"{run_dir} has no variant {variant!r}; it has: {', '.join(names)}")
    group_of = {slot: group for group in config.team for slot in group.slots}
    fixed = [group.name for group in config.team if group.learner is None]
    if fixed:
        raise ConfigError(f"{run_dir}: groups {fixed} did not learn; cross-play is for runs in which all agents learn")
    players = {}
    for name, seed in config.replicas:
        if variant in (None, name):
            paths = [
                run_dir / AGENTS_DIR / agent_file(name, seed, group_of[slot].name, slot) for slot in sorted(group_of)
            ]
            if missing := [path.name for path in paths if not path.exists()]:
                raise NotFoundError(f"{run_dir} holds no agent {missing[0]}; a run writes them at its first checkpoint")
            label = f"seed {seed}" if variant or len(names) == 1 else f"{name}, seed {seed}"
            players[label] = tuple(map(str, paths))
    return players


def cross_play_figures(result: CrossPlay, title: str = "") -> Figures:
    """The matrix as a figure of a study."""
    figure = cross_play_matrix(result.names, result.returns, title=title)
    inside, across = (format_interval(interval) for interval in (result.self_play, result.cross_play))
    caption = (
        "Return per episode of the agent of the row, in slot 0, with the agent of the column in the other slots. Mean "
        f"of both sides, with intervals over agents: self-play {inside}, cross-play {across}."
    )
    return [("cross_play", figure, caption)]
