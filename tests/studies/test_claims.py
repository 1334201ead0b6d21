"""Verdicts, by results made up by hand."""

import math

import numpy as np
import pytest

from rookery.intervals import Interval
from rookery.significance import difference_test
from rookery.studies import claims
from rookery.studies.claims import judge_interval
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED

NAN = math.nan


def results(half=0.1, **conditions) -> Results:
    """Conditions of means, one per seed, or one number for an agent without seeds; each ± `half` over its episodes."""
    rows = []
    for condition, means in conditions.items():
        listed = means if isinstance(means, list) else [means]
        for seed, mean in enumerate(listed):
            measure = {"mean": mean, "low": mean - half, "high": mean + half}
            rows.append({
                "condition": condition, "seed": seed if isinstance(means, list) else None, "eval_condition": "home",
                "return_social": measure, "return_solo": {"mean": 0.0, "low": 0.0, "high": 0.0}, "social_gain": measure,
                "metrics_social": {"mistakes": 2 * mean, "success": min(mean, 1.0)},
            })  # fmt: skip
    return Results({"rows": rows, "budget": "desk", "eval_episodes": 100})


@pytest.mark.parametrize(
    ("interval", "above", "below", "outcome"),
    [
        ((1.1, 2), 1, math.inf, HOLDS),
        ((0.9, 2), 1, math.inf, UNDECIDED),
        ((0.5, 1), 1, math.inf, FAILS),
        ((NAN, NAN), 1, math.inf, UNDECIDED),
        ((-0.5, 0.5), -1, 1, HOLDS),
        ((-0.5, 1.5), -1, 1, UNDECIDED),
        ((1.0, 1.5), -1, 1, FAILS),
        ((-2.0, 2.0), -1, 1, UNDECIDED),
    ],
)
def test_verdicts(interval, above, below, outcome):
    assert judge_interval(Interval(0.0, *interval), above, below) == outcome


def test_a_mean_above_needs_five_seeds():
    claim = claims.mean_above("", "a", 1.0)
    verdict = claim.judge(results(a=[2.0, 3.0, 4.0, 3.0, 2.5]))
    assert verdict.outcome == HOLDS
    assert verdict.test.detectable > 0
    assert claim.judge(results(a=[0.5, 3.0, 4.0, 0.0, 2.5])).outcome == UNDECIDED
    assert claim.judge(results(a=[0.0, 0.5, 0.4, 0.2, 0.1])).outcome == FAILS
    few = claim.judge(results(a=[2.0, 3.0, 2.5, 2.4]))
    assert (few.outcome, few.interval.value) == (UNDECIDED, pytest.approx(2.475))
    assert few.interval.low > 1
    assert few.detail == "4 seeds: fewer than 5 decide nothing"
    # One agent without seeds is judged by its episodes.
    assert claim.judge(results(a=1.2)).outcome == HOLDS
    assert claim.judge(results(a=1.05)).outcome == UNDECIDED


def test_only_agents_with_seeds_are_said_to_have_them():
    claim = claims.mean_above("it gains", "a", 1.0)
    assert "mean over seeds" in claim.judge(results(a=[2.0, 2.1, 2.2, 2.3, 2.4])).quantity
    assert claim.judge(results(a=2.0)).quantity == "social gain of 'a'; claimed > 1"


def test_two_agents_without_seeds_are_compared_over_their_episodes():
    claim = claims.mean_greater("", "a", "b")
    interval = claim.judge(results(half=0.3, a=1.5, b=1.0)).interval
    assert interval == pytest.approx((0.5, 0.5 - 0.3 * 2**0.5, 0.5 + 0.3 * 2**0.5))
    assert claim.judge(results(half=0.3, a=1.5, b=1.0)).outcome == HOLDS
    assert claim.judge(results(half=0.3, a=1.4, b=1.0)).outcome == UNDECIDED
    assert claim.judge(results(half=0.3, a=0.5, b=1.0)).outcome == FAILS


