"""A user's own map and reward work without a change in the package."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
import pytest

from rookery.errors import ConfigError, NotFoundError
from rookery.storage.serialization import from_dict, to_dict
from rookery.tasks import registry
from rookery.tasks.single_goal import SingleGoal
from rookery.testing import check_task
from rookery.training.config import RunConfig
from tests.tasks.episodes import layouts
from tests.tiny import CONFIG
from tests.worlds import FORWARD, SMALL, STAY, act, start

HOUSE = """
#########
#A..#..G#
#...#...#
#A.....G#
#########
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hurry(SingleGoal):
    """Each step costs a little."""

    kind: Literal["hurry"] = "hurry"
    step_cost: float = 0.25

    def reward(self, before, after, move_result, params):
        reward, task_state, counts = super().reward(before, after, move_result, params)
        return reward - self.step_cost * after.agent_mask, task_state, counts


TASK = Hurry(map=HOUSE, views=(SMALL,) * 2)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    registry.register("hurry-v0", "each step costs a little", TASK)


def test_a_users_map():
    _, position, _, task_state = layouts(TASK)
    assert {tuple(cell) for cell in task_state.goals[:, 0].tolist()} == {(1, 7), (3, 7)}
    assert {tuple(cell) for cell in position.reshape(-1, 2).tolist()} == {(1, 1), (3, 1)}


def test_a_users_reward():
    check_task(TASK)
    state = start(TASK, [(1, 6), (2, 1)], [1, 0])
    state = state.replace(task=state.task.replace(goals=jnp.array([[1, 7]])))
    _, timestep = act(TASK, state, FORWARD, STAY)
    assert timestep.reward.tolist() == [0.75, -0.25]


@pytest.mark.usefixtures("registered")
def test_it_is_known_by_its_id_and_a_run_may_hold_it():
    assert registry.get_task("hurry-v0") is TASK
    with pytest.raises(NotFoundError, match="did you mean 'hurry-v0'"):
        registry.get_task("hury-v0")
    with pytest.raises(ConfigError, match="the id 'hurry-v0' is taken"):
        registry.register("hurry-v0", "another", dataclasses.replace(TASK, max_steps=TASK.max_steps + 1))
    with pytest.raises(ConfigError, match="the id 'hurry-v0' is taken"):
        registry.register("hurry-v0", "again", TASK)
    config = dataclasses.replace(CONFIG, task=TASK)
    assert from_dict(RunConfig, to_dict(config)) == config
    names = {name: getattr(type(TASK), name) for name in ("__module__", "__qualname__")}
    settings = {field.name: getattr(TASK, field.name) for field in dataclasses.fields(TASK)}
    again = dataclasses.dataclass(frozen=True, kw_only=True)(type("Again", (type(TASK),), names))(**settings)
    registry.register("hurry-v0", "as from a cell of a notebook that runs twice", again)
    assert registry.get_task("hurry-v0") is again
