"""Reciprocity: its reward by hand, and that its model of returns is what the influence is computed from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning.intrinsic.reciprocity import Reciprocity, reciprocal_reward
from rookery.testing import check_intrinsic_reward

POLICY = RecurrentPolicy(
    MLPNetwork(encoder_size=4, hidden_size=4, head_size=4), observation_shape=(1, 2, 3), num_actions=2, num_agents=3
)


def test_the_reward_by_hand():
    """Two others; the first was good, then bad to the agent, the second never did anything and leaves."""
    on_self = jnp.array([[4.0, 0], [-6, 0], [0, 0]])[:, None]
    on_others = jnp.array([[1.0, 1], [2, 1], [3, 1]])[:, None]
    agent_mask = jnp.array([[True, True], [True, True], [True, False]])[:, None]
    # balances with the first: 0; 4 - 1 = 3; .5·3 + (-6 - 2) = -6.5. With the second: 0; -1.
    reward = reciprocal_reward(on_others, on_self, agent_mask, 0.5)
    np.testing.assert_allclose(reward[:, 0], [0, (3 * 2 - 1) / 2, -6.5 * 3])


def test_without_an_action_nothing_of_it_is_known():
    reciprocity = Reciprocity(dense_size=4)
    params = reciprocity.init(jax.random.PRNGKey(0), POLICY)
    features = jnp.ones((2, 1, 4))
    returns = [
        reciprocity.expected_returns(params, POLICY, features, jnp.array([[[0, 1, 0]], [[first, 1, -1]]]))
        for first in (0, 1)
    ]
    assert returns[0].shape == (4, 2, 1, 3)
    np.testing.assert_array_equal(returns[0][1], returns[1][1])  # without the first agent's action
    for known in (0, 2, 3):
        assert not np.array_equal(returns[0][known], returns[1][known])
    np.testing.assert_array_equal(returns[0][0, 1], returns[0][3, 1])  # an absent agent has no action


def test_it_conforms():
    check_intrinsic_reward(Reciprocity(dense_size=4))
    with pytest.raises(ConfigError, match="reciprocity: gamma=0"):
        Reciprocity(gamma=0.0)
