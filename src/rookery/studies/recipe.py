"""The three budgets of Goal Cycle studies: every constant of the desk recipe stands here and nowhere else.

`desk` was found on training seeds of its own (docs/recipe.md says what was tried) and frozen before the reported
seeds ran: changing a number here makes other runs, never other numbers in an old one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents.networks import LiteNetwork, Network, PaperNetwork
from rookery.learning.auxiliary import Auxiliary, NextFrame
from rookery.learning.ppo import PPO
from rookery.runs import presets
from rookery.runs.config import Arm, GroupConfig, PolicyConfig, Random, Recurrent, RunConfig, Scripted
from rookery.runs.schedules import Schedule
from rookery.studies.study import Budget
from rookery.tasks.goal_cycle import GoalCycle
from rookery.world.spec import View

SEES = View(kind="symbolic")
NOVICE_SEES = View(kind="symbolic", hide_goals=True)  # in the share of episodes that `hide_share` says

STEPS = 3_200_000  # of each seed
EPISODES = 128  # an update
NETWORK = LiteNetwork(width=64, memory_size=64, head=32)
SEQUENCE = 25  # steps
PASSES = 3  # over the batch in an update, memories and advantages recomputed after each
MINIBATCHES = 12
AUXILIARY_WEIGHT = 1.0
LEARNING_RATE: Schedule = ((0.0, 1.5e-3), (0.8, 1.5e-3), (1.0, 3e-4))
ENTROPY: Schedule = ((0.0, 0.01), (0.4, 0.004), (0.8, 0.0005))
PENALTY: Schedule = ((0.0, 0.3), (0.25, 0.3), (0.5, 1.0), (0.65, 1.0), (0.85, 1.5))
HIDE_SHARE: Schedule = ((0.0, 1.0), (0.5, 1.0), (0.65, 0.0))
IMPERFECT_EXPERT = "goal-cycle-demo-expert"  # a trained one: 11 an episode where the scripted one earns 20
CHECKPOINT_EVERY = 10  # updates

REPLAY_EPISODES = 1024  # in the memory of a Q-learner
REPLAY_LEARNING_RATE: Schedule = 5e-4

STEPS_ONWARD = 1_600_000  # for agents that go on, at the full penalty and with goals shown
LEARNING_RATE_ONWARD: Schedule = ((0.0, 7e-4), (1.0, 3e-4))
ENTROPY_ONWARD: Schedule = 5e-4

STEPS_TO_EXPERT = 9_000_000  # for agents that are to become experts alone
EXPERT_PENALTY: Schedule = ((0.0, 0.3), (0.25, 0.3), (0.75, 1.5))
EXPERT_ENTROPY: Schedule = ((0.0, 0.01), (0.8, 0.01), (1.0, 0.003))
EXPERT_LEARNING_RATE: Schedule = ((0.0, 1e-3), (0.8, 1e-3), (1.0, 3e-4))


def home(budget: Budget, **changes) -> GoalCycle:
    """The three-goal task that novices train in and are tested in: goals shown, penalty 1.5."""
    if budget == "paper":
        return dataclasses.replace(presets.paper().task, **changes)
    small: dict[str, Any] = {"height": 9, "width": 9, "obstacles": 2, "max_steps": 125}
    if budget == "smoke":
        small = {"height": 7, "width": 8, "obstacles": 1, "max_steps": 10}
    return GoalCycle(**{"actions": 3, "views": (NOVICE_SEES, SEES, SEES), "hide_share": 0.0, **small, **changes})


def seen(budget: Budget) -> GoalCycle:
    """`home` as every agent of the experts' sees it."""
    task = home(budget)
    return dataclasses.replace(task, views=(task.views[1],) * len(task.views))


def experts(budget: Budget) -> tuple[PolicyConfig, ...]:
    """Who stands beside the novice: scripted ones that see the map and find the order by trying.

    They are the near-optimal experts that the paper trains; trained ones as good are not to be had at `desk`.
    At `smoke` they move at random, which compiles sooner.
    """
    return (Random() if budget == "smoke" else Scripted(),) * 2


