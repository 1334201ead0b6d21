"""The worlds of `test_probes`, for the Q-learner: what each action is worth is known."""

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.learning.r2d2 import R2D2, action_values, signed_parabolic
from rookery.learning.rollout import rollout
from tests.learning.test_probes import ACTIONS, DISCOUNT, STEPS, Probe, probe

E = 32
CONFIG = R2D2(
    capacity=128, sequence_length=3, burn_in=1, n_step=2, gradient_steps=8, minibatch_size=64, target_update_period=16,
    gamma=DISCOUNT, adam_eps=1e-5, max_grad_norm=10.0, eval_epsilon=0.0,
)  # fmt: skip
POLICY = CONFIG.eval_policy(RecurrentPolicy(MLPNetwork(encoder_size=16, hidden_size=16, head_size=16), (2,), ACTIONS))
EXPLORERS = Team((AgentGroup("learner", (0,), CONFIG.behavior_policy(POLICY), learner=CONFIG),))
TEAM = Team((AgentGroup("learner", (0,), POLICY, learner=CONFIG),))
PRESENT = jnp.ones((E, 1), bool)
HPARAMS = {
    "learning_rate": jnp.float32(5e-3),
    "aux_loss_scale": jnp.float32(1),
    "epsilon": jnp.float32(0.3),
    "importance_exponent": jnp.float32(0.6),
}
UPDATES = 150


@jax.jit
def learn(params, key):
    """Explore and learn, then play once as learned: the last trajectory, and what each action is worth in it."""
    env = Probe()

    def play(team, own, key):
        lifted = jax.tree.map(lambda x: x[None], own)
        trajectories, _ = rollout(env, team, {"learner": lifted}, params, key, PRESENT)
        return jax.tree.map(lambda x: x[0], trajectories["learner"])

    def again(state, key):
        play_key, learn_key = jax.random.split(key)
        trajectory = play(EXPLORERS, CONFIG.behavior_params(state, HPARAMS), play_key)
        return CONFIG.update(POLICY, state, trajectory, HPARAMS, learn_key)

    state, result = jax.lax.scan(again, CONFIG.init(POLICY, key, STEPS), jax.random.split(key, UPDATES))
    last = play(TEAM, state.params["policy"], jax.random.fold_in(key, 1))
    logits, value, _, _ = POLICY.unroll(
        state.params["policy"], POLICY.initial_carry(E), last.observation, last.is_first
    )
    return last, signed_parabolic(action_values(logits, value)), result


def solve(params, seed=0):
    last, q, _ = learn(params, jax.random.PRNGKey(seed))
    return last, np.asarray(q)


def cues(last):
    return (np.asarray(last.observation)[0, :, 0] > 100).astype(int)


def test_a_constant_reward_until_death():
    for length, worth in ((1, [1]), (3, [2.44, 1.8, 1])):
        _, q = solve(probe(lambda c, t: 50 * t, lambda c, t, a: 1, length))
        expected = np.tile(np.array(worth).reshape(-1, 1, 1), (1, E, ACTIONS))
        np.testing.assert_allclose(q[:length], expected, atol=0.15)


def test_a_constant_reward_for_ever():
    """1 / (1 - 0.8), though every episode is cut off after four steps."""
    _, q = solve(probe(lambda c, t: 100, lambda c, t, a: 1))
    np.testing.assert_allclose(q[:STEPS], 5, atol=0.4)


def test_a_reward_to_come_is_discounted():
    _, q = solve(probe(lambda c, t: 60 * t, lambda c, t, a: t == 2, length=3))
    np.testing.assert_allclose(q[:3], np.tile(np.array([0.64, 0.8, 1]).reshape(-1, 1, 1), (1, E, 2)), atol=0.12)


def test_an_action_that_matters():
    """Which one pays depends on what is seen."""
    last, q = solve(probe(lambda c, t: 200 * c, lambda c, t, a: 1 if a == c else -1, length=1))
    cue = cues(last)
    np.testing.assert_allclose(q[0, np.arange(E), cue], 1, atol=0.15)
    np.testing.assert_allclose(q[0, np.arange(E), 1 - cue], -1, atol=0.15)
    assert (last.reward[0] == 1).all()


def test_a_cue_that_must_be_remembered():
    """What was seen first decides what pays two steps later, within the sequence that learns it."""
    params = probe(
        lambda c, t: 200 * c if t == 0 else 100,
        lambda c, t, a: 0 if t < 2 else (1 if a == c else -1),
        length=3,
    )
    last, q = solve(params)
    cue = cues(last)
    np.testing.assert_allclose(q[2, np.arange(E), cue], 1, atol=0.2)
    np.testing.assert_allclose(q[2, np.arange(E), 1 - cue], -1, atol=0.2)
    np.testing.assert_allclose(q[0], 0.64, atol=0.2)
    assert (last.reward[2] == 1).all()


def test_where_nothing_is_ever_paid_all_values_go_to_nothing():
    """Appendix 7.5 of Ndousse et al. 2021. What is seen must not tell the time: nobody acts on a final observation, so
    the worth of one that is seen at no other time would be anybody's guess."""
    _, q = solve(probe(lambda c, t: 100 + 50 * c, lambda c, t, a: 0))
    np.testing.assert_allclose(q[:STEPS], 0, atol=0.05)
