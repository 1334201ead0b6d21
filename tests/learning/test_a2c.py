"""A2C learns what is known, and takes each sequence once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError
from rookery.learning import a2c
from rookery.learning.a2c import A2C
from rookery.learning.ppo import ScheduledHparams
from rookery.learning.rollout import rollout
from tests.learning.test_probes import DISCOUNT, POLICY, PRESENT, STEPS, Probe, probe

CONFIG = A2C(
    sequence_length=STEPS, num_minibatches=4, gamma=DISCOUNT, optimizer_kind="adam", normalize_advantages=True,
    max_grad_norm=1.0,
)  # fmt: skip


@jax.jit
def learn(params, key):
    """Train, then play once more: the last trajectory, and its probabilities, [T(+1), E]."""
    team = Team((AgentGroup("learner", (0,), POLICY, learner=CONFIG),))

    def play(learner, key):
        lifted = jax.tree.map(lambda x: x[None], learner.params["policy"])
        trajectories, _ = rollout(Probe(), team, {"learner": lifted}, params, key, PRESENT)
        return jax.tree.map(lambda x: x[0], trajectories["learner"])

    def again(learner, key):
        play_key, learn_key = jax.random.split(key)
        hparams = {"learning_rate": 1e-2, "ent_coef": 1e-3, "aux_loss_scale": 1.0, "intrinsic_scale": 1.0}
        hparams = {name: jnp.float32(value) for name, value in hparams.items()}
        return CONFIG.update(POLICY, learner, play(learner, play_key), hparams, learn_key)

    learner, result = jax.lax.scan(again, CONFIG.init(POLICY, key, STEPS), jax.random.split(key, 150))
    last = play(learner, jax.random.fold_in(key, 1))
    blank = POLICY.initial_carry(64)
    logits, value, _, _ = POLICY.unroll(learner.params["policy"], blank, last.observation, last.is_first)
    return last, value, jax.nn.softmax(logits), result


@pytest.mark.exact
def test_a_cue_that_must_be_remembered():
    """The whole of it: encoder, memory, policy and critic."""
    params = probe(
        lambda c, t: 200 * c if t == 0 else 100, lambda c, t, a: 0 if t < 2 else (1 if a == c else -1), length=3
    )
    last, value, probability, metrics = learn(params, jax.random.PRNGKey(0))
    cue = (np.asarray(last.observation)[0, :, 0] > 100).astype(int)
    assert (np.asarray(probability)[2, np.arange(64), cue] > 0.95).all()
    np.testing.assert_allclose(value[0], 0.64, atol=0.2)
    assert set(CONFIG.nan_guarded_metrics) <= set(metrics)
    np.testing.assert_allclose(metrics["approx_kl"][0], 0, atol=1e-2)


def test_its_slope_is_the_policy_gradient():
    """advantage × (probability - one-hot), for a policy of two logits; nothing else moves them."""
    logits, advantage, action = jnp.array([0.3, -0.2]), 1.7, 1
    probability = jax.nn.softmax(logits)

    def objective(logits):
        log_prob = jax.nn.log_softmax(logits)[action]
        return CONFIG.surrogate(log_prob, jnp.float32(-9.0), jnp.float32(advantage))

    np.testing.assert_allclose(
        jax.grad(objective)(logits), advantage * (jnp.eye(2)[action] - probability), rtol=1e-6
    )  # fmt: skip


def test_each_sequence_is_read_once(monkeypatch):
    chosen_sequences = []
    last = _random()
    config = dataclasses.replace(CONFIG, sequence_length=2, num_minibatches=4)

    def cut(config, trajectory, fresh, chosen):
        jax.debug.callback(lambda c: chosen_sequences.append(np.asarray(c)), chosen)
        return original(config, trajectory, fresh, chosen)

    original = a2c.take_sequences
    monkeypatch.setattr(a2c, "take_sequences", cut)
    hparams = ScheduledHparams(jnp.float32(0.0), jnp.float32(0.0), jnp.float32(0.0))
    learner = config.init(POLICY, jax.random.PRNGKey(0), STEPS)
    after, _ = a2c.a2c_update(config, POLICY, learner, last, hparams, jax.random.PRNGKey(1))
    jax.effects_barrier()
    assert [len(c) for c in chosen_sequences] == [2] * 4
    assert sorted(np.concatenate(chosen_sequences)) == list(range(8))
    for old, new in zip(jax.tree.leaves(learner.params), jax.tree.leaves(after.params), strict=True):
        np.testing.assert_array_equal(old, new)  # at a rate of 0


def _random():
    team = Team((AgentGroup("learner", (0,), POLICY, learner=CONFIG),))
    learner = CONFIG.init(POLICY, jax.random.PRNGKey(0), STEPS)
    lifted = jax.tree.map(lambda x: x[None], learner.params["policy"])
    params = probe(lambda c, t: 60 * t, lambda c, t, a: a, length=STEPS + 1)
    key, there = jax.random.PRNGKey(1), jnp.ones((4, 1), bool)
    trajectories, _ = rollout(Probe(), team, {"learner": lifted}, params, key, there)
    return jax.tree.map(lambda x: x[0], trajectories["learner"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_minibatches": 0}, "num_minibatches=0 must be at least 1"),
        ({"gamma": 1.5}, "gamma=1.5 must lie in"),
        ({"optimizer_decay": 1.0}, r"optimizer_decay=1.0 must lie in \(0, 1\)"),
        ({"optimizer_eps": 0.0}, "optimizer_eps=0.0 must be above 0"),
        ({"optimizer_kind": "sgd"}, "optimizer_kind='sgd' is not known"),
    ],
)
def test_a_configuration_out_of_range_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        A2C(**change)


def test_shares_of_a_batch_are_equal():
    with pytest.raises(ConfigError, match="num_minibatches=5 must divide the 8 sequences"):
        A2C(sequence_length=50, num_minibatches=5).validate(4, 100)
    A2C(sequence_length=50, num_minibatches=4).validate(4, 100)
