"""How the games of this paper are trained: a run of so many updates, and the teams of each coefficient."""

from __future__ import annotations

import functools
from typing import Any, Protocol

from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import GroupConfig, RunConfig


class AlignedConfig(Protocol):
    """The configuration at a budget with this coefficient of Advantage Alignment; 0 is plain PPO."""

    def __call__(self, budget: Budget, coef: float) -> RunConfig: ...


def iterated_run(
    budget: Budget, name: str, task: Any, num_envs: int, num_updates: int, team: tuple[GroupConfig, ...]
) -> RunConfig:
    """A run of so many updates, with one checkpoint at its end."""
    return RunConfig(
        name=name,
        task=task,
        team=team,
        total_timesteps=num_updates * num_envs * task.max_steps,
        num_envs=num_envs,
        checkpoint_interval=num_updates,
        eval_episodes=4 if budget == "smoke" else 64,
    )


def aligned_team(configure: AlignedConfig, coef: float) -> TrainedTeam:
    """The teams trained with this coefficient, in a run that is compared with itself at the budget `desk`."""
    run = TrainingRun(
        name=configure("desk", coef).name,
        configure=functools.partial(configure, coef=coef),
        published_config=functools.partial(configure, "desk", coef),
    )
    return TrainedTeam(run=run, variant="main")
