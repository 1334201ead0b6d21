"""Statistics of studies, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError
from rookery.studies.statistics import (
    binomial_fraction,
    difference_of_means,
    iqm,
    iqm_over_seeds,
    mean_over_episodes,
    mean_over_seeds,
    probability_of_improvement,
)  # fmt: skip

values = st.lists(st.floats(-100, 100), min_size=2, max_size=6)


@pytest.mark.parametrize(
    ("given", "expected"),
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
def test_interquartile_mean_by_hand(given, expected):
    assert iqm(given) == pytest.approx(expected)


def test_interquartile_mean_of_rows_and_columns():
    table = np.array([[0.0, 1.0, 2.0, 100.0], [5.0, 5.0, 5.0, 5.0]])
    np.testing.assert_allclose(iqm(table), [1.5, 5.0])
    np.testing.assert_allclose(iqm(table.T, axis=0), [1.5, 5.0])


def test_mean_over_seeds_of_two_is_as_wide_as_they_lie_apart():
    # Drawn anew, two seeds come up alike half of the time: the interval reaches from one to the other.
    assert mean_over_seeds([1.0, 3.0]) == (2.0, 1.0, 3.0)


def test_bootstrap_interval_by_enumeration():
    # Of 27 equally likely draws of three seeds 0, 0, 1 the mean is 0 in 8 and 1 in one: more than 2.5 % each.
    assert mean_over_seeds([0.0, 0.0, 1.0]) == pytest.approx((1 / 3, 0.0, 1.0))
    # Of 3125 draws of 0, 0, 0, 0, 1 the mean is 3/5 or more in 181 (5.8 %), and 4/5 or more in 21 (0.7 %).
    assert mean_over_seeds([0.0, 0.0, 0.0, 0.0, 1.0]) == pytest.approx((0.2, 0.0, 0.6))


def test_one_seed_has_no_interval_and_equal_seeds_one_of_no_width():
    value, low, high = mean_over_seeds([2.0])
    assert value == 2.0
    assert np.isnan([low, high]).all()
    assert iqm_over_seeds([4.0, 4.0, 4.0]) == (4.0, 4.0, 4.0)
    assert difference_of_means([4.0, 4.0], [1.0, 1.0]) == (3.0, 3.0, 3.0)


def test_difference_of_arms():
    # 1 or 3, less a level of 1: from 0 to 2.
    assert difference_of_means([1.0, 3.0], [1.0, 1.0]) == (1.0, 0.0, 2.0)
    # 1 or 3 less 0 or 2: each end needs both draws at once, one in sixteen.
    assert difference_of_means([1.0, 3.0], [0.0, 2.0]) == (1.0, -1.0, 3.0)


def test_probability_of_improvement_by_hand():
    # Of the six pairs, 2 exceeds 1 and ties 2; 3 exceeds 1 and 2; 0 nothing: (1.5 + 2 + 0) / 6.
    assert probability_of_improvement([2.0, 3.0, 0.0], [1.0, 2.0]).value == pytest.approx(3.5 / 6)
    assert probability_of_improvement([5.0, 6.0], [1.0, 2.0]) == (1.0, 1.0, 1.0)


@given(values, values)
def test_probability_of_improvement_turned_round(ours, theirs):
    forth, back = probability_of_improvement(ours, theirs), probability_of_improvement(theirs, ours)
    assert forth.value + back.value == pytest.approx(1)
    assert 0 <= forth.low <= forth.high <= 1


@given(values)
def test_intervals_hold_their_value_and_repeat(given):
    for statistic in (mean_over_seeds, iqm_over_seeds):
        found = statistic(given)
        assert found == statistic(given)
        assert min(given) - 1e-9 <= found.low <= found.high <= max(given) + 1e-9


def test_mean_over_episodes_by_hand():
    # Squared differences of 1 each, four of them: variance 4/3, and its root over the root of four.
    value, low, high = mean_over_episodes([1.0, 1.0, 3.0, 3.0])
    error = (4 / 3) ** 0.5 / 2
    assert (value, low, high) == pytest.approx((2.0, 2 - 1.959964 * error, 2 + 1.959964 * error))


def test_shares_are_exact():
    # Five of five: the lowest share under which that has a chance of 2.5 % is its fifth root.
    assert binomial_fraction(5, 5) == pytest.approx((1.0, 0.025**0.2, 1.0))
    assert binomial_fraction(0, 5) == pytest.approx((0.0, 0.0, 1 - 0.025**0.2))
    with pytest.raises(ConfigError, match="6 of 5 is no share"):
        binomial_fraction(6, 5)


@pytest.mark.parametrize(("given", "said"), [([], "at least one"), ([[1.0]], "at least one"), ([np.nan], "finite")])
def test_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        mean_over_seeds(given)
