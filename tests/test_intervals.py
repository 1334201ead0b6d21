"""Intervals, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rookery.errors import ConfigError
from rookery.intervals import (
    Interval,
    binomial_fraction,
    correlation_interval,
    difference_of_means,
    format_interval,
    iqm,
    iqm_interval,
    mean_band,
    mean_interval,
    mean_over_episodes,
    pairs_interval,
    probability_of_improvement,
    student_quantile,
    two_level_interval,
    welch_error,
)


def test_two_values_by_hand():
    # Mean 1/2, standard error 1/2; with one degree of freedom t is 12.706 at 97.5 %, and 1 at 75 %.
    assert mean_interval([0, 1]) == pytest.approx((0.5, 0.5 - 6.3531, 0.5 + 6.3531), abs=1e-3)
    assert mean_interval([0, 1], confidence=0.5) == pytest.approx((0.5, 0.0, 1.0))


def test_many_values_come_near_the_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, 400)
    mean, low, high = mean_interval(values)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.03)


def test_one_value_has_no_interval():
    mean, low, high = mean_interval([2.5])
    assert mean == 2.5
    assert math.isnan(low)
    assert math.isnan(high)


def test_equal_values_have_no_width():
    assert mean_interval([0.1] * 3)[1:] == (0.1, 0.1)


def test_a_band_is_an_interval_a_column():
    values = np.array([[0, 5, 1.0], [1, 5, 4], [3, 5, 9]])
    low, high = mean_band(values)
    for column in range(3):
        assert mean_interval(values[:, column])[1:] == pytest.approx((low[column], high[column]))


@pytest.mark.parametrize("bad", [[], [[1, 2]], [1, math.nan], [1, math.inf]])
def test_nonsense_is_refused(bad):
    with pytest.raises(ConfigError):
        mean_interval(bad)


@pytest.mark.parametrize("bad", [{"confidence": 0}, {"confidence": 1}, {"confidence": 95}])
def test_settings_out_of_range(bad):
    with pytest.raises(ConfigError):
        mean_interval([1, 2], **bad)


values = st.lists(st.floats(-100, 100), min_size=2, max_size=6)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ([3.0], 3.0),
        ([0.0, 1.0], 0.5),
        ([0.0, 1.0, 2.0, 100.0], 1.5),  # the middle half is 1 and 2
        # Of five, each is a fifth: a quarter cuts the second and the fourth to 3/4 of theirs.
        ([9.0, 0.0, 1.0, 2.0, 4.0], (0.75 * 1 + 2 + 0.75 * 4) / 2.5),
        # Of three, the outer ones keep a quarter of theirs.
        ([0.0, 6.0, 3.0], (0.25 * 0 + 3 + 0.25 * 6) / 1.5),
    ],
)
def test_interquartile_mean_by_hand(sample, expected):
    assert iqm(sample) == pytest.approx(expected)


def test_interquartile_mean_of_rows_and_columns():
    table = np.array([[0.0, 1.0, 2.0, 100.0], [5.0, 5.0, 5.0, 5.0]])
    np.testing.assert_allclose(iqm(table), [1.5, 5.0])
    np.testing.assert_allclose(iqm(table.T, axis=0), [1.5, 5.0])


def test_one_seed_has_no_interval_and_equal_seeds_one_of_width_0():
    value, low, high = mean_interval([2.0])
    assert value == 2.0
    assert np.isnan([low, high]).all()
    assert iqm_interval([4.0, 4.0, 4.0]) == (4.0, 4.0, 4.0)
    assert difference_of_means([4.0, 4.0], [1.0, 1.0]) == (3.0, 3.0, 3.0)


def test_difference_of_means_by_hand():
    # Variances 2 and 8 over 2 seeds each: squared errors 1 and 4, so 5**0.5 with 25 / (1 + 16) degrees of freedom.
    value, low, high = difference_of_means([1.0, 3.0], [0.0, 4.0])
    assert value == 0
    degrees = 25 / 17
    assert welch_error(np.array([1.0, 3.0]), np.array([0.0, 4.0])) == pytest.approx((5**0.5, degrees))
    assert (low, high) == pytest.approx((-student_quantile(degrees) * 5**0.5, student_quantile(degrees) * 5**0.5))
    # Without spread in one of them, the other's alone counts.
    assert difference_of_means([1.0, 3.0], [1.0, 1.0])[1:] == pytest.approx(mean_interval([0.0, 2.0])[1:])


def test_probability_of_improvement_by_hand():
    # Of the six pairs, 2 exceeds 1 and ties 2; 3 exceeds 1 and 2; 0 nothing: (1.5 + 2 + 0) / 6.
    assert probability_of_improvement([2.0, 3.0, 0.0], [1.0, 2.0]).value == pytest.approx(3.5 / 6)
    assert probability_of_improvement([5.0, 6.0], [1.0, 2.0]) == (1.0, 1.0, 1.0)


@given(values, values)
def test_probability_of_improvement_reversed(ours, theirs):
    forth, back = probability_of_improvement(ours, theirs), probability_of_improvement(theirs, ours)
    assert forth.value + back.value == pytest.approx(1)
    assert 0 <= forth.low <= forth.high <= 1


@given(values)
def test_intervals_contain_their_value_and_repeat(sample):
    for statistic in (mean_interval, iqm_interval):
        interval = statistic(sample)
        assert interval == statistic(sample)
        assert interval.low - 1e-9 <= interval.value <= interval.high + 1e-9


def test_mean_over_episodes_by_hand():
    # Squared differences of 1 each, four of them: variance 4/3, and its root over the root of four.
    value, low, high = mean_over_episodes([1.0, 1.0, 3.0, 3.0])
    error = (4 / 3) ** 0.5 / 2
    assert (value, low, high) == pytest.approx((2.0, 2 - 1.959964 * error, 2 + 1.959964 * error))


def test_fractions_are_exact():
    # Five of five: the lowest fraction under which that has a chance of 2.5 % is its fifth root.
    assert binomial_fraction(5, 5) == pytest.approx((1.0, 0.025**0.2, 1.0))
    assert binomial_fraction(0, 5) == pytest.approx((0.0, 0.0, 1 - 0.025**0.2))
    with pytest.raises(ConfigError, match="6 of 5 is not a fraction"):
        binomial_fraction(6, 5)


@pytest.mark.parametrize(("sample", "message"), [([], "at least one"), ([[1.0]], "at least one"), ([np.nan], "finite")])
def test_refused_values(sample, message):
    with pytest.raises(ConfigError, match=message):
        mean_interval(sample)


def test_two_levels_by_hand():
    # One seed: the mean and 1.96 standard errors of its episodes: sd 1.118 / sqrt(5) ... of 0, 1, 2, 3.
    values = np.tile([0.0, 1.0, 2.0, 3.0], 100)[None]
    error = values.std(ddof=1) / np.sqrt(400)
    mean, low, high = two_level_interval(values)
    assert mean == 1.5
    assert (mean - low, high - mean) == pytest.approx((1.96 * error, 1.96 * error), rel=0.05)
    # Two seeds: the interval of their means, however many episodes they played.
    assert two_level_interval(np.array([[0.0, 0.0], [1.0, 1.0]])) == mean_interval([0.0, 1.0])
    # Just these two: standard errors 1/2 and 1/2 add up to 1/8 of the mean's variance.
    episodes = np.array([[0.0, 1.0], [4.0, 5.0]])
    assert two_level_interval(episodes, over_seeds=False) == pytest.approx(
        (2.5, 2.5 - 1.96 / 8**0.5, 2.5 + 1.96 / 8**0.5), rel=1e-3
    )
    # A single episode has no standard error.
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
    mean, low, high = two_level_interval(values)
    assert low - 1e-9 <= high
    assert mean == pytest.approx(values.mean())
    moved = two_level_interval(scale * values + shift)
    assert moved == pytest.approx(tuple(scale * x + shift for x in (mean, low, high)), rel=1e-6, abs=1e-6)


@given(st.floats(-100, 100, width=32), st.integers(1, 4), st.integers(1, 6))
def test_equal_values_have_no_width_at_either_level(value, seeds, episodes):
    interval = two_level_interval(np.full((seeds, episodes), value))
    assert interval == pytest.approx((value, value, value), abs=1e-9)


def test_correlation_over_teams_by_hand():
    """Four teams of one agent: the jackknife leaves out a value, which the definition of Fisher's z is applied to."""
    first, second = np.array([[0.0], [1.0], [2.0], [4.0]]), np.array([[1.0], [0.0], [3.0], [4.0]])
    rho, low, high = correlation_interval(first, second)
    assert rho == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    z = [np.arctanh(np.corrcoef(np.delete(first, n), np.delete(second, n))[0, 1]) for n in range(4)]
    error = (3 / 4 * sum((value - np.mean(z)) ** 2 for value in z)) ** 0.5
    half_width = 3.182446 * error  # Student's t, three degrees of freedom
    assert (low, high) == pytest.approx((np.tanh(np.arctanh(rho) - half_width), np.tanh(np.arctanh(rho) + half_width)))
    assert math.isnan(correlation_interval(first[:2], second[:2]).low)
    assert math.isnan(correlation_interval(first, np.ones((4, 1))).value)


