"""MEDAL's study: claims about the attention loss wait for a loss that is alive."""

import json
from pathlib import Path

import numpy as np
import pytest

from rookery.studies.bhoopchand2023 import medal
from rookery.studies.judging import judge_claims
from rookery.studies.results import Results
from rookery.studies.results_io import describe_older_definition
from rookery.studies.study import FAILS, HOLDS, NOT_TESTED, UNDECIDED
from rookery.studies.transmission import TRANSMISSION_MEASURES

NUM_SEEDS = 5


def verdicts(alive: dict[str, bool]) -> list[str]:
    """Of results in which everything that is claimed holds. alive: by condition."""
    levels = {medal.BOTH.label: 9.0, medal.DROPOUT.label: 6.0, medal.ATTENTION.label: 3.0, medal.NEITHER.label: 0.0}
    seeds = np.linspace(-0.01, 0.01, NUM_SEEDS)
    transmission = {c: {m: (x + seeds).tolist() for m in TRANSMISSION_MEASURES} for c, x in levels.items()}
    checks = {
        check.key: [{"alive": alive[check.condition], "reason": ""}] * NUM_SEEDS
        for check in (medal.BOTH_ATTEND, medal.ATTENTION_ATTENDS)
    }
    data = {
        "budget": "desk", "definition": medal.STUDY.definition, "extra_measurements": {"transmission": transmission},
        "mechanisms": checks,
    }  # fmt: skip
    return [claim["verdict"] for claim in judge_claims(medal.STUDY, data)]


def test_a_measure_that_is_undefined_in_every_seed_decides_nothing():
    transmission = {
        condition.label: {measure: [None] * NUM_SEEDS for measure in TRANSMISSION_MEASURES}
        for condition in (medal.BOTH, medal.DROPOUT, medal.ATTENTION, medal.NEITHER)
    }
    results = Results({"budget": "desk", "extra_measurements": {"transmission": transmission}})
    verdicts = [claim.judge(results) for claim in medal.STUDY.claims]
    assert {verdict.outcome for verdict in verdicts} == {UNDECIDED}
    assert all("undefined in every seed" in verdict.detail for verdict in verdicts)


def test_a_gain_in_the_first_half_alone_is_no_memory():
    """Such agents transmit more than ¾ of following."""
    measured = {"cultural transmission": 0.5, "following": 0.5, "recall": 0.0, "recall beyond alone": -0.01}
    noise = np.linspace(-0.001, 0.001, NUM_SEEDS)
    transmission = {medal.BOTH.label: {name: (value + noise).tolist() for name, value in measured.items()}}
    results = Results({"budget": "desk", "extra_measurements": {"transmission": transmission}})
    assert medal.STUDY.claims[2].judge(results).outcome == FAILS


def test_results_without_a_baseline_do_not_test_recall():
    stored = Path(__file__).parents[2] / "results" / "bhoopchand2023" / "medal" / "results.json"
    data = json.loads(stored.read_text(encoding="utf-8")) | {"definition": 1}
    for measures in data["extra_measurements"]["transmission"].values():
        measures.pop("recall beyond alone", None)
    judged = judge_claims(medal.STUDY, data)
    assert [claim["verdict"] == NOT_TESTED for claim in judged] == [True] * 3 + [False] * 2
    assert "it needs results of definition 2 of the study" in judged[0]["quantity"]
    assert "recall_beyond_alone" not in [name for name, _, _ in medal.STUDY.figures(Results(data))]
    assert "alone in the second half" in str(describe_older_definition(medal.STUDY, data))


@pytest.mark.parametrize(("both", "attention", "untested"), [(1, 1, ()), (0, 1, (0, 2, 3)), (1, 0, (0, 4))])
def test_claims_about_a_dead_attention_loss_are_not_tested(both, attention, untested):
    judged = verdicts({medal.BOTH.label: bool(both), medal.ATTENTION.label: bool(attention)})
    assert judged == [NOT_TESTED if number in untested else HOLDS for number in range(5)]
