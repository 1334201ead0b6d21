"""Losses and rewards are given what they request themselves, and not what another one of their learner requests."""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.interfaces import AuxiliaryLoss, IntrinsicReward, LossInputs
from rookery.learning import extra_losses, health
from rookery.learning.auxiliary import AttentionLoss
from rookery.learning.intrinsic import CentralizedInfluence, InequityAversion, MessageInfluence, Prosocial, combine
from rookery.learning.requested import only_requested
from rookery.types import OthersInfo, Sequences, Trajectory
from tests.learning.worlds import TABLE

ALL = {name: np.zeros((2, 1, 3)) for name in ("action", "reward", "in_view", "relative_position", "agent_mask")}
OTHERS = OthersInfo(**ALL, influence={"influence-centralized": np.zeros((2, 1)), "influence-messages": np.ones((2, 1))})
ZEROS, COUNTS = jnp.zeros((2, 1)), jnp.ones((2, 1), bool)
EPISODE = Trajectory(
    observation=jnp.zeros((3, 1, 1), jnp.uint8), action=ZEROS.astype(int), reward=ZEROS, log_prob=ZEROS,
    is_first=jnp.zeros((3, 1), bool), terminated=~COUNTS, loss_mask=COUNTS, logits=jnp.zeros((2, 1, 3)), others=OTHERS,
)  # fmt: skip
BATCH = Sequences(
    observation=EPISODE.observation, is_first=EPISODE.is_first, action=EPISODE.action, reward=ZEROS, terminated=~COUNTS,
    loss_mask=COUNTS, next_in_episode=COUNTS, carry=(), others=OTHERS,
)  # fmt: skip


def known(others: OthersInfo) -> set[str]:
    return {name for name, value in vars(others).items() if value is not None}


@pytest.mark.parametrize("part", [Prosocial(), InequityAversion(), AttentionLoss()], ids=lambda part: part.kind)
@pytest.mark.parametrize("data", [EPISODE, BATCH], ids=lambda data: type(data).__name__)
def test_each_gets_its_own_fields(part, data):
    assert known(only_requested(part, data).others) == set(part.required_info)


@pytest.mark.parametrize("reward", [CentralizedInfluence(), MessageInfluence()], ids=lambda reward: reward.kind)
def test_influence_is_that_of_the_reward_itself(reward):
    given = only_requested(reward, EPISODE)
    assert known(given.others) == {"influence"}
    assert set(given.others.influence) == {reward.kind}
    assert (given.logits is not None) == ("logits" in reward.required_info)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looking(IntrinsicReward):
    """It requests nothing, and keeps what every method is given."""

    kind: Literal["looking"] = "looking"
    seen: ClassVar[list] = []

    def see(self, data, result=None):
        self.seen.append(data)
        return result

    def update_state(self, state, params, policy, trajectory):
        return self.see(trajectory, state)

    def influence(self, params, policy, trajectory):
        return self.see(trajectory)

    def reward(self, params, policy, trajectory, state):
        return self.see(trajectory, ZEROS)

    def loss_mask(self, batch):
        return self.see(batch, COUNTS)

    def loss(self, params, inputs, carry):
        return self.see(inputs.batch, ZEROS)

    def health(self, params, inputs):
        return self.see(inputs.trajectory, {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookingLoss(AuxiliaryLoss):
    kind: Literal["looking"] = "looking"

    def loss_mask(self, batch):
        return Looking().see(batch, COUNTS)

    def loss(self, params, inputs):
        return Looking().see(inputs.batch, ZEROS)

    def metrics(self, params, inputs):
        return Looking().see(inputs.batch, {})

    def health(self, params, inputs):
        return Looking().see(inputs.trajectory, {})


def test_no_method_is_given_what_another_reward_requests(monkeypatch):
    monkeypatch.setattr(Looking, "seen", [])
    rewards, losses = (Prosocial(), Looking()), (LookingLoss(),)
    combine.add_intrinsic_rewards(rewards, None, {}, {}, EPISODE, 1.0, 0.0)
    denominators = extra_losses.loss_denominators(losses, rewards, BATCH)
    params = {"auxiliary": {"looking": {}}, "policy": {"logits": jnp.zeros((1, 3)), "value": jnp.zeros(1)}}
    inputs = LossInputs(None, None, BATCH, None, np.zeros(2, np.uint32))
    extra_losses.add_extra_losses(ZEROS.sum(), losses, rewards, params, inputs, denominators, 1.0)
    monkeypatch.setattr(type(TABLE), "unroll", lambda *_: (None, None, None, None))
    health.measure_losses(losses, rewards, TABLE, params, EPISODE, lambda observation: None)
    assert len(Looking.seen) == 3 + 2 + 5 + 2
    assert [data.others for data in Looking.seen] == [None] * 12
    assert all(data.logits is None for data in Looking.seen if isinstance(data, Trajectory))
