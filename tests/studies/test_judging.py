"""What was not tested, and the correction for many claims, by results made up by hand."""

import dataclasses
import math
import re

import numpy as np
import pytest

from rookery.intervals import Interval
from rookery.learning.intrinsic import MessageInfluence, MOAInfluence
from rookery.significance import SignificanceTest, fractions_test
from rookery.studies.claims import mean_above, mean_greater
from rookery.studies.judging import judge_claims
from rookery.studies.mechanisms import FramePredictionCheck, InfluenceCheck, MechanismCheck
from rookery.studies.results import Results
from rookery.studies.results_io import _add_tests, format_evidence
from rookery.studies.study import HOLDS, Claim, Verdict
from rookery.studies.training_end import late_rise
from rookery.viz.report_page import Report
from tests.studies.tiny import STUDY


def claim(text, p_value=0.001, **settings):
    test = SignificanceTest(Interval(1.0, 0.5, 1.5), p_value, p_value, True, 0.7)
    return Claim(text=text, judge=lambda results: Verdict(HOLDS, "q", test.interval, "", test), **settings)


def judge(*claims, others=lambda name: None, definition=1, **data):
    study = dataclasses.replace(STUDY, claims=claims, definition=2, changes={2: "another world"})
    return judge_claims(study, {"budget": "desk", "rows": [], "definition": definition, **data}, others)


CHECK = MechanismCheck(mechanism="next-frame", condition="a")


def alive(*seeds):
    return {CHECK.key: [{"alive": seed, "reason": f"error {seed}"} for seed in seeds]}


def test_the_first_claim_is_primary_and_the_others_are_corrected():
    judged = judge(claim("a", 0.04), claim("b", 0.03), claim("c", 0.01))
    assert [row["verdict"] for row in judged] == ["holds", "holds", "holds"]
    judged = judge(claim("a", 0.04), claim("b", 0.03), claim("c", 0.01), claim("d", 0.2))
    assert [row["primary"] for row in judged] == [True, False, False, False]
    assert [row["corrected_p_value"] for row in judged] == [None, pytest.approx(0.06), pytest.approx(0.03), 0.2]
    assert [row["verdict"] for row in judged] == [
        "holds",
        "undecided at this budget",
        "holds",
        "undecided at this budget",
    ]
    assert judged[1]["detail"] == "p = 0.03 does not hold for 3 claims (Holm: 0.06)"
    assert judged[2]["detectable"] == 0.7


def test_a_claim_that_waits_for_newer_results_eases_no_other_one():
    judged = judge(claim("a"), claim("b", since=2), claim("c", 0.03))
    assert [row["verdict"] for row in judged] == ["holds", "not tested", "undecided at this budget"]
    assert judged[2]["detail"] == "p = 0.03 does not hold for 2 claims (Holm: 0.06)"


def test_claims_over_episodes_are_corrected_with_the_others():
    """Two claims about agents without seeds, each at p = 0.03 by itself."""
    low, high = 1 - 1.959964 / 2.17, 1 + 1.959964 / 2.17
    measure = {"mean": 1.0, "low": low, "high": high}
    rows = [{"condition": "a", "seed": None, "eval_condition": "home", "return_social": measure}]
    claims = [mean_above(str(number), "a", 0.0, "return_social") for number in range(3)]
    judged = judge(*claims, rows=rows, curves={})
    assert [row["p_value"] for row in judged] == [pytest.approx(0.03, abs=1e-3)] * 3
    assert [row["verdict"] for row in judged] == ["holds", *["undecided at this budget"] * 2]


def test_that_nothing_is_detectable_is_not_that_it_is_unknown():
    test = SignificanceTest(Interval(0.0, -0.4, 0.4), 1.0, 1.0, False, math.inf)
    judged = judge(*(
        Claim(text="a", judge=lambda results, d=d: Verdict(HOLDS, "q", test.interval, "", test._replace(detectable=d)))
        for d in (math.inf, math.nan)
    ))  # fmt: skip
    assert [row["detectable"] for row in judged] == ["none", None]
    assert "detectable: none" in format_evidence(judged[0])
    assert "detectable" not in format_evidence(judged[1])


def test_that_nothing_is_detectable_is_not_that_nothing_decides():
    """The page explains 'none' next to verdicts that were decided all the same."""
    test = fractions_test(6, 6, 1, 6)
    judged = judge(Claim(text="a", judge=lambda results: Verdict(HOLDS, "q", test.interval, "", test)))
    assert (judged[0]["verdict"], judged[0]["detectable"]) == ("holds", "none")
    page = Report("page", "a page")
    _add_tests(page, {"claims": judged})
    html = page.html()
    assert "would not decide" not in html
    assert "None: no larger fraction would be shown in 80 % of cases" in html


def test_evidence_without_a_value_keeps_its_reason():
    row = {"value": None, "quantity": "correlation", "detail": "undefined where one of the two never varies"}
    assert format_evidence(row) == "(correlation; undefined where one of the two never varies)"
    assert format_evidence(row | {"detail": ""}) == "(correlation)"


@pytest.mark.parametrize(
    ("stored", "verdict", "reason"),
    [
        (alive(True, True, True, False), "holds", ""),
        (alive(True, True, False, False), "not tested", "was not alive: alive in 2 of 4 seeds (error False)"),
        (alive(None, None), "not tested", "was not measured: error None"),
        (alive(True, True, True, None), "holds", ""),
        (alive(True, None, None, None), "not tested", "was not measured: alive in 1 of 4 seeds, not measured in 3"),
        (alive(True, False, False, None), "not tested", "was not alive: alive in 1 of 4 seeds, not measured in 1"),
        ({}, "not tested", "was not measured: the runs did not measure it"),
    ],
)
def test_a_claim_about_a_dead_mechanism_is_not_tested(stored, verdict, reason):
    row, other = judge(claim("a", mechanisms=(CHECK,)), claim("b"), mechanisms=stored)
    assert row["verdict"] == verdict
    assert reason in row["detail"]
    assert row["value"] == 1.0  # what was measured is shown all the same
    assert other["verdict"] == "holds"