def test_metrics_of_one_agent_have_an_interval_only_where_they_are_fractions():
    always = claims.mean_above("", "a", 0.95, "metrics_social: success").judge(results(a=1.0))
    assert (always.outcome, always.interval.low) == (HOLDS, pytest.approx(0.025**0.01))  # of 100 of 100
    assert claims.mean_above("", "a", 0.95, "metrics_social: success").judge(results(a=0.96)).outcome == UNDECIDED
    assert claims.mean_above("", "a", 0.95, "metrics_social: mistakes").judge(results(a=9.0)).outcome == UNDECIDED


def test_a_mean_below():
    claim = claims.mean_below("", "a", 1.0, "metrics_social: mistakes")
    assert claim.judge(results(a=[0.1, 0.2, 0.3, 0.2, 0.1])).outcome == HOLDS
    assert claim.judge(results(a=[0.6, 0.7, 0.8, 0.7, 0.6])).outcome == FAILS


def test_greater_than_another_condition_or_a_level():
    claim = claims.mean_greater("", "a", "b")
    low = [1.0, 2.0, 3.0, 1.5, 2.5]
    verdict = claim.judge(results(a=[x + 5 for x in low], b=low))
    assert (verdict.outcome, verdict.interval.value) == (HOLDS, pytest.approx(5.0))
    assert verdict.detail == "probability of improvement 1.00"
    assert claim.judge(results(a=[1.0, 5.0, 6.0, 2.0, 1.0], b=low)).outcome == UNDECIDED
    assert claim.judge(results(a=[1.0, 1.1, 1.2, 1.0, 1.1], b=2.0)).outcome == FAILS
    assert claim.judge(results(a=[4.0, 5.0, 4.5, 4.1], b=[1.0, 2.0, 1.5, 1.1])).outcome == UNDECIDED
    # An agent without seeds is known up to its error over episodes.
    near = {"a": [1.0, 1.1, 1.2, 1.0, 1.1], "b": 0.5}
    assert claim.judge(results(0.1, **near)).outcome == HOLDS
    assert claim.judge(results(1.0, **near)).outcome == UNDECIDED
    reverse = claims.mean_greater("", "b", "a").judge(results(0.1, **near))
    assert (reverse.outcome, reverse.interval.value) == (FAILS, pytest.approx(0.5 - 1.08))
    assert reverse.interval.low < reverse.interval.value < reverse.interval.high < 0
    # Another measure of the other condition: its return alone is 0.
    other = claims.mean_greater("", "a", "b", other_measure="return_solo")
    assert other.judge(results(a=low, b=[9.0] * 5)).interval.value == pytest.approx(2.0)


def test_a_verdict_needs_the_exact_test_as_well():
    # Welch's test decides by means; by ranks one seed of the five is no better than the others.
    first, second = [3.0, 3.1, 3.2, 3.3, 0.05], [0.1, 0.2, 0.3, 0.5, 0.6]
    verdict = claims.mean_greater("", "a", "b").judge(results(a=first, b=second))
    assert verdict.interval.low > 0
    assert (verdict.outcome, verdict.test.agrees) == (UNDECIDED, False)
    assert verdict.detail.startswith("the exact test does not agree (p = 0.15)")


def test_equivalent_within_a_fraction():
    claim = claims.equivalent_within("", "a", "b", tolerance=0.5)
    level = [2.0, 2.1, 1.9, 2.0, 2.0]
    assert claim.judge(results(a=[2.0, 2.2, 2.1, 2.0, 2.1], b=level)).outcome == HOLDS
    far = claim.judge(results(a=[4.0, 4.0, 4.1, 4.0, 4.0], b=level))
    assert far.outcome == FAILS
    assert far.test.p_value < 0.001
    outside = np.array([3.0, 3.3, 3.6, 3.9, 3.95])  # 1.55 away, where 1 is allowed: the nearer bound counts
    test = claim.judge(results(a=outside.tolist(), b=level)).test
    assert test.p_value == pytest.approx(difference_test(outside - 1.0, np.array(level)).p_value)
    assert test.p_value > 0.01
    assert claim.judge(results(a=[2.0, 4.0, 3.0, 1.0, 5.0], b=level)).outcome == UNDECIDED
    # Seeds are exchanged after the shift to the nearer bound.
    first, second = np.array([2.0, 2.2, 2.1, 2.9]), np.array([2.0, 2.1, 1.9, 2.0])
    test = claim.judge(results(a=first.tolist(), b=second.tolist())).test
    assert test.exact_p_value == difference_test(first - 1.0, second).exact_p_value > test.p_value
    assert test.agrees == (test.exact_p_value <= 0.05)


