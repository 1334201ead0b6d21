"""What the checks of losses find out about the numbers of single steps, on minibatches that are made once."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import AuxiliaryLoss
from rookery.learning.a2c import A2C
from rookery.testing import ConformanceError
from rookery.testing.loss_checks import (
    check_absent_actions,
    check_masked_steps,
    check_parts,
    measure_by,
    minibatch_maker,
)
from rookery.testing.sample_episodes import sample_trajectory

POLICY = RecurrentPolicy(MLPNetwork(encoder_size=2, hidden_size=2, head_size=2), (2,), 3, num_agents=3)
TRAJECTORY = sample_trajectory(POLICY, ("action", "agent_mask", "reward"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plain(AuxiliaryLoss):
    """A loss of which a test gives the numbers."""

    kind: Literal["test-plain"] = "test-plain"


class Whole(Plain):
    """It gets the whole minibatch at once."""

    splits_minibatch: ClassVar[bool] = False


@pytest.fixture(scope="module")
def make():
    learner = A2C(sequence_length=4)
    return minibatch_maker(learner, POLICY, learner.init(POLICY, jax.random.PRNGKey(0), 12).params)


def reward(inputs):
    return inputs.batch.reward


def difference_from_previous(inputs):
    """Of the sequence before, over the number of sequences."""
    x = inputs.batch.reward
    return (x - jnp.pad(x, ((0, 0), (1, 0)))[:, :-1]) / x.shape[1]


def divided_by_number(inputs):
    return inputs.batch.reward / inputs.batch.reward.shape[1]


def noisy(inputs):
    return inputs.batch.reward + jax.random.normal(inputs.key, inputs.batch.reward.shape)


@pytest.mark.parametrize("loss", [difference_from_previous, divided_by_number], ids=lambda f: f.__name__)
def test_a_loss_that_depends_on_other_sequences_must_say_so(loss, make):
    with pytest.raises(ConformanceError, match=r"Plain\.loss: depends on the other sequences of the minibatch"):
        check_parts(Plain(), measure_by(Plain(), loss), make, TRAJECTORY, "Plain")
    check_parts(Whole(), measure_by(Whole(), loss), make, TRAJECTORY, "Whole")


@pytest.mark.parametrize("loss", [reward, noisy], ids=lambda f: f.__name__)
def test_a_loss_of_single_sequences_may_be_read_in_parts(loss, make):
    check_parts(Plain(), measure_by(Plain(), loss), make, TRAJECTORY, "Plain")


@pytest.mark.parametrize(
    "loss",
    [
        lambda inputs: inputs.batch.reward[::-1].cumsum(0)[::-1],
        lambda inputs: inputs.batch.reward + inputs.batch.terminated.sum(0),
        lambda inputs: inputs.batch.others.reward[:-1].sum((0, -1)) + inputs.batch.reward,
    ],
    ids=["reward", "terminated", "others"],
)
def test_a_loss_of_steps_that_do_not_count_is_named(loss, make):
    with pytest.raises(
        ConformanceError, match=r"Plain\.loss: steps that do not count .* numbers for the steps that do count"
    ):
        check_masked_steps(measure_by(Plain(), loss), make, TRAJECTORY, "Plain")


def test_a_loss_of_the_steps_that_count_passes(make):
    check_masked_steps(measure_by(Plain(), reward), make, TRAJECTORY, "Plain")


def others_ahead(inputs):
    """How far ahead all others are, those included that are absent."""
    return inputs.batch.others.relative_position[:-1, ..., 0].sum(-1).astype(jnp.float32)


def present_others_ahead(inputs):
    others = inputs.batch.others
    return jnp.where(others.agent_mask, jnp.pad(others.relative_position[..., 0], ((0, 0), (0, 0), (1, 0))), 0)[
        :-1
    ].sum(-1)


def test_a_loss_of_where_absent_agents_are_is_named(make):
    trajectory = sample_trajectory(POLICY, ("relative_position", "agent_mask"))
    with pytest.raises(
        ConformanceError, match=r"Plain\.loss: `others\.relative_position` of an absent agent is arbitrary"
    ):
        check_masked_steps(measure_by(Plain(), others_ahead), make, trajectory, "Plain")
    check_masked_steps(measure_by(Plain(), present_others_ahead), make, trajectory, "Plain")


VALUES = jnp.array([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "measure",
    [
        lambda others: VALUES[others.action],
        lambda others: jnp.cumsum(VALUES[others.action], 0),
        lambda others: jnp.take_along_axis(jnp.broadcast_to(VALUES, (*others.action.shape[:2], 3)), others.action, -1),
    ],
)
def test_an_action_of_an_absent_agent_is_no_index(measure):
    with pytest.raises(ConformanceError, match="Bad: takes -1, the action of an absent agent"):
        check_absent_actions(lambda trajectory: measure(trajectory.others), TRAJECTORY, 3, "Bad")


@pytest.mark.parametrize(
    "measure",
    [
        lambda others: VALUES[others.action] * others.agent_mask,
        lambda others: jnp.where(others.action >= 0, VALUES[others.action], 0.0),
        lambda others: jnp.where(others.action != -1, VALUES[others.action], 0.0),
        lambda others: jax.nn.one_hot(others.action, 3) @ VALUES,
        lambda others: (others.action == 0).sum(-1),
        lambda others: others.reward,
    ],
)
def test_absent_agents_may_be_left_out_in_any_way(measure):
    check_absent_actions(lambda trajectory: measure(trajectory.others), TRAJECTORY, 3, "Good")