def ppo(budget: Budget, task: Any, auxiliary: type[Auxiliary] | None = NextFrame, **changes) -> PPO:
    """The novice's learner."""
    if budget == "paper":
        return PPO(**{"auxiliary": (auxiliary(weight=3.0),) if auxiliary else (), **changes})
    episodes = EPISODES if budget == "desk" else 8
    sequence = SEQUENCE if budget == "desk" else 5
    settings: dict[str, Any] = {
        "sequence_length": sequence,
        "minibatches": MINIBATCHES,
        "sequences": -(-task.max_steps // sequence) * episodes * PASSES // MINIBATCHES,
        "refresh_every": MINIBATCHES // PASSES,
        "value_weight": 0.5,
        "kl_stop": None,
        "kl_limit": None,
        "max_gradient_norm": 0.5,
        "adam_epsilon": 1e-5,
        "auxiliary": (auxiliary(weight=AUXILIARY_WEIGHT),) if auxiliary else (),
    }
    if budget == "smoke":
        settings |= {"minibatches": 2, "refresh_every": 1, "sequences": 8}
    return PPO(**{**settings, **changes})


def run(
    budget: Budget,
    name: str,
    arms: tuple[Arm, ...],
    *,
    auxiliary: type[Auxiliary] | None = NextFrame,
    task: Any = None,
    beside: tuple[PolicyConfig, ...] | None = None,
    schedules: dict[str, Schedule] | None = None,
    learner: dict[str, Any] | None = None,
    **changes,
) -> RunConfig:
    """The recipe as one run; a study names only what it changes.

    Args:
      task: default `home`. beside: who fills the slots from 1 on, default `experts`.
      schedules: in place of the task schedules of the recipe. learner: changes to the learner.
      changes: to the run, such as `social_share`.
    """
    task = home(budget) if task is None else task
    beside = experts(budget) if beside is None else beside
    novice = GroupConfig(
        name="novice",
        slots=(0,),
        policy=Recurrent(network=network(budget)),
        learner=ppo(budget, task, auxiliary, **(learner or {})),
        learning_rate=1e-4 if budget == "paper" else LEARNING_RATE,
        entropy=1e-5 if budget == "paper" else ENTROPY,
    )
    config = RunConfig(
        name=name,
        task=task,
        team=(novice, *_groups(beside)),
        arms=arms,
        steps=STEPS,
        episodes=EPISODES,
        task_schedules=({} if budget == "paper" else default_schedules()) if schedules is None else schedules,
        checkpoint_every=CHECKPOINT_EVERY,
    )
    if budget == "paper":
        config = dataclasses.replace(config, steps=375_000_000, checkpoint_every=50)
    if budget == "smoke":
        config = dataclasses.replace(
            config, steps=4 * 8 * task.max_steps, episodes=8, checkpoint_every=2, evaluation_episodes=4
        )
    return dataclasses.replace(config, **changes)


def onward(budget: Budget, name: str, arms: tuple[Arm, ...]) -> RunConfig:
    """Agents that go on from where a training left them, under the task as it is tested."""
    config = run(budget, name, arms, schedules={})
    if budget == "paper":
        return dataclasses.replace(config, steps=250_000_000)
    if budget == "smoke":
        return config
    novice = dataclasses.replace(config.team[0], learning_rate=LEARNING_RATE_ONWARD, entropy=ENTROPY_ONWARD)
    return dataclasses.replace(config, steps=STEPS_ONWARD, team=(novice, *config.team[1:]))


def soloists(budget: Budget, name: str, arms: tuple[Arm, ...], schedules: dict[str, Schedule]) -> RunConfig:
    """Agents that train alone with goals shown from the start; the experts' slots are there, and empty."""
    return run(budget, name, arms, schedules=schedules, social_share=0.0)


def to_expert(budget: Budget, name: str, arms: tuple[Arm, ...], schedules: dict[str, Schedule]) -> RunConfig:
    """`soloists` that train for as long as an expert takes."""
    config = soloists(budget, name, arms, schedules)
    if budget != "desk":
        return config
    novice = dataclasses.replace(config.team[0], learning_rate=EXPERT_LEARNING_RATE, entropy=EXPERT_ENTROPY)
    return dataclasses.replace(config, steps=STEPS_TO_EXPERT, team=(novice, *config.team[1:]))


def hidden(budget: Budget) -> GoalCycle:
    """`home` with goals hidden from the novice in every episode."""
    task = home(budget, hide_share=1.0)
    return dataclasses.replace(task, views=(dataclasses.replace(task.views[0], hide_goals=True), *task.views[1:]))


def network(budget: Budget) -> Network:
    """The novice's; a toy at smoke."""
    if budget == "paper":
        return PaperNetwork()
    return LiteNetwork(width=8, memory_size=8, head=8) if budget == "smoke" else NETWORK


def default_schedules() -> dict[str, Schedule]:
    """Of the desk recipe, for a task with penalties."""
    return {"penalty": PENALTY, "hide_share": HIDE_SHARE}


def _groups(beside: tuple[PolicyConfig, ...]) -> tuple[GroupConfig, ...]:
    """One group for each kind of agent beside the novice; equal ones share theirs."""
    kinds = list(dict.fromkeys(beside))
    names = {kind: "expert" if number == 0 else f"other-{number}" for number, kind in enumerate(kinds)}
    return tuple(
        GroupConfig(name=names[kind], slots=tuple(i + 1 for i, b in enumerate(beside) if b == kind), policy=kind)
        for kind in kinds
    )