def test_every_seed_at_most():
    claim = claims.every_seed_at_most("", "a", 1.0)
    assert claim.judge(results(a=[0.8, 0.9, 0.8, 0.7, 0.9])).outcome == HOLDS
    assert claim.judge(results(a=[0.8, 0.9, 0.8, 0.7])).outcome == UNDECIDED
    assert claim.judge(results(a=[0.8, 0.95, 0.8, 0.7, 0.9])).outcome == UNDECIDED  # 0.95 ± 0.1
    verdict = claim.judge(results(a=[0.8, 1.2, 0.8, 0.7, 0.9]))
    assert (verdict.outcome, verdict.interval, verdict.detail) == (
        FAILS, (1.2, pytest.approx(1.1), pytest.approx(1.3)), "1 of 5 seeds above",
    )  # fmt: skip


def test_most_seeds_exceed_a_level():
    claim = claims.most_seeds_exceed("", "a", "experts", min_fraction=0.6)
    # Of five, three must.
    assert claim.judge(results(a=[5.0, 5.0, 5.0, 0.0, 0.0], experts=4.0)).outcome == HOLDS
    assert claim.judge(results(a=[5.0, 5.0, 0.0, 0.0, 0.0], experts=4.0)).outcome == FAILS
    close = claim.judge(results(a=[5.0, 5.0, 4.05, 0.0, 0.0], experts=4.0))
    assert close.outcome == UNDECIDED
    assert close.interval.value == 0.6
    assert close.detail.startswith("2 certainly above, 2 certainly not")


def test_few_seeds_exceed_a_level():
    claim = claims.few_seeds_exceed("", "a", "experts", max_fraction=0.4)
    # Of five, two may.
    assert claim.judge(results(a=[5.0, 5.0, 0.0, 0.0, 0.0], experts=4.0)).outcome == HOLDS
    assert claim.judge(results(a=[5.0, 5.0, 5.0, 0.0, 0.0], experts=4.0)).outcome == FAILS
    assert claim.judge(results(a=[5.0, 5.0, 3.95, 0.0, 0.0], experts=4.0)).outcome == UNDECIDED


def test_less_than_another_condition():
    claim = claims.mean_less("", "a", "b")
    assert claim.judge(results(a=[1.0, 1.1, 1.2, 1.1, 1.0], b=2.0)).outcome == HOLDS
    assert claim.judge(results(a=[3.0, 3.1, 3.2, 3.1, 3.0], b=2.0)).outcome == FAILS
    assert claim.judge(results(a=[1.0, 3.1, 3.2, 1.1, 2.0], b=2.0)).outcome == UNDECIDED


def test_the_same_agents_are_compared_agent_by_agent():
    # Mistakes are twice the return: the differences are the returns.
    claim = claims.mean_greater("", "a", "a", "metrics_social: mistakes", other_measure="return_social")
    verdict = claim.judge(results(a=[10.0, 20.0, 30.0, 20.0, 15.0]))
    assert verdict.interval.value == 19
    assert (verdict.outcome, verdict.detail) == (HOLDS, "5 of 5 seeds")
    alone = claims.mean_greater("", "a", "a", "return_social", other_measure="return_solo")
    assert alone.judge(results(a=[1.0, 2.0])).outcome == UNDECIDED  # two seeds


def test_another_evaluation_condition():
    home = results(a=[1.0, 2.0, 3.0, 2.0, 1.5])
    elsewhere = [
        {**row, "eval_condition": "elsewhere", "return_social": {"mean": 0.5, "low": 0.0, "high": 1.0}}
        for row in home.rows("a")
    ]
    both = Results({**home.data, "rows": [*home.data["rows"], *elsewhere]})
    claim = claims.mean_greater("", "a", "a", eval_condition="home", other_eval_condition="elsewhere")
    verdict = claim.judge(both)
    assert (verdict.outcome, verdict.interval.value) == (HOLDS, pytest.approx(1.4))
    assert "in home" in verdict.quantity
    assert "in elsewhere" in verdict.quantity
