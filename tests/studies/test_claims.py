"""Verdicts, by results made up by hand."""

import math

import pytest

from rookery.studies import claims
from rookery.studies.claims import verdict
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
                "arm": arm, "seed": seed if isinstance(means, list) else None, "scene": "home",
                "beside": said, "alone": {"mean": 0.0, "low": 0.0, "high": 0.0}, "gain": said,
                "counts beside": {"mistakes": 2 * mean, "success": min(mean, 1.0)},
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
    assert verdict(Interval(0.0, *interval), above, below) == found


def test_exceeds_needs_three_seeds():
    claim = claims.exceeds("", "a", 1.0)
    assert claim.judge(results(a=[2.0, 3.0, 4.0])).verdict == HOLDS
    assert claim.judge(results(a=[0.5, 3.0, 4.0])).verdict == UNDECIDED
    assert claim.judge(results(a=[0.0, 0.5, 1.0])).verdict == FAILS
    two = claim.judge(results(a=[2.0, 3.0]))
    assert (two.verdict, two.interval.value) == (UNDECIDED, 2.5)
    # One agent without seeds is judged by its episodes.
    assert claim.judge(results(a=1.2)).verdict == HOLDS
    assert claim.judge(results(a=1.05)).verdict == UNDECIDED


def test_two_agents_without_seeds_are_compared_over_their_episodes():
    claim = claims.more("", "a", "b")
    found = claim.judge(results(half=0.3, a=1.5, b=1.0)).interval
    assert found == pytest.approx((0.5, 0.5 - 0.3 * 2**0.5, 0.5 + 0.3 * 2**0.5))
    assert claim.judge(results(half=0.3, a=1.5, b=1.0)).verdict == HOLDS
    assert claim.judge(results(half=0.3, a=1.4, b=1.0)).verdict == UNDECIDED
    assert claim.judge(results(half=0.3, a=0.5, b=1.0)).verdict == FAILS


def test_counts_of_one_agent_have_an_interval_only_where_they_are_shares():
    always = claims.exceeds("", "a", 0.95, "counts beside: success").judge(results(a=1.0))
    assert (always.verdict, always.interval.low) == (HOLDS, pytest.approx(0.025**0.01))  # of 100 of 100
    assert claims.exceeds("", "a", 0.95, "counts beside: success").judge(results(a=0.96)).verdict == UNDECIDED
    assert claims.exceeds("", "a", 0.95, "counts beside: mistakes").judge(results(a=9.0)).verdict == UNDECIDED


def test_falls_below():
    claim = claims.falls_below("", "a", 1.0, "counts beside: mistakes")
    assert claim.judge(results(a=[0.1, 0.2, 0.4])).verdict == HOLDS
    assert claim.judge(results(a=[0.6, 0.7, 0.8])).verdict == FAILS


def test_more_than_another_arm_or_a_level():
    claim = claims.more("", "a", "b")
    found = claim.judge(results(a=[4.0, 5.0, 6.0], b=[1.0, 2.0, 3.0]))
    assert (found.verdict, found.interval.value) == (HOLDS, 3.0)
    assert found.detail == "probability of improvement 1.00 [1.00, 1.00]"
    assert claim.judge(results(a=[1.0, 5.0, 6.0], b=[1.0, 2.0, 6.0])).verdict == UNDECIDED
    assert claim.judge(results(a=[1.0, 1.1, 1.2], b=2.0)).verdict == FAILS
    assert claim.judge(results(a=[4.0, 5.0], b=[1.0, 2.0])).verdict == UNDECIDED
    # Another measure of the other arm: its return alone is 0.
    other = claims.more("", "a", "b", of_other="alone")
    assert other.judge(results(a=[1.0, 2.0, 3.0], b=[9.0, 9.0, 9.0])).interval.value == 2.0


