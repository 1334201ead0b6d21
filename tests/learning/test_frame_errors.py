"""Errors of predicted observations, and their health, by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.gridworld.shown_agents import agent_scores, channel_layout
from rookery.gridworld.spec import CHANNELS, ViewConfig
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.auxiliary.frame_errors import (
    AbsoluteError,
    BalancedError,
    CrossEntropy,
    ReLUAbsoluteError,
    SquaredError,
    check_frame_error,
    make_frame_error,
)
from rookery.learning.auxiliary.frame_health import FrameSample, found_at_equal_count, frame_health
from rookery.learning.optimizers import apply_gradients, make_optimizer
from rookery.tasks.registry import get_task, make_env
from rookery.training.build import build
from rookery.training.policy_config import RecurrentPolicyConfig
from tests.tiny import NETWORK, NOVICE, VIEW, tiny

KEY = jax.random.PRNGKey(0)
SYMBOLIC = (3, 3, len(CHANNELS))
OBSTACLE, AGENT, PRESTIGE = (CHANNELS.index(name) for name in ("obstacle", "agent back", "prestige"))


def policy(shape, observation_type="symbolic"):
    network = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
    return RecurrentPolicy(network, shape, 3, observation_type=observation_type)


def frame(**cells):
    """A symbolic observation f32[1, 3, 3, C] with an obstacle, agent or prestige in the named cells."""
    x = np.zeros((1, *SYMBOLIC), np.float32)
    for name, (row, col, value) in cells.items():
        x[0, row, col, {"obstacle": OBSTACLE, "agent": AGENT, "prestige": PRESTIGE}[name]] = value
    return jnp.asarray(x)


# ------------------------------------------------------------------------------------------- errors


def test_balanced_by_hand():
    """Weights are inverse to a constant's error in tiles, in agents and in the rest, and leave their sum as it is."""
    tiles, agents, others = BalancedError.CONSTANT_ERRORS
    error = BalancedError(channel_layout("symbolic"))
    target = frame(obstacle=(0, 1, 1.0), agent=(2, 2, 1.0), prestige=(2, 2, 0.5))
    values = np.asarray(error.errors(jnp.zeros_like(target), target)).reshape(SYMBOLIC)
    third = (tiles + agents + others) / 3
    np.testing.assert_allclose(values[0, 1, OBSTACLE], third / tiles, rtol=1e-5)
    np.testing.assert_allclose(values[2, 2, AGENT], third / agents, rtol=1e-5)
    np.testing.assert_allclose(values[2, 2, PRESTIGE], 0.25 * third / others, rtol=1e-5)
    assert np.count_nonzero(values) == 3


def test_cross_entropy_by_hand():
    """Even odds: one of four tiles, one of nobody and four headings, and every other channel with 1/2; per channel."""
    error, target = CrossEntropy(channel_layout("symbolic")), frame(obstacle=(0, 1, 1.0), agent=(2, 2, 1.0))
    even = np.asarray(error.errors(jnp.zeros_like(target), target))
    rest = 10 * np.log(5) + np.log(2)  # agents count ten times
    np.testing.assert_allclose(even, np.full((1, 9), (np.log(4) + rest) / 8), rtol=1e-5)
    # An obstacle with logit 2 against three others with 0, in the cell with the obstacle and in one with floor.
    output = jnp.zeros_like(target).at[..., OBSTACLE].set(2.0)
    values = np.asarray(error.errors(output, target)).reshape(3, 3)
    np.testing.assert_allclose(values[0, 1], (np.log(np.exp(2) + 3) - 2 + rest) / 8, rtol=1e-5)
    np.testing.assert_allclose(values[0, 0], (np.log(np.exp(2) + 3) + rest) / 8, rtol=1e-5)


