"""The programs, arms and scenes that several studies share."""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.learning.auxiliary import NextFrame, ThisFrame
from rookery.runs.config import Arm, Frozen, PolicyConfig, Random, RunConfig, Scripted
from rookery.studies import recipe
from rookery.studies.clones import Cloned
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Fixed, Learned, Scene, Training
from rookery.tasks.four_rooms import FourRooms
from rookery.tasks.maze import Maze
from rookery.world.spec import View


def _next(budget: Budget) -> RunConfig:
    return recipe.run(budget, "next", (Arm(name="social"), Arm(name="solo", social_share=0.0)), auxiliary=NextFrame)


def _this(budget: Budget) -> RunConfig:
    arms = (Arm(name="social"), Arm(name="vanilla", auxiliary_scale=0.0))
    return recipe.run(budget, "this", arms, auxiliary=ThisFrame)


NEXT = Training(name="next", configure=_next)
THIS = Training(name="this", configure=_this)
"""The vanilla learner stands in this program too: with its loss weighted by 0 the decoder is never touched."""

SOCIAL_NEXT = Condition(label="social + next frame", agents=Learned(training=NEXT, arm="social"))
SOCIAL_THIS = Condition(label="social + this frame", agents=Learned(training=THIS, arm="social"))
VANILLA = Condition(label="social, vanilla", agents=Learned(training=THIS, arm="vanilla"))
SOLO = Condition(label="solo + next frame", agents=Learned(training=NEXT, arm="solo"))
EXPERTS = Condition(label="experts", agents=Fixed(policy=lambda budget: recipe.experts(budget)[0]))
"""An expert in the novice's place, beside the other experts."""


def imperfect_experts(budget: Budget) -> tuple[PolicyConfig, ...]:
    """Experts that know less. At `paper` nobody ships any that see pixels: they see their own view only."""
    return (Scripted(sight="own") if budget == "paper" else Frozen(source=recipe.IMPERFECT_EXPERT),) * 2


def four_goals(budget: Budget) -> Any:
    """The same world with four goals: six possible orders."""
    return dataclasses.replace(recipe.home(budget), goals=4)


def its_expert(budget: Budget) -> tuple[PolicyConfig, ...]:
    """The scripted expert of whatever task: it sees the map, and finds a hidden order by trying."""
    return (Scripted(), Scripted())


def rooms(budget: Budget) -> Any:
    """Four rooms and one goal, beside one expert."""
    if budget == "paper":
        return FourRooms(views=(View(),) * 2)
    height, width, steps = (11, 11, 125) if budget == "desk" else (7, 8, 10)
    return FourRooms(height=height, width=width, max_steps=steps, views=(recipe.SEES,) * 2, actions=3)


def maze(budget: Budget, agents: int = 2) -> Any:
    """A fresh maze and one goal, beside one expert."""
    if budget == "paper":
        return Maze(views=(View(),) * agents)
    height, width, steps = (11, 11, 125) if budget == "desk" else (7, 9, 10)
    return Maze(height=height, width=width, max_steps=steps, views=(recipe.SEES,) * agents, actions=3)


CLONES = Condition(
    label="cloning",
    agents=Cloned(name="clones", scene=Scene(name="recorded", task=recipe.seen, beside=recipe.experts)),
)
"""Clones of the experts that novices stand beside, from what these saw and did."""
THREE_GOAL_EXPERTS = Condition(label="3-goal experts", agents=Fixed(policy=lambda budget: imperfect_experts(budget)[0]))
"""Trained agents: the scripted experts know every task."""
THREE_GOAL_CLONES = Condition(
    label="clones of 3-goal experts",
    agents=Cloned(name="clones-of-trained", scene=Scene(name="recorded", task=recipe.seen, beside=imperfect_experts)),
)

HOME = Scene(name="3-goal cycle", task=recipe.home, beside=recipe.experts)
HOME_IMPERFECT = Scene(name="3-goal cycle, imperfect experts", task=recipe.home, beside=imperfect_experts)
FOUR_GOALS = Scene(name="4-goal cycle", task=four_goals, beside=its_expert)
ROOMS = Scene(name="four rooms", task=rooms, beside=lambda budget: (Scripted(),))
MAZE = Scene(name="maze", task=maze, beside=lambda budget: (Scripted(),))
CROWDED_MAZE = Scene(
    name="maze with random movers",
    task=lambda budget: maze(budget, 4),
    beside=lambda budget: (Scripted(), Random(), Random()),
)
TASK_EXPERTS = Condition(label="experts", agents=Fixed(policy=lambda budget: Scripted()))
"""Whoever is an expert of the scene at hand."""
