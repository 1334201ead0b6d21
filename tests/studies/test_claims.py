"""Verdicts, by results made up by hand."""

import math

import pytest

from rookery.studies import claims
from rookery.studies.claims import judge_interval
from rookery.studies.results import Results
from rookery.studies.statistics import Interval
from rookery.studies.study import FAILS, HOLDS, UNDECIDED

NAN = math.nan


def results(half=0.1, **arms) -> Results:
    """Arms of means, one a seed, or one number for an agent without seeds; each ± `half` over its episodes."""
    rows = []
    for arm, means in arms.items():
        listed = means if isinstance(means, list) else [means]
        for seed, mean in enumerate(listed):
            said = {"mean": mean, "low": mean - half, "high": mean + half}
            rows.append({
                "condition": arm, "seed": seed if isinstance(means, list) else None, "eval_condition": "home",
                "return_social": said, "return_solo": {"mean": 0.0, "low": 0.0, "high": 0.0}, "social_gain": said,
                "metrics_social": {"mistakes": 2 * mean, "success": min(mean, 1.0)},
            })  # fmt: skip
    return Results({"rows": rows, "budget": "desk", "episodes": 100})


@pytest.mark.parametrize(
    ("interval", "above", "below", "found"),
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
def test_verdicts(interval, above, below, found):
    assert judge_interval(Interval(0.0, *interval), above, below) == found


def test_exceeds_needs_three_seeds():
    claim = claims.mean_above("", "a", 1.0)
    assert claim.judge(results(a=[2.0, 3.0, 4.0])).outcome == HOLDS
    assert claim.judge(results(a=[0.5, 3.0, 4.0])).outcome == UNDECIDED
    assert claim.judge(results(a=[0.0, 0.5, 1.0])).outcome == FAILS
    two = claim.judge(results(a=[2.0, 3.0]))
    assert (two.outcome, two.interval.value) == (UNDECIDED, 2.5)
    # One agent without seeds is judged by its episodes.
    assert claim.judge(results(a=1.2)).outcome == HOLDS
    assert claim.judge(results(a=1.05)).outcome == UNDECIDED


def test_two_agents_without_seeds_are_compared_over_their_episodes():
    claim = claims.mean_greater("", "a", "b")
    found = claim.judge(results(half=0.3, a=1.5, b=1.0)).interval
    assert found == pytest.approx((0.5, 0.5 - 0.3 * 2**0.5, 0.5 + 0.3 * 2**0.5))
    assert claim.judge(results(half=0.3, a=1.5, b=1.0)).outcome == HOLDS
    assert claim.judge(results(half=0.3, a=1.4, b=1.0)).outcome == UNDECIDED
    assert claim.judge(results(half=0.3, a=0.5, b=1.0)).outcome == FAILS


def test_counts_of_one_agent_have_an_interval_only_where_they_are_shares():
    always = claims.mean_above("", "a", 0.95, "metrics_social: success").judge(results(a=1.0))
    assert (always.outcome, always.interval.low) == (HOLDS, pytest.approx(0.025**0.01))  # of 100 of 100
    assert claims.mean_above("", "a", 0.95, "metrics_social: success").judge(results(a=0.96)).outcome == UNDECIDED
    assert claims.mean_above("", "a", 0.95, "metrics_social: mistakes").judge(results(a=9.0)).outcome == UNDECIDED


def test_falls_below():
    claim = claims.mean_below("", "a", 1.0, "metrics_social: mistakes")
    assert claim.judge(results(a=[0.1, 0.2, 0.4])).outcome == HOLDS
    assert claim.judge(results(a=[0.6, 0.7, 0.8])).outcome == FAILS


def test_more_than_another_arm_or_a_level():
    claim = claims.mean_greater("", "a", "b")
    found = claim.judge(results(a=[4.0, 5.0, 6.0], b=[1.0, 2.0, 3.0]))
    assert (found.outcome, found.interval.value) == (HOLDS, 3.0)
    assert found.detail == "probability of improvement 1.00 [1.00, 1.00]"
    assert claim.judge(results(a=[1.0, 5.0, 6.0], b=[1.0, 2.0, 6.0])).outcome == UNDECIDED
    assert claim.judge(results(a=[1.0, 1.1, 1.2], b=2.0)).outcome == FAILS
    assert claim.judge(results(a=[4.0, 5.0], b=[1.0, 2.0])).outcome == UNDECIDED
    # Another measure of the other arm: its return alone is 0.
    other = claims.mean_greater("", "a", "b", other_measure="return_solo")
    assert other.judge(results(a=[1.0, 2.0, 3.0], b=[9.0, 9.0, 9.0])).interval.value == 2.0


def test_alike_within_a_share():
    claim = claims.equivalent_within("", "a", "b", tolerance=0.5)
    assert claim.judge(results(a=[2.0, 2.2, 2.1], b=[2.0, 2.0, 2.0])).outcome == HOLDS
    assert claim.judge(results(a=[4.0, 4.0, 4.1], b=[2.0, 2.0, 2.0])).outcome == FAILS
    assert claim.judge(results(a=[2.0, 4.0, 3.0], b=[2.0, 2.0, 2.0])).outcome == UNDECIDED


def test_every_seed_at_most():
    claim = claims.every_seed_at_most("", "a", 1.0)
    assert claim.judge(results(a=[0.8, 0.9])).outcome == HOLDS
    assert claim.judge(results(a=[0.8, 0.95])).outcome == UNDECIDED  # 0.95 ± 0.1
    found = claim.judge(results(a=[0.8, 1.2]))
    assert (found.outcome, found.interval, found.detail) == (
        FAILS, (1.2, pytest.approx(1.1), pytest.approx(1.3)), "1 of 2 seeds above",
    )  # fmt: skip


def test_most_seeds_exceed_a_level():
    claim = claims.most_seeds_exceed("", "a", "experts", min_fraction=0.6)
    # Of five, three must.
    assert claim.judge(results(a=[5.0, 5.0, 5.0, 0.0, 0.0], experts=4.0)).outcome == HOLDS
    assert claim.judge(results(a=[5.0, 5.0, 0.0, 0.0, 0.0], experts=4.0)).outcome == FAILS
    close = claim.judge(results(a=[5.0, 5.0, 4.05, 0.0, 0.0], experts=4.0))
    assert close.outcome == UNDECIDED
    assert close.interval.value == 0.6
    assert close.detail.startswith("2 surely above, 2 surely not")


def test_few_seeds_exceed_a_level():
    claim = claims.few_seeds_exceed("", "a", "experts", max_fraction=0.4)
    # Of five, two may.
    assert claim.judge(results(a=[5.0, 5.0, 0.0, 0.0, 0.0], experts=4.0)).outcome == HOLDS
    assert claim.judge(results(a=[5.0, 5.0, 5.0, 0.0, 0.0], experts=4.0)).outcome == FAILS
    assert claim.judge(results(a=[5.0, 5.0, 3.95, 0.0, 0.0], experts=4.0)).outcome == UNDECIDED


def test_no_more_than_another_arm():
    claim = claims.mean_not_greater("", "a", "b")
    assert claim.judge(results(a=[1.0, 1.1, 1.2], b=2.0)).outcome == HOLDS
    assert claim.judge(results(a=[3.0, 3.1, 3.2], b=2.0)).outcome == FAILS
    assert claim.judge(results(a=[1.0, 3.1, 3.2], b=2.0)).outcome == UNDECIDED


def test_the_same_agents_are_compared_agent_by_agent():
    # Mistakes are twice the return: the differences are 1, 50 and 99, and each of their means of three is above 0.
    claim = claims.mean_greater("", "a", "a", "metrics_social: mistakes", other_measure="return_social")
    found = claim.judge(results(a=[1.0, 50.0, 99.0]))
    assert found.interval.value == 50
    assert (found.outcome, found.detail) == (HOLDS, "3 of 3 seeds")
    alone = claims.mean_greater("", "a", "a", "return_social", other_measure="return_solo")
    assert alone.judge(results(a=[1.0, 2.0])).outcome == UNDECIDED  # two seeds


def test_another_scene():
    there = results(a=[1.0, 2.0, 3.0])
    elsewhere = [
        {**row, "eval_condition": "elsewhere", "return_social": {"mean": 0.5, "low": 0.0, "high": 1.0}} for row in there.rows("a")
    ]
    both = Results({**there.data, "rows": [*there.data["rows"], *elsewhere]})
    claim = claims.mean_greater("", "a", "a", eval_condition="home", other_eval_condition="elsewhere")
    found = claim.judge(both)
    assert (found.outcome, found.interval.value) == (HOLDS, 1.5)
    assert "in home" in found.quantity
    assert "in elsewhere" in found.quantity
