"""Rewards that read others' rewards, and how all are paid: worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.learning.configs import check_losses
from rookery.learning.intrinsic import CentralizedInfluence, InequityAversion, MessageInfluence, Prosocial, combine
from rookery.types import MessageTrajectory, OthersInfo, Trajectory

STEPS, EPISODES = 3, 1


def add_rewards(rewards, trajectory, scale=1.0, timesteps=0.0):
    """Returns the trajectory with intrinsic rewards, and the metrics."""
    trajectory, _, metrics = combine.add_intrinsic_rewards(rewards, None, {}, {}, trajectory, scale, timesteps)
    return trajectory, metrics


def played(**others) -> Trajectory:
    """An agent paid 1, 0, 0 in one episode, with others."""
    zeros = jnp.zeros((STEPS, EPISODES))
    return Trajectory(
        observation=jnp.zeros((STEPS + 1, EPISODES, 1), jnp.uint8),
        action=zeros.astype(jnp.int32),
        reward=zeros.at[0].set(1.0),
        log_prob=zeros,
        is_first=jnp.zeros((STEPS + 1, EPISODES), bool).at[0].set(True),
        terminated=zeros.astype(bool),
        loss_mask=jnp.ones((STEPS, EPISODES), bool),
        others=OthersInfo(**others),
    )


REWARD = jnp.array([[1.0, 0.0, 2.0], [0.0, 0.0, -1.0], [0.0, 3.0, 0.0]])[:, None]  # own first


def test_prosocial_adds_the_others():
    paid, outputs = add_rewards((Prosocial(weight=0.5),), played(reward=REWARD), 1.0, 0.0)
    np.testing.assert_allclose(paid.reward[:, 0], [1 + 0.5 * 2, 0.5 * -1, 0.5 * 3])
    np.testing.assert_allclose(outputs["intrinsic_reward/prosocial"], (2 - 1 + 3) / 3, rtol=1e-6)
    assert outputs[combine.NONFINITE_STEP] == -1


def test_inequity_by_hand():
    """Smoothed by 1/2: own 1, .5, .25; others 0, 0, 3 and 2, 0, 0. The second is absent in the last step."""
    agent_mask = jnp.ones((STEPS, EPISODES, 3), bool).at[2, 0, 2].set(False)
    intrinsic = InequityAversion(disadvantageous=4.0, advantageous=0.2, trace_decay=0.5)
    paid, _ = add_rewards((intrinsic,), played(reward=REWARD, agent_mask=agent_mask), 1.0, 0.0)
    wanted = [1 - (0.2 * 1 + 4.0 * 1) / 2, -(0.2 * 0.5 + 0.2 * 0.5) / 2, -4.0 * 2.75]
    np.testing.assert_allclose(paid.reward[:, 0], wanted, rtol=1e-6)


def test_the_weight_rises_in_a_line():
    intrinsic = Prosocial(weight=2.0, warmup_steps=100.0)
    weights = [intrinsic.weight_at(jnp.float32(steps)) for steps in (0, 25, 100, 500)]
    np.testing.assert_allclose(weights, [0, 0.5, 2, 2])
    assert Prosocial(weight=2.0).weight_at(jnp.float32(0)) == 2.0
    trajectory = played(reward=REWARD)
    none = add_rewards((intrinsic,), trajectory, 0.0, 500.0)[0]
    np.testing.assert_array_equal(none.reward, trajectory.reward)


def test_messages_are_paid_apart():
    """alpha e + beta c to messages, e alone to actions."""
    influence = {"influence-messages": jnp.array([[0.5], [0.0], [1.0]])}
    zeros = jnp.zeros((STEPS, EPISODES))
    messages = MessageTrajectory(
        message=zeros.astype(jnp.int32), log_prob=zeros, logits=jnp.zeros((STEPS, EPISODES, 2))
    )
    trajectory = played(influence=influence).replace(messages=messages)
    paid, _ = add_rewards((MessageInfluence(weight=3.0, extrinsic_coef=0.5),), trajectory, 1.0, 0.0)
    np.testing.assert_array_equal(paid.reward, trajectory.reward)
    np.testing.assert_allclose(paid.messages.reward[:, 0], [0.5 + 1.5, 0, 3.0])


def test_the_size_of_influence_is_that_of_its_mean():
    """Estimates that scatter around 0 are not influence, however large the weight; a constant one is."""
    for influence, size in (([0.2, -0.3, 0.1], 0.0), ([0.2, 0.2, 0.2], 1.0)):
        given = {"influence-centralized": jnp.array(influence)[:, None]}
        reward = CentralizedInfluence(weight=5.0, divergence="pmi")
        metrics = add_rewards((reward,), played(influence=given))[1]
        np.testing.assert_allclose(metrics["intrinsic_abs/influence-centralized"], size, atol=1e-6)


def test_what_is_not_finite_is_told_by_its_step_and_stays():
    influence = {"influence-centralized": jnp.array([[0.1], [jnp.nan], [jnp.inf]])}
    paid, outputs = add_rewards((CentralizedInfluence(),), played(influence=influence), 1.0, 0.0)
    assert outputs[combine.NONFINITE_STEP] == 1
    assert np.isnan(paid.reward[1, 0])
    masked = played(influence=influence).replace(loss_mask=jnp.array([[True], [False], [False]]))
    assert add_rewards((CentralizedInfluence(),), masked)[1][combine.NONFINITE_STEP] == -1


def test_rewards_carry_no_gradient():
    def earned(reward):
        return add_rewards((Prosocial(),), played(reward=reward))[0].reward.sum()

    np.testing.assert_array_equal(jax.grad(earned)(REWARD), 0)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match=r"prosocial: weight=-1\.0"):
        Prosocial(weight=-1.0)
    with pytest.raises(ConfigError, match=r"trace_decay=1\.0 must lie in"):
        InequityAversion(trace_decay=1.0)
    with pytest.raises(ConfigError, match="must differ"):
        check_losses((), (Prosocial(), Prosocial(weight=0.1)))
