"""Tests of significance, by hand and against scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import mannwhitneyu, permutation_test

from rookery import significance
from rookery.errors import ConfigError
from rookery.intervals import Interval
from rookery.significance import (
    agent_test,
    correlation_test,
    detectable_fraction,
    difference_test,
    episodes_test,
    fraction_test,
    fractions_test,
    holm,
    log_rank_scores,
    mean_test,
    permutation_p_value,
    sign_flip_p_value,
    stratified_fractions_test,
    survival_curve,
    time_test,
)


def test_a_mean_needs_both_tests():
    far = mean_test([9.0, 10.0, 11.0, 12.0, 10.0])
    assert far.decides
    assert far.exact_p_value == 2 / 2**5  # of 32 choices of signs, all plus and all minus
    # Four seeds, however far, are never more than 1 of 8: Student's test decides and the exact one does not agree.
    few = mean_test([9.0, 10.0, 11.0, 12.0])
    assert few.p_value < 0.05
    assert not few.agrees
    assert not few.decides


def test_the_level_moves_the_p_value_and_not_the_interval():
    values = [1.0, 2.0, 3.0, 4.0, 5.5]
    assert mean_test(values, 2.0).interval == mean_test(values).interval
    low = mean_test(values).interval.low
    assert mean_test(values, low).p_value == pytest.approx(0.05)


def test_a_difference_needs_both_tests():
    first, second = np.array([5.0, 6.0, 7.0, 8.0, 9.0]), np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert difference_test(first, second).decides
    assert difference_test(first, second).exact_p_value == pytest.approx(2 / 252)
    # One seed far ahead: ranks say nothing.
    assert not difference_test([0.0, 1.0, 2.0, 3.0, 50.0], second).agrees
    # Three against three cannot reach 5 %.
    assert difference_test(first[:3], second[:3]).exact_p_value == pytest.approx(0.1)


def test_permutations_are_counted_as_scipy_lists_them():
    random = np.random.default_rng(0)
    scores = random.normal(size=9)
    listed = permutation_test(
        (scores[:4], scores[4:]), lambda x, y, axis: x.sum(axis), permutation_type="independent", n_resamples=np.inf,
        vectorized=True,
    ).null_distribution  # fmt: skip
    middle = scores.sum() * 4 / 9
    expected = np.mean(np.abs(listed - middle) >= abs(scores[:4].sum() - middle) - 1e-9)
    assert permutation_p_value(scores, 4) == pytest.approx(expected)
    first, second = random.normal(size=12), random.normal(1.0, size=12)
    exact = mannwhitneyu(first, second, method="exact").pvalue
    assert difference_test(first, second).exact_p_value == pytest.approx(exact)


def fraction_as_far(sums, observed, middle):
    return np.mean(np.abs(np.array(sums) - middle) >= abs(observed - middle) - 1e-9)


RUNS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=6)


@given(RUNS, RUNS)
def test_the_log_rank_test_counts_every_choice_where_scores_tie(first, others):
    times, reached = (np.array(values) for values in zip(*first, *others, strict=True))
    scores, num_first = log_rank_scores(times.astype(float), reached), len(first)
    sums = [sum(chosen) for chosen in itertools.combinations(scores, num_first)]
    expected = fraction_as_far(sums, scores[:num_first].sum(), scores.sum() * num_first / len(scores))
    assert permutation_p_value(scores, num_first) == pytest.approx(expected)


@given(st.lists(st.integers(-30, 30).map(lambda number: number / 30), min_size=1, max_size=8))
def test_every_choice_of_signs_is_counted_where_sums_tie(differences):
    sums = [np.dot(signs, differences) for signs in itertools.product((-1, 1), repeat=len(differences))]
    assert sign_flip_p_value(differences) == pytest.approx(fraction_as_far(sums, sum(differences), 0.0))


def test_equal_sums_of_rounded_scores_are_equally_far():
    # Of the 792 choices 732 are as far; sums that are equal were once rounded apart.
    first, others = ([1.0] * 5 + [2.0, 3.0], [1, 1, 1, 0, 1, 0, 1]), ([1.0, 2.0, 1.0, 2.0, 3.0], [1] * 5)
    assert time_test(*first, *others).p_value == pytest.approx(732 / 792)


def test_many_different_scores_are_counted_on_a_coarser_grid(monkeypatch):
    random = np.random.default_rng(2)
    scores = random.normal(size=16)
    exact = permutation_p_value(scores, 8), sign_flip_p_value(scores)
    monkeypatch.setattr(significance, "MAX_SUMS", 100)
    coarse = permutation_p_value(scores, 8), sign_flip_p_value(scores)
    assert coarse == pytest.approx(exact, abs=0.01)
    assert coarse != exact
    assert np.all(np.array(coarse) >= exact)  # never too small


def test_signs_by_hand():
    # Of the 8 signs of 1, 2, 4 sums are 7, 5, 3, 1 and their negatives: 5 or more in size in 4.
    assert sign_flip_p_value([-1.0, 2.0, 4.0]) == pytest.approx(0.5)
    assert sign_flip_p_value([1.0, 2.0, 4.0]) == pytest.approx(0.25)
    assert sign_flip_p_value([0.0, 0.0]) == 1.0


def test_fractions_by_hand():
    # Of 252 ways to choose which 5 of 10 seeds succeed, two are as far apart.
    test = fractions_test(5, 5, 0, 5)
    assert test.p_value == pytest.approx(2 / 252)
    assert test.decides
    assert test.interval.value == 1
    assert fractions_test(3, 5, 3, 5).p_value == 1
    # Five of five leave a half possible; six of six do not.
    assert not fraction_test(5, 5).decides
    assert fraction_test(6, 6).decides
    assert fraction_test(0, 6).interval.high < 0.5


@pytest.mark.parametrize(
    "test",
    [
        lambda: fraction_test(0, 0),
        lambda: fractions_test(0, 0, 1, 2),
        lambda: fractions_test(1, 2, 0, 0),
        lambda: stratified_fractions_test([(1, 2, 1, 2), (0, 0, 1, 2)]),
        lambda: detectable_fraction(2, 0, 0.0),
    ],
)
def test_fractions_of_no_seeds_are_refused(test):
    with pytest.raises(ConfigError, match=r"fractions of .*0.* seeds cannot be compared; each needs at least 1"):
        test()


def test_no_strata_are_refused():
    with pytest.raises(ConfigError, match="strata is empty"):
        stratified_fractions_test([])


def test_strata_by_hand():
    # Two pairs of 2 and 2, each with all successes in the first: of 6 x 6 choices one is this and one its opposite.
    test = stratified_fractions_test([(2, 2, 0, 2), (2, 2, 0, 2)])
    assert test.p_value == pytest.approx(2 / 36)
    assert test.interval.value == 1
    # One pair is Fisher's test.
    assert stratified_fractions_test([(5, 6, 1, 6)]).p_value == pytest.approx(fractions_test(5, 6, 1, 6).p_value)
    # Opposite pairs cancel.
    assert stratified_fractions_test([(4, 4, 0, 4), (0, 4, 4, 4)]).p_value == pytest.approx(1)


def test_log_rank_by_hand():
    # At time 1 four are at risk, two of each group; one event, of the first. At 2, three; one of the first. At 3 one
    # of the second group; the other is censored at 2.
    times, is_event = np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, True])
    hazard = np.array([1 / 4, 1 / 4 + 1 / 3, 1 / 4 + 1 / 3, 1 / 4 + 1 / 3 + 1])
    np.testing.assert_allclose(log_rank_scores(times, is_event), is_event - hazard)
    test = time_test([1.0, 2.0], [True, True], [2.0, 3.0], [False, True])
    assert test.interval.value == pytest.approx(2 - (1 / 4 + 1 / 4 + 1 / 3))
    assert test.p_value == pytest.approx(2 / 6, abs=0.01)  # the most extreme of six choices, and its opposite


def test_nothing_is_earlier_where_none_arrives():
    never = [False] * 5
    assert time_test([9.0] * 5, never, [9.0] * 5, never).p_value == 1
    assert time_test([1.0] * 5, [True] * 5, [9.0] * 5, never).p_value == pytest.approx(2 / 252)


def test_survival_by_hand():
    # Of four seeds one follows at 1, one leaves at 2, one follows at 3: of the two then left, half.
    curve = survival_curve([1.0, 2.0, 3.0, 4.0], [True, False, True, False])
    reached = dict(zip(curve.time, curve.reached, strict=True))
    assert (reached[0], reached[1], reached[3]) == pytest.approx((0, 1 / 4, 1 - 3 / 4 / 2))
    np.testing.assert_array_equal(curve.censored, [2, 4])
    known = np.isfinite(curve.low)
    assert (curve.low[known] <= curve.reached[known]).all()
    assert (curve.reached[known] <= curve.high[known]).all()


def test_holm_by_hand():
    # 0.01 x 3, then 0.02 x 2 = 0.04, then 0.03, which may not be smaller than the one before.
    np.testing.assert_allclose(holm([0.02, 0.01, 0.03]), [0.04, 0.03, 0.04])
    assert list(holm([0.9, 0.8])) == [1.0, 1.0]
    assert list(holm([])) == []


def test_detectable_effects():
    # Of 5 and 5, Fisher decides from 5 : 1 or 4 : 0 on; 4 of 5 or more succeed in 80 % of cases at 0.84.
    assert detectable_fraction(5, 5, 0.0) == 0.84
    assert detectable_fraction(12, 12, 0.0) < detectable_fraction(8, 8, 0.0) < detectable_fraction(5, 5, 0.0)
    assert detectable_fraction(3, 3, 0.0) == math.inf
    # Against a condition in which some follow, more must: of 12 and 12, none where 7 do, for 12 : 8 decides nothing.
    assert fractions_test(3, 12, 0, 12).detectable < fractions_test(3, 12, 2, 12).detectable < 1
    assert fractions_test(12, 12, 7, 12).detectable == math.inf
    assert stratified_fractions_test([(3, 6, 0, 6), (3, 6, 2, 6)]).detectable == fractions_test(3, 12, 2, 12).detectable
    # More than one of six is not shown in 80 % of cases, whatever the fraction; six against one decide all the same.
    decided = fractions_test(6, 6, 1, 6)
    assert decided.decides
    assert decided.detectable == math.inf
    # With twice the spread, twice the effect is needed.
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean_test(2 * values).detectable == pytest.approx(2 * mean_test(values).detectable)
    assert mean_test([2.0]).detectable != mean_test([2.0]).detectable  # unknown


def test_a_correlation_is_tested_over_teams():
    """The interval and the p-value agree, and agents that only share their team's luck decide nothing more often."""
    random = np.random.default_rng(0)
    decided = 0
    for _ in range(200):
        test = correlation_test(*(3 * random.normal(size=(5, 1)) + random.normal(size=(5, 3)) for _ in range(2)))
        assert test.decides == (test.interval.low > 0 or test.interval.high < 0)
        decided += test.decides
    assert decided < 0.1 * 200  # 30 % with independent agents
    assert math.isnan(correlation_test(np.ones((5, 3)), random.normal(size=(5, 3))).interval.value)