def test_cross_entropy_of_logits_is_that_of_the_predicted_probabilities():
    error = CrossEntropy(channel_layout("symbolic"))
    output, target = jax.random.normal(KEY, (1, *SYMBOLIC)), frame(obstacle=(0, 1, 1.0), prestige=(1, 1, 0.3))
    predicted = error.prediction(output)
    tiles = predicted[..., :3].sum(-1)
    assert ((tiles > 0) & (tiles < 1)).all()
    np.testing.assert_allclose(error.errors(output, target), error.prediction_errors(predicted, target), rtol=1e-4)


@pytest.mark.parametrize("error", [AbsoluteError(), SquaredError(), BalancedError(channel_layout("symbolic"))])
def test_no_constant_is_better_than_the_best(error):
    target = (jax.random.uniform(KEY, (40, *SYMBOLIC)) < 0.3).astype(jnp.float32)
    mask = jnp.arange(40) < 31
    best = error.best_constant(target, mask)

    def total(constant):
        return (error.prediction_errors(jnp.broadcast_to(constant, target.shape), target) * mask[:, None]).sum()

    for offset in (-0.05, 0.05):
        assert total(best) <= total(best + offset) + 1e-4
    np.testing.assert_array_equal(best, error.best_constant(target.at[31:].set(1.0), mask))


# ------------------------------------------------------------------------------------------- choice


@pytest.mark.parametrize(
    ("shape", "observation_type", "kind"),
    [(SYMBOLIC, "symbolic", CrossEntropy), ((7, 7, 16), "objects", CrossEntropy),
     ((21, 21, 3), "pixels", AbsoluteError), ((15, 15, 3), "pixels", AbsoluteError),
     ((6,), None, SquaredError), ((2, 3, 4), None, SquaredError),
     (SYMBOLIC, None, SquaredError), ((7, 7, 16), None, SquaredError), ((3, 3, 3), None, SquaredError)],
)  # fmt: skip
def test_the_default_fits_what_is_observed(shape, observation_type, kind):
    assert type(make_frame_error("next-frame", "auto", policy(shape, observation_type))) is kind


@pytest.mark.parametrize(
    ("task", "kind"),
    [("goal-cycle-v0", AbsoluteError), ("goal-cycle-symbolic-v0", CrossEntropy),
     ("goal-sequence-symbolic-v0", CrossEntropy), ("key-door-v0", AbsoluteError),
     ("cleanup-v0", AbsoluteError), ("harvest-v0", AbsoluteError), ("memory-sequence-v0", SquaredError),
     ("matrix-prisoners-dilemma-v0", SquaredError), ("coin-game-3x3-v0", SquaredError)],
)  # fmt: skip
def test_the_default_goes_by_what_the_environment_says_and_not_by_a_shape(task, kind):
    built = RecurrentPolicyConfig(network=NETWORK).make_policy(make_env(get_task(task)), 0, "novice")[0]
    assert type(make_frame_error("next-frame", "auto", built)) is kind
    if kind is not CrossEntropy:
        with pytest.raises(ConfigError, match="needs the gridworld's symbolic observations, not"):
            make_frame_error("next-frame", "cross-entropy", built)


def test_only_a_named_absolute_error_has_units_that_can_die():
    assert type(make_frame_error("next-frame", "absolute", policy(SYMBOLIC))) is ReLUAbsoluteError
    params, hidden = NextFramePrediction(error="absolute").init(KEY, policy(SYMBOLIC)), 5 * jnp.ones((1, 4))
    params = jax.tree.map(jnp.ones_like, params)

    def by_hand(activation):
        return 1 + 4 * activation(1 + 4 * 5 + 1)  # four units; bias, hidden output and action

    for error, activation in (("absolute", lambda x: max(x, 0)), ("squared", np.tanh)):
        predicted = NextFramePrediction(error=error).predict(params, policy(SYMBOLIC), hidden, jnp.array([2]))
        np.testing.assert_allclose(predicted, np.full((1, *SYMBOLIC), by_hand(activation)), rtol=1e-5)


def test_unknown_errors_are_refused():
    message = r"auxiliary loss 'reconstruction': error='sqared' is not known; did you mean 'squared'\? allowed: auto,"
    with pytest.raises(ConfigError, match=message):
        check_frame_error("reconstruction", "sqared")


