import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.interfaces import LossInputs
from rookery.learning import actor_critic
from rookery.learning.actor_critic import ScheduledHparams
from rookery.learning.auxiliary import NextFramePrediction, Reconstruction
from rookery.learning.extra_losses import loss_denominators
from rookery.learning.masking import masked_mean
from rookery.learning.ppo import PPO
from rookery.types import Sequences

KEY = jax.random.PRNGKey(0)
SHAPE = (2, 3, 4)
POLICY = RecurrentPolicy(MLPNetwork(encoder_size=6, hidden_size=5, head_size=6), SHAPE, 3)
L, N = 4, 3


def knowing(picture):
    """A decoder that always predicts this picture."""
    params = jax.tree.map(jnp.zeros_like, NextFramePrediction().init(KEY, POLICY))
    params["output"]["bias"] = picture.astype(jnp.float32).reshape(-1) / 255
    return params


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "hidden": jnp.asarray(rng.standard_normal((L, N, 5)), jnp.float32),
        "observation": jnp.asarray(rng.integers(0, 256, (L + 1, N, *SHAPE)), jnp.uint8),
        "action": jnp.asarray(rng.integers(0, 3, (L, N))),
        "next_is_first": jnp.zeros((L, N), bool),
        "mask": jnp.ones((L, N), bool),
    }


def loss(auxiliary, params, given):
    """The mean over the steps that count."""
    batch = sequences(given)
    mask = auxiliary.loss_mask(batch)
    errors = auxiliary.loss(params, LossInputs(POLICY, {}, batch, given["hidden"], KEY))
    return (errors * mask).sum() / mask.sum()


def sequences(given, **changes):
    """A minibatch of these observations, actions and masks."""
    ones = jnp.ones((L, N))
    fields = {
        "observation": given["observation"],
        "is_first": jnp.concatenate([jnp.zeros((1, N), bool), given["next_is_first"]]),
        "action": given["action"],
        "reward": ones,
        "terminated": jnp.zeros((L, N), bool),
        "loss_mask": given["mask"],
        "next_in_episode": given["mask"],
        "carry": POLICY.initial_carry(N),
        "log_prob": -ones,
        "advantage": ones,
        "target": ones,
    }
    return Sequences(**{**fields, **changes})


@pytest.mark.parametrize("auxiliary", [NextFramePrediction(), Reconstruction()])
def test_a_perfect_prediction_costs_nothing(auxiliary):
    picture = inputs()["observation"][0, 0]
    given = {**inputs(), "observation": jnp.broadcast_to(picture, (L + 1, N, *SHAPE))}
    assert loss(auxiliary, knowing(picture), given) == 0
    off = given | {"observation": (255 - given["observation"])}
    assert loss(auxiliary, knowing(picture), off) > 0.1


@pytest.mark.parametrize(("error", "power"), [("absolute", 1), ("squared", 2)])
def test_the_error_by_hand(error, power):
    """Mean over pixels, channels and the steps that count, of pictures in [0, 1]."""
    given, next_frame = inputs(), NextFramePrediction(error=error)
    black = knowing(jnp.zeros(SHAPE, jnp.uint8))
    pictures = (np.asarray(given["observation"], np.float64) / 255) ** power
    np.testing.assert_allclose(loss(next_frame, black, given), pictures[1:].mean(), rtol=1e-5)
    np.testing.assert_allclose(loss(Reconstruction(error=error), black, given), pictures[:-1].mean(), rtol=1e-5)
    given["mask"] = given["mask"].at[0].set(False).at[2, 1].set(False)
    kept = np.asarray(given["mask"])
    np.testing.assert_allclose(loss(next_frame, black, given), pictures[1:][kept].mean(), rtol=1e-5)


