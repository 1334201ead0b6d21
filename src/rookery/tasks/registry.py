"""Every task by its versioned id. A change of rules makes a new version; an old id never changes meaning."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from rookery.errors import ConfigError, NotFoundError, suggest
from rookery.gridworld.spec import ViewConfig
from rookery.interfaces import Task, check_metric_names
from rookery.limits import check_32_bits, check_identifier, check_type, shortened
from rookery.plugins import check_dataclass, load_entry_points
from rookery.storage.serialization import from_dict, to_dict
from rookery.tasks.coin_game import CoinGame
from rookery.tasks.descriptions import DESCRIPTIONS
from rookery.tasks.four_rooms import FourRooms
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.goal_sequence import GoalSequence
from rookery.tasks.key_door import KeyDoor
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.maze import Maze
from rookery.tasks.memory_sequence import MemorySequence
from rookery.tasks.single_goal import SingleGoal
from rookery.tasks.sixteen_places import SixteenPlaces
from rookery.tasks.social_dilemmas.box_trapped import BoxTrapped
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.harvest import Harvest
from rookery.tasks.social_dilemmas.maps import CLEANUP_SMALL, HARVEST_SMALL
from rookery.types import Env

TASK_ENTRY_POINTS = "rookery.tasks"
"""Entry point group by which other packages add tasks."""

SYMBOLIC_VIEW = ViewConfig(observation_type="symbolic")
OBJECTS_VIEW = ViewConfig(observation_type="objects")
FRONT_VIEW = ViewConfig(size=3, rows_behind=0, tile_size=7)  # 21×21 pixels, as the published network expects
HIDDEN_GOALS_VIEW = ViewConfig(can_hide_goals=True)
SYMBOLIC_KWARGS: Any = {"views": (SYMBOLIC_VIEW,) * 3, "num_actions": 3}
"""For small networks on a CPU: channels instead of pixels, and only the actions that move."""

TASKS: dict[str, tuple[str, Task]] = {}
"""Id to (description in one line, task)."""
_loaded_groups: set[str] = set()
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def register(task_id: str, description: str, task: Task) -> None:
    """Add a task under an id such as `goal-cycle-v0`.

    Another package does this in a function without arguments that an entry point of the group `rookery.tasks` names.

    Args:
      task_id: ASCII letters, digits, `-`, `_` and `.`, best with `-v` and a version at its end.
      description: one line for people.
      task: a frozen dataclass of settings.
    Raises: ConfigError for an argument that is not as above, if the id is taken by another task, or if another class of
      tasks has the same `kind`. A task whose class is defined again, as by a cell of a notebook that runs twice, takes
      its place.
    """
    if not isinstance(task_id, str) or not _TASK_ID.fullmatch(task_id):
        raise ConfigError(f"the id {shortened(task_id)} must be letters, digits, '-', '_' and '.', such as my-task-v0")
    if not isinstance(description, str) or not description.isprintable():
        raise ConfigError(f"{task_id!r}: the description {shortened(description)} must be text of one line")
    if isinstance(task, type) or not isinstance(task, Task):
        what = f"the class {task.__name__}" if isinstance(task, type) else type(task).__name__
        raise ConfigError(
            f"{task_id!r}: {what} is not a task; give an instance of a class derived from rookery.interfaces.Task"
        )
    check_identifier(f"{task_id!r}: kind", getattr(task, "kind", None))
    if task_id in TASKS and not _is_redefined(TASKS[task_id][1], task):
        raise ConfigError(f"the id {task_id!r} is taken; an id never changes its meaning, so choose another version")
    for other_id, (_, other) in TASKS.items():
        if other.kind == task.kind and _class_path(other) != _class_path(task):
            raise ConfigError(f"{task_id!r}: the kind {task.kind!r} is taken by {other_id!r}; choose another kind")
    check_dataclass(type(task))
    check_metric_names(f"{task_id!r}: metric_names", task.metric_names)
    TASKS[task_id] = (description, task)


def load_plugins() -> None:
    """Let other packages add their tasks, once; called for an unknown id and before ids are listed.

    A package that fails is named in a warning and adds nothing; the others are not affected.
    """
    if TASK_ENTRY_POINTS not in _loaded_groups:
        _loaded_groups.add(TASK_ENTRY_POINTS)
        load_entry_points(TASK_ENTRY_POINTS, TASKS, _refuse_class)


def task_ids() -> list[str]:
    """Every id, including those of other packages."""
    load_plugins()
    return list(TASKS)


def get_task(task_id: str) -> Any:
    """A task by its id. Raises NotFoundError with the nearest ids."""
    return _find(task_id)[1]


def as_task(task: Any) -> Any:
    """A task from its id, or itself. Raises NotFoundError for an unknown id, ConfigError for anything else."""
    return task if isinstance(task, Task) else get_task(task)


def describe(task_id: str) -> str:
    """A task in one line. Raises NotFoundError with the nearest ids."""
    return _find(task_id)[0]


def make(task: str | Task, /, **changes: Any) -> Env:
    """The environment of a task, by id or itself; `changes` are settings of the task, such as `penalty=0.5`.

    Values are checked as those of a configuration file: types must match, lists become tuples, NaN is refused.

    Raises: NotFoundError for an unknown id, ConfigError for what is not a task, an unknown setting, a value of the
      wrong type or an impossible one.
    """
    config = as_task(task)
    allowed = setting_names(config)
    if unknown := changes.keys() - set(allowed):
        name, label = min(unknown), task if isinstance(task, str) else config.kind
        raise ConfigError(f"{label} has no setting {name!r}; {suggest(name, allowed)}")
    return make_env(change_settings(config, changes))


def make_env(task: Task) -> Env:
    """The environment of a task.

    Raises: ConfigError for what is not a task, a metric whose name is taken, a number beyond 32 bits, or a setting of
      the wrong type: Python checks none when a task is made.
    """
    check_type("task", task, Task, "a task, such as GoalCycle()")
    to_dict(task, task.kind)
    check_32_bits(task, task.kind)
    check_metric_names(f"{task.kind}: metric_names", task.metric_names)
    return task.make_env()


def setting_names(task: Any) -> list[str]:
    """Names of a task's settings."""
    return [field.name for field in dataclasses.fields(task) if field.init and field.name != "kind"]