@pytest.mark.parametrize("error", ["cross-entropy", "balanced"])
def test_errors_of_symbols_are_refused_on_pixels_before_a_run_starts(error):
    learner = dataclasses.replace(NOVICE.learner, auxiliary=(NextFramePrediction(error=error),))
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner), tiny().team[1]))
    build(config)
    pixels = dataclasses.replace(VIEW, observation_type="pixels")
    task = dataclasses.replace(config.task, views=(pixels,) * 2)
    message = f"error='{error}' needs the gridworld's symbolic observations, not pixels of 9×9×3; use 'absolute'"
    with pytest.raises(ConfigError, match=message):
        build(dataclasses.replace(config, task=task))


def test_every_view_has_the_channels_that_its_type_says():
    """So that no error splits the channels of something else."""
    for observation_type in ("symbolic", "objects"):
        layout = channel_layout(observation_type)
        assert sum(map(len, layout)) == ViewConfig(observation_type=observation_type).shape[-1]
    assert channel_layout("pixels") is channel_layout(None) is None


# ------------------------------------------------------------------------------------------- health

LAYOUT_VIEW = ViewConfig(size=3, observation_type="symbolic")
STEPS = 12


def walk():
    """An agent that walks through the top row, and nothing else, [STEPS + 1, 3, 3, C]."""
    x = np.zeros((STEPS + 1, *SYMBOLIC), np.float32)
    for t in range(STEPS + 1):
        x[t, 0, t % 3, AGENT] = 1
    return jnp.asarray(x)


def health(predicted, error=None, units=None, mask=None, view=LAYOUT_VIEW):
    frames = walk()
    sample = FrameSample(predicted, frames[1:], frames[:-1], jnp.ones(STEPS, bool) if mask is None else mask, units)
    shows = functools.partial(agent_scores, view=view)
    return {name: float(x) for name, x in frame_health(error or SquaredError(), sample, shows).items()}


def test_health_of_perfect_constant_and_copied_predictions():
    frames = walk()
    perfect = health(frames[1:])
    assert perfect["error"] == perfect["error_changed"] == 0
    assert (perfect["agents_recall"], perfect["agents_precision"], perfect["agents_in_view"]) == (1, 1, 1)
    assert perfect["agents_found"] == 1
    # Each of three cells shows the agent in a third of the steps: the mean errs by 3 · 1/3 · 2/3 of 72 numbers.
    constant = health(jnp.broadcast_to(frames[1:].mean(0), frames[1:].shape))
    np.testing.assert_allclose(constant["error"], 2 / 3 / 72, rtol=1e-5)
    np.testing.assert_allclose([constant["error_constant"], perfect["error_constant"]], constant["error"], rtol=1e-5)
    # In the two cells that change it errs by 2/3 and 1/3.
    np.testing.assert_allclose(constant["error_constant_changed"], (4 / 9 + 1 / 9) / 2, rtol=1e-5)
    assert constant["agents_recall"] == 0
    # Three cells of each step tie, and one of them shows the agent.
    np.testing.assert_allclose([constant["agents_found"], perfect["agents_found_constant"]], 1 / 3, rtol=1e-5)
    assert np.isnan(constant["agents_precision"])  # none is predicted
    copy = health(frames[:-1])
    np.testing.assert_allclose(copy["error"], 2 / 72, rtol=1e-5)  # it is never where it was
    assert (copy["error"], copy["error_changed"]) == (perfect["error_copy"], perfect["error_copy_changed"])
    assert copy["error_changed"] == 1
    assert copy["agents_recall"] == perfect["agents_recall_copy"] == copy["agents_precision"] == 0
    assert copy["agents_found"] == 0