def test_next_targets_the_successor_and_this_the_present():
    """Pictures that tell their own step: frame t is all t."""
    given = inputs()
    given["observation"] = jnp.broadcast_to(
        jnp.arange(L + 1, dtype=jnp.uint8).reshape(-1, 1, 1, 1, 1), (L + 1, N, *SHAPE)
    )
    for t in range(L):
        one_step = given | {"mask": jnp.zeros((L, N), bool).at[t].set(True)}
        for auxiliary, target in ((NextFramePrediction(), t + 1), (Reconstruction(), t)):
            picture = jnp.full(SHAPE, target, jnp.uint8)
            assert loss(auxiliary, knowing(picture), one_step) == 0
            assert loss(auxiliary, knowing(picture + 1), one_step) > 0


def test_next_frame_never_crosses_an_episode_boundary():
    params, given = NextFramePrediction().init(KEY, POLICY), inputs()
    given["next_is_first"] = given["next_is_first"].at[1, 2].set(True)  # observation 2 of agent 2 opens an episode
    value = jax.jit(lambda g: loss(NextFramePrediction(), params, g))
    other = dict(given)
    other["hidden"] = given["hidden"].at[1, 2].add(5)
    other["action"] = given["action"].at[1, 2].set((given["action"][1, 2] + 1) % 3)
    other["observation"] = given["observation"].at[2, 2].set(0)
    assert value(other) == value(given)
    unmarked = given | {"next_is_first": jnp.zeros((L, N), bool)}
    assert value(unmarked) != value(given)
    this = jax.jit(lambda g: loss(Reconstruction(), params, g))
    assert this(unmarked) == this(given)  # the present picture is its own episode's


def test_the_prediction_depends_on_the_action():
    params = NextFramePrediction().init(KEY, POLICY)
    hidden = jnp.broadcast_to(inputs()["hidden"][0, 0], (3, 5))
    pictures = NextFramePrediction().predict(params, POLICY, hidden, jnp.arange(3))
    assert pictures.shape == (3, *SHAPE)
    assert jnp.abs(pictures[0] - pictures[1]).max() > 1e-3


def batch():
    return sequences(inputs())


def whole_loss(config, params, hparams):
    denominators = loss_denominators(config.auxiliary, (), batch())
    return actor_critic.actor_critic_loss(config, POLICY, params, batch(), hparams, denominators, KEY)


@pytest.mark.parametrize(("weight", "scale"), [(0.0, 1.0), (3.0, 0.0)])
def test_a_weight_or_scale_of_zero_gives_no_gradient(weight, scale):
    config = PPO(auxiliary=(NextFramePrediction(weight=weight),))
    plain = PPO()
    params = config.init(POLICY, KEY, steps=0).params
    hparams = ScheduledHparams(jnp.float32(0), jnp.float32(0.01), jnp.float32(scale))

    def gradient(config):
        return jax.jit(jax.grad(lambda p: whole_loss(config, p, hparams)[0]))(params)

    with_it, without = gradient(config), gradient(plain)
    assert not any(leaf.any() for leaf in jax.tree.leaves(with_it["auxiliary"]))
    for a, b in zip(jax.tree.leaves(with_it["policy"]), jax.tree.leaves(without["policy"]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_weights_and_scale_add_up():
    config = PPO(auxiliary=(NextFramePrediction(weight=3.0), Reconstruction(weight=0.5)))
    params = config.init(POLICY, KEY, steps=0).params
    assert set(params["auxiliary"]) == {"next-frame", "reconstruction"}

    @jax.jit
    def value(scale):
        hparams = ScheduledHparams(jnp.float32(0), jnp.float32(0), scale)
        return whole_loss(config, params, hparams)

    total, parts = value(jnp.float32(2))
    base, _ = value(jnp.float32(0))
    expected = 2 * (3 * parts["aux_loss/next-frame"] + 0.5 * parts["aux_loss/reconstruction"])
    np.testing.assert_allclose(total - base, expected, rtol=1e-4)


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"auxiliary loss 'next-frame': weight=-1.0 must be at least 0"):
        NextFramePrediction(weight=-1.0)


def test_masked_mean():
    assert masked_mean(jnp.array([1.0, 2.0, 9.0]), jnp.array([True, True, False])) == 1.5
    assert masked_mean(jnp.array([1.0]), jnp.array([False])) == 0