def change_settings(task: Any, changes: dict[str, Any]) -> Any:
    """A task with some of its settings changed, checked as those of a configuration file.

    Raises: ConfigError for a value of the wrong type, or one that the task refuses.
    """
    data = to_dict(task, task.kind) | {name: _to_json_value(value) for name, value in changes.items()}
    return from_dict(type(task), data, task.kind)


def _to_json_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, list | tuple):
        return [_to_json_value(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def task_types() -> tuple[type, ...]:
    """The classes of all registered tasks, each once: what the `task` of a run may be."""
    load_plugins()
    return tuple(dict.fromkeys(type(task) for _, task in TASKS.values()))


def _find(task_id: str) -> tuple[str, Task]:
    check_type("task", task_id, str, "the id of a task, such as 'goal-cycle-v0', or a task, such as GoalCycle()")
    if task_id not in TASKS:
        load_plugins()
    if task_id not in TASKS:
        raise NotFoundError(f"no task {task_id!r}; {suggest(task_id, TASKS)}")
    return TASKS[task_id]


def _refuse_class(cls: type) -> None:
    raise ConfigError(f"the entry point names the class {cls.__name__}; name a function that calls register(id, ...)")


def _is_redefined(task: Task, other: Task) -> bool:
    """Whether the class of a task was defined again under its name, with the same settings."""
    return type(task) is not type(other) and _class_path(task) == _class_path(other) and repr(task) == repr(other)


def _class_path(task: Task) -> tuple[str, str]:
    return type(task).__module__, type(task).__qualname__


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
_register("coin-game-3x3-v0", CoinGame())
_register("coin-game-5x5-v0", CoinGame(height=5, width=5))
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
_register("memory-sequence-v0", MemorySequence(fade=1.0))
_register(
    "memory-sequence-fixed-v0",
    MemorySequence(
        num_digits=10,
        num_trials=1,
        show_own=False,
        sequence=(4, 0, 7, 9, 1, 1, 6, 3, 8, 2, 5, 9, 0, 7, 3, 3, 2, 6, 8, 1, 4, 5, 9, 2),
    ),
)
