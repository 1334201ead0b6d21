import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning import cloning
from rookery.learning.cloning import BehaviorCloning, CloningState
from rookery.types import Trajectory
from tests.learning.worlds import TABLE

KEY = jax.random.PRNGKey(0)
T, E = 5, 4


def episodes(observation, action, mask=None) -> Trajectory:
    steps, count = action.shape
    return Trajectory(
        observation=jnp.asarray(observation),
        action=jnp.asarray(action, jnp.int32),
        reward=jnp.zeros((steps, count)),
        log_prob=jnp.zeros((steps, count)),
        is_first=jnp.zeros((steps + 1, count), bool).at[0].set(True),
        terminated=jnp.zeros((steps, count), bool),
        loss_mask=jnp.ones((steps, count), bool) if mask is None else jnp.asarray(mask),
    )


def numbered(mask=None, seed=0) -> Trajectory:
    """Every observation is a number of its own, t * E + e."""
    number = np.arange((T + 1) * E).reshape(T + 1, E, 1)
    return episodes(number, np.random.default_rng(seed).integers(0, 3, (T, E)), mask)


def table(seed=1):
    logits = jax.random.normal(jax.random.PRNGKey(seed), ((T + 1) * E, 3))
    return {"logits": logits, "value": jnp.zeros((T + 1) * E)}


def fresh_clone(config, params) -> CloningState:
    return CloningState(params, config.optimizer().init(params), params, jnp.float32(jnp.inf))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"minibatch_size": 0}, "minibatch_size=0 must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 must be at least 0"),
        ({"adam_eps": 0.0}, "adam_eps=0.0 must be above 0"),
        ({"validation_fraction": 0.0}, "validation_fraction=0.0 must lie in (0, 1)"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0 must lie in (0, 1)"),
    ],
)
def test_a_configuration_out_of_range_is_refused(change, message):
    with pytest.raises(ConfigError) as caught:
        BehaviorCloning(**change)
    assert message in str(caught.value)


def test_the_loss_by_hand():
    """Logits log(1, 2, 5): -log(5/8) where the expert took action 2, -log(1/8) where it took 0."""
    row = np.log([1.0, 2.0, 5.0])
    params = {"logits": jnp.asarray(np.tile(row, (6, 1)), jnp.float32), "value": jnp.zeros(6)}
    data = episodes(np.arange(6).reshape(3, 2, 1), np.array([[2, 0], [0, 2]]))
    nats, metrics = cloning.summed_loss(TABLE, params, data)
    assert float(nats) == pytest.approx(-2 * np.log(5 / 8) - 2 * np.log(1 / 8), rel=1e-6)
    assert (float(metrics["num_steps"]), float(metrics["num_correct"])) == (4, 2)
    part = data.replace(loss_mask=jnp.array([[True, False], [True, False]]))
    nats, metrics = cloning.summed_loss(TABLE, params, part)
    assert float(nats) == pytest.approx(-np.log(5 / 8) - np.log(1 / 8), rel=1e-6)
    assert (float(metrics["num_steps"]), float(metrics["num_correct"])) == (2, 1)


def test_the_gradient_is_the_policys_mistake_at_each_step_that_counts():
    """d(-log pi)/d logits = pi - (the expert's action); nothing reaches the value table."""
    mask = np.random.default_rng(3).random((T, E)) < 0.6
    params, data = table(), numbered(mask)
    grads = jax.grad(lambda p: cloning.summed_loss(TABLE, p, data)[0])(params)
    expected = jax.nn.softmax(params["logits"]) - jnp.concatenate(
        [jax.nn.one_hot(data.action.reshape(-1), 3), jnp.zeros((E, 3))]
    )
    counts = np.concatenate([mask.reshape(-1), np.zeros(E, bool)])
    np.testing.assert_allclose(grads["logits"], expected * counts[:, None], atol=1e-6)
    assert not grads["value"].any()


@pytest.mark.parametrize(("size", "moved"), [(2, 4), (3, 3), (4, 4), (9, 4)])
def test_a_pass_takes_whole_episodes_once(size, moved):
    config = BehaviorCloning(minibatch_size=size)
    before = table()
    after, metrics = cloning.train_epoch(config, TABLE, fresh_clone(config, before), numbered(), jnp.float32(0.1), KEY)
    changed = np.asarray(after.params["logits"] != before["logits"]).any(-1)[: T * E].reshape(T, E)
    assert (changed.all(0) == changed.any(0)).all()
    assert changed.all(0).sum() == moved
    assert 0 <= metrics["accuracy"] <= 1


