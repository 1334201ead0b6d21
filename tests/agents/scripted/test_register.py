import dataclasses

import pytest

from rookery.agents import scripted
from rookery.agents.random import RandomPolicy
from rookery.agents.scripted.goal_cycle import GoalCyclePlanner, GoalCycleScout
from rookery.commands.play import cast, policy_of
from rookery.errors import ConfigError
from rookery.runs.build import build, scripted_policy
from rookery.runs.config import Scripted
from rookery.tasks import registry
from rookery.tasks.base import GridTask
from rookery.tasks.env import Env
from tests.tiny import NOVICE, OTHER, TASK, tiny


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    kind: str = "elsewhere"


@pytest.fixture
def experts(monkeypatch):
    monkeypatch.setattr(scripted, "EXPERTS", dict(scripted.EXPERTS))


def test_goal_cycle_has_one_of_each_sight():
    assert scripted.make(TASK) == GoalCyclePlanner(TASK.goals, TASK.height, TASK.width)
    own = scripted_policy(Env(TASK), "own")
    assert isinstance(own, GoalCycleScout)
    assert (own.goals, own.eyes.height, own.eyes.width) == (TASK.goals, TASK.height, TASK.width)
    assert own.eyes.views == TASK.views


def test_runs_and_the_command_line_choose_by_sight():
    team = (NOVICE, dataclasses.replace(OTHER, policy=Scripted(sight="own")))
    assert build(tiny(team=team)).team.groups[1].policy == scripted.make(TASK, "own")
    for name, sight in scripted.NAMES.items():
        assert policy_of(name, Env(TASK), (0,)) == (scripted.make(TASK, sight), ())
        assert cast(name, "nobody", "maze-v0", ()).team.groups[0].policy.eyes.sight == sight


GRID = [name for name, (_, task) in registry.TASKS.items() if isinstance(task, GridTask)]


@pytest.mark.parametrize("name", GRID)
def test_grid_tasks_have_an_expert_of_each_sight(name):
    for sight in scripted.SIGHTS:
        assert scripted.make(registry.make(name), sight).privileged


@pytest.mark.usefixtures("experts")
def test_a_task_of_ones_own_brings_its_expert():
    with pytest.raises(
        ConfigError, match=r"the task 'elsewhere' has no scripted expert; these have: goal-cycle.*; use a"
    ):
        scripted.make(Elsewhere())
    scripted.register("elsewhere", "own", lambda task: RandomPolicy(len(task.kind)))
    assert scripted.make(Elsewhere(), "own") == RandomPolicy(9)
    with pytest.raises(ConfigError, match="the task 'elsewhere' has no scripted expert of sight 'map', only of 'own'"):
        scripted.make(Elsewhere())
    with pytest.raises(ConfigError, match="tasks of kind 'elsewhere' have a scripted expert of sight 'own'"):
        scripted.register("elsewhere", "own", lambda task: RandomPolicy(3))
    with pytest.raises(ConfigError, match="sight='far' is not known; allowed: 'map', 'own'"):
        scripted.register("elsewhere", "far", lambda task: RandomPolicy(3))  # type: ignore[arg-type]
