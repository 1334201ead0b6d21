"""Advantage Alignment by hand, and what a learner with it receives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.team import AgentGroup
from rookery.errors import ConfigError
from rookery.learning.advantage_alignment import align_advantages, discounted_past, return_advantages
from rookery.learning.ppo import PPO
from rookery.learning.rollout import requested_info
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.build import build
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.types import OthersInfo
from tests.learning.test_ppo import TABLE, numbered

REWARD = jnp.array([[[0.0, 1], [0, 3]], [[0, 2], [0, -2]]])  # [T, E, A]; the agent's own first, which is not used
EVERY = jnp.ones((2, 2, 2), bool)


def test_the_past_by_hand():
    # before the first step 0; then .5·4; then .5·2 + .25·4
    np.testing.assert_allclose(discounted_past(jnp.array([4.0, 2.0, 9.0]), 0.5), [0, 2, 2])


def test_advantages_of_others_by_hand():
    # returns 1 + .5·2 = 2 and 3 - .5·2 = 2, then 2 and -2; minus their means over episodes, 2 and 0
    own = return_advantages(REWARD[..., 1:], EVERY[..., 1:], 0.5)[..., 0]
    np.testing.assert_allclose(own, [[0, 0], [2, -2]])
    absent = EVERY[..., 1:].at[1, 1].set(False)
    np.testing.assert_allclose(return_advantages(REWARD[..., 1:], absent, 0.5)[..., 0], [[-0.5, 0.5], [0, 0]])


def test_aligned_advantages_by_hand():
    """After a good step what is good for the other is reinforced, after a bad one what is bad for it."""
    advantage = jnp.array([[4.0, -4.0], [1, 1]])
    others = OthersInfo(reward=REWARD, agent_mask=EVERY)
    aligned = align_advantages(advantage, others, EVERY[..., 0], coef=3.0, gamma=0.5)
    # 1 + 3·.5·(.5·±4)·(±2): both episodes gain
    np.testing.assert_allclose(aligned, [[4, -4], [7, 7]])
    uncounted = align_advantages(advantage, others, EVERY[..., 0].at[0].set(False), coef=3.0, gamma=0.5)
    np.testing.assert_allclose(uncounted[1], [1, 1])


def test_a_learner_says_what_it_is_told():
    for learner, info in ((PPO(), ()), (PPO(alignment_coef=1.0), ("reward", "agent_mask"))):
        assert requested_info(AgentGroup("pair", (0, 1), TABLE, learner)) == info
    trajectory = numbered(steps=2, episodes=2, others=OthersInfo(reward=REWARD, agent_mask=EVERY))
    advantage = jnp.array([[4.0, -4.0], [1, 1]])
    assert PPO().shape_advantages(advantage, trajectory) is advantage
    aligned = PPO(alignment_coef=3.0, gamma=0.5).shape_advantages(advantage, trajectory)
    np.testing.assert_allclose(aligned, [[4, -4], [7, 7]])
    with pytest.raises(ConfigError, match="alignment_coef=-1"):
        PPO(alignment_coef=-1.0)


def test_a_run_gives_the_learner_what_it_needs():
    network = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
    learner = PPO(sequence_length=3, num_minibatches=1, minibatch_size=4, recompute_every=None, alignment_coef=1.0)
    group = GroupConfig(name="pair", slots=(0, 1), policy=RecurrentPolicyConfig(network=network), learner=learner)
    run = build(RunConfig(task=MatrixGame(max_steps=3), team=(group,), total_timesteps=12, num_envs=4))
    state = jax.eval_shape(run.init)
    after, _ = jax.eval_shape(run.compile_train_step(), state, run.schedules)
    assert jax.tree.map(lambda x: x.shape, after.learners) == jax.tree.map(lambda x: x.shape, state.learners)
