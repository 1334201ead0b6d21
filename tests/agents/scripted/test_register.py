import dataclasses
import types

import pytest

from rookery.agents import scripted
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner, GoalCycleScout
from rookery.agents.scripted.key_door_expert import KeyDoorExpert
from rookery.errors import ConfigError
from rookery.tasks import registry
from rookery.tasks.grid_env import GridEnv
from rookery.training.build import build
from rookery.training.config import ScriptedPolicyConfig
from rookery.training.make_team import load_policy, make_team_setup
from rookery.training.policy_config import scripted_policy
from tests.tiny import NOVICE, OTHER, TASK, tiny


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    kind: str = "elsewhere"


@pytest.fixture
def experts(monkeypatch):
    monkeypatch.setattr(scripted, "EXPERT_FACTORIES", dict(scripted.EXPERT_FACTORIES))


def test_goal_cycle_has_one_of_each_observability():
    assert scripted.make_expert(TASK) == GoalCyclePlanner(TASK.num_goals, TASK.height, TASK.width)
    partial = scripted_policy(GridEnv(TASK), "partial")
    assert isinstance(partial, GoalCycleScout)
    assert (partial.num_goals, partial.perception.height, partial.perception.width) == (
        TASK.num_goals,
        TASK.height,
        TASK.width,
    )
    assert partial.perception.views == TASK.views


def test_runs_and_the_command_line_choose_by_observability():
    team = (NOVICE, dataclasses.replace(OTHER, policy=ScriptedPolicyConfig(observability="partial")))
    assert build(tiny(team=team)).team.groups[1].policy == scripted.make_expert(TASK, "partial")
    for name, observability in scripted.OBSERVABILITY_BY_NAME.items():
        assert load_policy(name, GridEnv(TASK), (0,)) == (scripted.make_expert(TASK, observability), ())
        assert (
            make_team_setup(name, "none", "maze-v0", ()).team.groups[0].policy.perception.observability == observability
        )


def test_an_expert_that_is_given_the_task_for_its_perception_is_refused():
    with pytest.raises(ConfigError, match=r"perception=GoalCycle.* must be a Perception, as Perception\.from_spec"):
        KeyDoorExpert(TASK)


KINDS = {kind for kind, _ in scripted.EXPERT_FACTORIES}
WITH_EXPERTS = [name for name, (_, task) in registry.TASKS.items() if task.kind in KINDS]


@pytest.mark.parametrize("name", WITH_EXPERTS)
def test_tasks_with_an_expert_have_one_for_each_observability(name):
    for observability in scripted.OBSERVABILITIES:
        assert scripted.make_expert(registry.get_task(name), observability).privileged


def _mover(task):
    return RandomPolicy(3)


@pytest.mark.usefixtures("experts")
def test_a_task_of_another_package_registers_its_expert():
    with pytest.raises(
        ConfigError, match=r"the task 'elsewhere' has no scripted expert; these have: goal-cycle.*; use a"
    ):
        scripted.make_expert(Elsewhere())
    scripted.register_expert("elsewhere", "partial", lambda task: RandomPolicy(len(task.kind)))
    assert scripted.make_expert(Elsewhere(), "partial") == RandomPolicy(9)
    with pytest.raises(
        ConfigError, match="the task 'elsewhere' has no scripted expert with 'full' observability, only with 'partial'"
    ):
        scripted.make_expert(Elsewhere())
    with pytest.raises(
        ConfigError, match="tasks of kind 'elsewhere' already have a scripted expert with 'partial' observability"
    ):
        scripted.register_expert("elsewhere", "partial", lambda task: RandomPolicy(3))
    again = types.FunctionType(_mover.__code__, _mover.__globals__)  # as from a cell of a notebook that runs twice
    scripted.register_expert("elsewhere", "full", _mover)
    scripted.register_expert("elsewhere", "full", again)
    with pytest.raises(ConfigError, match="already have a scripted expert with 'full'"):
        scripted.register_expert("elsewhere", "full", again)
    with pytest.raises(ConfigError, match="observability='far' is not known; allowed: full, partial"):
        scripted.register_expert("elsewhere", "far", lambda task: RandomPolicy(3))  # type: ignore[arg-type]
