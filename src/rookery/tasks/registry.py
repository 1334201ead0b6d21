"""Every task by its versioned id. A change of rules makes a new version; an old id never changes meaning."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import warnings
from importlib import metadata
from typing import Any

from rookery import types
from rookery.errors import ConfigError, NotFoundError, suggest
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.descriptions import DESCRIPTIONS
from rookery.tasks.four_rooms import FourRooms
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.goal_sequence import GoalSequence
from rookery.tasks.grid_env import GridEnv
from rookery.tasks.key_door import KeyDoor
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.maze import Maze
from rookery.tasks.single_goal import SingleGoal
from rookery.tasks.sixteen_places import SixteenPlaces
from rookery.tasks.social_dilemmas.box_trapped import BoxTrapped
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.harvest import Harvest
from rookery.tasks.social_dilemmas.maps import CLEANUP_SMALL, HARVEST_SMALL

SYMBOLIC_VIEW = ViewConfig(observation_type="symbolic")
OBJECTS_VIEW = ViewConfig(observation_type="objects")
FRONT_VIEW = ViewConfig(size=3, rows_behind=0, tile_size=7)  # 21×21 pixels, what the paper's network reads
HIDDEN_GOALS_VIEW = ViewConfig(can_hide_goals=True)
SYMBOLIC_KWARGS: Any = {"views": (SYMBOLIC_VIEW,) * 3, "num_actions": 3}
"""For small networks on CPU: channels instead of pixels, and only the actions that move."""

TASKS: dict[str, tuple[str, Any]] = {}
"""Id to (one line on it, its configuration)."""


def register(task_id: str, description: str, task: Any) -> None:
    """Add a task under an id such as `goal-cycle-v0`. Raises ConfigError for an id already taken.

    Other packages do this in a function without arguments that an entry point of the group `rookery.tasks` names.
    """
    if task_id in TASKS:
        raise ConfigError(f"the id {task_id!r} is taken; an old id never changes meaning, so choose another version")
    TASKS[task_id] = (description, task)


@functools.cache
def load_plugins() -> None:
    """Let other packages add their tasks, once; called when an id is not known and before ids are listed.

    A package that fails is named in a warning and adds nothing; the others are not touched.
    """
    for point in metadata.entry_points(group="rookery.tasks"):
        before = dict(TASKS)
        try:
            point.load()()
        except Exception as error:
            # Whatever somebody else's code does wrong, the tasks here must stay usable.
            TASKS.clear()
            TASKS.update(before)
            owner = point.dist.name if point.dist else "unknown package"
            warnings.warn(
                f"{owner}: its tasks are left out, for the entry point {point.name} = {point.value} "
                f"failed: {type(error).__name__}: {error}",
                stacklevel=2,
            )


def task_ids() -> list[str]:
    """Every id, those of other packages included."""
    load_plugins()
    return list(TASKS)


def get_task(task_id: str) -> Any:
    """A task's configuration by id. Raises MissingError, offering the nearest names."""
    return TASKS[check_task_id(task_id)][1]


def make(task_id: str, **changes: Any) -> types.Env:
    """The environment of a task, by id; `changes` are fields of its configuration, such as `penalty=0.5`.

    Raises: NotFoundError for an unknown id, ConfigError for an unknown field or an impossible value.
    """
    task = get_task(task_id)
    if unknown := changes.keys() - {field.name for field in dataclasses.fields(task)}:
        name, allowed = min(unknown), [field.name for field in dataclasses.fields(task)]
        raise ConfigError(f"{task_id} has no setting {name!r}; {suggest(name, allowed)}")
    return make_env(dataclasses.replace(task, **changes))


def make_env(task: Any) -> types.Env:
    """The task joined to its world: the shared grid world, or the one its `environment` makes."""
    own = getattr(task, "make_env", None)
    return own() if own is not None else GridEnv(task)


def task_types() -> tuple[type, ...]:
    """The configuration classes of all registered tasks, each once: what a run's `task` may be."""
    load_plugins()
    return tuple(dict.fromkeys(type(task) for _, task in TASKS.values()))


