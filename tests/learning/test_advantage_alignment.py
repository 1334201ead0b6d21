"""Advantage Alignment by hand, and what a learner with it receives."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.team import AgentGroup
from rookery.errors import ConfigError
from rookery.learning import actor_critic
from rookery.learning.advantage_alignment import (
    align_advantages,
    discounted_past,
    discounted_returns,
    normalize_by_step,
)
from rookery.learning.ppo import PPO
from rookery.learning.rollout import requested_info
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.build import build
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.types import MessageTrajectory, OthersInfo
from tests.learning.test_ppo import TABLE, numbered, table
from tests.learning.worlds import Table

REWARD = jnp.array([[[0.0, 1], [0, 3]], [[0, 2], [0, -2]]])  # [T, E, A]; the agent's own first, which is not used
EVERY = jnp.ones((2, 2, 2), bool)


def test_the_past_by_hand():
    # before the first step 0; then .5·4; then .5·2 + .25·4
    np.testing.assert_allclose(discounted_past(jnp.array([4.0, 2.0, 9.0]), 0.5), [0, 2, 2])


def test_returns_by_hand():
    # 1 + .5·2 and 3 - .5·2, then 2 and -2
    np.testing.assert_allclose(discounted_returns(REWARD[..., 1], 0.5), [[2, 2], [2, -2]])


def test_normalized_by_step_by_hand():
    """A critic that is off by the same amount in every episode changes nothing."""
    x = jnp.array([[100.0, 104], [7, -1]])
    # minus 102 and 3: ±2 and ±4, whose mean square is 10
    np.testing.assert_allclose(normalize_by_step(x, EVERY[..., 0]) * 10**0.5, [[-2, 2], [4, -4]], rtol=1e-5)
    absent = EVERY[..., 0].at[1, 1].set(False)
    # the second step has one episode left: ±2 and 0, mean square 8/3
    np.testing.assert_allclose(normalize_by_step(x, absent) * (8 / 3) ** 0.5, [[-2, 2], [0, 0]], rtol=1e-5)


OWN = jnp.array([[4.0, -4], [3, 1]])
# Own: mean 1, mean square of what is left (9 + 25 + 4 + 0)/4 = 9.5. By step: ±4 and ±1, mean square 8.5.
# The other's returns are 2 and 2, then 2 and -2: by step 0 and ±2, mean square 2. The past of the second step: .5·±4.
PRODUCT = 0.5 * (0.5 * 4 / 8.5**0.5) * (2 / 2**0.5)  # positive in both episodes: good times and good for the other,
ALIGNED = [[3 / 9.5**0.5, -5 / 9.5**0.5], [2 / 9.5**0.5 + 3 * PRODUCT, 3 * PRODUCT]]  # or bad times and bad for it


def test_aligned_advantages_by_hand():
    """After a good step what is good for the other is reinforced, after a bad one what is bad for it."""
    others = OthersInfo(reward=REWARD, agent_mask=EVERY)
    aligned = align_advantages(OWN, others, EVERY[..., 0], coef=3.0, gamma=0.5)
    np.testing.assert_allclose(aligned, ALIGNED, rtol=1e-5, atol=1e-6)
    # In other units, and with a critic that is wrong by 50 in every episode, it is the same.
    scaled = OthersInfo(reward=10 * REWARD, agent_mask=EVERY)
    np.testing.assert_allclose(
        align_advantages(10 * OWN - 50, scaled, EVERY[..., 0], coef=3.0, gamma=0.5), aligned, rtol=1e-4, atol=1e-6
    )
    # Without the first step there is no past.
    uncounted = align_advantages(OWN, others, EVERY[..., 0].at[0].set(False), coef=3.0, gamma=0.5)
    np.testing.assert_allclose(uncounted[1], [1, -1], rtol=1e-5)


def test_a_learner_says_what_it_is_told():
    for learner, info in ((PPO(), ()), (PPO(alignment_coef=1.0), ("reward", "agent_mask"))):
        assert requested_info(AgentGroup("pair", (0, 1), TABLE, learner)) == info
    trajectory = numbered(steps=2, episodes=2, others=OthersInfo(reward=REWARD, agent_mask=EVERY))
    assert PPO().shape_advantages(OWN, trajectory) is OWN
    aligned = PPO(alignment_coef=3.0, gamma=0.5).shape_advantages(OWN, trajectory)
    np.testing.assert_allclose(aligned, ALIGNED, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="alignment_coef=-1"):
        PPO(alignment_coef=-1.0)
    PPO().validate(1, 4)
    PPO(alignment_coef=1.0).validate(2, 4)
    with pytest.raises(ConfigError, match=r"alignment_coef=1\.0 compares .*; raise num_envs"):
        PPO(alignment_coef=1.0).validate(1, 4)


@dataclasses.dataclass(frozen=True)
class Talker(Table):
    """Its messages' value is always 2."""

    def message_logits_and_value(self, params, hidden):
        return hidden, jnp.full(hidden.shape[:-1], 2.0)


def test_messages_learn_from_their_own_rewards_alone():
    """Their advantages are not aligned; those of actions are."""
    policy = Talker(TABLE.network, (1,), 3)
    messages = MessageTrajectory(
        message=jnp.zeros((2, 2), jnp.int32), log_prob=jnp.zeros((2, 2)), logits=jnp.zeros((2, 2, 2)), reward=OWN
    )
    trajectory = numbered(steps=2, episodes=2, messages=messages, others=OthersInfo(reward=REWARD, agent_mask=EVERY))
    plain, aligned = (
        actor_critic.recompute(PPO(alignment_coef=coef), policy, table(6, seed=1), trajectory) for coef in (0.0, 3.0)
    )
    np.testing.assert_array_equal(plain.message_estimates, aligned.message_estimates)
    assert (plain.advantage != aligned.advantage).any()


def test_a_run_gives_the_learner_what_it_needs():
    network = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
    learner = PPO(sequence_length=3, num_minibatches=1, minibatch_size=4, recompute_every=None, alignment_coef=1.0)
    group = GroupConfig(name="pair", slots=(0, 1), policy=RecurrentPolicyConfig(network=network), learner=learner)
    run = build(RunConfig(task=MatrixGame(max_steps=3), team=(group,), total_timesteps=12, num_envs=4))
    state = jax.eval_shape(run.init)
    after, _ = jax.eval_shape(run.compile_train_step(), state, run.schedules)
    assert jax.tree.map(lambda x: x.shape, after.learners) == jax.tree.map(lambda x: x.shape, state.learners)
