"""Every task by its versioned id. A change of rules makes a new version; an old id never changes meaning."""

from __future__ import annotations

import difflib

from rookery.errors import MissingError
from rookery.tasks.goal_cycle import GoalCycle
from rookery.world.spec import View

SYMBOLIC = View(kind="symbolic")

TASKS: dict[str, tuple[str, GoalCycle]] = {
    "goal-cycle-v0": ("the paper's: three goals, 13×13, penalty 1.5, pixels, three agents", GoalCycle()),
    "goal-cycle-4-v0": ("the paper's transfer task: four goals, six possible orders", GoalCycle(goals=4)),
    "goal-cycle-symbolic-v0": (
        "the paper's worlds seen as channels, for small networks",
        GoalCycle(views=(SYMBOLIC,) * 3, actions=3),
    ),
    "goal-cycle-demo-v0": (
        "a 9×9 world with two obstacles and 125 steps, for a laptop's CPU",
        GoalCycle(height=9, width=9, obstacles=2, max_steps=125, actions=3, views=(SYMBOLIC,) * 3),
    ),
}


def make(name: str) -> GoalCycle:
    """A task's configuration by id. Raises MissingError, offering the nearest names."""
    return TASKS[check(name)][1]


def describe(name: str) -> str:
    """One line on a task."""
    return TASKS[check(name)][0]


def check(name: str) -> str:
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise MissingError(f"no task {name!r}; {hint}there are: {', '.join(TASKS)}")
    return name