def describe(task_id: str) -> str:
    """One line on a task."""
    return TASKS[check_task_id(task_id)][0]


def check_task_id(task_id: str) -> str:
    if task_id not in TASKS:
        load_plugins()
    if task_id not in TASKS:
        near = difflib.get_close_matches(task_id, TASKS, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise NotFoundError(f"no task {task_id!r}; {hint}there are: {', '.join(TASKS)}")
    return task_id


def _register(task_id: str, task: Any) -> None:
    register(task_id, DESCRIPTIONS[task_id], task)


_register("goal-cycle-v0", GoalCycle())
_register("goal-cycle-4-v0", GoalCycle(num_goals=4))
_register(
    "goal-cycle-symbolic-v0",
    GoalCycle(views=(SYMBOLIC_VIEW,) * 3, num_actions=3),
)
_register(
    "goal-cycle-4-symbolic-v0",
    GoalCycle(num_goals=4, **SYMBOLIC_KWARGS),
)
_register(
    "goal-cycle-demo-v0",
    GoalCycle(height=9, width=9, num_obstacles=2, max_steps=125, num_actions=3, views=(SYMBOLIC_VIEW,) * 3),
)
_register("goal-cycle-5-v0", GoalCycle(num_goals=5))
_register("empty-room-v0", SingleGoal(num_obstacles=0))
_register("single-goal-v0", SingleGoal())
_register("single-goal-fixed-v0", SingleGoal(goal_at=(11, 11)))
_register("four-rooms-v0", FourRooms())
_register("maze-v0", Maze())
_register("sixteen-places-v0", SixteenPlaces())
_register(
    "sixteen-places-hidden-v0",
    SixteenPlaces(views=(HIDDEN_GOALS_VIEW, ViewConfig(), ViewConfig())),
)
for _name, _task in (
    ("empty-room", SingleGoal(num_obstacles=0, **SYMBOLIC_KWARGS)),
    ("single-goal", SingleGoal(**SYMBOLIC_KWARGS)),
    ("single-goal-fixed", SingleGoal(goal_at=(11, 11), **SYMBOLIC_KWARGS)),
    ("four-rooms", FourRooms(**SYMBOLIC_KWARGS)),
    ("maze", Maze(**SYMBOLIC_KWARGS)),
    ("sixteen-places", SixteenPlaces(**SYMBOLIC_KWARGS)),
):
    _register(f"{_name}-symbolic-v0", _task)
_register(
    "sixteen-places-hidden-symbolic-v0",
    SixteenPlaces(
        views=(ViewConfig(observation_type="symbolic", can_hide_goals=True), SYMBOLIC_VIEW, SYMBOLIC_VIEW),
        num_actions=3,
    ),
)
_register("cleanup-v0", Cleanup())
_register("harvest-v0", Harvest())
_register(
    "cleanup-small-v0",
    Cleanup(map=CLEANUP_SMALL, num_agents=3, view_radius=4, max_steps=200, waste_spawn_prob=0.15),
)
_register(
    "harvest-small-v0",
    Harvest(map=HARVEST_SMALL, num_agents=3, view_radius=4, max_steps=200),
)
_register("box-trapped-v0", BoxTrapped())
_register("matrix-prisoners-dilemma-v0", MatrixGame())
_register(
    "matrix-stag-hunt-v0",
    MatrixGame(moves=("stag", "hare"), reward=4.0, sucker=0.0, temptation=3.0, punishment=2.0),
)
_register(
    "matrix-chicken-v0",
    MatrixGame(moves=("swerve", "dare"), reward=3.0, sucker=1.0, temptation=4.0, punishment=0.0),
)
_register("key-door-v0", KeyDoor())
_register(
    "key-door-symbolic-v0",
    KeyDoor(views=(OBJECTS_VIEW,) * 3),
)
_register(
    "goal-sequence-v0",
    GoalSequence(views=(FRONT_VIEW,) * 3),
)
_register(
    "goal-sequence-symbolic-v0",
    GoalSequence(views=(ViewConfig(size=3, rows_behind=0, observation_type="objects"),) * 3, num_actions=3),
)
