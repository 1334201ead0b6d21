"""Tasks in which absent agents are there after all: their check names what they do."""

import dataclasses
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.tasks.coin_game import CoinGame, CoinGameEnv
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.testing import ConformanceError, check_task
from rookery.testing.presence_checks import agent_mask_batches
from tests.worlds import SMALL


@dataclasses.dataclass(frozen=True)
class BrokenCoinEnv(CoinGameEnv):
    """With the mistake that its task names."""

    def reset(self, key, params, agent_mask=None):
        if self.task.mistake == "slot 0 is always there":
            agent_mask = jnp.asarray(agent_mask if agent_mask is not None else [True, True]).at[0].set(True)
        return super().reset(key, params, agent_mask)

    def observe(self, state):
        if self.task.mistake == "absent agents observe":
            state = state.replace(agent_mask=jnp.ones(2, bool))
        return super().observe(state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrokenCoinGame(CoinGame):
    kind: Literal["broken-coin-game"] = "broken-coin-game"
    mistake: str = ""

    def make_env(self):
        return BrokenCoinEnv(self)


class BrokenGridEnv(GridEnv):
    """With the mistake that its task names."""

    task: Any

    def reset(self, key, params, agent_mask=None):
        everyone = agent_mask = jnp.ones(3, bool) if agent_mask is None else jnp.asarray(agent_mask)
        if self.task.mistake == "slots 0 and 1 are always there":
            agent_mask = agent_mask.at[:2].set(True)
        if self.task.mistake == "no agent is alone":
            agent_mask = agent_mask & (everyone.sum() > 1)
        return super().reset(key, params, agent_mask)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrokenGoalCycle(GoalCycle):
    kind: Literal["broken-goal-cycle"] = "broken-goal-cycle"
    height: int = 5
    width: int = 9
    num_obstacles: int | None = 2
    views: tuple = (SMALL,) * 3
    mistake: str = ""

    def make_env(self):
        return BrokenGridEnv(self)

    def reward(self, before, after, move_result, params):
        """It pays for meeting others."""
        reward, task_state, info = super().reward(before, after, move_result, params)
        is_there = before.agent_mask | (self.mistake == "absent agents are met")
        met = (after.position[:, None] == after.position).all(-1) & is_there & ~jnp.eye(3, dtype=bool)
        return reward + met.any(-1) * before.agent_mask, task_state, info


BROKEN = {"coin": BrokenCoinGame, "grid": BrokenGoalCycle}


@pytest.mark.parametrize("task", BROKEN.values())
def test_without_a_mistake_it_passes(task):
    check_task(task())


@pytest.mark.parametrize(
    ("task", "mistake", "message"),
    [
        ("coin", "slot 0 is always there", r"Game: agent_mask: an agent outside agent_mask came in: slot 0; only"),
        (
            "grid",
            "slots 0 and 1 are always there",
            r"Cycle: agent_mask: an agent outside agent_mask came in: slot [01];",
        ),
        (
            "grid",
            "no agent is alone",
            r"Cycle: agent_mask: the agent in slot \d is not there at reset with agent_mask=\[.*\], but it is if all",
        ),
        (
            "coin",
            "absent agents observe",
            r"Game: observation: the agent in slot \d observes something while it is absent",
        ),
        (
            "grid",
            "absent agents are met",
            r"Cycle: step: where an agent outside agent_mask would stand must have no effect.*\(at \['reward'\]\)",
        ),
    ],
)
def test_a_mistake_is_named(task, mistake, message):
    with pytest.raises(ConformanceError, match=message):
        check_task(BROKEN[task](mistake=mistake))


@pytest.mark.parametrize(("num_agents", "num_masks"), [(1, 1), (2, 2), (3, 6), (5, 10), (100, 24)])
def test_each_agent_is_absent_once_and_alone_once(num_agents, num_masks):
    masks = np.unique(np.concatenate(agent_mask_batches(num_agents)), axis=0)
    assert len(masks) == num_masks
    assert masks.any(1).all()
    assert (masks[:, [0, -1]].sum(0) == masks.shape[0] // 2).all() or num_agents == 1
