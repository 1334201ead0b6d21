"""Every registered task keeps what all tasks promise."""

import pytest

from rookery.tasks import registry
from rookery.tasks.base import GridTask
from rookery.tasks.goal_reaching import GoalReachingTask
from tests.tasks.conformance import check, check_jit
from tests.worlds import SMALL


@pytest.mark.parametrize("name", registry.TASKS)
def test_conforms(name):
    check(registry.get_task(name))


OBLONG = {
    "goal-cycle": {"height": 5, "width": 9, "num_obstacles": 2},
    "single-goal": {"height": 5, "width": 9, "num_obstacles": 2, "goal_at": None},
    "four-rooms": {"height": 7, "width": 12, "num_obstacles": 6},
    "maze": {"height": 5, "width": 9, "num_loops": 1},
    "sixteen-places": {"rooms": (2, 3), "room_size": (1, 4)},
    "key-door": {"height": 6, "width": 9, "endless_keys": False},
    "goal-sequence": {"height": 5, "width": 9, "num_obstacles": 2, "trial_steps": 7},
}


KINDS = {type(registry.get_task(name)).kind: type(registry.get_task(name)) for name in registry.TASKS}


def oblong(kind, **more):
    return KINDS[kind](**OBLONG[kind], views=(SMALL,) * 2, **more)


def test_each_kind_on_the_grid_has_an_oblong_world():
    assert set(OBLONG) == {kind for kind, task in KINDS.items() if issubclass(task, GridTask)}


@pytest.mark.parametrize("kind", OBLONG)
def test_conforms_on_an_oblong_world_where_agents_collide(kind):
    check(oblong(kind, collide=True))


@pytest.mark.parametrize("kind", [kind for kind in OBLONG if issubclass(KINDS[kind], GoalReachingTask)])
def test_conforms_where_goals_move(kind):
    check(oblong(kind, when_reached="move goal"))


@pytest.mark.parametrize("kind", OBLONG)
def test_jit_equals_no_jit(kind):
    check_jit(oblong(kind))