def test_a_pass_with_one_minibatch_is_one_step_of_adam():
    """Its first step moves every logit by the step size, against the sign of its gradient."""
    config = BehaviorCloning(minibatch_size=E, max_grad_norm=None, adam_eps=1e-12)
    before = table()
    grads = jax.grad(lambda p: cloning.summed_loss(TABLE, p, numbered())[0])(before)["logits"]
    after, metrics = cloning.train_epoch(config, TABLE, fresh_clone(config, before), numbered(), jnp.float32(0.1), KEY)
    moved = (after.params["logits"] - before["logits"])[: T * E]
    np.testing.assert_allclose(moved, -0.1 * np.sign(grads[: T * E]), rtol=1e-4)
    nats, counts = cloning.summed_loss(TABLE, before, numbered())
    assert float(metrics["loss"]) == pytest.approx(float(nats) / (T * E), rel=1e-6)
    assert float(metrics["accuracy"]) == pytest.approx(float(counts["num_correct"]) / (T * E))


@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_judging_in_parts_counts_every_episode_once(size):
    mask = np.random.default_rng(4).random((T, E)) < 0.6
    params, data = table(), numbered(mask)
    nats, metrics = cloning.summed_loss(TABLE, params, data)
    judged = cloning.evaluate_cloning(BehaviorCloning(minibatch_size=size), TABLE, params, data)
    assert float(judged["loss"]) == pytest.approx(float(nats / mask.sum()), rel=1e-5)
    assert float(judged["accuracy"]) == pytest.approx(float(metrics["num_correct"] / mask.sum()), rel=1e-6)


def test_the_best_parameters_are_those_of_the_lowest_loss():
    clone = fresh_clone(BehaviorCloning(), {"w": jnp.float32(0)})
    for weight, loss in ((1.0, 0.9), (2.0, 0.5), (3.0, 0.7), (4.0, float("nan"))):
        clone = cloning.keep_best(clone._replace(params={"w": jnp.float32(weight)}), jnp.float32(loss))
    assert (float(clone.best_params["w"]), float(clone.best_loss)) == (2.0, 0.5)


def test_the_step_size_falls_in_a_straight_line():
    config = BehaviorCloning(epochs=5, learning_rate=1e-2, final_learning_rate=2e-3)
    hparams = [float(config.learning_rate_at(jnp.int32(n))) for n in range(5)]
    np.testing.assert_allclose(hparams, [1e-2, 8e-3, 6e-3, 4e-3, 2e-3], rtol=1e-5)
    assert float(BehaviorCloning(epochs=1).learning_rate_at(jnp.int32(0))) == pytest.approx(1e-3)


LSTM = RecurrentPolicy(MLPNetwork(encoder_size=16, hidden_size=16, head_size=16), (2,), 2)


@functools.cache
def delayed():
    """The expert's action at every step is the cue shown at the first one, which nothing shows later."""
    cue = np.random.default_rng(5).integers(0, 2, 64)
    observations = np.full((T + 1, 64, 2), 100, np.uint8)
    observations[0, :, 0], observations[0, :, 1] = 200 * cue, 200 * (1 - cue)
    return episodes(observations, np.tile(cue, (T, 1)))


def test_what_was_seen_first_is_remembered_to_the_last():
    config = dataclasses.replace(BehaviorCloning(), minibatch_size=16)
    train = jax.tree.map(lambda x: x[:, :48], delayed())
    held_out = jax.tree.map(lambda x: x[:, 48:], delayed())

    @jax.jit
    def learn(key):
        def again(clone, key):
            return cloning.train_epoch(config, LSTM, clone, train, jnp.float32(1e-2), key)

        return jax.lax.scan(again, cloning.init_cloning(config, LSTM, key), jax.random.split(key, 60))

    clone, metrics = learn(KEY)
    assert metrics["loss"][0] == pytest.approx(np.log(2), abs=0.05)
    judged = cloning.evaluate_cloning(config, LSTM, clone.params, held_out)
    assert judged["accuracy"] == 1
    assert judged["loss"] < 0.05
    chex.assert_trees_all_equal(learn(KEY), (clone, metrics))
    # The value head is never touched.
    start = cloning.init_cloning(config, LSTM, KEY).params["heads"]
    for name in ("value1", "value2", "value3"):
        chex.assert_trees_all_equal(clone.params["heads"][name], start[name])
