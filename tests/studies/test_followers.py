"""Strategies, and when they are learned, by hand."""

import numpy as np
import pytest

from rookery.studies import followers
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED
from rookery.studies.time_to_follow import TimesToFollow, _describe, follows_sooner, time_figures, times_to_follow


@pytest.mark.parametrize(
    ("social", "solo", "strategy"),
    [
        ((5.7, 6.0, 0.2), (0.3, 1.0, 0.5), "follower"),
        ((2.0, 3.0, 0.7), (1.0, 1.0, 0.0), "follower"),  # half of it is gain
        ((2.0, 3.0, 0.7), (1.1, 1.1, 0.0), "explorer"),
        ((1.4, 2.9, 1.0), (2.2, 3.0, 0.5), "explorer"),  # the others are in its way
        ((1.0, 1.0, 0.0), (1.0, 1.0, 0.0), "one goal"),
        ((1.0, 1.6, 0.4), (1.0, 1.0, 0.0), "other"),  # gambles with experts, and loses what it wins
        ((1.0, 1.0, 0.0), (0.9, 1.5, 0.4), "other"),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "other"),  # does nothing
        ((1.45, 1.45, 0.0), (-2.0, 1.0, 2.0), "other"),
    ],
)
def test_strategies_by_hand(social, solo, strategy):
    assert followers.classify_strategy(social, solo) == strategy


def results(**conditions) -> Results:
    """Conditions of (return with experts, return alone) of each seed; goals and mistakes of an agent with one goal."""
    metrics = {"goals": 1.0, "mistakes": 0.0}
    rows = [
        {
            "condition": name, "seed": seed, "eval_condition": "home", "return_social": {"mean": social},
            "return_solo": {"mean": solo}, "metrics_social": metrics, "metrics_solo": metrics,
        }
        for name, seeds in conditions.items() for seed, (social, solo) in enumerate(seeds)
    ]  # fmt: skip
    return Results({"rows": rows, "budget": "desk", "eval_episodes": 1000, "extra_measurements": {}})


FOLLOWER, ONE_GOAL = (9.0, 0.0), (1.0, 1.0)


def test_fractions_of_followers():
    claim = followers.more_followers("", "a", "b")
    assert claim.judge(results(a=[FOLLOWER] * 6, b=[ONE_GOAL] * 6)).outcome == HOLDS
    assert claim.judge(results(a=[ONE_GOAL] * 6, b=[FOLLOWER] * 6)).outcome == FAILS
    close = claim.judge(results(a=[FOLLOWER] * 3 + [ONE_GOAL] * 3, b=[ONE_GOAL] * 6))
    assert (close.outcome, close.interval.value) == (UNDECIDED, 0.5)
    assert "3 of 6 seeds against 0 of 6" in close.detail
    assert claim.judge(results(a=[FOLLOWER] * 4, b=[ONE_GOAL] * 4)).outcome == UNDECIDED
    most = followers.most_seeds_follow("", "a")
    assert most.judge(results(a=[FOLLOWER] * 6)).outcome == HOLDS
    assert most.judge(results(a=[FOLLOWER] * 5)).outcome == UNDECIDED


def test_one_goal_is_not_a_return_of_one():
    claim = followers.every_seed_stops_after_one_goal("", "a")
    assert claim.judge(results(a=[ONE_GOAL] * 5)).outcome == HOLDS
    gambler = results(a=[ONE_GOAL] * 5)
    gambler.data["rows"][2]["metrics_solo"] = {"goals": 1.6, "mistakes": 0.4}
    verdict = claim.judge(gambler)
    assert (verdict.outcome, verdict.interval.value) == (FAILS, 0.8)
    assert verdict.detail == "goals and mistakes of the others: 1.60 and 0.40"
    gambler.data["eval_episodes"] = 10
    verdict = claim.judge(gambler)
    assert verdict.outcome == UNDECIDED
    assert verdict.detail.startswith("10 episodes: means over fewer than 500 decide nothing")


def test_tight_and_loose_followers():
    both = results(a=[FOLLOWER, FOLLOWER, ONE_GOAL])
    both.data["extra_measurements"] = {"distance_to_expert": {"a": [[9.0, 1.5], [1.0, 6.0], [1.0, 1.0]]}}
    assert followers.tight_and_loose(both, "a") == {"tight": [0], "loose": [1]}
    both.data["extra_measurements"]["entries"] = {"a": {"repeated_fraction": [0.2, 0.9, 0.9]}}
    assert followers.tight_and_loose(both, "a") == {"tight": [], "loose": [0, 1]}


def curve(*seeds):
    """A checkpoint every 10 steps; 1 where the seed follows at it."""
    social = [[9.0 * x for x in seed] for seed in seeds]
    return {"checkpoints": {
        "steps": list(range(10, 10 * len(seeds[0]) + 1, 10)), "return_social": social,
        "return_solo": [[0.0] * len(seed) for seed in seeds],
    }}  # fmt: skip


def test_three_checkpoints_in_a_row():
    times = times_to_follow(
        curve([0, 1, 1, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0], [1, 1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1])
    )
    # The first from 50 on; the second from 30, whatever comes later; the others never, known up to 50.
    np.testing.assert_array_equal(times.time, [50, 30, 50, 50])
    np.testing.assert_array_equal(times.reached, [True, True, False, False])
    short = times_to_follow(curve([1, 1]))
    assert (short.time[0], short.reached[0]) == (20, False)


@pytest.mark.parametrize(("number", "shown"), [(0, "0 checkpoints"), (1, "1 checkpoint"), (2, "2 checkpoints")])
def test_fewer_than_three_checkpoints_show_no_time(number, shown):
    few = {"checkpoints": {"steps": [], "return_social": [], "return_solo": []}} if not number else curve(
        *[[1] * number] * 5
    )  # fmt: skip
    both = Results({"rows": [], "curves": {"a": few, "b": curve(*[[0, 0, 0, 0]] * 5)}, "budget": "desk"})
    for names in (("a", "b"), ("b", "a")):
        verdict = follows_sooner("", *names).judge(both)
        assert (verdict.outcome, verdict.test) == (UNDECIDED, None)
        assert verdict.detail == f"{shown}: fewer than 3 show no time"
    figures = time_figures(both, ["a", "b"])
    labels = [text.get_text() for text in figures[0][1].legends[0].get_texts()]
    assert labels == ([f"a ({shown}: fewer than 3 show no time)"] if number else []) + ["b (0 of 5)"]
    assert time_figures(both, ["a"]) == [] or number


def test_sooner_is_judged_by_the_exact_log_rank_test():
    early, never = curve(*[[1, 1, 1, 1]] * 5), curve(*[[0, 0, 0, 0]] * 5)
    both = Results({"rows": [], "curves": {"a": early, "b": never}, "budget": "desk"})
    verdict = follows_sooner("", "a", "b").judge(both)
    assert (verdict.outcome, verdict.test.p_value) == (HOLDS, pytest.approx(2 / 252))
    assert "'a': 5 of 5 seeds follow, half of all by 0.00M steps" in verdict.detail
    assert verdict.test.detectable == 0.84
    times = [1.12, *[1.28] * 3, *[1.44] * 3, 1.6, 1.76, *[2.24] * 3, 2.4, 2.72]
    half = _describe("a", TimesToFollow(np.array([*times, *[2.88] * 10]) * 1e6, np.arange(24) < 14))
    assert half == "'a': 14 of 24 seeds follow, half of all by 2.24M steps"  # the twelfth, without rounding
    later = follows_sooner("", "b", "a").judge(both)
    assert later.outcome == FAILS
    assert later.test.detectable == np.inf  # more than all cannot follow