def test_alike_within_a_share():
    claim = claims.alike("", "a", "b", within=0.5)
    assert claim.judge(results(a=[2.0, 2.2, 2.1], b=[2.0, 2.0, 2.0])).verdict == HOLDS
    assert claim.judge(results(a=[4.0, 4.0, 4.1], b=[2.0, 2.0, 2.0])).verdict == FAILS
    assert claim.judge(results(a=[2.0, 4.0, 3.0], b=[2.0, 2.0, 2.0])).verdict == UNDECIDED


def test_every_seed_at_most():
    claim = claims.every_seed_at_most("", "a", 1.0)
    assert claim.judge(results(a=[0.8, 0.9])).verdict == HOLDS
    assert claim.judge(results(a=[0.8, 0.95])).verdict == UNDECIDED  # 0.95 ± 0.1
    found = claim.judge(results(a=[0.8, 1.2]))
    assert (found.verdict, found.interval, found.detail) == (
        FAILS, (1.2, pytest.approx(1.1), pytest.approx(1.3)), "1 of 2 seeds above",
    )  # fmt: skip


def test_most_seeds_exceed_a_level():
    claim = claims.most_seeds_exceed("", "a", "experts", least=0.6)
    # Of five, three must.
    assert claim.judge(results(a=[5.0, 5.0, 5.0, 0.0, 0.0], experts=4.0)).verdict == HOLDS
    assert claim.judge(results(a=[5.0, 5.0, 0.0, 0.0, 0.0], experts=4.0)).verdict == FAILS
    close = claim.judge(results(a=[5.0, 5.0, 4.05, 0.0, 0.0], experts=4.0))
    assert close.verdict == UNDECIDED
    assert close.interval.value == 0.6
    assert close.detail.startswith("2 surely above, 2 surely not")


def test_few_seeds_exceed_a_level():
    claim = claims.few_seeds_exceed("", "a", "experts", most=0.4)
    # Of five, two may.
    assert claim.judge(results(a=[5.0, 5.0, 0.0, 0.0, 0.0], experts=4.0)).verdict == HOLDS
    assert claim.judge(results(a=[5.0, 5.0, 5.0, 0.0, 0.0], experts=4.0)).verdict == FAILS
    assert claim.judge(results(a=[5.0, 5.0, 3.95, 0.0, 0.0], experts=4.0)).verdict == UNDECIDED


def test_no_more_than_another_arm():
    claim = claims.no_more("", "a", "b")
    assert claim.judge(results(a=[1.0, 1.1, 1.2], b=2.0)).verdict == HOLDS
    assert claim.judge(results(a=[3.0, 3.1, 3.2], b=2.0)).verdict == FAILS
    assert claim.judge(results(a=[1.0, 3.1, 3.2], b=2.0)).verdict == UNDECIDED


def test_the_same_agents_are_compared_agent_by_agent():
    # Mistakes are twice the return: the differences are 1, 50 and 99, and each of their means of three is above 0.
    claim = claims.more("", "a", "a", "counts beside: mistakes", of_other="beside")
    found = claim.judge(results(a=[1.0, 50.0, 99.0]))
    assert found.interval.value == 50
    assert (found.verdict, found.detail) == (HOLDS, "3 of 3 seeds")
    alone = claims.more("", "a", "a", "beside", of_other="alone")
    assert alone.judge(results(a=[1.0, 2.0])).verdict == UNDECIDED  # two seeds


def test_another_scene():
    there = results(a=[1.0, 2.0, 3.0])
    elsewhere = [
        {**row, "scene": "elsewhere", "beside": {"mean": 0.5, "low": 0.0, "high": 1.0}} for row in there.rows("a")
    ]
    both = Results({**there.data, "rows": [*there.data["rows"], *elsewhere]})
    claim = claims.more("", "a", "a", scene="home", other_scene="elsewhere")
    found = claim.judge(both)
    assert (found.verdict, found.interval.value) == (HOLDS, 1.5)
    assert "in home" in found.quantity
    assert "in elsewhere" in found.quantity