def test_an_agent_s_episodes_by_hand():
    """3 ± 1.96 is two standard errors above 1, and its upper side is not that towards it."""
    test = episodes_test(Interval(3.0, 3.0 - 1.959964, 9.0), 1.0)
    assert test.p_value == test.exact_p_value == pytest.approx(2 * float(stats.norm.sf(2.0)))
    assert test.decides
    assert test.detectable == pytest.approx(float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8)), rel=1e-5)
    assert not episodes_test(Interval(2.9, 2.9 - 1.959964, 9.0), 1.0).decides
    assert math.isnan(episodes_test(Interval.unknown(2.0)).p_value)


def test_an_agent_without_seeds_by_hand():
    """Seeds 1 to 5 have a squared error of 2.5 / 5 = 0.5; the agent's is as large: 8 degrees of freedom for 2 × 0.5."""
    half_width = 1.959964 * 0.5**0.5
    test = agent_test([1.0, 2.0, 3.0, 4.0, 5.0], Interval(1.0, 1.0 - half_width, 1.0 + half_width))
    assert test.interval.value == 2.0
    degrees = 4 * (1.0 / 0.5) ** 2
    assert test.interval.high - 2.0 == pytest.approx(float(stats.t.ppf(0.975, degrees)), rel=1e-6)
    assert test.p_value == pytest.approx(2 * float(stats.t.sf(2.0, degrees)), rel=1e-6)
    # An agent that is known exactly is a number.
    exact, number = agent_test([1.0, 2.0, 4.0], Interval(1.0, 1.0, 1.0)), mean_test([1.0, 2.0, 4.0], 1.0)
    assert exact.p_value == pytest.approx(number.p_value)
    assert exact.interval == pytest.approx([bound - 1.0 for bound in number.interval])
    # Equal seeds leave the agent's error alone, which is normal.
    equal = agent_test([3.0, 3.0, 3.0], Interval(1.0, 0.0, 2.0))
    assert equal.interval == pytest.approx((2.0, 1.0, 3.0), abs=1e-6)
    assert math.isnan(agent_test([3.0], Interval(1.0, 0.0, 2.0)).p_value)


def test_an_agent_s_error_over_episodes_counts():
    """Seeds that differ little, and an agent that is known badly, have the same true mean."""
    random = np.random.default_rng(0)
    decided = []
    for _ in range(300):
        agent = random.normal(scale=0.4)
        interval = Interval(agent, agent - 1.959964 * 0.4, agent + 1.959964 * 0.4)
        decided.append(agent_test(random.normal(scale=0.3, size=12), interval).decides)
    assert np.mean(decided) < 0.08


def test_a_true_null_is_rarely_decided():
    random = np.random.default_rng(1)
    decided = [
        difference_test(*(10.0 * random.integers(0, 2, 5) + random.normal(size=5) for _ in range(2))).decides
        for _ in range(200)
    ]
    assert np.mean(decided) < 0.07
    assert significance.MIN_SEEDS == 5
