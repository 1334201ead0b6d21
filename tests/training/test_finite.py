"""Numbers that are not finite: the message names what they came from, not what they spoiled."""

import dataclasses
from types import SimpleNamespace
from typing import Literal

import jax.numpy as jnp
import pytest

from rookery.errors import DivergedError
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward
from rookery.learning.a2c import A2C
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS
from rookery.tasks import registry
from rookery.tasks.single_goal import SingleGoal
from rookery.training.finite import check_finite_params
from rookery.training.trainer import train
from tests.tiny import NOVICE, OTHER, TASK, VIEW, tiny

pytestmark = pytest.mark.usefixtures("quick")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NanTask(SingleGoal):
    kind: Literal["nan-task"] = "nan-task"

    def reward(self, before, after, move_result, params):
        reward, task_state, info = super().reward(before, after, move_result, params)
        return jnp.where(before.agent_mask, jnp.nan, reward), task_state, info


@dataclasses.dataclass(frozen=True, kw_only=True)
class NanLoss(AuxiliaryLoss):
    kind: Literal["nan-loss"] = "nan-loss"

    def loss(self, params, inputs):
        return inputs.hidden.sum(-1) * jnp.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class NanReward(IntrinsicReward):
    kind: Literal["nan-reward"] = "nan-reward"

    def reward(self, params, policy, trajectory, state):
        return trajectory.reward * jnp.nan


NAN_TASK = NanTask(height=5, width=6, num_obstacles=1, max_steps=8, views=(VIEW, VIEW))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, "nan-loss", NanLoss)
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "nan-reward", NanReward)
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    registry.register("nan-v0", "a reward that is not finite", NAN_TASK)


def learner(**parts):
    group = dataclasses.replace(NOVICE, learner=A2C(sequence_length=4, **parts))
    return {"team": (group, OTHER)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"task": NAN_TASK, "env_schedules": {}},
            r"the reward of task 'nan-task' for slot 0 is not finite in update 1 \(variant 'social', seed 3\)",
        ),
        (learner(auxiliary=(NanLoss(),)), "aux_loss/nan-loss of 'novice' is not finite at update 1 .*check 'nan-loss'"),
        (
            learner(auxiliary=(NanLoss(),), intrinsic=(NanReward(),)),
            "the intrinsic reward 'nan-reward' of 'novice', slot 0, is not finite at step 1",
        ),
    ],
    ids=["task", "loss", "reward"],
)
def test_the_cause_is_named_before_what_it_spoiled(changes, message, tmp_path):
    config = tiny(**{"task": TASK, "variants": tiny().variants[:1], "eval_episodes": 0, **changes})
    with pytest.raises(DivergedError, match=message):
        train(config, tmp_path / "run", quiet=True)


@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_checkpoints_are_mentioned_if_there_are_any(has_checkpoints):
    group = SimpleNamespace(name="novice")
    run = SimpleNamespace(team=SimpleNamespace(learning_groups=[group]), config=tiny())
    state = SimpleNamespace(learners={"novice": SimpleNamespace(params={"policy": jnp.full((2, 3), jnp.nan)})})
    with pytest.raises(DivergedError) as caught:
        check_finite_params(run, state, 2, has_checkpoints=has_checkpoints)
    assert ("checkpoints before it are kept" in str(caught.value)) == has_checkpoints