def test_claims_that_are_not_tested_do_not_count_as_tests():
    judged = judge(claim("a"), claim("b", 0.03), claim("c", 0.03, mechanisms=(CHECK,)))
    assert [row["verdict"] for row in judged] == ["holds", "holds", "not tested"]


def test_another_reason_withholds_a_claim():
    (row,) = judge(claim("a", withheld=lambda results: "the clones earn nothing"))
    assert (row["verdict"], row["detail"]) == ("not tested", "the clones earn nothing")
    assert judge(claim("a", withheld=lambda results: None))[0]["verdict"] == "holds"


def test_older_results_do_not_test_newer_claims():
    newer = Claim(text="a", judge=lambda results: pytest.fail("it needs what older results lack"), since=2)
    (row,) = judge(newer)
    assert row["verdict"] == "not tested"
    assert "definition 2" in row["quantity"]
    assert judge(claim("a", since=2), definition=2)[0]["verdict"] == "holds"


LOSS = [{"setting": "team.novice.learner.auxiliary.next-frame.weight", "here": 1.0, "runs": ["next-frame"]}]
FIGURE_2 = Results({
    "runs": [{"run": "next-frame"}], "config_diff": LOSS,
    "extra_measurements": {"action_frequency": [[0.5, 0.5]] * 4, "prediction_error": [[0.3, 0.1]] * 4,
                           "no_change_error": [[0.1, 0.1]] * 4},
})  # fmt: skip


def test_older_results_are_judged_by_figure_2():
    check = FramePredictionCheck(condition="a")
    (row,) = judge(claim("a", mechanisms=(check,)), others=lambda name: FIGURE_2, config_diff=LOSS)
    assert row["verdict"] == "not tested"
    assert "2.00 times that of predicting no change" in row["detail"]
    # Not where the loss is another one.
    other_loss = [{**LOSS[0], "here": 3.0}]
    (row,) = judge(claim("a", mechanisms=(check,)), others=lambda name: FIGURE_2, config_diff=other_loss)
    assert "the runs did not measure it" in row["detail"]


@pytest.mark.parametrize(("reward", "weight", "verdict"), [
    (0.01, 1.0, "holds"), (0.001, 1.0, "not tested"), (0.001, 10.0, "holds"), (0.01, 0.1, "not tested"),
])  # fmt: skip
def test_an_influence_reward_must_be_felt(reward, weight, verdict):
    # Two agents earn 20 in 100 steps: 0.1 per step each.
    check = InfluenceCheck(
        mechanism="influence-moa", condition="a", reward=MOAInfluence(weight=weight), episode_steps=lambda budget: 100
    )
    learning = {"return": [[0.0, 0.0, 0.0, 20.0]] * 4, "intrinsic_reward/influence-moa": [[0.0, 0.0, 0.0, reward]] * 4}
    rows = [{"condition": "a", "eval_condition": "s", "seed": 0, "returns": {"agent_0": 10.0, "agent_1": 10.0}}]
    (row,) = judge(claim("a", mechanisms=(check,)), rows=rows, curves={"a": {"learning": learning}})
    assert row["verdict"] == verdict


@pytest.mark.parametrize(("extrinsic_coef", "reward", "verdict"), [
    (1.0, 0.001, "not tested"), (0.1, 0.001, "holds"), (0.0, 1e-4, "holds"), (0.0, 1e-7, "not tested"),
])  # fmt: skip
def test_messages_are_judged_by_what_they_get_of_the_environments_reward(extrinsic_coef, reward, verdict):
    check = InfluenceCheck(
        mechanism="influence-messages", condition="a", episode_steps=lambda budget: 100,
        reward=MessageInfluence(weight=1.0, extrinsic_coef=extrinsic_coef),
    )  # fmt: skip
    learning = {"return": [[20.0]] * 4, "intrinsic_reward/influence-messages": [[reward]] * 4}
    rows = [{"condition": "a", "eval_condition": "s", "seed": 0, "returns": {"agent_0": 10.0, "agent_1": 10.0}}]
    (row,) = judge(claim("a", mechanisms=(check,)), rows=rows, curves={"a": {"learning": learning}})
    assert row["verdict"] == verdict


def test_a_verdict_says_whose_return_still_rises():
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 20))
    late = np.maximum(0, np.arange(20) - 15)  # the last fifth of the checkpoints alone
    curves = {
        name: {"checkpoints": {"steps": list(range(20)), "return_social": (slope * late + noise).tolist()}}
        for name, slope in (("rises", 0.5), ("flat", 0.0))
    }
    rows = [
        {"condition": name, "seed": seed, "eval_condition": "task",
         "return_social": {"mean": 1.0 + 0.1 * seed}, "return_solo": {"mean": 1.0}}
        for name in curves for seed in range(6)
    ]  # fmt: skip
    differ = mean_greater("a", "rises", "flat")
    alone = mean_greater("b", "rises", "flat", "return_solo")
    named, unnamed = judge(differ, alone, rows=rows, curves=curves)
    assert re.search(r"last fifth of training: 'rises' by 1\.5\d \[1\.\d+, 1\.\d+\]$", named["detail"])
    assert "rises over" not in unnamed["detail"]
    assert math.isnan(late_rise({"learning": {}}).value)  # a team has no checkpoints
