"""Reward sharing and social value orientation, worked out by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.learning.intrinsic.reward_sharing import RewardSharing
from rookery.learning.intrinsic.value_orientation import SocialValueOrientation
from tests.learning.intrinsic.test_rewards import EPISODES, REWARD, STEPS, add_rewards, played

PRESENT = jnp.ones((STEPS, EPISODES, 3), bool).at[2, 0, 2].set(False)
"""The agent is paid 1, 0, 0; the others 0, 0, 3 and 2, -1, 0, of which the second is absent in the last step."""


def test_sharing_by_hand():
    paid, _ = add_rewards((RewardSharing(weight=0.25),), played(reward=REWARD, agent_mask=PRESENT))
    np.testing.assert_allclose(paid.reward[:, 0], [0.75 * 1 + 0.25 * 1, 0.25 * -0.5, 0.25 * 3])


def test_sharing_conserves_rewards():
    """Three agents share alike: what one gives, another gets."""
    rows = []
    for agent in range(3):
        own_first = jnp.roll(REWARD, -agent, -1)
        trajectory = played(reward=own_first, agent_mask=jnp.ones_like(PRESENT)).replace(reward=own_first[..., 0])
        rows.append(add_rewards((RewardSharing(weight=0.6),), trajectory)[0].reward)
    np.testing.assert_allclose(sum(rows), REWARD.sum(-1), atol=1e-6)


def test_an_agent_alone_shares_with_none():
    alone = jnp.zeros_like(PRESENT).at[..., 0].set(True)
    paid, _ = add_rewards((RewardSharing(),), played(reward=REWARD, agent_mask=alone))
    np.testing.assert_allclose(paid.reward[:, 0], [1, 0, 0])


@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0, 150.0])
def test_value_orientation_by_hand(angle):
    """The angles of the three steps: both are paid 1; only the others, -0.5; only the others, 3."""
    paid, _ = add_rewards((SocialValueOrientation(weight=0.2, angle=angle),), played(reward=REWARD, agent_mask=PRESENT))
    wanted = math.radians(angle)
    angles = (math.pi / 4, -math.pi / 2, math.pi / 2)
    differences = [abs(wanted - actual) for actual in angles]
    costs = [0.2 * min(difference, 2 * math.pi - difference) for difference in differences]  # 150° and -90°: 120°
    np.testing.assert_allclose(paid.reward[:, 0], [1 - costs[0], -costs[1], -costs[2]], rtol=1e-5)


def test_no_reward_is_no_split():
    paid, _ = add_rewards((SocialValueOrientation(),), played(reward=0 * REWARD, agent_mask=PRESENT))
    np.testing.assert_allclose(paid.reward[1:, 0], 0)


def test_an_agent_alone_has_no_split():
    alone = jnp.zeros_like(PRESENT).at[..., 0].set(True)
    paid, _ = add_rewards((SocialValueOrientation(angle=90.0),), played(reward=REWARD, agent_mask=alone))
    np.testing.assert_allclose(paid.reward[:, 0], [1, 0, 0])


def test_equal_negative_rewards_cost_a_prosocial_agent_the_most():
    equal = -jnp.ones_like(REWARD)
    trajectory = played(reward=equal, agent_mask=PRESENT).replace(reward=equal[..., 0])
    paid, _ = add_rewards((SocialValueOrientation(weight=0.2),), trajectory)
    np.testing.assert_allclose(paid.reward, -1 - 0.2 * math.pi, rtol=1e-6)


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match=r"reward-sharing: weight=1\.5 must lie in \[0, 1\]"):
        RewardSharing(weight=1.5)
    with pytest.raises(ConfigError, match=r"svo: angle=200\.0 must lie in"):
        SocialValueOrientation(angle=200.0)
