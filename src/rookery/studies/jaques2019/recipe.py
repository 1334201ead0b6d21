"""The three budgets of the influence studies: every constant of their desk recipe stands here and nowhere else.

`paper` takes the published numbers of `runs/presets_dilemma.py`. `desk` takes small maps and views, fewer agents, short
episodes, PPO in place of A3C and a small network; the weights of influence are the published ones, and it rises over
the same share of a run. Harvest's numbers were not searched for; Cleanup's were, without influence, on training seed
100, until somebody learned to clean (docs/influence.md); those of Box Trapped, a preset of its own, were too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents.networks import InfluenceNetwork
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import IntrinsicConfig
from rookery.learning.learners import LearnerConfig
from rookery.learning.ppo import PPO
from rookery.runs import presets_dilemma as presets
from rookery.runs.config import Arm, GroupConfig, RunConfig
from rookery.runs.presets_dilemma import Game
from rookery.runs.schedules import Schedule
from rookery.studies.study import Budget
from rookery.tasks import registry

PUBLISHED_STEPS = 500e6


@dataclasses.dataclass(frozen=True)
class Desk:
    """What the two games do not share at `desk`."""

    steps: int  # of each seed
    minibatches: int  # an update: four to a pass
    network: InfluenceNetwork
    learning_rate: Schedule
    entropy: Schedule
    task_schedules: dict[str, Schedule]


DESK: dict[Game, Desk] = {
    "cleanup": Desk(
        steps=800_000,
        minibatches=16,
        network=InfluenceNetwork(width=64, memory_size=64),
        learning_rate=((0.0, 1e-3), (0.7, 1e-3), (1.0, 2e-4)),
        entropy=((0.0, 0.005), (0.5, 0.003), (1.0, 0.0005)),
        # At first being hit is cheap, so that random beams do not drown what apples teach, and some apples grow in a
        # river as dirty as it is, so that a little cleaning shows. Both are as published in the last quarter.
        task_schedules={
            "hit_cost": ((0.0, 1.0), (0.3, 1.0), (0.4, 50.0)),
            "threshold": ((0.0, 1.0), (0.35, 1.0), (0.75, 0.4)),
        },
    ),
    "harvest": Desk(
        steps=400_000,
        minibatches=8,
        network=presets.SMALL,
        learning_rate=((0.0, 2e-3), (0.7, 1e-3), (1.0, 2e-4)),
        entropy=((0.0, 0.02), (0.7, 0.004), (1.0, 0.001)),
        task_schedules={},
    ),
}

EPISODES = 16  # an update
CHECKPOINT_EVERY = 25  # updates
HARVESTERS = 4  # agents in Harvest: three of them are the published influencers

STEPS_PER_SECOND: dict[Budget, int] = {"desk": 3_800, "paper": 500}
BOX_STEPS_PER_SECOND: dict[Budget, int] = {"desk": 6_000, "paper": 1_000}
"""Environment steps a second on one core of a Xeon. Box Trapped at `desk` was timed; the
others are worked out from it, by agents and the arithmetic of their networks, and were not timed there. On one core of
an AMD EPYC Cleanup at `desk` makes 3,500, eight teams side by side."""


def game(budget: Budget, name: Game) -> Any:
    """Cleanup or Harvest: the published one, or the small one of the registry; a glimpse of it at smoke."""
    if budget == "paper":
        return registry.make(f"{name}-v0")
    task = registry.make(f"{name}-small-v0")
    if name == "harvest":
        task = dataclasses.replace(task, agents=HARVESTERS)
    return task if budget == "desk" else dataclasses.replace(task, max_steps=6, view_radius=1)


def box(budget: Budget) -> Any:
    """Box Trapped: the registered one at `paper`, with smaller views at `desk`."""
    if budget == "paper":
        return registry.make("box-trapped-v0")
    task = presets.box_trapped().task
    return task if budget == "desk" else dataclasses.replace(task, max_steps=6, view_radius=1)


def network(budget: Budget, desk: Desk | None = None) -> InfluenceNetwork:
    """Of every agent: the published one, that of `desk`, or a toy at smoke."""
    if budget == "paper":
        return InfluenceNetwork()
    return desk.network if desk and budget == "desk" else InfluenceNetwork(filters=2, width=4, memory_size=4)


def learner(budget: Budget, task: Any, paid: tuple[IntrinsicConfig, ...], desk: Desk | None = None) -> LearnerConfig:
    """Paid by these intrinsic rewards, which rise over the published share of the run."""
    if budget == "paper":
        return A2C(sequence_length=50, minibatches=8, intrinsic=paid)
    steps = desk.steps if desk and budget == "desk" else smoke_steps(task)
    paid = tuple(dataclasses.replace(plug, curriculum=plug.curriculum * steps / PUBLISHED_STEPS) for plug in paid)
    if desk and budget == "desk":
        return dataclasses.replace(presets.desk_ppo(task, EPISODES, paid), minibatches=desk.minibatches)
    return A2C(sequence_length=task.max_steps, intrinsic=paid)


def smoke_steps(task: Any) -> int:
    return 3 * 4 * task.max_steps


def run(budget: Budget, name: str, task: Any, team: tuple[GroupConfig, ...], **changes) -> RunConfig:
    """A run in which everybody learns; nobody is tested on the way, for alone there is nobody to influence."""
    sizes: dict[str, Any] = {"episodes": EPISODES, "checkpoint_every": CHECKPOINT_EVERY}
    if budget == "paper":
        sizes |= {"steps": int(PUBLISHED_STEPS), "checkpoint_every": 50}
    elif budget == "smoke":
        sizes |= {"steps": smoke_steps(task), "episodes": 4, "checkpoint_every": 2}
    return RunConfig(name=name, task=task, team=team, evaluation_episodes=0, **{**sizes, **changes})


def play(budget: Budget, name: str, game_name: Game, method: str, arms: tuple[Arm, ...] = (Arm(),)) -> RunConfig:
    """A published method in a game. At `paper` with its best published numbers."""
    task, desk = game(budget, game_name), DESK[game_name]
    rates: dict[str, Any] = {"learning_rate": desk.learning_rate, "entropy": desk.entropy}
    changes: dict[str, Any] = {"arms": arms}
    if budget == "paper":
        rates = published_rates(game_name, method)
    elif budget == "desk":
        changes |= {"steps": desk.steps, "task_schedules": desk.task_schedules}

    def make(paid):
        return learner(budget, task, paid, desk)

    team = presets.team(method, game_name, task.agents, network(budget, desk), make, **rates)
    return run(budget, name, task, team, **changes)


def published_rates(game_name: Game, method: str) -> dict[str, Any]:
    """Entropy and learning rate of a method, as the paper's table has them."""
    entropy, start, end = presets.PUBLISHED[method][game_name]
    return {"learning_rate": ((0.0, start), (1.0, end)), "entropy": entropy}


def trapped(budget: Budget, name: str) -> RunConfig:
    """Box Trapped: agent 0, free, acts first; agent 1, boxed in, is told what it does. At `desk` it is the preset."""
    config = presets.box_trapped()
    if budget == "desk":
        return dataclasses.replace(config, name=name)
    task = box(budget)

    def changed(group: GroupConfig) -> GroupConfig:
        assert isinstance(group.learner, PPO)
        return dataclasses.replace(
            group,
            policy=dataclasses.replace(group.policy, network=network(budget)),
            learner=learner(budget, task, group.learner.intrinsic),
            **(published_rates("cleanup", "centralised") if budget == "paper" else {}),
        )

    return run(budget, name, task, tuple(map(changed, config.team)), arms=config.arms)