def test_agents_are_found_at_the_threshold_that_predicts_as_many_as_there_are():
    """A prediction that never reaches 1/2 has a recall of 0, and finds all agents if it ranks their cells first."""
    faint = health(0.3 * walk()[1:])
    assert (faint["agents_recall"], faint["agents_found"]) == (0, 1)
    scores, actual = jnp.array([0.9, 0.4, 0.4, 0.4, 0.1]), jnp.array([True, True, False, False, True])
    # Three are predicted: the first, and two of the three that tie, of which one is right.
    np.testing.assert_allclose(found_at_equal_count(scores, actual), (1 + 2 / 3) / 3, rtol=1e-6)
    assert np.isnan(found_at_equal_count(scores, jnp.zeros(5, bool)))


def test_health_counts_only_masked_steps():
    frames, mask = walk(), jnp.arange(STEPS) < 6
    assert health(frames[1:].at[6:].set(0.9), mask=mask) == health(frames[1:], mask=mask)


def test_health_of_cross_entropy_has_finite_errors_of_trivial_predictions():
    error = CrossEntropy(channel_layout("symbolic"))
    logits = jnp.where(walk()[1:] > 0, 20.0, -20.0)
    measured = health(logits, error)
    assert measured["agents_recall"] == 1
    assert measured["error"] < 1e-4 < measured["error_constant"] < measured["error_copy"] < 10


def test_dead_units():
    """Of four units one is constant, one follows the steps that do not count."""
    units = np.random.default_rng(0).standard_normal((STEPS, 4)).astype(np.float32)
    units[:, 1] = 0.7
    units[:6, 2] = 0.0
    mask = jnp.arange(STEPS) < 6
    assert health(walk()[1:], units=jnp.asarray(units), mask=mask)["dead_units"] == 0.5
    assert health(walk()[1:], units=jnp.asarray(units))["dead_units"] == 0.25
    assert "dead_units" not in health(walk()[1:])


def test_an_agent_in_the_own_cell_is_the_viewer():
    frames = jnp.zeros((2, *SYMBOLIC)).at[0, LAYOUT_VIEW.agent_row, 1, AGENT].set(1.0).at[1, 0, 2, AGENT].set(1.0)
    assert np.asarray(agent_scores(frames, LAYOUT_VIEW) > 0).sum(1).tolist() == [0, 1]


# ------------------------------------------------------------------------------------------- learning


def test_the_default_error_of_symbols_is_learned_by_units_that_live():
    """A wall that is ahead in every second step, which the recurrent output tells: the default beats a constant."""
    loss, own = NextFramePrediction(), policy(SYMBOLIC)
    ahead = jax.random.bernoulli(KEY, 0.5, (200,))
    hidden = jnp.where(ahead[:, None], 1.0, -1.0) * jnp.array([1.0, 0.5, 0.0, -1.0])
    target = jnp.zeros((200, *SYMBOLIC)).at[:, 0, 1, OBSTACLE].set(ahead.astype(jnp.float32))
    action, error = jnp.zeros(200, int), make_frame_error("next-frame", "auto", own)
    optimizer = make_optimizer(None, 1e-8)

    def sample(params):
        decoder = own.network.decoder(SYMBOLIC, own.num_actions)
        output, sown = decoder.apply({"params": params}, hidden, jax.nn.one_hot(action, 3), mutable=["intermediates"])
        return FrameSample(output, target, target, jnp.ones(200, bool), sown["intermediates"]["units"][0])

    def step(state, _):
        grads = jax.grad(lambda p: error.errors(sample(p).output, target).mean())(state[0])
        return apply_gradients(optimizer, *state, grads, 0.05), None

    params = loss.init(KEY, own)
    params, _ = jax.jit(lambda s: jax.lax.scan(step, s, None, 100)[0])((params, optimizer.init(params)))
    learned = frame_health(error, sample(params), None)
    assert learned["error"] < 0.3 * learned["error_constant"]
    assert learned["dead_units"] == 0
    recurrent_only = loss.predict(params, own, hidden[:2], action[:2])
    assert recurrent_only.shape == (2, *SYMBOLIC)
