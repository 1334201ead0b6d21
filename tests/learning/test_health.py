"""What learners measure of their own mechanisms, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import HealthInputs
from rookery.learning import r2d2
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.health import gradient_norms, relative_state_error
from rookery.learning.intrinsic import MOAInfluence
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2
from rookery.types import OthersInfo, Trajectory

KEY = jax.random.PRNGKey(0)
T, E = 6, 2
POLICY = RecurrentPolicy(
    MLPNetwork(encoder_size=4, hidden_size=4, head_size=4), (3,), 3, communication=CommunicationConfig(), num_agents=2
)
ALONE = dataclasses.replace(POLICY, communication=None, num_agents=1)


def played(**others) -> Trajectory:
    rng = np.random.default_rng(0)
    comms_obs = jnp.zeros((T + 1, E, POLICY.comms_obs_size), jnp.uint8) if others else None
    return Trajectory(
        observation=jnp.asarray(rng.integers(0, 256, (T + 1, E, 3)), jnp.uint8),
        action=jnp.asarray(rng.integers(0, 3, (T, E)), jnp.int32),
        reward=jnp.asarray(rng.standard_normal((T, E)), jnp.float32),
        log_prob=jnp.full((T, E), -1.0),
        is_first=jnp.zeros((T + 1, E), bool).at[0].set(True),
        terminated=jnp.zeros((T, E), bool),
        loss_mask=jnp.ones((T, E), bool),
        comms_obs=comms_obs,
        others=OthersInfo(**others) if others else None,
    )


def nowhere(observation):
    return None


def test_relative_state_error_by_hand():
    fresh = {"a": jnp.array([[3.0, 4.0], [1.0, 1.0]])}
    stale = {"a": jnp.array([[3.0, 4.5], [9.0, 9.0]])}
    mask = jnp.array([True, False])
    np.testing.assert_allclose(relative_state_error(stale, fresh, mask), 0.1, rtol=1e-6)
    assert relative_state_error(stale, jax.tree.map(jnp.zeros_like, fresh)) == 0
    stale, fresh = ({"a": tree["a"][:, None]} for tree in (stale, fresh))  # a state with further axes
    np.testing.assert_allclose(relative_state_error(stale, fresh, mask), 0.1, rtol=1e-6)


def test_gradient_norms_count_shared_layers_alone():
    params = {"encoder": jnp.array([3.0]), "memory": jnp.array([4.0]), "heads": jnp.array([100.0])}

    def losses(p):
        total = (p["encoder"] ** 2 + p["memory"] ** 2 + p["heads"] ** 2).sum()
        return {"all": 0.5 * total, "heads": p["heads"].sum()}

    norms = gradient_norms(losses, params)
    np.testing.assert_allclose(norms["grad_norm/all"], 5.0, rtol=1e-6)
    assert norms["grad_norm/heads"] == 0


def test_a_model_of_others_is_compared_with_their_action_frequencies():
    """The other agent's actions after the first are 0 once and 1 four times; it is absent in one step of episode 1."""
    others = jnp.array([[2, 0, 1, 1, 1, 1], [2, 0, 1, 1, 1, -1]]).T
    action = jnp.stack([jnp.zeros((T, E), jnp.int32), others], -1)
    trajectory = played(action=action, agent_mask=action >= 0, in_view=jnp.ones((T, E, 1), bool))
    reward = MOAInfluence(dense_size=4)
    params = {"policy": POLICY.init(KEY), "intrinsic": {reward.kind: reward.init(KEY, POLICY)}}
    params["intrinsic"][reward.kind]["output"] = jax.tree.map(
        jnp.zeros_like, params["intrinsic"][reward.kind]["output"]
    )
    inputs = HealthInputs(POLICY, params["policy"], trajectory, jnp.zeros((T, E, 4)))
    measured = reward.health(params, inputs)
    np.testing.assert_allclose(measured["cross_entropy"], np.log(3), rtol=1e-6)
    expected = -(2 / 9 * np.log(2 / 9) + 7 / 9 * np.log(7 / 9))
    np.testing.assert_allclose(measured["cross_entropy_marginal"], expected, rtol=1e-6)


def test_states_in_a_replay_buffer_go_stale_as_parameters_change():
    learner = R2D2(capacity=3, sequence_length=2, burn_in=1, n_step=1, auxiliary=(NextFramePrediction(),))
    trajectory, state = played(), learner.init(ALONE, KEY, T)
    state = state._replace(replay=r2d2.add_episodes(learner, ALONE, state, trajectory))
    measure = jax.jit(lambda s: learner.health(ALONE, s, trajectory, nowhere))
    fresh = measure(state)
    assert fresh["stale_state_error"] < 1e-6
    assert fresh["stale_state_error_after_burn_in"] < 1e-6
    policy = jax.tree.map(lambda x: 1.3 * x, state.params["policy"])
    stale = measure(state._replace(params={**state.params, "policy": policy}))
    assert stale["stale_state_error"] > stale["stale_state_error_after_burn_in"] > 1e-3
    assert {"grad_norm/q", "grad_norm/next-frame", "next-frame/error"} <= set(stale)


def test_gradients_of_a_loss_grow_with_its_weight():
    measured = []
    for weight in (1.0, 2.0):
        learner = PPO(sequence_length=3, auxiliary=(NextFramePrediction(weight=weight),))
        state = learner.init(ALONE, KEY, T)
        measured.append(jax.jit(lambda s, own=learner: own.health(ALONE, s, played(), nowhere))(state))
    one, two = measured
    np.testing.assert_allclose(two["grad_norm/next-frame"], 2 * one["grad_norm/next-frame"], rtol=1e-4)
    np.testing.assert_allclose(two["grad_norm/value"], one["grad_norm/value"], rtol=1e-4)
    assert one["grad_norm/policy"] > 0
    assert PPO().health(ALONE, PPO().init(ALONE, KEY, T), played(), nowhere) == {}
