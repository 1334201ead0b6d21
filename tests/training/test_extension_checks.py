"""Extensions that are not registered, or whose results have wrong shapes, are refused before anything is written."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.errors import ConfigError
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic.prosocial import Prosocial
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training.config import RecurrentPolicyConfig
from rookery.training.trainer import train
from tests.tiny import NOVICE, OTHER, TASK, tiny


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadReward(IntrinsicReward):
    kind: Literal["bad-reward"] = "bad-reward"
    result: Literal["extra step", "episodes", "scalar", "influence"] = "scalar"

    def reward(self, params, policy, trajectory, state):
        per_observation = trajectory.is_first.astype(jnp.float32)
        return {"extra step": per_observation, "episodes": per_observation[0], "scalar": jnp.float32(1.0)}[self.result]

    def influence(self, params, policy, trajectory):
        return trajectory.reward if self.result == "influence" else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadLoss(AuxiliaryLoss):
    kind: Literal["bad-loss"] = "bad-loss"
    result: Literal["scalar", "mask", "metric"] = "scalar"

    def loss_mask(self, batch):
        return batch.loss_mask[0] if self.result == "mask" else batch.loss_mask

    def loss(self, params, inputs):
        values = inputs.hidden.sum(-1)
        return values.mean() if self.result == "scalar" else values

    def metrics(self, params, inputs):
        return {"size": jnp.zeros(2)} if self.result == "metric" else {}


def learner(intrinsic=(), auxiliary=()):
    return A2C(sequence_length=4, intrinsic=intrinsic, auxiliary=auxiliary)


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (learner((BadReward(result="extra step"),)), r"'bad-reward', .* has shape \[9, 4\], must be \[8, 4\]"),
        (learner((BadReward(result="episodes"),)), r"reward\(\) of 'bad-reward', .* has shape \[4\], must be \[8, 4\]"),
        (learner((BadReward(result="scalar"),)), r"reward\(\) of 'bad-reward', .* has shape \[\], must be \[8, 4\]"),
        (learner((BadReward(result="influence"),)), r"influence\(\) of 'bad-reward', .* must be \[8, 4, 1\]"),
        (learner((), (BadLoss(result="scalar"),)), r"loss\(\) of 'bad-loss', .* has shape \[\], must be \[4, 8\]"),
        (learner((), (BadLoss(result="mask"),)), r"loss_mask\(\) of 'bad-loss', .* has shape \[8\], must be \[4, 8\]"),
        (learner((), (BadLoss(result="metric"),)), r"metric 'size' of 'bad-loss' has shape \[2\], must be \[\]"),
    ],
    ids=lambda value: "" if isinstance(value, str) else (*value.intrinsic, *value.auxiliary)[0].result,
)
def test_wrong_shapes_are_refused_before_anything_is_written(learner, message, tmp_path, monkeypatch):
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "bad-reward", BadReward)
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, "bad-loss", BadLoss)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner), OTHER))
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_number_that_no_file_may_hold_is_refused_before_anything_is_written(tmp_path):
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner((Prosocial(weight=float("nan")),))), OTHER))
    with pytest.raises(ConfigError, match=r"^config\.team\.0\.learner\.intrinsic\.0\.weight is .*NaN"):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Returning(A2C):
    kind: Literal["returning"] = "returning"
    name: str = "return"

    def update(self, *arguments):
        state, metrics = super().update(*arguments)
        return state, {**metrics, self.name: jnp.float32(0)}


@pytest.mark.parametrize("name", ["return", "goals"])
def test_a_metric_that_would_replace_another_is_refused_before_anything_is_written(name, tmp_path, monkeypatch):
    monkeypatch.setitem(LEARNERS._entries, "returning", Returning)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=Returning(sequence_length=4, name=name)), OTHER))
    with pytest.raises(ConfigError, match=rf"^group 'novice': the learner 'returning': the metric '{name}' would repl"):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnregisteredTask(GoalCycle):
    kind: Literal["unregistered"] = "unregistered"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnregisteredNetwork(MLPNetwork):
    kind: Literal["unregistered"] = "unregistered"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnregisteredLearner(A2C):
    kind: Literal["unregistered"] = "unregistered"


def team(**changes):
    return {"team": (dataclasses.replace(NOVICE, **changes), OTHER)}


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({"task": UnregisteredTask(views=TASK.views)}, r'register\("my-task-v0", .*, UnregisteredTask\(\)\)'),
        (team(policy=RecurrentPolicyConfig(network=UnregisteredNetwork())), r"register_network\(UnregisteredNetwork\)"),
        (team(learner=UnregisteredLearner()), r"register_learner\(UnregisteredLearner\)"),
        (team(learner=learner((), (BadLoss(),))), r"register_auxiliary_loss\(BadLoss\)"),
        (team(learner=learner((BadReward(),))), r"register_intrinsic_reward\(BadReward\)"),
    ],
    ids=["task", "network", "learner", "loss", "reward"],
)
def test_a_class_that_is_not_registered_is_named_with_the_call_that_registers_it(changes, call, tmp_path):
    with pytest.raises(ConfigError, match=rf"not a registered .*call rookery\.{call} first"):
        train(tiny(env_schedules={}, **changes), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