def test_pairs_by_hand():
    """Three agents with pair values 1, 2 and 6: without one agent a single pair is left. Error² = 2/3 (4 + 1 + 9)."""
    values = np.array([[9.0, 1.0, 2.0], [1.0, 9.0, 6.0], [2.0, 6.0, 9.0]])
    half_width = 4.302653 * (2 / 3 * 14) ** 0.5
    assert pairs_interval(values) == pytest.approx((3.0, 3.0 - half_width, 3.0 + half_width))
    assert pairs_interval(np.full((4, 4), 2.0)) == (2.0, 2.0, 2.0)
    two = pairs_interval(values[:2, :2])
    assert two.value == 1.0
    assert math.isnan(two.low)
    assert math.isnan(two.high)


def test_dependent_values_miss_as_seldom_as_independent_ones():
    """Returns of pairs that are the sum of two agents' skills, and agents whose team raises both of two measures."""
    random = np.random.default_rng(0)
    missed = {"pairs": 0, "correlation": 0}
    for _ in range(400):
        skill = random.normal(size=5)
        _, low, high = pairs_interval(skill[:, None] + skill + 0.1 * random.normal(size=(5, 5)))
        missed["pairs"] += not low <= 0 <= high
        first, second = (3 * random.normal(size=(5, 1)) + random.normal(size=(5, 3)) for _ in range(2))
        _, low, high = correlation_interval(first, second)
        missed["correlation"] += not low <= 0 <= high
    assert missed["pairs"] < 0.09 * 400  # 32 % with a mean per agent
    assert missed["correlation"] < 0.09 * 400  # 30 % with independent agents


def test_as_json():
    assert mean_interval([2.0]).to_dict() == {"value": 2.0, "low": None, "high": None}
    assert mean_interval([2.0, 2.0]).to_dict("mean") == {"mean": 2.0, "low": 2.0, "high": 2.0}


def test_for_people():
    assert format_interval(Interval(1.234, -0.5, 2.0)) == "1.23 [-0.50, 2.00]"
    assert format_interval(Interval.unknown(1.0)) == "1.00"
    assert format_interval(Interval(1.0, 0.0, 2.0), "8.3f", "  ") == "   1.000  [0.000, 2.000]"
    stored = {"mean": 1.0, "low": None, "high": None, "episodes": 1}
    assert format_interval(Interval.from_dict(stored, "mean")) == "1.00"
