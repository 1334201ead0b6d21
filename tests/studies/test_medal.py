"""MEDAL's study: claims about the attention loss wait for a loss that is alive."""

import numpy as np
import pytest

from rookery.studies.bhoopchand2023 import medal
from rookery.studies.judging import judge_claims
from rookery.studies.results import Results
from rookery.studies.study import HOLDS, NOT_TESTED, UNDECIDED
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
    data = {"budget": "desk", "extra_measurements": {"transmission": transmission}, "mechanisms": checks}
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


@pytest.mark.parametrize(("both", "attention", "untested"), [(1, 1, ()), (0, 1, (0, 2, 3)), (1, 0, (0, 4))])
def test_claims_about_a_dead_attention_loss_are_not_tested(both, attention, untested):
    judged = verdicts({medal.BOTH.label: bool(both), medal.ATTENTION.label: bool(attention)})
    assert judged == [NOT_TESTED if number in untested else HOLDS for number in range(5)]
