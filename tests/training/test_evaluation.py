import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner
from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError
from rookery.gridworld.movement import LEFT
from rookery.tasks.grid_env import GridEnv
from rookery.training import evaluation
from rookery.training.build import build
from rookery.training.evaluation import RunEvaluator, TeamEvaluator, evaluation_key, two_level_interval
from rookery.training.train_step import TRAINING_STREAM
from tests.tiny import CONFIG, TASK, member_params

# ------------------------------------------------------------------------------------------- keys


def rows(keys) -> set[bytes]:
    return {bytes(key) for key in np.asarray(keys).reshape(-1, 2)}


def test_no_episode_of_evaluation_is_one_of_training():
    """Neither the keys of batches nor, in a sample, those of single episodes."""
    seeds = jnp.arange(60)

    def training(seed, update):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(seed), TRAINING_STREAM), update)
        return jax.random.split(key, 3)  # presence, play, learning

    trained = jax.vmap(jax.vmap(training, (None, 0)), (0, None))(seeds, jnp.arange(200))
    played = np.stack([evaluation_key(seed, domain) for seed in range(60) for domain in (0, 1, 2, 10_000)])
    assert len(rows(played)) == 240
    assert len(rows(trained)) == 60 * 200 * 3
    assert not rows(trained) & rows(played)

    def worlds(key):
        return jax.random.split(jax.random.split(key)[0], 16)  # as `rollout` draws resets

    trained = jax.vmap(worlds)(trained[:5, :50, 1].reshape(-1, 2))
    played = jax.vmap(worlds)(jnp.asarray(played))
    assert not rows(trained) & rows(played)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ConfigError, match=f"seed={seed} must lie in"):
        evaluation_key(seed)


def test_the_largest_seed():
    assert evaluation_key(2**32 - 1).shape == (2,)


# ------------------------------------------------------------------------------------------- playing


@pytest.fixture(scope="module")
def program():
    return build(CONFIG)


@pytest.fixture(scope="module")
def match(program):
    return TeamEvaluator(program.env, program.team, batch_size=4)


@pytest.fixture(scope="module")
def told(straight):
    """What an evaluator says of the trained members, twice."""
    evaluator = RunEvaluator(straight.program, 4)
    return evaluator(straight.state.learners), evaluator(straight.state.learners), evaluator(straight.state.learners, 1)


def test_an_evaluator_says_the_same_again_and_other_things_of_other_worlds(told):
    first, again, other = told
    for kind in ("social", "solo", "gain"):
        for name, value in first[kind].items():
            assert value.shape == (2, 1)
            np.testing.assert_array_equal(value, again[kind][name])
    np.testing.assert_allclose(first["gain"]["return"], first["social"]["return"] - first["solo"]["return"])
    assert any((first["solo"][name] != other["solo"][name]).any() for name in first["solo"])


def test_evaluator_and_match_agree_on_the_same_worlds(told, match, straight, monkeypatch):
    """Two ways to play: all members at once, and one team with parameters given. Only their keys differ."""
    monkeypatch.setattr(evaluation, "evaluation_key", lambda seed, domain=0: evaluation_key(seed, 0))
    for number, (_, seed) in enumerate(CONFIG.replicas):
        params = member_params(straight, number)
        for kind, present in (("social", [True, True]), ("solo", [True, False])):
            tally = match.play(params, 4, seed, np.array(present))
            expected = {name: value[number, 0] for name, value in told[0][kind].items()}
            assert tally.episode_return[:, 0].mean() == pytest.approx(expected["return"], abs=1e-5)
            assert tally.task_metrics["goals"][:, 0].mean() == pytest.approx(expected["goals"], abs=1e-5)
            assert tally.longest_streak[:, 0].mean() == pytest.approx(expected["longest_streak"], abs=1e-5)


def test_a_match_plays_as_many_episodes_as_asked_and_the_same_for_the_same_seed(match, straight):
    params = member_params(straight, 0)
    six, four = match.play(params, 6, 5), match.play(params, 4, 5)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(six)} == {6}
    for long, short in zip(jax.tree.leaves(six), jax.tree.leaves(four), strict=True):
        np.testing.assert_array_equal(long[:4], short)
    assert not np.array_equal(match.play(params, 4, 6).steps_to_first_reward, four.steps_to_first_reward)
    # The second batch is not the first again.
    eight = match.play(params, 8, 5)
    assert not np.array_equal(eight.steps_to_first_reward[:4], eight.steps_to_first_reward[4:])


