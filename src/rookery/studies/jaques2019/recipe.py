"""The three budgets of the influence studies: every constant of their desk recipe stands here and nowhere else.

`paper` takes the published numbers of `runs/presets_dilemma.py`. `desk` takes small maps and views, fewer agents, short
episodes, PPO in place of A3C and a small network; the weights of influence are the published ones, and it rises over
the same share of a run. These numbers were not searched for; those of Box Trapped, a preset of its own, were.
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

STEPS = 400_000  # of each seed
EPISODES = 16  # an update
LEARNING_RATE: Schedule = ((0.0, 2e-3), (0.7, 1e-3), (1.0, 2e-4))
ENTROPY: Schedule = ((0.0, 0.02), (0.7, 0.004), (1.0, 0.001))
CHECKPOINT_EVERY = 25  # updates
HARVESTERS = 4  # agents in Harvest: three of them are the published influencers

STEPS_PER_SECOND: dict[Budget, int] = {"desk": 3_800, "paper": 500}
BOX_STEPS_PER_SECOND: dict[Budget, int] = {"desk": 6_000, "paper": 1_000}
"""Environment steps a second on one core of a Xeon. Box Trapped at `desk` was timed; the
others are worked out from it, by agents and the arithmetic of their networks, and were not timed."""


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


def network(budget: Budget) -> InfluenceNetwork:
    """Of every agent; a toy at smoke."""
    if budget == "paper":
        return InfluenceNetwork()
    return presets.SMALL if budget == "desk" else InfluenceNetwork(filters=2, width=4, memory_size=4)


def learner(budget: Budget, task: Any, paid: tuple[IntrinsicConfig, ...]) -> LearnerConfig:
    """Paid by these intrinsic rewards, which rise over the published share of the run."""
    if budget == "paper":
        return A2C(sequence_length=50, minibatches=8, intrinsic=paid)
    scale = (STEPS if budget == "desk" else smoke_steps(task)) / PUBLISHED_STEPS
    paid = tuple(dataclasses.replace(plug, curriculum=plug.curriculum * scale) for plug in paid)
    if budget == "desk":
        return presets.desk_ppo(task, EPISODES, paid)
    return A2C(sequence_length=task.max_steps, intrinsic=paid)


def smoke_steps(task: Any) -> int:
    return 3 * 4 * task.max_steps


def run(budget: Budget, name: str, task: Any, team: tuple[GroupConfig, ...], **changes) -> RunConfig:
    """A run in which everybody learns; nobody is tested on the way, for alone there is nobody to influence."""
    config = RunConfig(
        name=name,
        task=task,
        team=team,
        steps=STEPS,
        episodes=EPISODES,
        checkpoint_every=CHECKPOINT_EVERY,
        evaluation_episodes=0,
    )
    if budget == "paper":
        config = dataclasses.replace(config, steps=int(PUBLISHED_STEPS), checkpoint_every=50)
    config = dataclasses.replace(config, **changes)
    if budget == "smoke":
        return dataclasses.replace(config, steps=smoke_steps(task), episodes=4, checkpoint_every=2)
    return config


def play(budget: Budget, name: str, game_name: Game, method: str, arms: tuple[Arm, ...] = (Arm(),)) -> RunConfig:
    """A published method in a game. At `paper` with its best published numbers."""
    task = game(budget, game_name)
    rates: dict[str, Any] = {"learning_rate": LEARNING_RATE, "entropy": ENTROPY}
    if budget == "paper":
        rates = published_rates(game_name, method)

    def make(paid):
        return learner(budget, task, paid)

    team = presets.team(method, game_name, task.agents, network(budget), make, **rates)
    return run(budget, name, task, team, arms=arms)


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