def test_who_is_absent_counts_for_nothing(match, straight):
    tally = match.play(member_params(straight, 0), 8, 0, np.array([True, False]))
    np.testing.assert_array_equal(tally.agent_mask, np.tile([True, False], (8, 1)))
    for values in (tally.episode_return, tally.longest_streak, *tally.task_metrics.values()):
        np.testing.assert_array_equal(values[:, 1], 0)
    np.testing.assert_array_equal(tally.steps_to_first_reward[:, 1], TASK.max_steps + 1)


def test_at_least_one_episode(match):
    with pytest.raises(ConfigError, match="episodes=0 must be at least 1"):
        match.play({}, 0)


# ------------------------------------------------------------------------------------------- social gain


@dataclasses.dataclass(frozen=True)
class Fickle:
    """A planner whose mood is its parameter: 0 it works always, 1 only in company, -1 only alone."""

    planner: GoalCyclePlanner

    privileged = True

    def init(self, key):
        return jnp.float32(0)

    def initial_carry(self, batch):
        return self.planner.initial_carry(batch)

    def act(self, params, carry, obs, is_first, key):
        action, carry, extras = self.planner.act((), carry, obs, is_first, key)
        company = jnp.where(obs[0].agent_mask.sum(-1) > 1, 1.0, -1.0)
        return jnp.where(params * company >= 0, action, LEFT), carry, extras


def test_the_sign_of_the_social_gain():
    """An expert who needs nobody gains exactly nothing where agents walk through each other; others gain or lose."""
    task = dataclasses.replace(TASK, max_steps=24, penalty=0.5)
    team = Team((
        AgentGroup("expert", (0,), Fickle(GoalCyclePlanner(task.num_goals, task.height, task.width))),
        AgentGroup("other", (1,), RandomPolicy(task.num_actions)),
    ))  # fmt: skip
    match = TeamEvaluator(GridEnv(task), team, batch_size=8)
    returns = {}
    for mood in (0.0, 1.0, -1.0):
        params = {"expert": jnp.float32(mood), "other": ()}
        returns[mood] = [
            match.evaluate(params, 8, 0, np.array([True, company])).episode_return[:, 0] for company in (True, False)
        ]
    np.testing.assert_array_equal(*returns[0.0])  # episode by episode, the same worlds in the same order
    assert returns[0.0][0].mean() > 2
    social, solo = returns[1.0]
    np.testing.assert_array_equal(solo, 0)
    np.testing.assert_array_equal(social, returns[0.0][0])
    assert (social - solo).mean() > 0
    social, solo = returns[-1.0]
    assert (social - solo).mean() < 0


# ------------------------------------------------------------------------------------------- intervals


def test_an_interval_by_hand():
    # One seed: the mean and 1.96 standard errors of its episodes: sd 1.118 / sqrt(5) ... of 0, 1, 2, 3.
    values = np.tile([0.0, 1.0, 2.0, 3.0], 100)[None]
    error = values.std(ddof=1) / np.sqrt(400)
    mean, low, high = two_level_interval(values)
    assert mean == 1.5
    assert (mean - low, high - mean) == pytest.approx((1.96 * error, 1.96 * error), rel=0.05)
    # Two seeds without noise: drawn with replacement, their mean is 0, 1/2 or 1.
    assert two_level_interval(np.array([[0.0, 0.0], [1.0, 1.0]])) == (0.5, 0.0, 1.0)
    # A single episode tells nothing of its own error.
    assert two_level_interval(np.array([[2.0], [2.0]])) == (2.0, 2.0, 2.0)


def test_few_seeds_stay_wide_however_many_episodes():
    seeds = np.array([[0.0], [4.0], [8.0]])
    widths = []
    for episodes in (10, 1000):
        noise = np.random.default_rng(0).standard_normal((3, episodes))
        _, low, high = two_level_interval(seeds + noise)
        widths.append(high - low)
    assert min(widths) > 6
    assert widths[0] == pytest.approx(widths[1], rel=0.2)


MATRIX = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-100, 100, width=32)
)


@given(MATRIX, st.floats(-50, 50), st.floats(0.1, 10))
def test_intervals_move_with_the_values(values, shift, scale):
    mean, low, high = two_level_interval(values, resamples=200)
    assert low - 1e-9 <= high
    assert mean == pytest.approx(values.mean())
    if values.shape[1] == 1:
        assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    moved = two_level_interval(scale * values + shift, resamples=200)
    assert moved == pytest.approx(tuple(scale * x + shift for x in (mean, low, high)), rel=1e-6, abs=1e-6)
    assert two_level_interval(values, resamples=200) == (mean, low, high)


@given(st.floats(-100, 100, width=32), st.integers(1, 4), st.integers(1, 6))
def test_equal_values_have_no_width(value, seeds, episodes):
    told = two_level_interval(np.full((seeds, episodes), value), resamples=50)
    assert told == pytest.approx((value, value, value), abs=1e-9)
